"""Runs of two sides as numbers: for a measure, one row a session and one column a prompt that every run has.

What others do on a machine lasts for minutes: runs of one side that follow each other share it, and count as one
session, unless an hour or a run of the other side lies between them. Recorded runs that were not measured in turns
raised false alarms in 17 of 146 comparisons of the same build, and in none of 146 in turns (docs/compare.md).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from specbench.analysis.conditions import Measured
from specbench.analysis.metrics import METRICS, Parts
from specbench.analysis.stats import Array
from specbench.records import Failure, Generation, Trial

Key = tuple[str, str, int | None]  # category, prompt (and hash of a later turn), fill
Trials = Mapping[Key, Sequence[Generation]]


class Place(NamedTuple):
    """What a change is about; a category of None is all of them, with all their fills."""

    contender: str
    category: str | None
    temperature: float
    fill: int | None = None


@dataclass(frozen=True)
class Measure:
    """What is compared: one of METRICS, the first that both sides have. `relative`: as a ratio, else as a difference.

    `mean`: the geometric mean over prompts, else the ratio of sums. `counted`: from counts, which no run disturbs.
    `over_baseline`: each rate over that of the contender's baseline in the same run, on the same prompt.
    `drafts`: of methods only.
    """

    metrics: tuple[str, ...]
    unit: str
    relative: bool = True
    mean: bool = True
    counted: bool = False
    over_baseline: bool = False
    drafts: bool = False


_SESSION = 3600.0  # seconds
_DECODE = ("decode_engine", "decode_client")
_THROUGHPUT = ("output_throughput",)
MEASURES: dict[str, Measure] = {
    "decode_speed": Measure(_DECODE, "tok/s"),
    "speedup": Measure(_DECODE, "×", over_baseline=True),
    "end_to_end_speed": Measure(("end_to_end",), "tok/s"),
    "prefill_speed": Measure(("prefill",), "tok/s"),
    "acceptance": Measure(
        ("draft_acceptance_rate",), "fraction", relative=False, mean=False, counted=True, drafts=True
    ),
    "tokens_per_step": Measure(("mean_acceptance_length",), "tokens", mean=False, counted=True, drafts=True),
    "step_seconds": Measure(("step_seconds",), "s", mean=False),
}


@dataclass(frozen=True)
class Sides:
    """The measured trials of each run of BASE and of NEW, by place."""

    base: tuple[Mapping[Place, Trials], ...]
    new: tuple[Mapping[Place, Trials], ...]
    sessions: tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]
    places: tuple[Place, ...]
    failed: Mapping[Place, tuple[int, int]]
    baselines: Mapping[str, str | None]
    streams: bool  # of any contender in any run: then speed is the output of all of them, for everyone
    known: dict[tuple[str, int], "Numbers | None"] = field(default_factory=dict, repr=False)

    def prompts(self, place: Place) -> set[Key]:
        """Those that every run has."""
        return set.intersection(*(set(run.get(place, ())) for run in (*self.base, *self.new)))

    def drafts(self, place: Place) -> bool:
        """A method, or a server without a baseline that drafts all the same."""
        trials = (g for run in (*self.base, *self.new) for gs in run.get(place, {}).values() for g in gs)
        return self.baselines.get(place.contender) is not None or any(g.counts.drafted for g in trials)

    def values(
        self, measure: Measure, place: Place, *, only: AbstractSet[Key] | None = None
    ) -> tuple[Array, Array] | str | None:
        """Of BASE and NEW, (sessions, prompts): logarithms where the measure is relative. Without any, why.

        None where the measure has no meaning: drafts of a baseline. `only`: leave out all other prompts.
        """
        runs = (*self.base, *self.new)
        for number, (side, group) in enumerate((("BASE", self.base), ("NEW", self.new))):
            if not all(place in run for run in group):
                lost = self.failed.get(place, (0, 0))[number]
                return _missing(sum(place not in run for run in group), len(group), side, lost)
        baseline = place._replace(contender=self.baselines.get(place.contender) or "")
        if measure.over_baseline and not all(baseline in run for run in runs):
            return None
        if measure.drafts and not self.drafts(place):
            return None
        for name in _THROUGHPUT if self.streams and measure.metrics == _DECODE else measure.metrics:
            found = [self._numbers(name, run[place]) for run in runs]
            if measure.over_baseline:
                found = [_over(f, self._numbers(name, r[baseline])) for f, r in zip(found, runs, strict=True)]
            shared = sorted(set.intersection(*(set(f) for f in found), *([] if only is None else [only])), key=str)
            if shared:
                table = np.array([[f[key] for key in shared] for f in found], dtype=np.float64)
                if place.category is None:
                    table = _by_prompt(table, shared)
                base, new = (_scaled(measure, side) for side in np.split(table, [len(self.base)]))
                return _averaged(base, self.sessions[0]), _averaged(new, self.sessions[1])
        if measure.drafts and not any(self._numbers(name, r[place]) for name in measure.metrics for r in runs):
            return None  # a method that never drafts there
        return "no prompt has this figure in every run"

    def _numbers(self, name: str, trials: Trials) -> dict[Key, "Numbers"]:
        """Of each prompt; what a category and all of them share is worked out once."""
        for repeats in trials.values():
            if (name, id(repeats)) not in self.known:
                self.known[name, id(repeats)] = _number(METRICS[name].parts, repeats)
        found = ((key, self.known[name, id(repeats)]) for key, repeats in trials.items())
        return {key: number for key, number in found if number is not None}


def _missing(runs: int, of: int, side: str, failed: int) -> str:
    if failed and runs == of:
        return f"all {failed} trials failed in {side}"
    return f"missing in {runs} of {of} runs of {side}" + (f" ({failed} trials failed)" if failed else "")


def sides(base: Sequence[Measured], new: Sequence[Measured]) -> Sides:
    """Warm-ups and controls take no part, nor do contenders whose acceptance is by dice."""
    failed: dict[Place, list[int]] = defaultdict(lambda: [0, 0])
    order: set[Place] = set()
    groups = [[trials_by_place(run, failed, number) for run in side] for number, side in enumerate((base, new))]
    for group in groups:
        for run in group:
            order.update(run.keys())
    order.update(failed)
    categories: dict[tuple[str, float], set[str | None]] = defaultdict(set)
    for place in order:
        if place.category is not None:
            categories[place.contender, place.temperature].add(place.category)
    kept = [p for p in order if p.category is not None or len(categories[p.contender, p.temperature]) > 1]
    names = list(dict.fromkeys(c.name for run in (*base, *new) for c in run.plan.contenders))
    told = list(dict.fromkeys(p.category for run in (*base, *new) for p in run.plan.prompts))
    kept.sort(key=lambda p: (p.temperature, names.index(p.contender), p.category is not None, told.index(p.category)
                             if p.category in told else -1, p.fill or 0))  # fmt: skip
    return Sides(
        base=tuple(groups[0]),
        new=tuple(groups[1]),
        sessions=_sessions(base, new),
        places=tuple(kept),
        failed={place: (counts[0], counts[1]) for place, counts in failed.items()},
        baselines={c.name: c.baseline for run in new for c in run.plan.contenders},
        streams=any(c.streams > 1 for run in (*base, *new) for c in run.plan.contenders),
    )


def _sessions(
    base: Sequence[Measured], new: Sequence[Measured]
) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
    """Of both sides: the indexes of runs that belong together."""
    began = sorted(
        (*_span(run), side, index) for side, group in enumerate((base, new)) for index, run in enumerate(group)
    )
    found: tuple[list[list[int]], list[list[int]]] = ([], [])
    before, last = -1, 0.0
    for started, ended, side, index in began:
        if side != before or started - last > _SESSION:
            found[side].append([])
        found[side][-1].append(index)
        before, last = side, max(last, ended)
    return tuple(map(tuple, found[0])), tuple(map(tuple, found[1]))


def _span(run: Measured) -> tuple[float, float]:
    """When its first trial began, and when its last one ended as far as that is known."""
    ran = [r for r in run.results if isinstance(r, Generation)]
    failed = [r.started for r in run.results if isinstance(r, Failure)]
    first = min((r.started for r in ran), default=0.0)
    return min([first, *failed] if ran else failed, default=0.0), max(
        [*(r.started + (r.total or 0.0) for r in ran), *failed], default=0.0
    )


def _by_prompt(table: Array, keys: Sequence[Key]) -> Array:
    """One column for each prompt: its context fills are no prompts of their own."""
    columns: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, (category, prompt, _) in enumerate(keys):
        columns[category, prompt].append(number)
    fills = [table[:, mine] for mine in columns.values()]
    return np.stack([np.hstack([t[:, :, :2].sum(axis=1), t[:, :, 2:].mean(axis=1)]) for t in fills], axis=1)


def _averaged(runs: Array, sessions: Sequence[Sequence[int]]) -> Array:
    return np.stack([runs[list(session)].mean(axis=0) for session in sessions])


def trials_by_place(
    run: Measured, failed: dict[Place, list[int]], side: int
) -> dict[Place, dict[Key, list[Generation]]]:
    """The measured trials of contenders whose acceptance is not by dice; failures are counted in `failed`."""
    found: dict[Place, dict[Key, list[Generation]]] = defaultdict(dict)
    at: dict[tuple[str, str, float, int | None, str], list[Generation]] = {}
    synthetic = {c.name for c in run.plan.contenders if c.synthetic}
    later = {p.id for p in run.plan.prompts if p.after}  # the same prompt only where the answers before it are
    for r in run.results:
        if not isinstance(r, Generation):
            if isinstance(r, Failure) and r.trial.role == "measured" and r.trial.contender not in synthetic:
                for place in _places(r.trial):
                    failed[place][side] += 1
            continue
        t = r.trial
        if t.role != "measured" or t.contender in synthetic:
            continue
        prompt = f"{t.prompt} {r.prompt_sha256}" if t.prompt in later else t.prompt
        what = t.contender, t.category, t.temperature, t.fill, prompt
        if (trials := at.get(what)) is None:
            trials = at[what] = []
            for place in _places(t):
                found[place][t.category, prompt, t.fill] = trials
        trials.append(r)
    return dict(found)


def _places(t: Trial) -> tuple[Place, Place]:
    """The category, and all of them."""
    return Place(t.contender, t.category, t.temperature, t.fill), Place(t.contender, None, t.temperature)


Numbers = tuple[float, float, float]  # sums of the two parts, mean logarithm of their ratio (0 where one is 0)


def numbers(parts: Callable[[Generation], Parts | None], trials: Trials) -> dict[Key, Numbers]:
    """Of each prompt, over its repeats."""
    found = ((key, _number(parts, repeats)) for key, repeats in trials.items())
    return {key: number for key, number in found if number is not None}


def _number(parts: Callable[[Generation], Parts | None], repeats: Iterable[Generation]) -> Numbers | None:
    if not (pairs := [pair for g in repeats if (pair := parts(g)) is not None]):
        return None
    above, below = np.asarray(pairs, dtype=np.float64).T
    logs = np.log(above / below) if above.all() else np.zeros(1)
    return float(above.sum()), float(below.sum()), float(logs.mean())


def _over(mine: Mapping[Key, Numbers], baseline: Mapping[Key, Numbers]) -> dict[Key, Numbers]:
    return {key: (a, b, log - baseline[key][2]) for key, (a, b, log) in mine.items() if key in baseline}


def _scaled(measure: Measure, table: Array) -> Array:
    """Ratios of sums are taken apart into one share a prompt (the linear part), whose mean is the ratio or its log."""
    if measure.mean:
        return table[:, :, 2]
    above, below = table[:, :, 0], table[:, :, 1]
    ratio = above.sum() / below.sum()
    shares = (above - ratio * below) / below.mean()
    return np.asarray(np.log(ratio) + shares / ratio if measure.relative and ratio > 0 else ratio + shares)
