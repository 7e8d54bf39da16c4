"""Runs that are kept: parts of one plan merged, records verified, old runs pruned."""

import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from filecmp import cmp
from itertools import chain, count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from msgspec import DecodeError

from specbench import history, remote, store
from specbench.analysis.conditions import Measured, differences, fingerprint
from specbench.analysis.identities import violations
from specbench.errors import InputError, UnavailableError
from specbench.records import Contender, Failure, Generation, Opening, Reply, Result
from specbench.runindex import LOGS, OPENINGS, PLAN, TELEMETRY, TRIALS, being_written
from specbench.structs import reader, replace, to_json
from specbench.units import size

_DAY = 86400.0
_result = reader(Result)


def merge(names: Sequence[Path], *, results: Path, to: Path) -> tuple[list[Path], list[str]]:
    """Parts of one plan as one new run for each machine below `to`, and what was wrong with their files.

    InputError where they are no parts: another plan, engine or model, or a trial that two of a machine have measured.
    """
    runs = [store.read(path) for path in history.find(names, results=results)]
    if len(runs) < 2:  # noqa: PLR2004  a pair
        raise InputError("there is nothing to merge", hint="name two runs or more, or a folder of them")
    if any(run.path.parent == to.resolve() for run in runs):
        raise InputError(f"{remote.shown(to)} holds a part: its trials would count twice", hint="--to another folder")
    for run in runs[1:]:
        if (what := _unlike(runs[0], run)) is not None:
            raise InputError(
                f"{runs[0].path.name} and {run.path.name} are not of one plan: {what}",
                hint="`specbench compare` and `specbench report` show them side by side",
            )
    groups: dict[str, list[store.Run]] = {}
    for run in runs:
        groups.setdefault(fingerprint(run.machine), []).append(run)
    for group in groups.values():
        _refuse_builds(group)
        _refuse_repeats(group)
    merged = [_merged(group, mark if len(groups) > 1 else None, to=to) for mark, group in groups.items()]
    return merged, [f"{run.path.name}: {warning}" for run in runs for warning in run.warnings]


def _unlike(one: store.Run, other: store.Run) -> str | None:
    """Why two runs cannot be parts of one plan. Machines, paths and what may differ between nights are no reason."""
    if one.plan.blocks != other.plan.blocks:
        return "other trials"
    if sorted(one.plan.model_files.values()) != sorted(other.plan.model_files.values()):
        return "other model files"
    if (one.plan.stream, one.plan.record_steps) != (other.plan.stream, other.plan.record_steps):
        return "other ways to read answers (stream, record_steps)"
    for mine, theirs in zip(one.plan.contenders, other.plan.contenders, strict=False):
        if _started(mine) != _started(theirs):
            return f"{mine.name} is started or reached in another way"
    sides = ([Measured(run.path.name, run.plan, run.machine, run.results)] for run in (one, other))
    found = [d for d in differences(*sides) if d.kind not in (None, "machine")]
    return f"{found[0].what}: {found[0].base} / {found[0].new}" if found else None


def _started(contender: Contender) -> list[str | None]:
    """What starts or reaches an engine, without the folders of files."""
    return [contender.url, *(re.sub(r"(^|=)/.*/", r"\1", word) for word in contender.argv)]


def _refuse_repeats(group: list[store.Run]) -> None:
    seen: dict[str, tuple[Generation | str, store.Run]] = {}
    for run in group:
        found: dict[str, Generation | str] = {}
        for r in run.results:
            if isinstance(r, Reply):
                found.setdefault(f"the answer of {r.target} to {r.answer.trial.prompt}", r.answer.text)
            elif isinstance(r, Generation) and r.trial.role != "warm-up":
                found[r.trial.id] = r
        for what, fact in found.items():
            before, first = seen.setdefault(what, (fact, run))
            if before != fact:
                raise InputError(
                    f"{first.path.name} and {run.path.name} both measured {what} on one machine",
                    hint="they are repeats, not parts: keep both, `specbench compare` takes several runs a side",
                )


def _refuse_builds(group: list[store.Run]) -> None:
    seen: dict[str, tuple[set[tuple[str | None, ...]], store.Run]] = {}
    for run in group:
        builds: dict[str, set[tuple[str | None, ...]]] = {}
        for o in run.results:
            if isinstance(o, Opening):
                build = (o.engine_version, o.engine_commit, o.executable_sha256)
                builds.setdefault(run.plan.contender(o.contender).engine, set()).add(build)
        for engine, those in builds.items():
            before, first = seen.setdefault(engine, (those, run))
            if before != those:
                raise InputError(
                    f"{first.path.name} and {run.path.name} were measured with other builds of {engine}",
                    hint="`specbench compare` and `specbench report` show them side by side",
                )


