"""The files of a run folder, and all runs of a results folder told without reading them whole.

Imports nothing that takes time, and reads 10,000 runs without parsing what was measured.
"""

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from specbench.untrusted import MISFITS

PLAN, MACHINE, LOCK, LOGS = "plan.json", "machine.json", "lock", "logs"
TRIALS, OPENINGS, TELEMETRY = "trials.jsonl", "openings.jsonl", "telemetry.jsonl"
INDEX = ".index.json"
_FRESH = 10.0  # seconds in which a lock without content is believed


def rows(results: Path) -> list[dict[str, Any]]:
    """The runs below `results`, oldest first. What is known of a run is kept until its files change."""
    try:
        known = json.loads((results / INDEX).read_bytes())
    except (OSError, *MISFITS):
        known = {}
    fresh: dict[str, list[Any]] = {}
    for name in sorted(path.name for path in results.iterdir()) if results.is_dir() else ():
        stamp = [_changed(f"{results}/{name}/{file}") for file in (PLAN, TRIALS)]
        if stamp[0]:  # it is a run
            old = known.get(name) if isinstance(known, dict) else None
            fresh[name] = old if old and old[0] == stamp else [stamp, row(results / name)]
    if fresh != known:
        with suppress(OSError):  # a folder that cannot be written can still be listed
            unfinished = results / f"{INDEX}.new"
            unfinished.write_text(json.dumps(fresh), encoding="utf-8")
            unfinished.replace(results / INDEX)
    return [told for _, told in fresh.values()]


def _changed(path: str) -> int:
    """When a file changed, in nanoseconds; 0 where there is none."""
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116  20,000 of them: a Path takes longer than the answer
    except OSError:
        return 0


def row(path: Path) -> dict[str, Any]:
    """Only what stands before the prompts is parsed; trials are counted by words that no quoted text can hold."""
    try:
        head, _, rest = (path / PLAN).read_bytes().partition(b',\n "prompts": ')
        contenders = json.loads(head + b"}")["contenders"]
        machine = json.loads((path / MACHINE).read_bytes())["cpu"]
        lines = (path / TRIALS).read_bytes() if (path / TRIALS).exists() else b""
        planned = rest.count(b'"role": "measured"') + rest.count(b'"role": "control"')
        spared = sum(len(e["trials"]) for e in map(json.loads, _lines(lines, b'{"kind":"enough"')))
        done = sum(b'"role":"warm-up"' not in line[:500] for line in _lines(lines, b'{"kind":"generation"'))
        told = [", ".join(dict.fromkeys(c[key] for c in contenders)) for key in ("target_label", "method")]
    except (OSError, *MISFITS):
        return {"run": path.name, "trials": "damaged", "targets": None, "methods": None, "machine": None}
    count = f"{done}/{planned - spared}"
    return {"run": path.name, "trials": count, "targets": told[0], "methods": told[1], "machine": machine}


def _lines(data: bytes, start: bytes) -> list[bytes]:
    """Those that begin so."""
    return [start + part.partition(b"\n")[0] for part in data.split(start)[1:]]


def being_written(path: Path) -> bool:
    """Whether a process here has the run open."""
    return (path / LOCK).exists() and _held(path / LOCK)


def writer(number: int) -> str:
    """A process as a lock tells it: no other is the same, and no clock that is set changes it, as Linux' btime does."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{number} {Path(f'/proc/{number}/stat').read_bytes().rpartition(b')')[2].split()[19].decode()} {boot}"
    except OSError:  # not Linux, or it is gone
        import psutil  # noqa: PLC0415  reading a run does not need it

        return f"{number} {psutil.Process(number).create_time()}"


def _held(lock: Path) -> bool:
    """Whether the process that wrote the lock still runs."""
    import psutil  # noqa: PLC0415  reading a run does not need it

    try:
        written = lock.read_text(encoding="ascii")
        return written == writer(int(written.partition(" ")[0]))
    except ValueError:  # its writer is about to fill it, or died before it could
        return abs(time.time() - lock.stat().st_mtime) < _FRESH
    except (FileNotFoundError, psutil.NoSuchProcess):
        return False
    except psutil.AccessDenied:
        return True
