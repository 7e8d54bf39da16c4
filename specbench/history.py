"""Runs among other runs: what is compared with what, baselines of this machine, trends."""

import json
from collections.abc import Sequence
from contextlib import suppress
from math import exp
from pathlib import Path
from typing import Any

from specbench import remote, store
from specbench.analysis.conditions import Measured, differences, fingerprint
from specbench.analysis.sides import MEASURES, Place
from specbench.analysis.sides import sides as analysed
from specbench.errors import InputError
from specbench.hardware.detect import detect
from specbench.records import Machine
from specbench.sharing import no_collection

BASELINES, BASELINE = "baselines.json", "baseline"


def find(names: Sequence[Path], *, results: Path) -> list[Path]:
    """Run folders by path or name; a folder of runs stands for all of them, `baseline` for this machine's."""
    found: list[Path] = []
    for name in names:
        if str(name) == BASELINE:
            found += baseline(results)
        elif (run := store.named(name, results=results)) is not None:
            found.append(run)
        elif runs := store.runs(name):
            found += runs
        else:
            raise InputError(f"there is no run {remote.shown(name)}", hint="`specbench runs list` lists them")
    return list(dict.fromkeys(path.resolve() for path in found))


def sides(base: Sequence[Path], new: Sequence[Path], *, results: Path) -> tuple[list[Path], list[Path]]:
    """The runs of BASE and of NEW, none of both: what a folder holds and the other side names is of that side only."""
    newer = find(new, results=results)
    older = find(base, results=results)
    if only := [path for path in older if path not in newer]:
        return only, newer
    if only := [path for path in newer if path not in older]:
        return older, only
    raise InputError("BASE and NEW are the same runs", hint="measure again, and give other runs on one side")


def measured(paths: Sequence[Path]) -> tuple[list[Measured], list[str]]:
    """Runs as they are compared, and what was wrong with their files."""
    with no_collection():
        runs = [store.read(path) for path in paths]
    warnings = [f"{run.path.name}: {warning}" for run in runs for warning in run.warnings]
    return [Measured(run.path.name, run.plan, run.machine, run.results) for run in runs], warnings


# ---------------------------------------------------------------------------------------------------------- baselines


def baselines(results: Path) -> dict[str, dict[str, Any]]:
    """By fingerprint: the machine in words and the names of its runs."""
    path = results / BASELINES
    remote.bring(path)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}", hint="delete it and set the baselines anew") from error
    if not isinstance(found, dict) or not all(isinstance(e, dict) and _names(e.get("runs")) for e in found.values()):
        raise InputError(f"{path} is no list of baselines", hint="delete it and set the baselines anew")
    return found


def _names(runs: object) -> bool:
    return isinstance(runs, list) and bool(runs) and all(isinstance(name, str) for name in runs)


def baseline(results: Path, machine: Machine | None = None) -> list[Path]:
    """The runs that were set as the baseline of a machine, by default this one."""
    mark = fingerprint(machine or detect())
    entry = baselines(results).get(mark)
    if entry is None:
        raise InputError(
            f"no baseline is set for this machine ({mark}) in {remote.shown(results)}",
            hint="specbench baseline set RUN...",
        )
    paths = [results / str(name) for name in entry["runs"]]
    if lost := [path for path in paths if not store.is_run(path)]:
        raise InputError(f"the baseline's run {lost[0]} is gone", hint="specbench baseline set RUN...")
    return paths


def set_baseline(names: Sequence[Path], *, results: Path) -> str:
    """Runs below `results` become the baseline of the machine that they were measured on; its fingerprint."""
    paths = find(names, results=results)
    if outside := [path for path in paths if path.parent != results.resolve()]:
        raise InputError(
            f"{remote.shown(outside[0])} is not in {remote.shown(results)}",
            hint=f"a baseline is kept with its runs: --results {remote.shown(outside[0].parent)}, or move it there",
        )
    machines = [store.machine(path) for path in paths]
    if not all(machine.same(machines[0]) for machine in machines):
        raise InputError("these runs are of different machines", hint="set one baseline for each")
    mark = fingerprint(machines[0])
    entry = {"machine": machines[0].cpu, "runs": [path.name for path in paths]}
    _save(results / BASELINES, baselines(results) | {mark: entry})
    return mark


def clear_baseline(results: Path, *, everywhere: bool) -> list[str]:
    """Forget the baseline of this machine, or of all; the runs stay. The fingerprints that were forgotten."""
    known = baselines(results)
    gone = [mark for mark in known if everywhere or mark == fingerprint(detect())]
    _save(results / BASELINES, {mark: entry for mark, entry in known.items() if mark not in gone})
    return gone


def _save(path: Path, value: object) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".new")
        unfinished.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(path)
        remote.send(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", hint="choose another --results") from error


# ------------------------------------------------------------------------------------------------------ over the runs


def trends(
    results: Path, *, measure: str, last: int, contender: str | None = None, category: str | None = None
) -> dict[Place, dict[str, float]]:
    """Of the newest runs those that can be compared with the newest, oldest first: a value a run for each place.

    All of a place are over the same prompts; a run with less than half of the newest one's is left out.
    """
    kept = []
    for path in reversed(store.runs(results)[-last:]):
        with suppress(InputError):  # `runs list` names what is damaged
            kept += measured([path])[0]
    if not kept:
        raise InputError(
            f"there is no run that can be read in {remote.shown(results)}", hint="`specbench runs list` lists them"
        )
    newest = kept[0]
    runs = {
        run.name: analysed([newest], [run])
        for run in reversed(kept)
        if not any(d.kind for d in differences([newest], [run]))
    }
    found: dict[Place, dict[str, float]] = {}
    for place in dict.fromkeys(place for both in runs.values() for place in both.places):
        if contender not in (None, place.contender) or category not in (None, place.category):
            continue
        prompts = {name: both.prompts(place) for name, both in runs.items()}
        enough = {name: own for name, own in prompts.items() if 2 * len(own) >= len(prompts[newest.name]) > 0}
        for name in enough:
            pair = runs[name].values(MEASURES[measure], place, only=set.intersection(*enough.values()))
            if isinstance(pair, tuple):
                value = float(pair[1].mean())
                found.setdefault(place, {})[name] = exp(value) if MEASURES[measure].relative else value
    if not found:
        raise InputError("no run has this figure there", hint="see `specbench runs list` and the --contender")
    return found
