"""A run on disk: plan, machine, trials, openings, telemetry and logs/. A line that is written stays.

Each result is one line, flushed and synced. A line that a crash tore is dropped with a warning, never guessed at.
"""

import errno
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from msgspec import DecodeError

from specbench import remote
from specbench.errors import InputError, SpecbenchError, UnavailableError
from specbench.records import SCHEMA_VERSION, Enough, Failure, Generation, Machine, Plan, Result, Skip, Telemetry
from specbench.runindex import LOCK, LOGS, MACHINE, OPENINGS, PLAN, TELEMETRY, TRIALS, being_written, writer
from specbench.sending import SILENT, Sending, claim
from specbench.sharing import Shared
from specbench.structs import from_json, reader, replace, to_json
from specbench.untrusted import MISFITS

_result = reader(Result)
_STAMP = "[0-9]" * 8 + "-" + "[0-9]" * 6  # as runs are named
_T = TypeVar("_T")


@dataclass(frozen=True)
class Run:
    """A run as it lies on disk. Of each trial the first generation, else the last failure; warm-ups are all kept."""

    path: Path
    plan: Plan
    machine: Machine
    results: list[Result]
    warnings: list[str] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)  # what was wrong with trials, which are all there by now


def planned(plan: Plan) -> set[str]:
    """Ids of the trials that are recorded once each."""
    return {t.id for block in plan.blocks for t in block.trials if t.role != "warm-up"}


def steady(latest: float = 0.0) -> Callable[[], float]:
    """Seconds since 1970 as the clock shows them now, evenly from here on: it may be set. Never before `latest`."""
    began = max(time.time(), latest) - time.monotonic()
    return lambda: began + time.monotonic()


def done(run: Run) -> frozenset[str]:
    """The ids of trials that need not run again: those that failed do."""
    measured = {r.trial.id for r in run.results if isinstance(r, Generation) and r.trial.role != "warm-up"}
    return frozenset(measured.union(*(r.trials for r in run.results if isinstance(r, Enough))))


@dataclass(frozen=True)
class RunFolder:
    """A run that is being written. One process holds its lock until `close`. `clock`: for the times of its records."""

    path: Path
    plan: Plan
    done: frozenset[str]
    warnings: tuple[str, ...]
    trials: FileIO
    openings: FileIO
    telemetry: FileIO
    clock: Callable[[], float]
    sending: Sending | None = None

    @property
    def logs(self) -> Path:
        return self.path / LOGS

    def append(self, result: Result) -> None:
        """Write one line and wait until it is on the disk. After an error the file ends where it ended before."""
        self.write({"opening": OPENINGS, "telemetry": TELEMETRY}.get(result.kind, TRIALS), to_json(result) + b"\n")

    def write(self, name: str, lines: bytes) -> None:
        """Whole lines to a file of the run, as `append` does it."""
        file = {OPENINGS: self.openings, TELEMETRY: self.telemetry}.get(name, self.trials)
        before = file.tell()
        try:
            written = 0
            while written < len(lines):
                written += file.write(lines[written:])
            os.fsync(file.fileno())
        except OSError as error:
            with suppress(OSError):
                file.truncate(before)
                file.seek(before)
            raise _unwritable(self.path, error, hint=f"then: specbench run --resume {self.path}") from error
        if self.sending is not None:
            self.sending.checkpoint()

    def close(self) -> None:
        """Give the run free for others."""
        if self.sending is not None:
            self.sending.close()
        for file in (self.trials, self.openings, self.telemetry):
            file.close()
        (self.path / LOCK).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


def _utc_now() -> datetime:
    return datetime.now(UTC)


