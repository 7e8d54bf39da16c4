"""What can be read here while an engine works: NVIDIA cards (NVML), others (sysfs), CPU packages (RAPL), its processes.

A reading is a value in base units, or the reason why there is none. docs/hardware.md lists them.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from specbench.hardware import amd, pci
from specbench.hardware.reading import NO_VALUE, Missing
from specbench.records import Accelerator

Reading = float | str

# From the least to below the most; a driver that knows no value says 0 or 4294967295.
_BOUNDS = dict.fromkeys(("power", "power_limit", "power_limit_default"), (1e-3, 3e3))
_BOUNDS |= dict.fromkeys(("sm_clock", "sm_clock_max", "memory_clock"), (1, 1e11))
_BOUNDS |= {"temperature": (1, 150), "pcie_generation": (1, 9), "pcie_width": (1, 65)}
_BOUNDS |= {"energy": (0, 1e12), "utilization": (0, 1.01), "throttle": (0, 2.0**32)}
_BYTES = (0, 2.0**46)
RARELY = {"power_limit", "power_limit_default", "sm_clock_max", "engine_memory", "foreign_processes"}
RARELY |= {"load", "on_battery"}  # read before and after a trial only

# Unit, field of the answer, and the calls (nvmlDeviceGet…, arguments): the new one first, then what older drivers have.
_NVML: dict[str, tuple[float, str | None, tuple[tuple[Any, ...], ...]]] = {
    "energy": (1e-3, None, (("TotalEnergyConsumption",),)),
    "power": (1e-3, None, (("PowerUsage",),)),
    "sm_clock": (1e6, None, (("ClockInfo", 1),)),
    "memory_clock": (1e6, None, (("ClockInfo", 2),)),
    "temperature": (1, None, (("TemperatureV", 0), ("Temperature", 0))),
    "throttle": (1, None, (("CurrentClocksEventReasons",), ("CurrentClocksThrottleReasons",))),
    "utilization": (0.01, "gpu", (("UtilizationRates",),)),
    "device_memory": (1, "used", (("MemoryInfo", 0x02000028), ("MemoryInfo",))),  # version 1 counts what is reserved
    "pcie_generation": (1, None, (("CurrPcieLinkGeneration",),)),
    "pcie_width": (1, None, (("CurrPcieLinkWidth",),)),
    "power_limit": (1e-3, None, (("EnforcedPowerLimit",),)),
    "power_limit_default": (1e-3, None, (("PowerManagementDefaultLimit",),)),
    "sm_clock_max": (1e6, None, (("MaxClockInfo", 1),)),
}
_PROCESSES = (("ComputeRunningProcesses_v3",), ("ComputeRunningProcesses_v2",))

_FILES = {  # file of the hwmon, or of the device, and unit
    "energy": ("hwmon/energy1_input", 1e-6),
    "power": ("hwmon/power1_average", 1e-6),
    "sm_clock": ("hwmon/freq1_input", 1),
    "memory_clock": ("hwmon/freq2_input", 1),
    "temperature": ("hwmon/temp1_input", 1e-3),
    "utilization": ("gpu_busy_percent", 0.01),
    "device_memory": ("mem_info_vram_used", 1),
    "gtt_memory": ("mem_info_gtt_used", 1),
    "pcie_width": ("current_link_width", 1),
    "power_limit": ("hwmon/power1_cap", 1e-6),
    "power_limit_default": ("hwmon/power1_cap_default", 1e-6),
}


@dataclass(frozen=True)
class Source:
    """The sensors of one thing. `scope` is what its energy is of, `wrap` the joules at which its counter restarts."""

    name: str
    sensors: Mapping[str, Callable[[], float | Missing]]
    scope: Literal["gpu", "package"] | None = None
    wrap: float | None = None
    faults: tuple[type[Exception], ...] = (OSError, LookupError, ValueError)

    def read(self, *, rarely: bool) -> dict[str, Reading]:
        """Every reading, or why there is none."""
        return {key: self._reading(key, get) for key, get in self.sensors.items() if rarely or key not in RARELY}

    def _reading(self, key: str, get: Callable[[], float | Missing]) -> Reading:
        try:
            value = get()
        except self.faults as error:
            return _said(error)
        if isinstance(value, Missing):
            return value.reason
        least, most = _BOUNDS.get(key, _BYTES)
        return value if least <= value < most and value not in NO_VALUE else f"{value:g} cannot be"


def _said(error: Exception) -> str:
    words = error.strerror if isinstance(error, OSError) else error.args[0] if isinstance(error, LookupError) else None
    return str(words or error)


class Engine:
    """The processes that specbench started. Memory that they share is counted in each."""

    def __init__(self) -> None:
        self.processes: list[Any] = []

    def follow(self) -> None:
        """Look for them anew."""
        import psutil  # noqa: PLC0415  the command line must start without it

        self.processes = psutil.Process().children(recursive=True)

    def source(self) -> Source:
        """Their memory, the machine's load, and whether it runs on battery."""
        import psutil  # noqa: PLC0415  as above

        def memory() -> float:
            if not self.processes:
                raise LookupError("the engine was not started here")
            return float(sum(process.memory_info().rss for process in self.processes))

        def on_battery() -> float:
            found = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
            if found is None or found.power_plugged is None:
                raise LookupError("no battery is known")
            return float(not found.power_plugged)

        sensors = {"memory": memory, "load": lambda: psutil.getloadavg()[0], "on_battery": on_battery}
        return Source("host", sensors, faults=(OSError, LookupError, ValueError, psutil.Error))


