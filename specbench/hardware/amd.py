"""AMD's GPUs by /sys: amdgpu's files and the KFD topology. The package amdsmi adds what these do not tell."""

import contextlib
import io
import re
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from specbench.hardware import pci
from specbench.hardware.reading import Facts, Missing, Source
from specbench.records import Accelerator, Link, Setting

_NODES = "sys/class/kfd/kfd/topology/nodes"
_PAGE = 4096
_MHZ = 10**6
_MICRO = 10**6
_RDNA = 100000  # gfx_target_version from which a compute unit has two SIMDs; four before
# GPUs that share the system's memory: LLVM's AMDGPU processor table
_APUS = {"gfx902", "gfx90c", "gfx1013", "gfx1033", "gfx1035", "gfx1036", "gfx1103"}
_APUS |= {"gfx1150", "gfx1151", "gfx1152", "gfx1153"}
_DOUBLE_RATE = {"gfx900", "gfx906", "gfx908", "gfx90a"}  # HBM2: twice the clock that KFD tells is the data rate
_XGMI = "11"
_MOST_JOULES = 1e12
_KINDS = {2: "unsupported", 3: "unsupported", 10: "no permission", 34: "no driver"}  # by amdsmi's status


def read(source: Source, functions: list[pci.Function], system: Facts) -> tuple[list[Accelerator], list[Link]]:
    """Every GPU on the PCI bus, with or without a driver, and the links that the KFD topology lists."""
    mine = [function for function in functions if function.vendor == "amd" and function.gpu]
    if not mine:
        return [], []
    for name, path in {"amdgpu_driver": "sys/module/amdgpu/version", "rocm": "opt/rocm/.info/version"}.items():
        system.put(name, source.file(path))
    nodes, blocked = _nodes(source)
    return [_card(source, function, nodes, blocked) for function in mine], _links(source, nodes)


def _properties(text: str | Missing) -> dict[str, int]:
    told = "" if isinstance(text, Missing) else text
    return {key: int(value) for key, value in re.findall(r"^(\w+) (\d+)$", told, re.MULTILINE)}


def _nodes(source: Source) -> tuple[dict[str, dict[str, int]], Missing]:
    """GPU nodes by PCI address, CPU nodes left out; and why a card may have none."""
    found: dict[str, dict[str, int]] = {}
    reason = Missing("no driver: /sys/class/kfd does not list it")
    for node in source.names(_NODES):
        text = source.file(f"{_NODES}/{node}/properties")
        if isinstance(text, Missing):
            reason = text
        properties = _properties(text)
        if properties.get("simd_count") and "location_id" in properties:
            at = properties["location_id"]
            slot = f"{properties.get('domain', 0):04x}:{at >> 8 & 0xFF:02x}:{at >> 3 & 0x1F:02x}.{at & 7}"
            found[slot] = {**properties, "node": int(node)}
    return found, reason


