"""Did it become slower? Runs against earlier runs, place by place, prompt by prompt, above the noise of runs."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp, expm1, log1p
from statistics import median
from typing import Literal

import numpy as np

from specbench.analysis import comparison, conditions, crossed, stats
from specbench.analysis.conditions import Difference, Kind, Measured
from specbench.analysis.crossed import Floor
from specbench.analysis.sides import MEASURES, Measure, Place, Sides, sides
from specbench.analysis.stats import ALARM, MINIMUM, ROUNDING, Array
from specbench.errors import InputError
from specbench.faults import did_you_mean
from specbench.records import Generation

Verdict = Literal["faster", "slower", "higher", "lower", "equivalent", "inconclusive", "not comparable"]
THRESHOLD, SHARE_THRESHOLD = 0.05, 0.02
RUNS = 5  # a side: with fewer the noise of runs is hardly known
_LOSSLESS = "lossless"
_ALONE = f"one session a side does not tell how much runs differ by chance; measure {RUNS} of each, in turns"


@dataclass(frozen=True)
class Gate:
    """Fails when `measure` changed by more than `limit` in its direction; `lossless` when a method's output differs."""

    text: str
    measure: str
    limit: float


def gate(text: str) -> Gate:
    """`decode_speed<-5%`, `step_seconds>5%`, `acceptance<-0.02` or `lossless`."""
    if text.strip() == _LOSSLESS:
        return Gate(_LOSSLESS, _LOSSLESS, 0)
    found = re.fullmatch(r"\s*([a-z_]+)\s*([<>])\s*([+-]?\d+(?:\.\d+)?)\s*(%?)\s*", text)
    if found is None:
        raise InputError(f"{text!r} is no condition", hint="write it as 'decode_speed<-5%', or as lossless")
    name, sign, number, per_cent = found.groups()
    if name not in MEASURES:
        raise InputError(f"there is no measure {name!r}", hint=did_you_mean(name, [*MEASURES, _LOSSLESS]))
    limit = float(number) / (100 if per_cent else 1)
    if limit == 0 or (limit < 0) != (sign == "<") or abs(limit) >= 1:
        raise InputError(f"{text!r} is no change for the worse", hint="a loss is written <-5%, a rise >5%")
    return Gate(text.strip(), name, limit)


@dataclass(frozen=True)
class Change:
    """One measure of one contender in one category (None: all). Relative ends are fractions: -0.05 is 5 % less.

    `floor`: what alike sides stay below; `detectable`: the least that is found with a power of 80 %. `needed`: runs a
    side and prompts that would decide, by the noise that was seen. `cause`: what a slower or faster decode comes from.
    `runs`: one value a session.
    """

    measure: str
    contender: str
    category: str | None
    temperature: float
    fill: int | None
    prompts: int
    verdict: Verdict
    reason: str
    threshold: float
    base: float | None = None
    new: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    floor: float | None = None
    detectable: float | None = None
    needed: tuple[int, int] | None = None
    cause: str | None = None
    runs: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())


@dataclass(frozen=True)
class GateResult:
    """`where`: the places that decided it, in words."""

    gate: str
    outcome: Literal["passed", "failed", "inconclusive"]
    where: tuple[str, ...]


@dataclass(frozen=True)
class Regression:
    """All that follows from runs against runs."""

    base: tuple[str, ...]
    new: tuple[str, ...]
    changes: tuple[Change, ...]
    gates: tuple[GateResult, ...]
    differences: tuple[Difference, ...]
    across: tuple[Kind, ...]
    family: int
    notes: tuple[str, ...]

    @property
    def exit_status(self) -> int:
        """0 every gate passed, 1 one failed, 5 none failed and one is inconclusive."""
        outcomes = {gate.outcome for gate in self.gates}
        return 1 if "failed" in outcomes else 5 if "inconclusive" in outcomes else 0


