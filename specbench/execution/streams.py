"""Several requests at once on one engine: which trials run together, and what the group took as a whole."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle, islice
from threading import Barrier, Thread

from specbench.engines.base import Session, TrialError
from specbench.execution.prompts import Prompts
from specbench.records import Contender, Failure, Generation, Trial
from specbench.structs import replace

Run = Callable[[Trial], Generation | Failure]


@dataclass(frozen=True)
class Wave:
    """Trials that run at once. `companions` keep every stream busy where trials are left over; nothing records them."""

    members: tuple[Trial, ...]
    companions: tuple[Trial, ...]


def waves(trials: Sequence[Trial]) -> list[Wave]:
    """A block's trials as waves of as many as there are streams, like with like; one stream keeps to their order.

    They depend on the block only, so that a contender and its baseline run the same prompts together, however their
    blocks are cut.
    """
    groups: dict[object, list[Trial]] = defaultdict(list)
    for number, trial in enumerate(trials):
        alike = (trial.role, trial.category, trial.temperature, trial.fill, trial.streams)
        groups[alike if trial.streams > 1 else number].append(trial)
    found = []
    for group in groups.values():
        streams = group[0].streams
        for start in range(0, len(group), streams):
            members = tuple(group[start : start + streams])
            found.append(Wave(members, tuple(islice(cycle(group), streams - len(members)))))
    return found


def run_wave(
    wave: Wave, run: Run, *, contender: Contender, session: Session, prompts: Prompts
) -> list[Generation | Failure]:
    """The members' results. The group's figures are theirs only when nothing in the wave went wrong.

    Nor where a drafter that learns has seen a companion before: that stream is too fast.
    """
    everyone = (*wave.members, *wave.companions)
    if len(everyone) == 1:
        return [run(everyone[0])]
    for trial in everyone:
        with suppress(TrialError):  # it is a Failure when the trial runs
            prompts.render(trial, contender=contender, session=session)  # before the clock starts
    began = list[float]()
    together = Barrier(len(everyone), action=lambda: began.append(time.perf_counter()))
    try:
        results = [future.result() for future in [_begun(run, trial, together) for trial in everyone]]
    except BaseException:
        together.abort()  # no thread waits for one that never started
        raise
    seconds = time.perf_counter() - began[0]
    tokens = [r.output_tokens for r in results if isinstance(r, Generation)]
    known = [count for count in tokens if count is not None]
    sound = len(known) == len(results) and not (contender.learns and wave.companions)
    group_tokens, group_seconds = (sum(known), seconds) if sound else (None, None)
    return [
        replace(r, stream=number, group_tokens=group_tokens, group_seconds=group_seconds)
        if isinstance(r, Generation)
        else r
        for number, r in enumerate(results[: len(wave.members)])
    ]


def _begun(run: Run, trial: Trial, together: Barrier) -> Future[Generation | Failure]:
    """The result to come. Who interrupts does not wait for it: nothing at the end of the program does, either."""
    future: Future[Generation | Failure] = Future()

    def answer() -> None:
        try:
            together.wait()
            future.set_result(run(trial))
        except BaseException as error:  # noqa: BLE001  raised where the result is asked for
            future.set_exception(error)

    Thread(target=answer, daemon=True).start()
    return future
