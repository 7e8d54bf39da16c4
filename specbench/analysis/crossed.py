"""Two sides of several starts each, all on the same prompts. Starts and prompts are both drawn by chance, and crossed.

What a start brings (where memory lies, who else uses the machine, how warm it is) is the same for all of its prompts:
more prompts do not average it away. Its variance is learnt from starts that are alike, and added to what prompts do
(the analysis of crossed random factors; Westfall, Kenny and Judd, J. Exp. Psychol. General 143, 2014).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import inf, sqrt

from specbench.analysis.stats import ALARM, Array, half_width, student_quantile, two_sided

POWER = 0.8  # with which a smallest detectable difference is detected
_STARTS, _PROMPTS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30), (1, 2, 4, 8)


@dataclass(frozen=True)
class Floor:
    """How much one start's mean over prompts varies by chance. `trials` is the part that single trials bring to it."""

    variance: float
    trials: float
    degrees: float


@dataclass(frozen=True)
class Effect:
    """NEW less BASE with its 95 % interval and p value.

    `detectable`: the least that is found with a power of 80 %. `floor`: what alike sides stay below 95 times in 100.
    """

    value: float
    low: float
    high: float
    p: float
    detectable: float
    floor: float
    prompts: int


def contrasts(starts: Array) -> list[Array]:
    """Of alike starts (rows) by prompt (columns): independent rows about 0 that vary as one start does."""
    return [(starts[:k].mean(axis=0) - starts[k]) * sqrt(k / (k + 1)) for k in range(1, len(starts))]


def floor(alike: Sequence[Sequence[Array]]) -> Floor | None:
    """From contrasts: one list for each pair of starts, with an array over prompts for each cell. None without any.

    Cells of one start may share what it brings; the degrees of freedom are Satterthwaite's of the shared and the own.
    """
    groups = [[(float(x.mean()), float(x.var(ddof=1)) / len(x)) for x in cells if len(x) > 1] for cells in alike]
    groups = [group for group in groups if group]
    if not groups:
        return None
    n, cells = len(groups), sum(map(len, groups))
    each = cells / n
    centres = [sum(mean for mean, _ in group) / len(group) for group in groups]
    shared = sum(len(group) * centre**2 for group, centre in zip(groups, centres, strict=True)) / n
    own = sum((mean - centre) ** 2 for group, centre in zip(groups, centres, strict=True) for mean, _ in group)
    parts = [(shared / each, n)] + ([(own / n / each, cells - n)] if cells > n else [])
    return Floor(
        variance=sum(part for part, _ in parts),
        trials=sum(noise for group in groups for _, noise in group) / cells,
        degrees=_satterthwaite(parts) or n,
    )


def effect(base: Array, new: Array, noise: Floor) -> Effect:
    """`base`, `new`: (starts, prompts), the same prompts, two at least."""
    differences = new.mean(axis=0) - base.mean(axis=0)
    value, prompts = float(differences.mean()), len(differences)
    error, degrees, alike = _error(
        float(differences.var(ddof=1)) / prompts, prompts, noise, 1 / len(base) + 1 / len(new)
    )
    half = max(half_width(error, degrees), alike)
    return Effect(
        value=value,
        low=value - half,
        high=value + half,
        p=two_sided(value, half / student_quantile(1 - ALARM / 2, degrees), degrees),
        detectable=half + student_quantile(POWER, degrees) * error,
        floor=alike,
        prompts=prompts,
    )


def _error(by_prompt: float, prompts: int, noise: Floor, share: float) -> tuple[float, float, float]:
    """Standard error, its degrees of freedom, and half the width that the starts alone would give."""
    by_start, trials = share * noise.variance, share * noise.trials
    variance = max(by_prompt + by_start - trials, by_prompt, by_start)
    degrees = _satterthwaite([(by_prompt, prompts - 1), (by_start, noise.degrees)], variance) or prompts - 1
    return sqrt(variance), degrees, half_width(sqrt(by_start), noise.degrees)


def needed(found: Effect, base: Array, new: Array, noise: Floor, *, within: float) -> tuple[int, int] | None:
    """Starts a side and prompts whose interval would reach at most `within`: the fewest trials that do it."""
    share = 1 / len(base) + 1 / len(new)
    differences = new.mean(axis=0) - base.mean(axis=0)
    own = max(float(differences.var(ddof=1)) - share * noise.trials * found.prompts, 0.0)
    best: tuple[float, tuple[int, int] | None] = (inf, None)
    for starts, times in product(_STARTS[noise.variance > 0 :], _PROMPTS):  # one start shows no noise
        prompts = found.prompts * times
        single = noise.trials / times  # of one start's mean over so many prompts
        more = Floor(max(noise.variance - noise.trials, 0.0) + single, single, max(2 * starts - 2, noise.degrees))
        error, degrees, alike = _error(own / prompts + 2 / starts * single, prompts, more, 2 / starts)
        if max(half_width(error, degrees), alike) <= within:
            best = min(best, (starts * prompts, (starts, prompts)))
    return best[1]


def _satterthwaite(parts: Sequence[tuple[float, float]], whole: float | None = None) -> float | None:
    """Degrees of freedom of a sum of mean squares; None when there is nothing to sum."""
    below = sum(part**2 / degrees for part, degrees in parts)
    return (sum(part for part, _ in parts) if whole is None else whole) ** 2 / below if below > 0 else None