def create(
    root: Path, plan: Plan, machine: Machine, *, name: str | None = None, clock: Callable[[], datetime] = _utc_now
) -> RunFolder:
    """A new folder below `root`, named by time and `name` (the plan's by default); never one that exists."""
    stem = f"{clock():%Y%m%d-%H%M%S}-{_title(name or plan.name)}"
    with _writing(root):
        root.mkdir(parents=True, exist_ok=True)
        last = max((plan.parent.name for plan in root.glob(f"{_STAMP}-*/{PLAN}")), default="")
        path = _new_folder(root, stem, plan)
        (path / LOGS).mkdir()
        _acquire(path)
        (path / MACHINE).write_bytes(to_json(machine, indent=1))
        _write_plan(path, plan)
        try:
            early = f"the clock stands before {last}, which stays the latest run: set the clock, or rename that folder"
            warnings = (early,) if stem[:15] < last[:15] else ()
            return _opened(path, plan, warnings=warnings, news={PLAN, MACHINE})
        except SpecbenchError:
            shutil.rmtree(path)  # nothing was measured
            raise


def _title(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "run"


def extended(folder: RunFolder, plan: Plan) -> RunFolder:
    """The opened run with a longer plan; what was planned before counts as done, whether it went well or not."""
    with _writing(folder.path):
        _write_plan(folder.path, plan)
    if folder.sending is not None:
        folder.sending.changed(PLAN)
    return replace(folder, plan=plan, done=folder.done | planned(folder.plan))


def _write_plan(path: Path, plan: Plan) -> None:
    unfinished = path / f"{PLAN}.new"  # a folder is a run once its plan is whole
    unfinished.write_bytes(to_json(plan, indent=1))
    unfinished.replace(path / PLAN)


def resume(path: Path) -> RunFolder:
    """An existing run, to go on with. A torn last line is cut off and kept in a .torn file."""
    remote.OWN.discard(path)
    remote.fetch(path)
    document(path / PLAN, Plan)
    with _writing(path):
        warnings = _acquire(path)
        try:
            plan, news = _agreed(path)
            warnings += [line for name in (TRIALS, OPENINGS, TELEMETRY) for line in _mend(path / name)]
            run = read(path)
            (path / LOGS).mkdir(exist_ok=True)
            latest = max((r.started for r in run.results if isinstance(r, Generation | Failure)), default=0.0)
            return _opened(path, plan, done(run), (*warnings, *run.warnings), latest=latest, news=news)
        except BaseException:
            (path / LOCK).unlink(missing_ok=True)
            raise


def read(path: Path, *, where: str | None = None) -> Run:
    """The run in folder `path`, which is brought from its URL, or from `where`.

    InputError when it is none, or was written by a newer specbench.
    """
    wrong = remote.fetch(path, where)
    plan, machine = document(path / PLAN, Plan), document(path / MACHINE, Machine)
    shared = {TRIALS: Shared(plan)}
    trials, openings, lines = (
        _lines(path / name, wrong[name], shared=shared.get(name)) for name in (TRIALS, OPENINGS, TELEMETRY)
    )
    lost, warnings = wrong[TRIALS], [*wrong[OPENINGS], *wrong[TELEMETRY]]
    seen = {(t.trial, t.started): t for t in lines if isinstance(t, Telemetry)}
    results = [_joined(result, seen) if seen else result for result in _settled(plan, trials, warnings)]
    idle = [t for t in seen.values() if t.trial is None]
    run = Run(path, plan, machine, [*openings, *idle, *results], warnings)
    (run.settled if lost and planned(plan) <= done(run) else warnings).extend(lost)
    return run


def _joined(result: Result, seen: dict[tuple[str | None, float], Telemetry]) -> Result:
    if not isinstance(result, Generation) or (telemetry := seen.get((result.trial.id, result.started))) is None:
        return result
    return replace(result, telemetry=telemetry)


def machine(path: Path) -> Machine:
    """The machine of the run in folder `path`."""
    remote.bring(path / MACHINE)
    return document(path / MACHINE, Machine)


def runs(root: Path) -> list[Path]:
    """The run folders below `root`, oldest first."""
    return remote.runs(root)


def is_run(path: Path) -> bool:
    """Whether there is a run at `path`."""
    return remote.has(path / PLAN)


def named(name: Path, *, results: Path) -> Path | None:
    """A run folder by its path, by its name below `results`, or the newest that got this name: `--name`."""
    if found := [path for path in (name, results / name) if is_run(path)]:
        return found[0]
    if name.parent != Path() or (name.is_dir() and runs(name)):
        return None
    title = _title(name.name)
    return next((path for path in reversed(runs(results)) if path.name[len("20260131-235959-") :] == title), None)


def latest(root: Path) -> Path:
    """The newest run below `root`."""
    if not (found := runs(root)):
        raise InputError(
            f"there are no runs in {remote.shown(root)}", hint="run `specbench run` first, or give a folder"
        )
    return found[-1]


# ------------------------------------------------------------------------------------------------ reading


def document(path: Path, kind: type[_T]) -> _T:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path.parent} is not a run: {path.name}: {error.strerror}", hint="`specbench runs list` lists the runs"
        ) from error
    try:
        return from_json(kind, data)
    except DecodeError as error:
        _refuse_newer(path, data)
        raise InputError(f"{path} is damaged: {error}", hint="start a new run") from error