def regression(
    base: Sequence[Measured],
    new: Sequence[Measured],
    *,
    gates: Sequence[Gate] = (),
    across: Sequence[Kind] = (),
    threshold: float | None = None,
) -> Regression:
    """BASE against NEW, for the measures of the gates (decode speed without any).

    InputError for runs that do not belong together. A claim needs Holm's p value below 5 % over all places and measures
    and a change above the threshold.
    """
    if not set.intersection(*({c.name for c in run.plan.contenders} for run in (*base, *new))):
        raise InputError("no contender is in all of these runs", hint="measure the same methods on both sides")
    differing = conditions.differences(base, new)
    if refused := [d for d in differing if d.kind is not None and d.kind not in across]:
        first = refused[0]
        raise InputError(
            f"these runs cannot be compared: {first.what} is {first.base} in BASE and {first.new} in NEW"
            + (f" (and {len(refused) - 1} more differences)" if len(refused) > 1 else ""),
            hint=f"measure both sides alike, or say --across {first.kind} if that is what you compare",
        )
    measures = list(dict.fromkeys(g.measure for g in gates if g.measure in MEASURES)) or ["decode_speed"]
    found = sides(base, new)
    changes: list[Change] = []
    for name in measures:
        asked = [abs(g.limit) for g in gates if g.measure == name]
        limit = min(asked, default=threshold or (THRESHOLD if MEASURES[name].relative else SHARE_THRESHOLD))
        changes += _changes(name, found, limit)
    judged = [_attributed(change, found) for change in _judged(changes)]
    return Regression(
        base=tuple(run.name for run in base),
        new=tuple(run.name for run in new),
        changes=tuple(judged),
        gates=tuple(_lossless(new) if g.measure == _LOSSLESS else _outcome(g, judged) for g in gates),
        differences=tuple(differing),
        across=tuple(kind for kind in across if any(d.kind == kind for d in differing)),
        family=sum(change.p is not None for change in judged),
        notes=tuple(_notes(base, new, found)),
    )


def judged(
    base: Sequence[Measured],
    new: Sequence[Measured],
    *,
    fail_on: Sequence[str],
    across: Sequence[str],
    threshold: float | None,
) -> Regression:
    """`regression` with the words of a user. InputError for those that mean nothing."""
    kinds: list[Kind] = []
    for word in across:
        if word not in conditions.KINDS:
            raise InputError(f"--across {word} is unknown", hint=did_you_mean(word, conditions.KINDS))
        kinds.append(next(kind for kind in conditions.KINDS if kind == word))
    if threshold is not None and not 0 < threshold < 1:
        raise InputError(f"a threshold of {threshold:g} is no share", hint="write 5 % as 0.05")
    if not base or not new:
        raise InputError("one side has no runs", hint="give BASE and NEW")
    gates = [gate(text) for text in fail_on]
    return regression(base, new, gates=gates, across=kinds, threshold=threshold)


def _changes(name: str, both: Sides, limit: float) -> Iterator[Change]:
    """Effects of one measure; the noise of runs is learnt from all contenders, by category and over all of them.

    A contender that is noisier than the rest is judged by its own.
    """
    measure = MEASURES[name]
    values = {place: both.values(measure, place) for place in both.places}
    timed = {place: v for place, v in values.items() if isinstance(v, tuple)}

    def noise(*, overall: bool, contender: str | None = None) -> Floor | None:
        mine = (p for p in timed if (p.category is None) == overall and contender in (None, p.contender))
        return _noise(measure, [timed[p] for p in mine])

    pooled = {level: noise(overall=level) for level in (False, True)}
    for place, found in values.items():
        change = Change(name, *place, prompts=0, verdict="not comparable", reason="", threshold=limit)
        if isinstance(found, str):
            yield replace(change, reason=found)
        elif found is not None:
            overall = place.category is None
            known = [n for n in (pooled[overall], noise(overall=overall, contender=place.contender)) if n is not None]
            yield _effect(change, measure, found, max(known, key=lambda n: n.variance, default=None))


def _noise(measure: Measure, values: Sequence[tuple[Array, Array]]) -> Floor | None:
    groups: dict[tuple[int, int], list[Array]] = defaultdict(list)
    for pair in values:
        for side, starts in enumerate(pair):
            for number, contrast in enumerate(crossed.contrasts(starts)):
                groups[side, number].append(contrast)
    learnt = crossed.floor(list(groups.values()))
    return Floor(0.0, 0.0, 1.0) if learnt is None and measure.counted else learnt


def _effect(change: Change, measure: Measure, found: tuple[Array, Array], noise: Floor | None) -> Change:
    base, new = found
    prompts = base.shape[1]
    shown = exp if measure.relative else float
    scaled = expm1 if measure.relative else float
    middle = [float(side.mean()) for side in found]
    change = replace(
        change,
        prompts=prompts,
        verdict="inconclusive",
        base=shown(middle[0]),
        new=shown(middle[1]),
        change=scaled(middle[1] - middle[0]),
        runs=(tuple(map(shown, base.mean(axis=1))), tuple(map(shown, new.mean(axis=1)))),
    )
    if measure.counted and np.ptp(np.vstack(found), axis=0).max() <= ROUNDING:
        return replace(change, verdict="equivalent", reason="the same on every prompt", low=0.0, high=0.0)
    if prompts < MINIMUM:
        return replace(change, reason=f"need >= {MINIMUM} prompts for an interval at 95 %, there are {prompts}")
    if noise is None:
        return replace(change, reason=_ALONE, needed=None)
    e = crossed.effect(base, new, noise)
    within = log1p(change.threshold) if measure.relative else change.threshold
    return replace(
        change,
        low=scaled(e.low),
        high=scaled(e.high),
        p=e.p,
        floor=scaled(e.floor),
        detectable=scaled(e.detectable),
        needed=crossed.needed(e, base, new, noise, within=max(within / 2, abs(abs(e.value) - within))),
    )