@contextmanager
def nvidia(engine: Engine, reasons: dict[str, str]) -> Iterator[list[Source]]:
    """A source for each card that answers."""
    import pynvml as nvml  # noqa: PLC0415  only where it is used

    cards: list[Source] = []
    with ExitStack() as opened:
        try:
            nvml.nvmlInit()
            opened.callback(nvml.nvmlShutdown)
            count = nvml.nvmlDeviceGetCount()
        except nvml.NVMLError as error:
            reasons["nvidia.energy"] = f"NVIDIA: {error}"
            count = 0
        for index in range(count):
            try:
                cards.append(_nvidia_card(nvml, index, engine))
            except nvml.NVMLError as error:
                reasons[f"nvidia{index}.energy"] = f"NVIDIA card {index}: {error}"
        yield cards


def _nvidia_card(nvml: Any, index: int, engine: Engine) -> Source:
    card = nvml.nvmlDeviceGetHandleByIndex(index)

    def ask(*calls: tuple[Any, ...]) -> Any:
        """The answer of the first call that this package and this driver have."""
        *new, (call, rest) = [
            (known, rest) for name, *rest in calls if (known := getattr(nvml, f"nvmlDeviceGet{name}", None)) is not None
        ]
        for newer, arguments in new:
            try:
                return newer(card, *arguments)
            except nvml.NVMLError:
                continue
        return call(card, *rest)

    def number(unit: float, part: str | None, calls: tuple[tuple[Any, ...], ...]) -> float:
        answer = ask(*calls)
        return unit * float(getattr(answer, part) if part else answer)

    def processes() -> dict[int, int | None]:
        return {process.pid: process.usedGpuMemory for process in ask(*_PROCESSES)}

    sensors = {key: partial(number, *asked) for key, asked in _NVML.items()}
    return Source(
        f"nvidia{index}", {**sensors, **_shares(engine, processes)}, scope="gpu", faults=(LookupError, nvml.NVMLError)
    )


