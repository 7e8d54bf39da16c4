"""What there is to choose from, and what was run: plain rows, for a table or for JSON."""

import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from specbench import datafiles
from specbench.analysis.verification import curve
from specbench.engines import catalog, recipes
from specbench.engines.profile import Profile
from specbench.errors import InputError
from specbench.faults import did_you_mean
from specbench.hardware import profiles as hardware_profiles
from specbench.hardware import telemetry
from specbench.hardware.profiles import FIGURES, RECALLED
from specbench.measurements import HardwareMeasurement
from specbench.models import gguf
from specbench.pipeline import find_suite
from specbench.planning import suites
from specbench.records import Machine
from specbench.structs import to_json
from specbench.units import decimal, duration, significant, size

Rows = list[dict[str, Any]]

_OPTIONAL = {
    "huggingface_hub": ("downloads models named ORG/REPO:QUANT", "pip install 'specbench[hub]'"),
    "ray": ("one run on many machines: `specbench run --fleet`", "pip install 'specbench[fleet]'"),
    "amdsmi": ("AMD cards: names and energy counters", "pip install 'specbench[amd]'"),
}

_SHOWN: dict[str, Callable[[float], str]] = {
    "memory": size,
    "cache": size,
    "power": lambda watts: f"{significant(watts)} W",
    "clock": lambda hertz: f"{hertz / 1e6:.0f} MHz",
    "bandwidth": lambda rate: f"{rate / 1e9:.1f} GB/s",
}


def suite_rows() -> Rows:
    """The packaged suites."""
    found = [find_suite(path.parent.name) for path in sorted(datafiles.path("suites").glob("*/suite.toml"))]
    return [
        {
            "suite": suite.name,
            "version": suite.version,
            "prompts": len(suite.prompts),
            "categories": ", ".join(f"{k} {n}" for k, n in Counter(p.category for p in suite.prompts).items()),
            "licence": suite.licence,
        }
        for suite in found
    ]


def prompt_rows(name: str, *, categories: list[str] | None, tags: list[str] | None) -> Rows:
    """The prompts of a suite."""
    chosen = suites.select(find_suite(name), categories=categories, tags=tags or (), limit=None)
    return [
        {
            "prompt": prompt.id,
            "tags": ", ".join(prompt.tags),
            "check": prompt.check.kind if prompt.check else None,
            "constrained": "yes" if prompt.constrained else None,
            "text": prompt.passages.question if prompt.passages else prompt.messages[-1].content,
        }
        for prompt in chosen
    ]


def engine_rows(folder: Path | None) -> Rows:
    """The engine profiles, and where each one's program was found."""
    return [
        {
            "engine": name,
            "kind": profile.kind,
            "what": profile.title,
            "here": _found(profile),
            "methods": ", ".join(profile.methods),
        }
        for name, profile in catalog.profiles(folder).items()
    ]


def _found(profile: Profile) -> str | None:
    """The program of an engine on this machine, or the version of its package; None when it is not here."""
    if profile.kind == "xllamacpp":
        try:
            return metadata.version("xllamacpp")
        except metadata.PackageNotFoundError:
            return None
    if profile.kind == "python":
        return catalog.python_package(Path(sys.executable), profile.argv[0]).version
    if profile.executable is None or profile.kind != "server":
        return None
    found = shutil.which(profile.executable) or recipes.installed(profile.executable)
    return None if found is None else str(found)


