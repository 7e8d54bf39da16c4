"""NVIDIA's cards through NVML, and those on the PCI bus that NVML does not list. NVML's answers are asked by name."""

from collections.abc import Callable
from itertools import combinations, count
from typing import Any

from specbench.hardware import pci
from specbench.hardware.reading import Facts, Missing, Source
from specbench.records import Accelerator, Link

_MISMATCH = 18
# By NVML's return code; every other is an error
_KINDS = {1: "no driver", 3: "unsupported", 4: "no permission", 9: "no driver", 12: "no driver", 13: "unsupported"}
_KINDS |= {_MISMATCH: "no driver"}
_MHZ = 10**6
_MILLI = 1000
_READINGS: dict[str, tuple[str, tuple[int, ...]]] = {
    "name": ("nvmlDeviceGetName", ()),
    "power_limit": ("nvmlDeviceGetEnforcedPowerLimit", ()),
    "power_limit_default": ("nvmlDeviceGetPowerManagementDefaultLimit", ()),
    "pcie_generation": ("nvmlDeviceGetCurrPcieLinkGeneration", ()),  # falls when idle: telemetry samples it under load
    "pcie_width": ("nvmlDeviceGetCurrPcieLinkWidth", ()),
    "pcie_generation_max": ("nvmlDeviceGetMaxPcieLinkGeneration", ()),  # of the card in this slot
    "pcie_width_max": ("nvmlDeviceGetMaxPcieLinkWidth", ()),
    "pcie_generation_card": ("nvmlDeviceGetGpuMaxPcieLinkGeneration", ()),  # of the card alone
    "clock_max": ("nvmlDeviceGetMaxClockInfo", (1,)),
    "clock_memory_max": ("nvmlDeviceGetMaxClockInfo", (2,)),
    "bus_width": ("nvmlDeviceGetMemoryBusWidth", ()),  # bits
    "persistence": ("nvmlDeviceGetPersistenceMode", ()),
    "ecc": ("nvmlDeviceGetEccMode", ()),
    "mig": ("nvmlDeviceGetMigMode", ()),
}
# CUDA cores of an SM by compute capability: helper_cuda.h of NVIDIA's cuda-samples
_CORES = {"6.0": 64, "6.1": 128, "7.0": 64, "7.2": 64, "7.5": 64, "8.0": 64, "8.6": 128, "8.7": 128, "8.9": 128}
_CORES |= dict.fromkeys(("9.0", "10.0", "10.3", "11.0", "12.0", "12.1"), 128)
_SHARES_MEMORY = {"7.2", "8.7", "11.0", "12.1"}  # Xavier, Orin, Thor, GB10: NVML tells no memory of theirs
_P2P = ("p2p_read", "p2p_write", "p2p_nvlink")  # by NVML's index; its constant for 0 is a tuple in nvidia-ml-py 13.615
_P2P_STATUS = ("ok", "chipset not supported", "gpu not supported", "topology not supported", "disabled", "unsupported")
_TOPOLOGY = {0: "internal", 10: "PIX", 20: "PXB", 30: "PHB", 40: "NODE", 50: "SYS"}  # as nvidia-smi topo says it


def read(source: Source, functions: list[pci.Function], system: Facts) -> tuple[list[Accelerator], list[Link]]:
    """The cards in NVML's order, then those it does not list; and what it reports of the way between two."""
    mine = [function for function in functions if function.vendor == "nvidia" and function.gpu]
    started = _ask(source, "nvmlInit")
    if isinstance(started, Missing):
        system.put("nvidia", started)
        silent = [pci.facts(source, function) for function in mine]
        for facts in silent:
            for name in ("name", "target", "memory", "units"):
                facts.put(name, started)
        return [facts.accelerator("nvidia") for facts in silent], []
    try:
        system.put("nvidia_driver", _ask(source, "nvmlSystemGetDriverVersion"))
        cuda = _ask(source, "nvmlSystemGetCudaDriverVersion_v2")
        system.put("cuda", cuda if isinstance(cuda, Missing) else f"{cuda // 1000}.{cuda % 1000 // 10}")
        number = _ask(source, "nvmlDeviceGetCount")
        if isinstance(number, Missing):
            system.put("nvidia", number)
        cards = [_card(source, index, system) for index in range(0 if isinstance(number, Missing) else number)]
        addresses = [facts.values.get("pci_address", f"nvidia {index}") for index, facts in enumerate(cards)]
        links = [_link(source, (a, b), addresses) for a, b in combinations(range(len(cards)), 2)]
    finally:
        _ask(source, "nvmlShutdown")
    lost = [facts for facts in cards if "pci_address" not in facts.values]
    for function in mine:
        if function.address in addresses:
            continue
        extra = pci.facts(source, function)
        if lost:  # NVML and the bus count in the same order
            facts = lost.pop(0)
            for name, value in extra.values.items():
                facts.put(name, value)
        else:
            extra.put("name", Missing("no driver: NVML does not list this card"))
            cards.append(extra)
    return [facts.accelerator("nvidia") for facts in cards], links


