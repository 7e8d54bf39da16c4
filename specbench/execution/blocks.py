"""The order of things: which engine is opened when, what runs on it, and what happens when it fails."""

import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from specbench.engines import catalog
from specbench.engines.base import EngineInfo, OpeningError, Session, TrialError
from specbench.execution.prompts import Prompts
from specbench.execution.streams import run_wave, waves
from specbench.execution.trials import Place, run_trial
from specbench.hardware.telemetry import Sampler
from specbench.records import Block, Contender, Enough, Failure, Generation, Opening, Plan, Reply, Result, Skip, Trial
from specbench.structs import replace

_FATAL = {"engine-died", "timeout"}  # failures after which the engine is not used again
_DEATHS = 2  # of an engine in one block, and failures to open a contender in the run, before it is given up


class OpenSession(Protocol):
    """Opens a contender's engine; raises OpeningError."""

    def __call__(self, contender: Contender, *, log: Path, load_timeout: float) -> AbstractContextManager[Session]: ...


@dataclass(frozen=True)
class BlockStarted:
    """An engine is about to be opened."""

    block: Block


@dataclass(frozen=True)
class TrialStarted:
    """A trial that will be recorded is about to run."""

    trial: Trial


Event = Result | BlockStarted | TrialStarted


def execute(
    plan: Plan,
    *,
    done: Collection[str],
    logs: Path,
    open_session: OpenSession = catalog.open_session,
    check: Callable[[Contender], Skip | None] = catalog.check_available,
    clock: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
    deadline: float | None = None,
    sampler: Sampler | None = None,
    enough: Callable[[Block], Iterable[Enough]] = lambda _: (),
    before: Iterable[Result] = (),
) -> Generator[Event]:
    """Run every trial whose id is not in `done`. A trial that goes wrong is a Failure; nothing is raised for it.

    Warm-ups run again on every opened engine. A contender that learns starts its block anew, so that its drafter has
    seen what the plan says; what is recorded already is not yielded again. After `deadline` (on the clock `monotonic`)
    no further trial begins. With a `sampler` the telemetry of a trial comes before its result. `enough` is asked before
    each block which trials need not run. What later turns come after is in `before` already, or is answered.
    """
    run = _Run(plan, set(done), logs, open_session, clock, lambda: deadline is not None and monotonic() >= deadline)
    for r in before:
        if isinstance(r, Reply):
            run.prompts.replies.setdefault((r.target, r.answer.trial.prompt), r.answer.text)
    run.sampler = sampler
    for block in plan.blocks:
        contender = plan.contender(block.contender)
        if contender.name in run.given_up or not run.pending(block):
            continue
        for found in enough(block):
            run.finished.update(found.trials)
            yield found
        if not run.pending(block):
            continue
        if run.late():
            return
        if contender.name not in run.checked:
            run.checked.add(contender.name)
            if (skip := check(contender)) is not None:
                run.given_up.add(contender.name)
                yield skip
                continue
        yield BlockStarted(block)
        yield from _block(run, block, contender)


@dataclass
class _Run:
    plan: Plan
    finished: set[str]
    logs: Path
    open_session: OpenSession
    clock: Callable[[], float]
    late: Callable[[], bool]
    sampler: Sampler | None = None
    checked: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)
    unopened: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.prompts = Prompts(self.plan)
        trials = (trial.id for block in self.plan.blocks for trial in block.trials)
        self.order = {name: order for order, name in enumerate(trials)}

    def result(self, trial: Trial, block: Block, *, contender: Contender, session: Session) -> Generation | Failure:
        return run_trial(
            trial,
            place=Place(block.index, self.order[trial.id]),
            contender=contender,
            session=session,
            prompts=self.prompts,
            clock=self.clock,
        )

    def pending(self, block: Block) -> list[Trial]:
        return [t for t in block.trials if t.role != "warm-up" and t.id not in self.finished]