def _lines(path: Path, warnings: list[str], *, shared: Shared | None = None) -> list[Result]:
    found: list[Result] = []
    try:
        with path.open("rb", buffering=2**20) as file:
            for number, line in enumerate(file, 1):
                try:
                    found.append(result := _result(line))
                    if shared is not None and result.kind == "generation":
                        shared.within(result)
                except DecodeError:
                    if line == b"\n":
                        continue
                    _refuse_newer(path, line)
                    torn = not line.endswith(b"\n")
                    what = "the last line is torn and left out" if torn else f"line {number} is damaged and left out"
                    warnings.append(f"{path.name}: {what}{remote.AGAIN.get(path.name, '')}")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", hint="check its permissions") from error
    return found


def _refuse_newer(path: Path, data: bytes) -> None:
    try:
        version = json.loads(data)["schema_version"]
    except MISFITS:
        return
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path} has schema version {version}; this specbench reads {SCHEMA_VERSION}",
            hint="read it with the specbench that wrote it, or install a newer one",
        )


def _settled(plan: Plan, lines: list[Result], warnings: list[str]) -> list[Result]:
    """Replies and warm-ups, one result a trial, what need not run, then skips; those of what ran later are gone."""
    kept: list[Result] = []
    skips: dict[tuple[str, int | None], Skip] = {}
    enough: dict[tuple[str, ...], Enough] = {}
    by_id: dict[str, Generation | Failure] = {}
    twice = 0
    for result in lines:
        if isinstance(result, (Generation, Failure)) and result.trial.role != "warm-up":
            earlier = by_id.setdefault(result.trial.id, result)
            if isinstance(earlier, Failure):
                del by_id[result.trial.id]
                by_id[result.trial.id] = result
            elif earlier is not result:
                twice += isinstance(result, Generation)
        elif isinstance(result, Skip):
            skips[result.contender, result.block] = result
        elif isinstance(result, Enough):
            enough[result.trials] = result
        elif result.kind in {"reply", "generation", "failure"}:
            kept.append(result)
    if twice:
        warnings.append(f"{TRIALS}: {twice} trials were measured twice; the first generation counts")
    found = [*kept, *by_id.values(), *enough.values()]
    if not skips:
        return found
    spared = set().union(*enough)
    open_ = {
        (block.contender, block.index)
        for block in plan.blocks
        if any(
            t.role != "warm-up" and t.id not in spared and not isinstance(by_id.get(t.id), Generation)
            for t in block.trials
        )
    }
    names = {contender for contender, _ in open_}
    valid = (
        s for (name, block), s in skips.items() if ((name, block) in open_ if block is not None else name in names)
    )
    return [*found, *valid]