def doctor_rows() -> Rows:
    """What a run can use: whether it is here, and what helps where it is not or does not work."""

    def row(what: str, state: str, found: object = None, fix: str | None = None) -> dict[str, Any]:
        return {"what": what, "state": state, "found": found, "fix": fix}

    rows = []
    for name, profile in catalog.profiles(None).items():
        if profile.install is None:
            continue
        here = _found(profile)
        ill = None if here is None or profile.kind != "server" else catalog.ailment(profile, Path(here))
        if profile.kind == "python" and here is None:
            inside = catalog.python_package(Path(sys.executable), profile.argv[0])
            state = "missing" if "No module named" in inside.fault else "faulty"
            rows.append(row(name, state, inside.fault, profile.install if state == "missing" else inside.fix))
        elif ill is not None:
            rows.append(row(name, "faulty", *ill))
        else:
            rows.append(row(name, "missing" if here is None else "ok", here, profile.install if here is None else None))
    for package, (purpose, fix) in _OPTIONAL.items():
        try:
            rows.append(row(f"{package}: {purpose}", "ok", metadata.version(package)))
        except metadata.PackageNotFoundError:
            rows.append(row(f"{package}: {purpose}", "missing", None, fix))
    try:
        weights = gguf.read_facts(datafiles.path("micro/weights/target-q8_0.gguf"))
        rows.append(row("micro: the embedded models", "ok", size(weights.file_bytes)))
    except InputError as error:
        rows.append(row("micro: the embedded models", "faulty", str(error), error.hint))
    with telemetry.opened() as sampler:
        reasons = sampler.idle().reasons
    energy = [f"{key}: {why}" for key, why in reasons.items() if key.endswith("energy")]
    rows.append(
        row(
            "energy counters",
            "missing" if energy else "ok",
            "; ".join(energy) or None,
            "docs/hardware.md" if energy else None,
        )
    )
    return rows


def method_rows(folder: Path | None) -> Rows:
    """Every method of every engine with its settings; a default stands behind its setting."""
    return [
        {
            "engine": name,
            "method": method,
            "needs": entry.needs,
            "learns": "yes" if entry.learns else None,
            "settings": ", ".join(
                f"{key}={entry.defaults[key]}" if key in entry.defaults else key for key in entry.settings
            ),
        }
        for name, profile in catalog.profiles(folder).items()
        for method, entry in profile.methods.items()
    ]


def machine_json(machine: Machine) -> str:
    """The record of a machine, and the hardware profile of each accelerator or why none is certain."""
    matched = [
        {
            "profile": None if profile is None else profile.model_dump(mode="json", by_alias=True, exclude_none=True),
            "reason": why,
        }
        for profile, why in _matched(machine)
    ]
    return json.dumps({"machine": json.loads(to_json(machine)), "profiles": matched}, indent=2)


def _matched(machine: Machine) -> list[tuple[hardware_profiles.DeviceProfile | None, str | None]]:
    known = hardware_profiles.profiles() if machine.accelerators else {}
    return [hardware_profiles.match(card, known) for card in machine.accelerators]


def machine_rows(machine: Machine) -> dict[str, Rows]:
    """What a machine is, by section; a reading that is missing shows its reason."""
    plain = ("system", "release", "architecture", "cpu", "isa", "cores_physical", "cores_logical", "memory")
    told = {name: value for name in plain if (value := getattr(machine, name))}
    cards = {f"{card.vendor} {number}": card for number, card in enumerate(machine.accelerators)}
    ids = ("name", "pci_id", "pci_address", "target", "memory", "units", "unified")
    sections = {
        "Machine": _reading_rows({**told, **machine.readings}, machine.reasons),
        "Accelerators": [
            {"device": title, **{key: _shown(key, getattr(card, key)) for key in ids}} for title, card in cards.items()
        ],
    }
    if cards:
        sections["Published figures (T: 10^12 dense operations a second; * from memory)"] = [
            {
                "device": title,
                "profile": profile and profile.id,
                **{column: profile and _starred(profile, *asked) for column, asked in _COLUMNS.items()},
                "why not": why,
            }
            for title, (profile, why) in zip(cards, _matched(machine), strict=True)
        ]
    for title, card in cards.items():
        sections[f"Readings of {title}"] = _reading_rows(card.readings, card.reasons)
    for link in machine.links:
        sections[f"{link.a} to {link.b}, as reported"] = _reading_rows(link.readings, link.reasons)
    for engine, devices in machine.engine_devices.items():
        rows = [{key: _shown(key, value) for key, value in device.items()} for device in devices]
        sections[f"Devices of {engine}"] = rows
    return sections