def _judged(changes: Sequence[Change]) -> list[Change]:
    """With p values by Holm over all of them, and the verdicts."""
    adjusted = iter(stats.holm([change.p for change in changes if change.p is not None]))
    return [change if change.p is None else _verdict(replace(change, p=next(adjusted))) for change in changes]


def _verdict(change: Change) -> Change:
    assert change.change is not None  # noqa: S101  what has a p value has a value and an interval
    assert change.low is not None  # noqa: S101
    assert change.high is not None  # noqa: S101
    assert change.p is not None  # noqa: S101
    limit, sure = change.threshold, change.p <= ALARM
    words: tuple[Verdict, Verdict] = ("slower", "faster") if "speed" in change.measure else ("lower", "higher")
    if sure and abs(change.change) > limit:
        reason = "beyond chance (Holm) and above the threshold"
        return replace(change, verdict=words[change.change > 0], reason=reason, needed=None)
    if -limit < change.low and change.high < limit:
        return replace(change, verdict="equivalent", reason="its interval lies within the threshold", needed=None)
    if change.floor is not None and change.floor >= limit:
        size = signed(change, change.floor).lstrip("+")
        reason = f"runs that are alike differ by up to {size} here: the threshold is below it"
    elif sure:
        reason = "it changed beyond chance, but perhaps by less than the threshold"
    else:
        reason = "its interval reaches beyond the threshold"
    return replace(change, reason=reason)


# ------------------------------------------------------------------------------------------------------- attribution


def _attributed(change: Change, both: Sides) -> Change:
    """Where a change of decode speed comes from: tokens per step, the cost of a round in plain steps, a plain step."""
    if change.measure != "decode_speed" or change.verdict not in ("faster", "slower"):
        return change
    place = Place(change.contender, change.category, change.temperature, change.fill)
    steps, baseline = _log_change(both, "step_seconds", place), both.baselines.get(change.contender)
    tokens = _log_change(both, "tokens_per_step", place) if both.drafts(place) else 0.0
    plain = _log_change(both, "step_seconds", place._replace(contender=baseline)) if baseline else steps
    if tokens is None or steps is None or plain is None:
        return replace(change, cause="the engine tells no steps, so nothing more is known")
    if both.streams:
        return replace(change, cause="streams share the engine's rounds, so nothing more is known")
    parts = {"tokens per step: drafter, sampler or template": tokens}
    if baseline is None and both.drafts(place):
        parts["seconds of a round: engine build, threads, clocks, kernels or other load"] = -steps
    else:
        parts["cost of a round: kernels or overhead of drafting and verifying"] = plain - steps
        parts["plain steps, with every method: engine build, threads, clocks or other load"] = -plain
    sign = -1 if change.verdict == "slower" else 1
    most = max(parts, key=lambda part: sign * parts[part])
    told = ", ".join(f"{part.partition(':')[0]} {expm1(value) * 100:+.1f} %" for part, value in parts.items())
    return replace(change, cause=f"{most} (effect on speed: {told})")


def _log_change(both: Sides, name: str, place: Place) -> float | None:
    found = both.values(MEASURES[name], place)
    return float(found[1].mean() - found[0].mean()) if isinstance(found, tuple) else None


# -------------------------------------------------------------------------------------------------------------- gates


def _outcome(asked: Gate, changes: Sequence[Change]) -> GateResult:
    """Fails by what is worse beyond chance; passes when every interval ends before the limit."""
    mine = [change for change in changes if change.measure == asked.measure]
    worse = ("slower", "lower") if asked.limit < 0 else ("faster", "higher")
    broken = [c for c in mine if c.verdict in worse and abs(c.change or 0) > abs(asked.limit)]
    if broken:
        return GateResult(asked.text, "failed", tuple(map(describe, broken)))
    open_ = [c for c in mine if not _safe(c, asked.limit)]
    if open_ or not mine:
        return GateResult(asked.text, "inconclusive", tuple(map(describe, open_)) or ("nothing to compare",))
    return GateResult(asked.text, "passed", ())


