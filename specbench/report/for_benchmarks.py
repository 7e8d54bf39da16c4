"""A run in the formats of general benchmark tools: pyperf and asv. Both hold seconds, so a speed is its inverse."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import product
from statistics import median
from typing import Any

from specbench.analysis.conditions import fingerprint
from specbench.analysis.metrics import METRICS
from specbench.analysis.pairing import CLOCKS
from specbench.errors import InputError
from specbench.records import Generation, Machine, Opening, Plan, Result
from specbench.untrusted import decoded, understood

_ASV_NAME, _ASV_VERSION = "specbench.decode_seconds_per_token", "1"

Place = tuple[str, str]  # category (with its fill) and contender (with its temperature)


def pyperf(plan: Plan, machine: Machine, results: Iterable[Result]) -> tuple[str, int]:
    """Decode seconds a token, each trial a value; a benchmark for each contender in each category.

    And how many trials are not in it.
    """
    about = {"specbench_version": plan.specbench_version, "unit": "second"}
    about |= {"cpu_model_name": machine.cpu} if machine.cpu else {}  # an empty one pyperf does not read
    found, lacking = _seconds(results)
    benchmarks = [
        {"metadata": {"name": "/".join(place)}, "runs": [{"values": values}]} for place, values in found.items()
    ]
    whole = {"version": "1.0", "metadata": about, "benchmarks": benchmarks}
    return json.dumps(whole, allow_nan=False) + "\n", lacking


def asv(
    plan: Plan, machine: Machine, results: Iterable[Result], *, commit: str | None = None, known: bytes | None = None
) -> tuple[dict[str, str], int]:
    """Median decode seconds a token over category x contender, and the trials as samples, for the engine's commit.

    As the files of asv's results folder, and how many trials are not in it. `commit`: the engine's in full, as `asv
    publish` looks for it; `known`: the folder's benchmarks.json. InputError when the engines tell another or several.
    """
    results = [*results]
    told = {r.engine_commit for r in results if isinstance(r, Opening)}
    short = told.pop() if len(told) == 1 else None
    if short is None:
        raise InputError(
            "asv files belong to one commit, and this run's engines tell none or several", hint="--format pyperf"
        )
    if commit is not None and not commit.startswith(short):
        raise InputError(f"this run's engines are of commit {short}, not {commit}", hint="git rev-parse " + short)
    commit = commit or short
    if not re.fullmatch("[0-9a-f]{7,40}", commit):
        raise InputError(f"{commit!r} is no commit", hint="--format pyperf, which needs none")
    found, lacking = _seconds(results)
    params = [[*dict.fromkeys(key)] for key in zip(*found, strict=True)]
    samples = [found.get((category, who)) for category, who in product(*params)]
    began = round(min(r.started for r in results if isinstance(r, Opening)) * 1000)
    written = [[repr(p) for p in axis] for axis in params]
    row = [[None if s is None else median(s) for s in samples], written, _ASV_VERSION, began, None, samples]
    about = {
        "machine": _folder(machine),
        "os": machine.system,
        "arch": machine.architecture or "",
        "cpu": machine.cpu or "",
        "num_cpu": str(machine.cores_logical or ""),
        "ram": f"{machine.memory / 2**30:.0f} GiB" if machine.memory else "",
    }
    value = {
        "version": 2,
        "commit_hash": commit,
        "env_name": plan.name,
        "date": began,
        "params": about,
        "python": "",
        "requirements": {},
        "env_vars": {},
        "result_columns": ["result", "params", "version", "started_at", "duration", "samples"],
        "results": {_ASV_NAME: row},
        "durations": {},
    }
    files = {
        "benchmarks.json": _benchmarks(written, known),
        f"{about['machine']}/machine.json": {**about, "version": 1},
        f"{about['machine']}/{commit[:8]}-{_word(plan.name)}.json": value,
    }
    return {name: json.dumps(content, allow_nan=False) + "\n" for name, content in files.items()}, lacking


def _benchmarks(params: list[list[str]], known: bytes | None) -> dict[str, Any]:
    """What asv must know of a benchmark: its parameters, those of other runs in the folder too."""
    with understood("benchmarks.json of that folder", hint="give the results_dir of asv.conf.json, or a new folder"):
        listed = {**decoded(known or b"{}")}
        before = listed.get(_ASV_NAME, {}).get("params", [[], []])
        params = [[*dict.fromkeys([*old, *new])] for old, new in zip(before, params, strict=True)]
    ours = {
        "name": _ASV_NAME,
        "type": "time",
        "unit": "seconds",
        "params": params,
        "param_names": ["category", "contender"],
        "version": _ASV_VERSION,
        "timeout": None,
        "code": "",
    }
    return {**listed, "version": 2, _ASV_NAME: ours}


def _folder(machine: Machine) -> str:
    """A name for the machine, the same only for one of its kind."""
    return f"{_word(machine.cpu or 'machine')}-{fingerprint(machine)[:6]}"


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-.") or "run"


def _seconds(results: Iterable[Result]) -> tuple[dict[Place, list[float]], int]:
    """By one clock for all, the one that more trials have; and how many have it not, or ran beside others."""
    measured = [r for r in results if isinstance(r, Generation) and r.trial.role == "measured"]
    by_clock: list[dict[Place, list[float]]] = []
    for clock in CLOCKS:
        found: dict[Place, list[float]] = defaultdict(list)
        for g in measured:
            tokens, seconds = METRICS[clock].parts(g) or (0, 0)
            if tokens and seconds and g.trial.streams == 1:
                where = g.trial.category + ("" if g.trial.fill is None else f"@{g.trial.fill}")
                found[where, f"{g.trial.contender}/t{g.trial.temperature:g}"].append(seconds / tokens)
        by_clock.append(found)
    chosen = max(by_clock, key=lambda found: sum(map(len, found.values())))
    if not chosen:
        raise InputError("no trial of this run has a decode speed", hint="export it as csv")
    return chosen, len(measured) - sum(map(len, chosen.values()))