def _card(source: Source, function: pci.Function, nodes: dict[str, dict[str, int]], blocked: Missing) -> Accelerator:
    facts, folder = pci.facts(source, function), function.folder
    node = nodes.get(function.address, {})
    version, simds = node.get("gfx_target_version"), node.get("simd_count")
    target = f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}" if version else None
    facts.put("target", target or blocked)
    facts.put("units", simds // (2 if version >= _RDNA else 4) if simds and version else blocked)
    facts.put("name", source.file(f"{folder}/product_name"))
    facts.put("revision", source.file(f"{folder}/revision"))  # tells cards apart that share an id
    for name, question in _AMDSMI.items():
        if name not in facts.values:
            key = f"amdsmi {name} {function.address}"
            facts.put(name, source.ask(key, partial(ask, function.address, question)))
    _memory(source, folder, target, facts)
    _bandwidth(source, node, target, facts)
    sensors = f"{folder}/hwmon"
    sensors += f"/{(source.names(sensors) or ['hwmon'])[0]}"
    for name, file in {"": "", "_default": "_default", "_min": "_min", "_max": "_max"}.items():
        facts.put(f"power_limit{name}", source.number(f"{sensors}/power1_cap{file}", per=_MICRO))
    return facts.accelerator("amd")


def _memory(source: Source, folder: str, target: str | None, facts: Facts) -> None:
    """Of a card its VRAM; of an APU the carve-out and the system memory that it may map (GTT, under the ttm limit)."""
    vram, gtt = (source.number(f"{folder}/mem_info_{kind}_total") for kind in ("vram", "gtt"))
    ttm = source.number("sys/module/ttm/parameters/pages_limit", times=_PAGE)
    for name, reading in {"memory_vram": vram, "memory_gtt": gtt, "memory_ttm_limit": ttm}.items():
        facts.put(name, reading)
    facts.put("unified", target in _APUS if target else Missing("unsupported: unknown without the target"))
    mapped = [facts.values[name] for name in ("memory_gtt", "memory_ttm_limit") if name in facts.values]
    if not facts.values.get("unified"):
        facts.put("memory", vram)
    elif "memory_vram" in facts.values and "memory_gtt" in facts.values:
        facts.put("memory", facts.values["memory_vram"] + min(mapped))
    else:
        facts.put("memory", vram if isinstance(vram, Missing) else gtt)


def _bandwidth(source: Source, node: dict[str, int], target: str | None, facts: Facts) -> None:
    bank: dict[str, int] = {}
    if node:
        bank = _properties(source.file(f"{_NODES}/{node['node']}/mem_banks/0/properties"))
    clock, bits = bank.get("mem_clk_max"), bank.get("width")
    if clock and bits and target in _DOUBLE_RATE:
        facts.put("bandwidth_reported", 2 * clock * _MHZ * bits // 8)
    else:
        facts.put("bandwidth_reported", Missing("unsupported: the memory clock told is not half of the data rate"))


def _links(source: Source, nodes: dict[str, dict[str, int]]) -> list[Link]:
    """Direct links between two GPUs; `p2p_links` are those over PCIe."""
    address = {node["node"]: slot for slot, node in nodes.items()}
    found: dict[tuple[str, str], Link] = {}
    for number, slot in address.items():
        for kind in ("io_links", "p2p_links"):
            for link in source.names(f"{_NODES}/{number}/{kind}"):
                properties = _properties(source.file(f"{_NODES}/{number}/{kind}/{link}/properties"))
                other = address.get(properties.get("node_to", -1))
                if other is not None and (other, slot) not in found:
                    topology = "XGMI" if str(properties.get("type")) == _XGMI else "PCIe"
                    readings: dict[str, Setting] = {"topology": topology, "p2p_read": "ok", "p2p_write": "ok"}
                    found[slot, other] = Link(a=slot, b=other, readings=readings)
    return list(found.values())


@cache
def amdsmi() -> Any:
    """The package amdsmi, started, or Missing. Its import prints, and fails in ways of its own without its library."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            import amdsmi  # noqa: PLC0415  optional, and its import can fail
    except ModuleNotFoundError:
        return Missing("no driver: the extra specbench[amd] is not installed")
    except (ImportError, OSError, KeyError, AttributeError) as error:
        return Missing(f"no driver: amdsmi: {type(error).__name__}: {error}")
    try:
        amdsmi.amdsmi_init()
    except amdsmi.AmdSmiException as error:
        return _refused(error)
    return amdsmi


def _refused(error: Exception) -> Missing:
    """Why amdsmi gave no answer; its own text has several lines."""
    kind = _KINDS.get(getattr(error, "err_code", 0), "error")
    return Missing(f"{kind}: amdsmi: {getattr(error, 'err_info', None) or type(error).__name__}")


def ask(address: str, question: Callable[[Any, Any], Any]) -> Any:
    """What amdsmi says of the card at a PCI address, or Missing. `question` gets the package and the card's handle."""
    smi = amdsmi()
    if isinstance(smi, Missing):
        return smi
    try:
        return question(smi, smi.amdsmi_get_processor_handle_from_bdf(address))
    except (smi.AmdSmiException, LookupError, ValueError) as error:  # the package parses serials and decodes names
        return _refused(error)


def energy(smi: Any, card: Any) -> float | Missing:
    """Joules since the driver was loaded."""
    told = smi.amdsmi_get_energy_count(card)
    joules: float = told["energy_accumulator"] * told["counter_resolution"] / _MICRO
    return joules if 0 < joules < _MOST_JOULES else Missing(f"error: amdsmi: {joules:g} J cannot be")


_AMDSMI: dict[str, Callable[[Any, Any], Any]] = {  # what /sys does not tell
    "name": lambda smi, card: smi.amdsmi_get_gpu_asic_info(card)["market_name"],
    "energy_counter": lambda smi, card: told if isinstance(told := energy(smi, card), Missing) else True,
}
