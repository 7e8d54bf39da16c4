"""A run in the formats of general benchmark tools: pyperf and asv. Both hold seconds, so a speed is its inverse."""

import json
from collections import defaultdict
from collections.abc import Iterable
from itertools import product
from statistics import median

from specbench.analysis.metrics import METRICS
from specbench.analysis.pairing import CLOCKS
from specbench.errors import InputError
from specbench.records import Generation, Machine, Opening, Plan, Result

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


def asv(plan: Plan, machine: Machine, results: Iterable[Result]) -> tuple[str, int]:
    """Median decode seconds a token over category x contender, and the trials as samples, for the engine's commit.

    And how many trials are not in it. InputError when the engines tell no commit, or several.
    """
    results = [*results]
    commits = {r.engine_commit for r in results if isinstance(r, Opening)}
    commit = commits.pop() if len(commits) == 1 else None
    if commit is None:
        raise InputError(
            "asv files belong to one commit, and this run's engines tell none or several", hint="--format pyperf"
        )
    found, lacking = _seconds(results)
    params = [[*dict.fromkeys(key)] for key in zip(*found, strict=True)]
    samples = [found.get((category, who)) for category, who in product(*params)]
    began = min(r.started for r in results if isinstance(r, Opening))
    row = [[None if s is None else median(s) for s in samples], [[repr(p) for p in axis] for axis in params], None,
           round(began * 1000), None, samples]  # fmt: skip
    value = {
        "version": 2,
        "commit_hash": commit,
        "env_name": plan.name,
        "date": round(began * 1000),
        "params": {"machine": machine.cpu or "unknown", "os": machine.system, "arch": machine.architecture or ""},
        "python": "",
        "requirements": {},
        "env_vars": {},
        "result_columns": ["result", "params", "version", "started_at", "duration", "samples"],
        "results": {"specbench.decode_seconds_per_token": row},
        "durations": {},
    }
    return json.dumps(value, allow_nan=False) + "\n", lacking


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