def _safe(change: Change, limit: float) -> bool:
    end = change.low if limit < 0 else change.high
    return end is not None and (end > limit if limit < 0 else end < limit)


def place_of(change: Change) -> str:
    """The category and its fill."""
    return " ".join(str(part) for part in (change.category or "all", change.fill) if part is not None)


def describe(change: Change) -> str:
    """One line: where, how much, why, and what would decide."""
    at = f", temperature {change.temperature:g}" if change.temperature else ""
    size = "" if change.change is None else f"{signed(change, change.change)}, "
    if change.low is not None and change.high is not None:
        size = f"{size[:-2]} ({signed(change, change.low)} to {signed(change, change.high)}), "
    cause = "" if change.cause is None else f"; {change.cause}"
    return f"{change.contender} {place_of(change)}{at}: {size}{change.verdict}: {change.reason}{cause}{needed(change)}"


def needed(change: Change) -> str:
    """The size of a rerun that would decide, in words; empty where the reason says what is lacking."""
    if change.verdict != "inconclusive" or change.low is None:
        return ""
    if change.needed is not None:
        return f"; {change.needed[0]} runs a side, in turns, over {change.needed[1]} prompts would decide"
    help_ = "take more prompts" if MEASURES[change.measure].counted else "find a quieter machine"
    return f"; no run of up to 30 a side would decide: {help_}"


def signed(change: Change, value: float) -> str:
    """A difference with its sign: per cent where the measure is relative."""
    return f"{value * 100:+.1f} %" if MEASURES[change.measure].relative else f"{value:+.3f}"


def _lossless(new: Sequence[Measured]) -> GateResult:
    """Whether every method's greedy output in NEW is its baseline's."""
    found = [
        (run.name, row)
        for run in new
        for row in comparison.compare(run.plan, run.results, machine=run.machine).rows
        if row.baseline is not None and row.temperature == 0 and row.lossless is not None
    ]
    if broken := [(name, row) for name, row in found if row.lossless is not None and row.lossless.kind == "diverged"]:
        where = tuple(
            f"{row.contender} {row.category}{'' if row.fill is None else f' {row.fill}'}: other output than "
            f"{row.baseline} in {name}"
            for name, row in broken
        )
        return GateResult(_LOSSLESS, "failed", where)
    judged = {(name, row.contender) for name, row in found if row.lossless and row.lossless.kind != "not judged"}
    asked = {
        (run.name, t.contender)
        for run in new
        for baseline in [{c.name: c.baseline for c in run.plan.contenders if not c.synthetic}]
        for block in run.plan.blocks
        for t in block.trials
        if t.role == "measured" and t.temperature == 0 and baseline.get(t.contender) is not None
    }
    silent = tuple(
        f"{contender}: no greedy output of it could be judged in {name}" for name, contender in sorted(asked - judged)
    )
    if silent or not judged:
        return GateResult(_LOSSLESS, "inconclusive", silent or ("no greedy output of a method could be judged",))
    return GateResult(_LOSSLESS, "passed", ())


# -------------------------------------------------------------------------------------------------------------- notes


def _notes(base: Sequence[Measured], new: Sequence[Measured], both: Sides) -> Iterator[str]:
    for side, runs, sessions in (("BASE", base, both.sessions[0]), ("NEW", new, both.sessions[1])):
        if len(sessions) < len(runs):
            yield f"the {len(runs)} runs of {side} are {len(sessions)} session(s): runs in a row count as one"
    busy = [run.name for run in (*base, *new) if _busy(run)]
    if busy:
        yield f"the machine was busy with more than it has cores in {len(busy)} of {len(base) + len(new)} runs"
    for side, number in (("BASE", 0), ("NEW", 1)):
        failed = {p: counts[number] for p, counts in both.failed.items() if p.category is not None and counts[number]}
        if failed:
            names = ", ".join(f"{p.contender} {p.category}" for p in failed)
            yield f"{sum(failed.values())} trials failed in {side} and take no part: {names}"
    if both.streams:
        yield "decode speed is the output of all streams over their wall time, prefill included"
    same, compared = conditions.same_output(base, new)
    if compared:
        yield f"{same} of {compared} greedy outputs are the same in both (first runs)"


def _busy(run: Measured) -> bool:
    """By the median of the load before each trial, which knows of this benchmark too."""
    loads = [r.load_average for r in run.results if isinstance(r, Generation) and r.load_average is not None]
    cores = run.machine.cores_logical
    return bool(loads) and cores is not None and median(loads) > 1.5 * cores