def _ask(
    source: Source,
    function: str,
    *cards: int,
    arguments: tuple[int, ...] = (),
    take: Callable[[Any, Any], Any] | None = None,
) -> Any:
    """NVML's answer, or the reason why there is none. `take` gets nvidia-ml-py and what it returned."""

    def call() -> Any:
        import pynvml  # noqa: PLC0415  the command line must start without it

        try:
            handles = [pynvml.nvmlDeviceGetHandleByIndex(card) for card in cards]
            answer = getattr(pynvml, function)(*handles, *arguments)
            return answer.decode() if isinstance(answer, bytes) else take(pynvml, answer) if take else answer
        except pynvml.NVMLError as error:
            kind = _KINDS.get(error.value, "error")
            hint = "; restart the machine to load the driver that is installed" if error.value == _MISMATCH else ""
            return Missing(f"{kind}: NVML: {error}{hint}")

    return source.ask(" ".join(["nvml", function, *map(str, cards), *map(str, arguments)]), call)


def _card(source: Source, index: int, system: Facts) -> Facts:
    facts = Facts()
    facts.put("index", index)
    for name, (function, arguments) in _READINGS.items():
        answer = _ask(source, function, index, arguments=arguments)
        facts.put(name, answer if isinstance(answer, Missing) else _in_base_units(name, answer))
    pci_info = _ask(source, "nvmlDeviceGetPciInfo", index, take=lambda _, told: [told.busId, told.pciDeviceId])
    if isinstance(pci_info, Missing):
        facts.put("pci_id", pci_info)
        facts.put("pci_address", pci_info)
    else:
        address, ids = pci_info
        domain, _, place = address.lower().partition(":")
        facts.put("pci_address", f"{int(domain, 16):04x}:{place}")  # as /sys spells it
        facts.put("pci_id", f"{ids & 0xFFFF:04x}:{ids >> 16:04x}" if ids else Missing("unsupported: NVML answers 0"))
    limits = _ask(source, "nvmlDeviceGetPowerManagementLimitConstraints", index, take=lambda _, both: list(both))
    for end, name in enumerate(("power_limit_min", "power_limit_max")):
        facts.put(name, limits if isinstance(limits, Missing) else limits[end] / _MILLI)
    version = _ask(source, "nvmlDeviceGetCudaComputeCapability", index, take=lambda _, both: list(both))
    target = version if isinstance(version, Missing) else f"{version[0]}.{version[1]}"
    facts.put("target", target)
    cores = _ask(source, "nvmlDeviceGetNumGpuCores", index)
    per_unit = _CORES.get(str(target), 0)
    unknown = Missing(f"unsupported: the cores of an SM of compute capability {target} are not known")
    facts.put("units", cores if isinstance(cores, Missing) else cores // per_unit if per_unit else unknown)
    _memory(source, index, facts, system)
    energy = _ask(source, "nvmlDeviceGetTotalEnergyConsumption", index)
    facts.put("energy_counter", energy if isinstance(energy, Missing) else True)
    states: list[int] = []
    for lane in count():
        state = _ask(source, "nvmlDeviceGetNvLinkState", index, arguments=(lane,))
        if isinstance(state, Missing):
            break
        states.append(state)
    facts.put("nvlinks", sum(states) if states else state)
    facts.put("laptop", str(facts.values.get("name", "")).endswith("Laptop GPU"))
    return facts


def _in_base_units(name: str, answer: Any) -> Any:
    if name.startswith("power"):
        return answer / _MILLI
    if name.startswith("clock"):
        return answer * _MHZ
    if name in ("ecc", "mig", "persistence"):
        return bool(answer[0] if isinstance(answer, list | tuple) else answer)  # the current mode, then the pending one
    return answer


def _memory(source: Source, index: int, facts: Facts, system: Facts) -> None:
    """What a job can use: of a card, of the system where the chip shares it, of the first instance under MIG."""
    total = _ask(source, "nvmlDeviceGetMemoryInfo", index, take=lambda _, memory: memory.total)
    facts.put("unified", facts.values.get("target") in _SHARES_MEMORY)
    if facts.values["unified"] and isinstance(total, Missing):
        total = system.values.get("memory", total)
    if facts.values.get("mig"):
        facts.put("memory_card", total)
        total = _ask(
            source,
            "nvmlDeviceGetMigDeviceHandleByIndex",
            index,
            arguments=(0,),
            take=lambda nvml, instance: nvml.nvmlDeviceGetMemoryInfo(instance).total,
        )
    facts.put("memory", total)
    clock, bits = facts.values.get("clock_memory_max"), facts.values.get("bus_width")
    # Twice the clock that NVML tells is the data rate of GDDR6, 6X, 7 and HBM
    told = None if clock is None or bits is None else 2 * clock * bits // 8
    facts.put("bandwidth_reported", told or Missing("unsupported: memory clock and bus width are not both told"))


def _link(source: Source, pair: tuple[int, int], addresses: list[str]) -> Link:
    facts = Facts()
    level = _ask(source, "nvmlDeviceGetTopologyCommonAncestor", *pair)
    facts.put("topology", level if isinstance(level, Missing) else _TOPOLOGY.get(level, str(level)))
    for index, name in enumerate(_P2P):
        status = _ask(source, "nvmlDeviceGetP2PStatus", *pair, arguments=(index,))
        known = isinstance(status, int) and status < len(_P2P_STATUS)
        facts.put(name, _P2P_STATUS[status] if known else status if isinstance(status, Missing) else f"status {status}")
    return Link(a=addresses[pair[0]], b=addresses[pair[1]], readings=facts.values, reasons=facts.reasons)