def _block(run: _Run, block: Block, contender: Contender) -> Iterator[Event]:
    """Open, run, and once more after the engine was lost."""
    lost: set[str] = set()  # trials that an engine did not survive
    deaths = 0
    run.prompts.faults.clear()
    while run.pending(block) and not run.late():
        log = _unused(run.logs, f"{block.index:03d}-{re.sub(r'[^A-Za-z0-9.-]+', '-', contender.name)}")
        started, before = run.clock(), len(lost)
        try:
            with run.open_session(contender, log=log, load_timeout=run.plan.load_timeout) as session:
                if run.sampler is not None:
                    run.sampler.follow_engine()
                yield opening(session.info, contender, block.index, started)
                asked = yield from _replies(run, block, contender, session, lost)
                if len(lost) == before and not (asked and contender.learns):  # that needs an engine that saw nothing
                    yield from _trials(run, block, contender, session, lost)
        except OpeningError as error:
            run.unopened[contender.name] += 1
            final = run.unopened[contender.name] >= _DEATHS
            if final:
                run.given_up.add(contender.name)
            yield _skip(contender, None if final else block.index, error.message, error.hint, error.log_tail)
            return
        deaths += len(lost) > before
        if deaths >= _DEATHS and run.pending(block):
            why = f"the engine was lost {deaths} times in this block"
            yield _skip(contender, block.index, why, "read its log; the finished trials are kept", None)
            return


def _replies(
    run: _Run, block: Block, contender: Contender, session: Session, lost: set[str]
) -> Generator[Event, None, bool]:
    """Have what later turns come after answered, where it is not yet; whether the engine was asked anything."""
    asked = False
    for trial in block.trials:
        for prompt in run.prompts.missing(trial, contender):
            if run.late():
                return asked
            asked, key = True, (contender.target_label, prompt.id)
            one = replace(trial, prompt=prompt.id, role="warm-up", temperature=0.0, ignore_eos=False, streams=1)
            result = run.result(one, block, contender=contender, session=session)
            if isinstance(result, Generation):
                run.prompts.replies[key] = result.text
                yield Reply(target=contender.target_label, answer=result)
                continue
            fatal, why = result.reason in _FATAL or not session.alive(), f"no answer to {prompt.id}: {result.message}"
            run.prompts.faults[key] = TrialError("refused" if fatal else result.reason, why, hint=result.hint)
            if fatal:
                lost.add(f"answer before {trial.id}")
                return asked
    return asked


def _trials(run: _Run, block: Block, contender: Contender, session: Session, lost: set[str]) -> Iterator[Event]:
    """Run what is left of the block on one opened engine, until the engine is lost or the time is up."""
    one = partial(run.result, block=block, contender=contender, session=session)
    for wave in waves(block.trials):
        trials = wave.members
        new = [trial for trial in trials if trial.id not in run.finished]
        if not run.pending(block) or run.late():
            return
        if lost & {t.id for t in trials} or not (new or trials[0].role == "warm-up" or contender.learns):
            continue
        for trial in new:
            yield TrialStarted(trial)
        # What is sampled belongs to one trial only where no other runs beside it.
        watched = (
            run.sampler if new and len(trials) == 1 and contender.streams == 1 and trials[0].role != "warm-up" else None
        )
        with watched.watching() if watched is not None else nullcontext() as watch:
            results = run_wave(wave, one, contender=contender, session=session, prompts=run.prompts)
        if watch is not None:
            yield watch.telemetry(trials[0].id, started=results[0].started)
        recorded = [result for trial, result in zip(trials, results, strict=True) if trial in new]
        for number, result in enumerate(recorded):
            run.finished.add(result.trial.id)
            # The group's figures count once, with stream 0: of a wave that runs again, that is the first one recorded.
            if isinstance(result, Generation) and result.stream is not None:
                result = replace(result, stream=number)  # noqa: PLW2901  the same result
            yield result
        broken = [r for r in results if isinstance(r, Failure)]
        if any(r.reason in _FATAL for r in broken) or (broken and not session.alive()):
            lost.update(r.trial.id for r in broken)
            return


_HINT = "read its log; is it the engine that the contender names?"


def opening(info: EngineInfo, contender: Contender, block: int, started: float) -> Opening:
    """The record of an engine that was opened. OpeningError for one that says of itself what cannot be."""
    told = {name: getattr(info, name) for name in info.__dataclass_fields__}
    named = {f"engine_{name}": told.pop(name) for name in ("version", "commit")}
    try:
        return Opening(contender=contender.name, block=block, started=started, **named, **told)
    except ValueError as error:
        raise OpeningError(f"what the engine says of itself is not understood: {error}", hint=_HINT) from error


def _skip(contender: Contender, block: int | None, reason: str, hint: str, log_tail: str | None) -> Skip:
    return Skip(contender=contender.name, block=block, reason=reason, hint=hint, log_tail=log_tail)


def _unused(folder: Path, name: str) -> Path:
    """A log file that is not there yet: an engine that is opened again must not overwrite its first log."""
    tries = (folder / (f"{name}.log" if n == 1 else f"{name}-{n}.log") for n in range(1, 10_000))
    return next(path for path in tries if not path.exists())