# ------------------------------------------------------------------------------------------------ writing


def _new_folder(root: Path, stem: str, plan: Plan) -> Path:
    number = 1
    while True:
        path = root / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
            continue
        try:
            if claim(path, _silence(plan)):
                return path
        except SpecbenchError:
            path.rmdir()
            raise
        path.rmdir()
        number += 1


def _agreed(path: Path) -> tuple[Plan, set[str]]:
    """The plan here, or that at the URL where it goes on longer; and which files the URL lacks."""
    plan = document(path / PLAN, Plan)
    if (where := remote.url(path)) is None:
        return plan, set()
    there = remote.storage(where)
    lacking = {name for name in (PLAN, MACHINE) if not there.exists(name)}
    if PLAN in lacking:
        return plan, lacking
    try:
        theirs = from_json(Plan, content := there.get([PLAN])[PLAN])
    except DecodeError:  # torn
        return plan, lacking | {PLAN}
    if len(theirs.blocks) > len(plan.blocks) and theirs.blocks[: len(plan.blocks)] == plan.blocks:
        remote.keep(path / PLAN, content)
        return theirs, lacking
    longer = len(plan.blocks) > len(theirs.blocks) and plan.blocks[: len(theirs.blocks)] == theirs.blocks
    return plan, lacking | ({PLAN} if longer else set())


def _silence(plan: Plan) -> float:
    """Seconds after which a writer is taken for lost: it is not heard of while it loads and runs a trial."""
    return max(SILENT, 2 * (plan.trial_timeout + plan.load_timeout))


def _opened(
    path: Path,
    plan: Plan,
    done: frozenset[str] = frozenset(),
    warnings: tuple[str, ...] = (),
    *,
    latest: float = 0.0,
    news: Collection[str],
) -> RunFolder:
    trials, openings, telemetry = (_appending(path / name) for name in (TRIALS, OPENINGS, TELEMETRY))
    folder = RunFolder(path, plan, done, warnings, trials, openings, telemetry, steady(latest))
    if (where := remote.url(path)) is None:
        return folder
    try:
        return replace(folder, sending=Sending(path, where, _silence(plan), news))
    except BaseException:
        folder.close()
        raise


def _appending(path: Path) -> FileIO:
    file = FileIO(path, "ab")
    file.seek(0, os.SEEK_END)
    return file


def _mend(path: Path) -> list[str]:
    """End the file with a whole line: a torn one goes to a .torn file."""
    if not path.exists():
        return []
    with path.open("r+b") as file:
        data = file.read()
        end = data.rfind(b"\n") + 1
        if end == len(data):
            return []
        try:
            _result(data[end:])
        except DecodeError:
            with path.with_name(f"{path.name}.torn").open("ab") as torn:
                torn.write(data[end:] + b"\n")
            file.truncate(end)
            return [f"{path.name}: the last line was torn; it is kept in {path.name}.torn"]
        file.write(b"\n")
    return []


def _acquire(path: Path) -> list[str]:
    """Lock the run for this process. A lock whose process is gone is taken over, with a warning."""
    lock, warnings = path / LOCK, []
    while True:
        try:
            descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            if being_written(path):
                raise InputError(
                    f"{path} is being written by another specbench", hint="wait for it, or stop it and try again"
                ) from None
            lock.unlink(missing_ok=True)
            warnings = [f"{path.name} was left by a process that is gone; going on with it"]
        else:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(writer(os.getpid()))
            return warnings


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except SpecbenchError:
        raise
    except OSError as error:
        raise _unwritable(path, error, hint="or choose another folder with --results") from error


def _unwritable(path: Path, error: OSError, *, hint: str) -> SpecbenchError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UnavailableError(f"the disk is full: cannot write to {path}", hint=f"free some space; {hint}")
    return InputError(f"cannot write to {path}: {error.strerror or error}", hint=f"check its permissions; {hint}")
