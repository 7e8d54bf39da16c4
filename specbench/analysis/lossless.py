"""Is a method's greedy output that of the baseline? With the baseline, run twice, as the floor."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal, NamedTuple, get_args

from specbench.analysis.stats import MINIMUM
from specbench.records import Generation

Kind = Literal["diverged", "late divergence", "engine not deterministic", "tie flips", "identical", "not judged"]

TIE = 0.01  # nats between the two likeliest tokens: below it, the order of additions decides
LATE = 16  # tokens; rounding needs a near-tie first, a broken method does not wait for one
UNLIKELY = 1 / 80  # six that diverge before the first of three controls are less likely
EXACT = frozenset({"F32", "F16", "BF16"})  # weights for which batch size 1 and batch size k are held to the same tokens


class Floor(NamedTuple):
    """The baseline against itself: runs judged, those that differ, the earliest token (from 0) at which one does."""

    judged: int = 0
    differing: int = 0
    first: int | None = None


@dataclass(frozen=True)
class Lossless:
    """Greedy outputs against the baseline's, counted in trials; `first` counts from 0 and is None if none diverged.

    `control_judged` and `control_differing` are the baseline against itself in the same cells. `exact` is False for
    quantised or unknown weights, where a late divergence comes from other kernels for larger batches and is no fault of
    the method.
    """

    judged: int = 0
    identical: int = 0
    tie_flips: int = 0
    first: int | None = None
    exact: bool = False
    control_judged: int = 0
    control_differing: int = 0
    diverged_prompts: tuple[str, ...] = ()
    tie_prompts: tuple[str, ...] = ()
    kind: Kind = "not judged"

    @property
    def diverged(self) -> int:
        return self.judged - self.identical - self.tie_flips


def _kind(diverged: Sequence[int], judged: int, *, ties: bool, exact: bool, here: Floor, everywhere: Floor) -> Kind:
    """`diverged`: the token at which each output does that is no tie flip.

    The engine's own are as many as the controls of the cell or of all cells lead to expect, and come no earlier than
    chance brings them about. Neither is so in 2 to 13 % of simulated runs of 8 categories in which method and baseline
    diverge alike, and in 95 % and more of those in which all output of one category is wrong from its first token.
    """
    if not diverged:
        return "not judged" if not judged else "tie flips" if ties else "identical"
    floors = [here, everywhere] if here.judged >= MINIMUM else [everywhere]
    steady = floors[0] is here and not here.differing  # where it repeats itself, others do not excuse a method
    told = floors[:1] if steady else floors
    as_many = everywhere.differing > 0 and any(_likely(len(diverged), judged, floor) for floor in told)
    if as_many and all(_order(diverged, floor) >= UNLIKELY for floor in floors):
        return "engine not deterministic"
    return "late divergence" if min(diverged) >= LATE and not exact else "diverged"


def _order(diverged: Sequence[int], floor: Floor) -> float:
    """How likely it is that so many of all divergences come before the first control's, if all are of one kind."""
    earlier = sum(floor.first is not None and at < floor.first for at in diverged)
    pooled = len(diverged) + floor.differing
    return prod((len(diverged) - i) / (pooled - i) for i in range(earlier))


def _likely(differing: int, judged: int, floor: Floor) -> bool:
    """Whether so many differences are likely at the rate at which the baseline differs from itself (binomial tail).

    The rate is (k + 1) / (n + 2), Laplace's estimate from n controls of which k differ.
    """
    from scipy.special import bdtrc  # noqa: PLC0415  0.3 s; most runs do not ask

    return float(bdtrc(differing - 1, judged, (floor.differing + 1) / (floor.judged + 2))) >= UNLIKELY


@dataclass(frozen=True)
class Reference:
    """The baseline's output for one prompt, and the gaps in nats between its two likeliest tokens, where recorded."""

    ids: tuple[int, ...]
    gaps: Sequence[float | None]