def _merged(group: list[store.Run], mark: str | None, *, to: Path) -> Path:
    began = re.fullmatch(r"(\d{8}-\d{6})-(.+)", group[0].path.name)
    when = datetime.strptime(began[1], "%Y%m%d-%H%M%S").replace(tzinfo=UTC) if began else datetime.now(UTC)
    name = "-".join(part for part in (began[2] if began else group[0].path.name, "merged", mark) if part)
    with store.create(to, group[0].plan, group[0].machine, name=name, clock=lambda: when) as folder:
        try:
            logs = [_copied(run, folder.logs) for run in group]
            for file in (OPENINGS, TELEMETRY, TRIALS):
                lines = (
                    _with_log(line, own) for run, own in zip(group, logs, strict=True) for line in _whole(run, file)
                )
                folder.write(file, b"".join(dict.fromkeys(lines)))
        except OSError as error:
            raise InputError(
                f"cannot copy {error.filename}: {error.strerror}", hint=f"then delete {folder.path}, and merge again"
            ) from error
        if folder.sending is not None and (unsent := folder.sending.flush()):
            raise UnavailableError(unsent[0], hint="check the network")
    return folder.path


def _copied(run: store.Run, logs: Path) -> dict[str, str]:
    """Copy a part's logs; those that got another name because there is another of theirs."""
    renamed = {}
    for log in sorted(path for path in (run.path / LOGS).glob("*") if path.is_file()):
        others = (f"{run.path.name}-{log.name}" if n == 1 else f"{run.path.name}-{n}-{log.name}" for n in count(1))
        taken = (
            name
            for name in chain([log.name], others)
            if not (logs / name).exists() or cmp(log, logs / name, shallow=False)
        )
        if (name := next(taken)) != log.name:
            renamed[log.name] = name
        shutil.copyfile(log, logs / name)
    return renamed


def _with_log(line: bytes, renamed: Mapping[str, str]) -> bytes:
    """An opening's line that names the copy of its log; other lines as they are."""
    if not renamed:
        return line
    with suppress(DecodeError):
        if isinstance(o := _result(line), Opening) and o.log is not None and o.log in renamed:
            return to_json(replace(o, log=renamed[o.log])) + b"\n"
    return line


def _whole(run: store.Run, name: str) -> Iterator[bytes]:
    """The lines of a file, also a last one whose end of line is missing; not one that is torn."""
    path = run.path / name
    *lines, last = path.read_bytes().split(b"\n") if path.exists() else [b""]
    yield from (line + b"\n" for line in lines)
    with suppress(DecodeError):
        _result(last)
        yield last + b"\n"


def faults(path: Path) -> list[str]:
    """What is wrong with a run: schema, lines, trials twice or outside the plan, counts that do not reconcile.

    Of a run at a URL all is read there, and nothing is taken from the copy or put into it.
    """
    with TemporaryDirectory(prefix="specbench-") as fresh:
        where, copy = remote.url(path), Path(fresh) / path.name
        try:
            run = store.read(path if where is None else copy, where=where)
        except InputError as error:
            return [error.message.replace(str(copy), str(where))]
    planned = Counter(t.id for block in run.plan.blocks for t in block.trials if t.role != "warm-up")
    trials = [r for r in run.results if isinstance(r, Generation | Failure) and r.trial.role != "warm-up"]
    strange = [r.trial.id for r in trials if r.trial.id not in planned]
    twice = [name for name, count in planned.items() if count > 1]
    broken = Counter(name for r in run.results if isinstance(r, Generation) for name in violations(r))
    return [
        *run.warnings,
        *(line for line in run.settled if "left out" in line),  # damage; a gap that was filled is none
        *([f"{len(strange)} trials are not in the plan, the first is {strange[0]}"] if strange else []),
        *([f"{len(twice)} trials are planned twice, the first is {twice[0]}"] if twice else []),
        *(f"{count} generations break: {name}" for name, count in broken.items()),
    ]


def prune(results: Path, *, days: float, yes: bool) -> list[dict[str, Any]]:
    """The runs of which no file changed in so many days, and why some are kept. `yes` deletes the others."""
    if not days >= 0:  # nan, too
        raise InputError(f"--older {days:g} is no number of days", hint="--older 90")
    if (where := remote.url(results)) is not None:
        raise InputError(
            f"{where} is not pruned", hint="use the rules of its storage; baselines.json names what to keep"
        )
    baselines = {str(name) for entry in history.baselines(results).values() for name in entry["runs"]}
    now, rows = time.time(), []
    for path in store.runs(results):
        files = [file.stat() for file in path.rglob("*") if file.is_file()]
        if not (path / PLAN).is_file():  # a folder of that name
            continue
        age = (now - max(file.st_mtime for file in files)) / _DAY
        if age >= days:
            reasons = [
                ("a baseline", path.name in baselines),
                ("being written", being_written(path)),
                ("a link", path.is_symlink()),
            ]
            kept = next((reason for reason, holds in reasons if holds), None)
            total = size(sum(file.st_size for file in files))
            rows.append({"run": path.name, "days": f"{age:.1f}", "size": total, "kept": kept})
            if yes and kept is None:
                _delete(path)
    return rows


def _delete(path: Path) -> None:
    try:
        (path / PLAN).unlink()  # a folder without its plan is no run
        shutil.rmtree(path)
    except OSError as error:
        raise InputError(f"cannot delete {path}: {error.strerror}", hint="check its permissions") from error