def _reading_rows(readings: Mapping[str, Any], reasons: Mapping[str, str]) -> Rows:
    values = [{"reading": key, "value": _shown(key, value), "why not": None} for key, value in readings.items()]
    return values + [{"reading": key, "value": None, "why not": reason} for key, reason in reasons.items()]


def _shown(key: str, value: Any) -> Any:
    """A reading in the unit that its name asks for."""
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
    for start, shown in _SHOWN.items():
        if key.startswith(start):
            return shown(value)
    return value


_COLUMNS: dict[
    str, tuple[tuple[str, ...], float]
] = {  # column: the figures, of which the first that is known, a factor
    "GiB": (("memory",), 2**30),
    "GB/s": (("bandwidth",), 1e9),
    "16 bit T": (("fp16", "bf16"), 1e12),
    "INT8 T": (("int8",), 1e12),
    "W": (("power",), 1),
    "USD": (("launch_price",), 1),
}


def hardware_rows(name: str | None, *, raw: bool) -> Rows:
    """The hardware profiles, or the figures of one with their sources. `raw`: the profiles as their files have them."""
    known = hardware_profiles.profiles()
    if name is not None and name not in known:
        raise InputError(f"there is no hardware profile {name!r}", hint=did_you_mean(name, known))
    chosen = known if name is None else {name: known[name]}
    if raw:
        return [profile.model_dump(mode="json", by_alias=True, exclude_none=True) for profile in chosen.values()]
    if name is not None:
        return [
            {"figure": key, "value": _with_unit(key, f.value), "source": known[name].sources[f.source]}
            for key, f in sorted(known[name].figures.items(), key=lambda item: list(FIGURES).index(item[0]))
        ]
    return [
        {
            "profile": key,
            "target": profile.identity.target,
            **{column: _starred(profile, keys, factor) for column, (keys, factor) in _COLUMNS.items()},
        }
        for key, profile in chosen.items()
    ]


def _starred(profile: hardware_profiles.DeviceProfile, keys: tuple[str, ...], factor: float) -> str | None:
    for key in keys:
        if (value := profile.figure(key)) is not None:
            return f"{value / factor:.4g}" + ("*" if profile.figures[key].source == RECALLED else "")
    return None


def _with_unit(key: str, value: float | str) -> str:
    if isinstance(value, str):
        return value
    return size(value) if FIGURES[key] == "B" else decimal(value, FIGURES[key])


def bandwidth_rows(measured: HardwareMeasurement) -> Rows:
    """Measured memory bandwidths: the best reading, as STREAM reports it, and the spread."""
    found = {"host memory": measured.host_bandwidth, **measured.device_bandwidth}
    return [
        {
            "memory": name,
            "best": decimal(max(readings), "B/s"),
            "median": decimal(median(readings), "B/s"),
            "readings": len(readings),
        }
        for name, readings in found.items()
    ] + [
        {"memory": key, "best": None, "median": why, "readings": None}
        for key, why in measured.reasons.items()
        if key.startswith("device_bandwidth")
    ]


def curve_rows(measured: HardwareMeasurement) -> Rows:
    """The verification-cost curve, as far as it could be measured."""
    return [
        {
            "positions": cost.positions,
            "draft": cost.positions - 1,
            "seconds": duration(cost.seconds),
            "cost": f"{cost.cost.value:.2f}",
            "95 % interval": None if cost.cost.low is None else f"{cost.cost.low:.2f} to {cost.cost.high:.2f}",
            "gain at most": f"{cost.best_gain:.2f}",
            "requests": cost.requests,
        }
        for cost in curve(measured)
    ]


def measurement_json(measured: HardwareMeasurement) -> str:
    """The record, and the curve that follows from it."""
    return json.dumps(
        {"measurement": json.loads(to_json(measured)), "verification_cost": [asdict(c) for c in curve(measured)]},
        indent=2,
    )
