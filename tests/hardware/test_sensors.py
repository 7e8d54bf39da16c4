import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hardware import roots, watched

from specbench.hardware import sensors
from specbench.hardware.detect import detect
from specbench.hardware.reading import Source as RecordedSource
from specbench.hardware.sensors import Engine, Reading, Source
from specbench.records import Accelerator


@pytest.fixture
def nvml(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that says what the compiled NVML answers."""
    spec = tmp_path / "nvml.txt"
    watched.write(spec, watched.CARD)
    watched.install(monkeypatch, watched.library(tmp_path_factory.getbasetemp() / "nvml"), spec)
    return spec


def nvidia(engine: Engine | None = None) -> tuple[list[dict[str, Reading]], dict[str, str]]:
    reasons: dict[str, str] = {}
    with sensors.nvidia(engine or Engine(), reasons) as cards:
        return [card.read(rarely=True) for card in cards], reasons


def reading(source: Source, key: str) -> Reading:
    return source.read(rarely=True)[key]


def test_a_card_is_read_in_base_units(nvml: Path) -> None:
    (card,), reasons = nvidia()
    assert reasons == {}
    energy = card.pop("energy")
    assert isinstance(energy, float)
    assert {key: value for key, value in card.items() if isinstance(value, float)} == {
        "power": 250.0,
        "power_limit": 350.0,
        "power_limit_default": 350.0,
        "sm_clock": 1.8e9,
        "sm_clock_max": 2.1e9,
        "memory_clock": 9.751e9,
        "temperature": 61.0,
        "throttle": 4.0,
        "utilization": 0.97,
        "device_memory": 20 * 2.0**30,
        "pcie_generation": 4.0,
        "pcie_width": 8.0,
    }


def test_only_what_cannot_change_soon_is_left_to_the_edges_of_a_trial(nvml: Path) -> None:
    with sensors.nvidia(Engine(), {}) as (card,):
        assert card.read(rarely=True).keys() - card.read(rarely=False).keys() == sensors.RARELY - {"load", "on_battery"}


@pytest.mark.parametrize("key", sorted(watched.CARD.keys() - {"watts", "temperature", "throttle", "used"}))
def test_a_reading_that_the_card_does_not_support_is_a_reason_and_never_a_number(nvml: Path, key: str) -> None:
    (whole,), _ = nvidia()
    watched.write(nvml, {k: v for k, v in watched.CARD.items() if k != key})
    (less,), _ = nvidia()
    changed = {name for name in whole if isinstance(whole[name], float) and isinstance(less[name], str)}
    assert len(changed) == 1
    assert less[changed.pop()] == "Not Supported"


@pytest.mark.parametrize("value", [0, 4294967295])
@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("power", "power"),
        ("sm", "sm_clock"),
        ("temperature", "temperature"),
        ("pcie_width", "pcie_width"),
        ("limit", "power_limit"),
    ],
)
def test_a_value_that_cannot_be_is_a_reason(nvml: Path, key: str, name: str, value: int) -> None:
    watched.write(nvml, {**watched.CARD, key: value})
    (card,), _ = nvidia()
    assert "cannot be" in str(card[name])


@pytest.mark.parametrize(("key", "name"), [("throttle", "throttle"), ("used", "device_memory")])
def test_what_a_driver_says_for_none_is_no_mask_and_no_memory(nvml: Path, key: str, name: str) -> None:
    watched.write(nvml, {**watched.CARD, key: 4294967295})
    (card,), _ = nvidia()
    assert "cannot be" in str(card[name])


def test_an_energy_counter_that_is_not_supported_has_a_reason(nvml: Path) -> None:
    watched.write(nvml, {key: value for key, value in watched.CARD.items() if key != "watts"})
    (card,), _ = nvidia()
    assert card["energy"] == "Not Supported"


def test_an_old_driver_is_asked_by_the_old_names(
    nvml: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {"old_temperature": 55, "old_throttle": 0x20, "old_used": 2**30, "pid0": os.getpid(), "bytes0": 5}
    watched.write(nvml, {**watched.CARD, **old})
    (card,), _ = nvidia()
    assert (card["temperature"], card["throttle"], card["device_memory"]) == (61.0, 4.0, 20 * 2.0**30)
    watched.install(monkeypatch, watched.library(tmp_path_factory.getbasetemp() / "nvml", old=True), nvml)
    engine = Engine()
    engine.processes = [psutil.Process()]
    (card,), _ = nvidia(engine)
    assert (card["temperature"], card["throttle"], card["device_memory"]) == (55.0, 32.0, 2.0**30)
    assert card["engine_memory"] == 5


def test_the_memory_of_the_engine_is_told_from_that_of_others(nvml: Path) -> None:
    engine = Engine()
    engine.processes = [psutil.Process()]
    mine = {"pid0": os.getpid(), "bytes0": 7 * 2**30, "pid1": 1, "bytes1": 2**30}
    watched.write(nvml, {**watched.CARD, **mine})
    (card,), _ = nvidia(engine)
    assert (card["engine_memory"], card["foreign_processes"]) == (7 * 2.0**30, 1)
    watched.write(nvml, {**watched.CARD, **mine, "pid0": 2})
    (card,), _ = nvidia(engine)
    assert "does not list" in str(card["engine_memory"]), "in a container the driver may see other numbers"
    assert "does not list" in str(card["foreign_processes"])
    watched.write(nvml, {**watched.CARD, "pid0": os.getpid()})
    (card,), _ = nvidia(engine)
    assert "how much" in str(card["engine_memory"])
    assert card["foreign_processes"] == 0


def test_a_lost_card_leaves_the_others(nvml: Path) -> None:
    watched.write(nvml, {"handle": "!15"}, watched.CARD)
    cards, reasons = nvidia()
    assert len(cards) == 1
    assert reasons == {"nvidia0.energy": "NVIDIA card 0: GPU is lost"}


def test_a_machine_without_the_driver_says_so() -> None:
    cards, reasons = nvidia()
    assert bool(cards) != ("nvidia.energy" in reasons)


@pytest.mark.parametrize("line", ["-1.init=9", "-1.count=!4"])
def test_a_driver_that_refuses_is_a_reason(nvml: Path, line: str) -> None:
    nvml.write_text(line + "\n")
    cards, reasons = nvidia()
    assert cards == []
    assert reasons["nvidia.energy"].startswith("NVIDIA: ")


def test_only_whole_packages_are_counted(tmp_path: Path) -> None:
    watched.powercap(tmp_path, "intel-rapl:0", name="package-0", energy=5_000_000)
    watched.powercap(tmp_path, "intel-rapl:0:0", name="core", energy=1)
    watched.powercap(tmp_path, "intel-rapl:1", name="package-1", energy=7_500_000, wrap=9_000_000)
    watched.powercap(tmp_path, "intel-rapl:2", name="psys", energy=99)
    reasons: dict[str, str] = {}
    found = sensors.packages(tmp_path, reasons)
    assert [(s.name, s.scope, s.wrap) for s in found] == [
        ("cpu0", "package", pytest.approx(262_143.33)),
        ("cpu1", "package", pytest.approx(9)),
    ]
    assert [reading(s, "energy") for s in found] == [pytest.approx(5), pytest.approx(7.5)]
    assert reasons == {}


def test_no_powercap_is_a_reason(tmp_path: Path) -> None:
    reasons: dict[str, str] = {}
    assert sensors.packages(tmp_path, reasons) == []
    assert reasons == {"cpu.energy": "RAPL is not there"}


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder that everyone can read, for a user who is not root: root reads everything."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        user = os.geteuid()
        yield Path(name)
        os.seteuid(user)


def test_a_counter_for_root_only_is_a_reason(nobody: Path) -> None:
    (watched.powercap(nobody, "intel-rapl:0", name="package-0", energy=5) / "energy_uj").chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)
    reasons: dict[str, str] = {}
    assert sensors.packages(nobody, reasons) == []
    assert reasons == {"cpu.energy": "RAPL is not readable here (Permission denied)"}


@pytest.mark.parametrize("energy", ["", "N/A", "0x12"])
def test_a_malformed_counter_is_a_reason(tmp_path: Path, energy: str) -> None:
    watched.powercap(tmp_path, "intel-rapl:0", name="package-0", energy=energy)
    reasons: dict[str, str] = {}
    assert sensors.packages(tmp_path, reasons) == []
    assert "RAPL is not readable here" in reasons["cpu.energy"]


def test_a_counter_that_goes_away_is_a_reason(tmp_path: Path) -> None:
    zone = watched.powercap(tmp_path, "intel-rapl:0", name="package-0", energy=5)
    (source,) = sensors.packages(tmp_path, {})
    (zone / "energy_uj").unlink()
    assert reading(source, "energy") == "No such file or directory"


AMD: dict[str, Any] = {
    "gpu_busy_percent": 99,
    "mem_info_vram_used": 2**34,
    "mem_info_gtt_used": 2**20,
    "current_link_speed": "16.0 GT/s PCIe",
    "current_link_width": 16,
    "pp_dpm_sclk": "0: 925Mhz *\n1: 1725Mhz",
    "hwmon__power1_average": 225_000_000,
    "hwmon__power1_cap": 178_000_000,
    "hwmon__power1_cap_default": 225_000_000,
    "hwmon__temp1_input": 71_000,
    "hwmon__freq1_input": 925_000_000,
    "hwmon__freq2_input": 1_000_000_000,
}


def on_pci(root: Path, *cards: Accelerator, package_counted: bool = False) -> tuple[list[Source], dict[str, str]]:
    reasons: dict[str, str] = {}
    return sensors.pci_cards(cards, Engine(), reasons, root=root, package_counted=package_counted), reasons


def test_an_amd_card_is_read_from_sysfs(tmp_path: Path) -> None:
    (source,), reasons = on_pci(tmp_path, watched.card(tmp_path, "amd", **AMD))
    assert (source.name, source.scope, reasons) == ("amd0", "gpu", {})
    read = source.read(rarely=True)
    for name in ("energy", "engine_memory", "foreign_processes"):
        assert str(read.pop(name)).startswith("no driver: ")
    assert read == {
        "power": pytest.approx(225),
        "sm_clock": 9.25e8,
        "sm_clock_max": 1.725e9,
        "memory_clock": 1e9,
        "temperature": pytest.approx(71),
        "utilization": pytest.approx(0.99),
        "device_memory": 2.0**34,
        "gtt_memory": 2.0**20,
        "pcie_generation": 4,
        "pcie_width": 16,
        "power_limit": pytest.approx(178),
        "power_limit_default": pytest.approx(225),
    }


@pytest.mark.parametrize(
    ("file", "text", "key"),
    [
        ("hwmon__power1_average", "4294967295", "power"),
        ("hwmon__temp1_input", "hot", "temperature"),
        ("current_link_speed", "", "pcie_generation"),
        ("current_link_speed", "Unknown", "pcie_generation"),
        ("current_link_width", "255", "pcie_width"),
        ("pp_dpm_sclk", "nothing", "sm_clock_max"),
        ("hwmon__power1_cap", "-1", "power_limit"),
        ("mem_info_vram_used", "4294967295", "device_memory"),
    ],
)
def test_a_malformed_file_spoils_one_reading_only(tmp_path: Path, file: str, text: str, key: str) -> None:
    (source,), _ = on_pci(tmp_path, watched.card(tmp_path, "amd", **{**AMD, file: text}))
    reasons = {name for name, value in source.read(rarely=True).items() if isinstance(value, str)}
    assert reasons == {key, "energy", "engine_memory", "foreign_processes"}


@pytest.mark.parametrize(("package_counted", "scope"), [(False, "package"), (True, None)])
def test_the_power_of_an_apu_is_not_counted_twice(tmp_path: Path, *, package_counted: bool, scope: str | None) -> None:
    files = {key: value for key, value in AMD.items() if key != "hwmon__power1_average"}
    apu = watched.card(tmp_path, "amd", **files, hwmon__power1_input=55_000_000, hwmon__in1_input=800)
    (source,), _ = on_pci(tmp_path, apu, package_counted=package_counted)
    assert source.scope == scope
    assert reading(source, "power") == pytest.approx(55)


def test_an_intel_card_has_an_energy_counter(tmp_path: Path) -> None:
    (source,), _ = on_pci(tmp_path, watched.card(tmp_path, "intel", hwmon__energy1_input=3_000_000))
    assert (source.name, reading(source, "energy")) == ("intel0", pytest.approx(3))


def test_every_accelerator_has_readings_or_a_reason(tmp_path: Path) -> None:
    tpu = roots.tpu(tmp_path, "0063", chips=2)
    roots.plant(tpu, roots.pci("0000:0a:00.0", "8086:e20b", "0x030000", driver="xe"))
    machine = detect(RecordedSource(root=tpu, live=False))
    closed = Accelerator(vendor="nvidia", reasons={"name": "no driver: NVML does not list this card"})
    listed = Accelerator(vendor="nvidia", readings={"index": 0})
    apple = Accelerator(vendor="apple", reasons={"energy_counter": "no permission: macOS"})
    (arc,), reasons = on_pci(tmp_path, listed, closed, *machine.accelerators, apple)
    assert (arc.name, set(map(type, arc.read(rarely=True).values()))) == ("intel0", {str})
    assert reasons == {
        "nvidia1.energy": "nvidia no driver: NVML does not list this card",
        "google0.energy": "google unsupported: a TPU has no public power reading",
        "google1.energy": "google unsupported: a TPU has no public power reading",
        "apple0.energy": "apple no permission: macOS",
    }


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_the_engine_is_what_specbench_started(child: subprocess.Popen[bytes]) -> None:
    engine = Engine()
    source = engine.source()
    assert reading(source, "memory") == "the engine was not started here"
    engine.follow()
    assert child.pid in {process.pid for process in engine.processes}
    engine.processes = [psutil.Process(child.pid)]
    assert float(reading(source, "memory")) > 2**16
    child.kill()
    child.wait()
    assert isinstance(reading(source, "memory"), str)