def _shares(
    engine: Engine, listed: Callable[[], dict[int, int | None] | Missing]
) -> dict[str, Callable[[], float | Missing]]:
    """The engine's memory on a card and the number of other processes, by the bytes of each process."""

    def mine() -> tuple[dict[int, int | None], set[int]] | Missing:
        if isinstance(known := listed(), Missing):
            return known
        ours = known.keys() & {process.pid for process in engine.processes}
        # another process namespace, or an engine that does not use the card
        return (known, ours) if ours else Missing("the driver does not list the engine's process")

    def memory() -> float | Missing:
        if isinstance(found := mine(), Missing):
            return found
        told = [found[0][pid] for pid in found[1]]
        none = Missing("the driver does not say how much each process uses")
        return none if None in told else float(sum(filter(None, told)))

    def foreign() -> float | Missing:
        found = mine()
        return found if isinstance(found, Missing) else len(found[0].keys() - found[1] - {os.getpid()})

    return {"engine_memory": memory, "foreign_processes": foreign}


def pci_cards(
    accelerators: Sequence[Accelerator], engine: Engine, reasons: dict[str, str], *, root: Path, package_counted: bool
) -> list[Source]:
    """AMD's and Intel's cards; `reasons` says why other accelerators than NVIDIA's have no power reading.

    An APU's power is the package's: it is not counted where RAPL counts that.
    """
    found: list[Source] = []
    seen = Counter[str]()
    for card in accelerators:
        name = f"{card.vendor}{seen[card.vendor]}"
        seen[card.vendor] += 1
        if card.vendor == "nvidia" and "index" in card.readings:
            continue
        if card.vendor not in ("amd", "intel") or card.pci_address is None:
            why = card.reasons.get("energy_counter") or card.reasons.get("name")
            reasons[f"{name}.energy"] = f"{card.vendor} {why}"
            continue
        device = root / "sys/bus/pci/devices" / card.pci_address
        hwmon = next(iter(sorted((device / "hwmon").glob("hwmon*"))), device / "hwmon")
        files = {
            key: (hwmon / file[6:] if file.startswith("hwmon/") else device / file, unit)
            for key, (file, unit) in _FILES.items()
        }
        if not files["power"][0].exists():
            files["power"] = hwmon / "power1_input", 1e-6
        sensors: dict[str, Callable[[], float | Missing]] = {k: partial(_scaled, *where) for k, where in files.items()}
        sensors |= {"sm_clock_max": partial(_highest_clock, device), "pcie_generation": partial(_generation, device)}
        if card.vendor == "amd":
            sensors["energy"] = partial(amd.ask, card.pci_address, amd.energy)
            sensors |= _shares(engine, partial(amd.ask, card.pci_address, _amd_processes))
        apu = (hwmon / "in1_input").exists()  # the northbridge's voltage
        scope: Any = "gpu" if not apu else None if package_counted else "package"
        found.append(Source(name, sensors, scope=scope))
    return found


def _amd_processes(smi: Any, card: Any) -> dict[int, int | None]:
    return {process["pid"]: process["memory_usage"]["vram_mem"] for process in smi.amdsmi_get_gpu_process_list(card)}


def _highest_clock(device: Path) -> float:
    return max(map(float, re.findall(r"(\d+)Mhz", (device / "pp_dpm_sclk").read_text()))) * 1e6


def _generation(device: Path) -> float:
    return pci.GENERATIONS[(device / "current_link_speed").read_text().split()[0]]


def packages(root: Path, reasons: dict[str, str]) -> list[Source]:
    """CPU packages through RAPL. Zones within a package, and the platform's, would count the same joules twice."""
    found: list[Source] = []
    for zone in sorted((root / "sys/class/powercap").glob("intel-rapl:*")):
        try:
            if zone.name.count(":") > 1 or not (zone / "name").read_text().startswith("package"):
                continue
            wrap, _ = (_scaled(zone / name, 1e-6) for name in ("max_energy_range_uj", "energy_uj"))
        except (OSError, ValueError) as error:
            reasons["cpu.energy"] = f"RAPL is not readable here ({_said(error)})"
            continue
        sensors = {"energy": partial(_scaled, zone / "energy_uj", 1e-6)}
        found.append(Source(f"cpu{len(found)}", sensors, scope="package", wrap=wrap))
    if not found:
        reasons.setdefault("cpu.energy", "RAPL is not there")
    return found


def _scaled(file: Path, unit: float) -> float:
    return int(file.read_text()) * unit
