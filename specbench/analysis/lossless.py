"""Is a method's greedy output that of the baseline? With the baseline, run twice, as the floor."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from specbench.records import Generation

Kind = Literal["identical", "tie flips", "late divergence", "diverged", "engine not deterministic", "not judged"]

TIE = 0.01  # nats between the two likeliest tokens: below it, the order of additions decides
LATE = 16  # tokens; rounding needs a near-tie first, a broken method does not wait for one
UNLIKELY = 0.01
EXACT = frozenset({"F32", "F16", "BF16"})  # weights for which batch size 1 and batch size k are held to the same tokens


@dataclass(frozen=True)
class Lossless:
    """Greedy outputs against the baseline's, counted in trials; `first` counts from 0.

    `control_judged` and `control_differing` are the baseline against itself. `exact` is False for quantised or unknown
    weights, where a late divergence comes from other kernels for larger batches and is no fault of the method.
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

    @property
    def diverged(self) -> int:
        return self.judged - self.identical - self.tie_flips

    @property
    def kind(self) -> Kind:
        if not self.judged:
            return "not judged"
        if self.diverged and self.control_differing and self._explained_by_control():
            return "engine not deterministic"
        if self.diverged:
            return "late divergence" if not self.exact and (self.first or 0) >= LATE else "diverged"
        return "tie flips" if self.tie_flips else "identical"

    def _explained_by_control(self) -> bool:
        """Whether so many differences are likely at the rate at which the baseline differs from itself (binomial tail).

        The rate is (k + 1) / (n + 2), Laplace's estimate from n controls of which k differ.
        """
        from scipy.special import bdtrc  # noqa: PLC0415  0.3 s; most runs do not ask

        rate = (self.control_differing + 1) / (self.control_judged + 2)
        return float(bdtrc(self.diverged - 1, self.judged, rate)) >= UNLIKELY


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


def floor(generations: Iterable[Generation]) -> tuple[int, int]:
    """Greedy runs of one contender that repeat an earlier one (controls, repeats), and how many of them differ."""
    seen: dict[tuple[str, int | None], tuple[int, ...]] = {}
    again = differing = 0
    for g in generations:
        if g.trial.temperature > 0 or g.output_ids is None:
            continue
        expected = seen.setdefault((g.trial.prompt, g.trial.fill), g.output_ids)
        if expected is not g.output_ids:
            again += 1
            differing += expected != g.output_ids
    return again, differing


def of_baseline(here: tuple[int, int], everywhere: tuple[int, int]) -> Lossless:
    """The baseline judged against itself, from the floors of one cell and of all."""
    return Lossless(here[0], here[0] - here[1], control_judged=everywhere[0], control_differing=everywhere[1])


def judge(
    generations: Iterable[Generation], reference: dict[str, Reference], *, quant: str | None, floor: tuple[int, int]
) -> Lossless:
    """Sampled output and output without ids is not judged. `floor`: control runs judged, and those that differ."""
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
        exact=(quant or "").upper() in EXACT,
        control_judged=floor[0],
        control_differing=floor[1],
        diverged_prompts=tuple(dict.fromkeys(prompt for _, prompt in diverged)),
        tie_prompts=tuple(dict.fromkeys(ties)),
    )


def merge(parts: Iterable[Lossless]) -> Lossless | None:
    """All categories of one contender in one judgement."""
    all_parts = list(parts)
    if not all_parts:
        return None
    return Lossless(
        judged=sum(p.judged for p in all_parts),
        identical=sum(p.identical for p in all_parts),
        tie_flips=sum(p.tie_flips for p in all_parts),
        first=min((p.first for p in all_parts if p.first is not None), default=None),
        exact=all(p.exact for p in all_parts),
        control_judged=max(p.control_judged for p in all_parts),
        control_differing=max(p.control_differing for p in all_parts),
        diverged_prompts=tuple(prompt for p in all_parts for prompt in p.diverged_prompts),
        tie_prompts=tuple(prompt for p in all_parts for prompt in p.tie_prompts),
    )


def first_difference(one: Sequence[int], other: Sequence[int]) -> int:
    """Index of the first token that differs; the shorter length when one is a prefix of the other."""
    for i, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return i
    return min(len(one), len(other))