def references(measured: Iterable[Generation], controls: Iterable[Generation]) -> dict[str, Reference]:
    """By prompt: the first greedy output of the baseline, with the gaps of the control if it has them.

    The gaps hold as far as the control has the same text before them.
    """
    seen = {g.trial.prompt: g for g in controls if g.top_two_gaps}
    found: dict[str, Reference] = {}
    for g in measured:
        if g.output_ids is not None and g.trial.prompt not in found:
            control = seen.get(g.trial.prompt, g)
            same = first_difference(control.output_ids or (), g.output_ids)
            found[g.trial.prompt] = Reference(g.output_ids, (control.top_two_gaps or ())[: same + 1])
    return found


def floor(generations: Iterable[Generation]) -> Floor:
    """Greedy runs of one contender that repeat an earlier one: controls, repeats."""
    seen: dict[tuple[str, int | None], tuple[int, ...]] = {}
    again, diverged = 0, []
    for g in generations:
        if g.trial.temperature > 0 or g.output_ids is None:
            continue
        expected = seen.setdefault((g.trial.prompt, g.trial.fill), g.output_ids)
        if expected is not g.output_ids:
            again += 1
            if expected != g.output_ids:
                diverged.append(first_difference(expected, g.output_ids))
    return Floor(again, len(diverged), min(diverged, default=None))


def of_baseline(here: Floor) -> Lossless:
    """The baseline judged against itself."""
    judged, differing, first = here
    kind: Kind = "engine not deterministic" if differing else "identical" if judged else "not judged"
    return Lossless(judged, judged - differing, 0, first, control_judged=judged, control_differing=differing, kind=kind)


def judge(
    generations: Iterable[Generation],
    reference: dict[str, Reference],
    *,
    quant: str | None,
    here: Floor,
    everywhere: Floor,
) -> Lossless:
    """Sampled output and output without ids is not judged. `here`: controls of the same cell, `everywhere`: of all."""
    exact = (quant or "").upper() in EXACT
    judged = identical = 0
    diverged: list[tuple[int, str]] = []
    ties: list[str] = []
    for g in generations:
        expected = reference.get(g.trial.prompt)
        if g.trial.temperature > 0 or g.output_ids is None or expected is None:
            continue
        judged += 1
        if g.output_ids == expected.ids:
            identical += 1
            continue
        at = first_difference(g.output_ids, expected.ids)
        gap = expected.gaps[at] if at < len(expected.gaps) else None
        if gap is not None and gap < TIE:
            ties.append(g.trial.prompt)
        else:
            diverged.append((at, g.trial.prompt))
    return Lossless(
        judged=judged,
        identical=identical,
        tie_flips=len(ties),
        first=min(diverged)[0] if diverged else None,
        exact=exact,
        control_judged=here.judged,
        control_differing=here.differing,
        diverged_prompts=tuple(dict.fromkeys(prompt for _, prompt in diverged)),
        tie_prompts=tuple(dict.fromkeys(ties)),
        kind=_kind([at for at, _ in diverged], judged, ties=bool(ties), exact=exact, here=here, everywhere=everywhere),
    )


def merge(parts: Iterable[Lossless]) -> Lossless | None:
    """All categories of one contender in one judgement: the worst, and the first token of those that have it."""
    all_parts = list(parts)
    if not all_parts:
        return None
    worst: Kind = min((p.kind for p in all_parts), key=get_args(Kind).index)
    return Lossless(
        judged=sum(p.judged for p in all_parts),
        identical=sum(p.identical for p in all_parts),
        tie_flips=sum(p.tie_flips for p in all_parts),
        first=min((p.first for p in all_parts if p.kind == worst and p.first is not None), default=None),
        exact=all(p.exact for p in all_parts),
        control_judged=sum(p.control_judged for p in all_parts),
        control_differing=sum(p.control_differing for p in all_parts),
        diverged_prompts=tuple(prompt for p in all_parts for prompt in p.diverged_prompts),
        tie_prompts=tuple(prompt for p in all_parts for prompt in p.tie_prompts),
        kind=worst,
    )


def first_difference(one: Sequence[int], other: Sequence[int]) -> int:
    """Index of the first token that differs; the shorter length when one is a prefix of the other."""
    for i, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return i
    return min(len(one), len(other))
