"""How much a plan will measure, and how long that takes if the engine is as fast as it was."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from specbench.conversation import turns
from specbench.records import Contender, Generation, Opening, Plan, Result
from specbench.units import duration

MANY = 2000  # trials: twice what a run without arguments has
SHORT = 900.0  # seconds that nobody needs to be asked about


@dataclass(frozen=True)
class Extent:
    """`seconds` is None when no earlier run on this machine shows how fast the targets are."""

    contenders: int
    blocks: int
    trials: int
    warm_ups: int
    output_tokens: int
    seconds: float | None

    @property
    def large(self) -> bool:
        """Whether one should be asked before it begins."""
        return self.trials > MANY and (self.seconds is None or self.seconds > SHORT)

    def __str__(self) -> str:
        time = "" if self.seconds is None else f", about {duration(self.seconds)} by an earlier run"
        return (
            f"{self.contenders} contenders, {self.blocks} blocks, {self.trials} trials, {self.warm_ups} warm-ups, "
            f"at most {self.output_tokens} output tokens{time}"
        )


def extent(plan: Plan, earlier: Iterable[tuple[Plan, Iterable[Result]]] = ()) -> Extent:
    """The size of a plan. `earlier`: runs on this machine, for the estimate of its time."""
    trials = [trial for block in plan.blocks for trial in block.trials]
    warm_ups = sum(trial.role == "warm-up" for trial in trials)
    tokens = sum(trial.output_tokens for trial in trials)
    prompts, labels = {p.id: p for p in plan.prompts}, {c.name: c.target_label for c in plan.contenders}
    replies = {(labels[t.contender], p.id): t.output_tokens for t in trials for p in turns(prompts, t.prompt)[:-1]}
    whole = tokens + sum(replies.values())  # answers before later turns are generated, too
    seconds = _seconds(plan, earlier)
    return Extent(
        contenders=len(plan.contenders),
        blocks=len(plan.blocks),
        trials=len(trials) - warm_ups,
        warm_ups=warm_ups,
        output_tokens=whole,
        seconds=None if seconds is None else seconds * whole / tokens,
    )


def _seconds(plan: Plan, earlier: Iterable[tuple[Plan, Iterable[Result]]]) -> float | None:
    """None when a target was never measured. A method that was not takes the mean of its target's.

    Trials that run at the same time share the time.
    """
    speeds: dict[tuple[object, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])  # seconds, output tokens
    loads: dict[str, list[float]] = defaultdict(list)
    for old, results in earlier:
        known = {c.name: c for c in old.contenders}
        for r in results:
            if isinstance(r, Generation) and r.total and r.output_tokens:
                for key in _likenesses(known[r.trial.contender], r.trial.streams):
                    speeds[key][0] += r.total / r.trial.streams
                    speeds[key][1] += r.output_tokens
            elif isinstance(r, Opening) and r.load_seconds is not None:
                loads[known[r.contender].target_model].append(r.load_seconds)
    whole = 0.0
    contenders = {c.name: c for c in plan.contenders}
    for block in plan.blocks:
        c = contenders[block.contender]
        alike = [key for key in _likenesses(c, c.streams) if key in speeds]
        if not alike:
            return None
        seconds, tokens = speeds[alike[0]]
        load = loads.get(c.target_model, [0.0])
        whole += sum(load) / len(load) + sum(trial.output_tokens for trial in block.trials) * seconds / tokens
    return whole


def _likenesses(c: Contender, streams: int) -> tuple[tuple[object, ...], ...]:
    """What a contender's speed may be taken from, the most like it first."""
    return (c.target_model, c.method, streams), (c.target_model, streams), (c.target_model,)
