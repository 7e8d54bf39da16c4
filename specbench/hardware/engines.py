"""The devices that the engines themselves list: what they can compute on, whatever else is in the machine."""

import json
import re
import sys
from typing import Any

from specbench.hardware.reading import Missing, Source

_LINE = re.compile(r"^[ \t]*(\S+): (.+) \((\d+) MiB, \d+ MiB free\)$", re.MULTILINE)
_MIB = 2**20
_CHILD = """import json, xllamacpp
print(json.dumps([[d["name"], d["description"], d["memory_total"]] for d in xllamacpp.get_device_info()]))"""


def read(source: Source, reasons: dict[str, str]) -> dict[str, tuple[dict[str, Any], ...]]:
    """Devices by engine, each with name, description and memory; an engine that does not answer has a reason."""
    answers = {
        "xllamacpp": (source.program("xllamacpp", [sys.executable, "-c", _CHILD]), _json),
        "llama-server": (source.program("llama-server", ["llama-server", "--list-devices"]), listed),
    }
    found = {}
    for engine, (answer, devices) in answers.items():
        if isinstance(answer, Missing):
            reasons[f"engine_{engine}"] = answer.reason
            continue
        try:
            found[engine] = tuple(devices(answer))
        except (ValueError, LookupError, TypeError):
            reasons[f"engine_{engine}"] = f"error: its answer is {answer[-40:]!r}"
    return found


def listed(text: str) -> list[dict[str, Any]]:
    """The devices of llama-server's --list-devices; it never lists the CPU."""
    return [{"name": n, "description": d, "memory": int(mib) * _MIB} for n, d, mib in _LINE.findall(text)]


def _json(text: str) -> list[dict[str, Any]]:
    devices = json.loads(text.splitlines()[-1])
    return [{"name": name, "description": description, "memory": memory} for name, description, memory in devices]
