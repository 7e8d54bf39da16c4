"""Statistics on plain lists. This module does not know what a benchmark is.

With five to ten entries every bootstrap interval is too narrow: in simulation (docs/compare.md) BCa intervals that
claim 95 % hold the truth in 79 to 92 % of cases. What is used instead holds it in 93 to 97 %, on a scale on which the
value is about normal: Student's interval for means, the same with the spread from leaving out one entry at a time for
ratios of sums, and for shares the exact beta interval of as many independent draws as that spread amounts to (Korn and
Graubard, Survey Methodology 24, 1998).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

MINIMUM = 5  # with fewer the spread is hardly known, and no interval is claimed
RESAMPLES = 2000
ALARM = 0.05  # how often a difference may be claimed where there is none
ROUNDING = 1e-12  # a spread below it is that of floats

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value over `n` entries and its interval; without an interval, `reason` says why."""

    value: float
    low: float | None
    high: float | None
    n: int
    reason: str | None = None

    def inverse(self) -> "Estimate":
        """Of 1 / value; the ends of the interval change places. For positive values."""
        low, high = (None if end is None else 1 / end for end in (self.high, self.low))
        return Estimate(1 / self.value, low, high, self.n, self.reason)


def geometric_mean(
    ratios: Sequence[float], *, weights: Sequence[float] | None = None, looks: int = 1
) -> Estimate | None:
    """Geometric mean of positive ratios with Student's interval of their logarithms. None for an empty list.

    `weights` are equal by default; unequal ones are worth fewer entries (Kish 1965). `looks`: how often one may look at
    the interval while entries come in, and stop; it then holds for all looks together (Bonferroni).
    """
    if not ratios:
        return None
    logs = np.log(np.asarray(ratios, dtype=np.float64))
    mean = float(np.average(logs, weights=weights))
    share = np.asarray(weights or [1.0] * len(ratios)) / (sum(weights) if weights else len(ratios))
    alike = float(share @ share)
    if len(ratios) < MINIMUM:
        return _refused(exp(mean), len(ratios))
    error = sqrt(float(share**2 @ (logs - mean) ** 2) / (1 - alike))
    factor = exp(half_width(error, 1 / alike - 1, looks=looks))
    return Estimate(exp(mean), exp(mean) / factor, exp(mean) * factor, len(ratios))


def ratio_of_sums(
    pairs: Sequence[tuple[float, float]], *, interval: bool = True, share: bool = False, looks: int = 1
) -> Estimate | None:
    """Sum of the first parts / sum of the second; None if the second sum is 0.

    `share`: a count out of a count, which lies between 0 and 1; any other value is positive, or has no interval.
    `looks` as for the geometric mean.
    """
    kept = [pair for pair in pairs if pair[1] > 0]
    if not kept:
        return None
    above, below = np.asarray(kept, dtype=np.float64).T
    value, n = float(above.sum() / below.sum()), len(kept)
    if not interval:
        return Estimate(value, None, None, n, "not asked for")
    if n < MINIMUM:
        return _refused(value, n)
    rest = below.sum() - below
    without = (above.sum() - above) / rest if rest.min() > 0 else np.zeros(n)
    if share and 0 <= value <= 1 and rest.min() > 0:  # what is no share was counted wrong
        return Estimate(value, *_beta_interval(value, float(below.sum()), _jackknife(without), n, looks), n)
    if without.min() <= 0:
        return Estimate(value, None, None, n, "a prompt alone makes the sum")
    factor = exp(half_width(_jackknife(np.log(without)), n - 1, looks=looks))
    return Estimate(value, value / factor, value * factor, n)


def _jackknife(without: Array) -> float:
    """Standard error from the values that leave one entry out."""
    return float(np.sqrt((len(without) - 1) * without.var()))


def _beta_interval(value: float, draws: float, error: float, n: int, looks: int) -> tuple[float, float]:
    """Clopper and Pearson's interval of the number of independent draws that has this standard error."""
    from scipy.special import betaincinv  # noqa: PLC0415  0.3 s; commands that compute nothing do not wait for it

    alike = min(draws, value * (1 - value) / error**2) if error > 0 else draws
    tail = ALARM / 2 / looks
    alike *= (student_quantile(1 - tail, draws) / student_quantile(1 - tail, n - 1)) ** 2
    hits, misses = value * alike, (1 - value) * alike
    low = float(betaincinv(hits, misses + 1, tail)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, misses, 1 - tail)) if misses > 0 else 1.0
    return low, high


def ratio_of_medians(above: Sequence[float], below: Sequence[float], *, seed: int) -> Estimate:
    """Median of one list / median of another; the interval resamples both. Neither may be empty.

    Its percentiles are widened as Hesterberg proposes (arXiv 1411.5279, "expanded percentile").
    """
    sides = [np.asarray(side, dtype=np.float64) for side in (above, below)]
    value, n = float(np.median(sides[0]) / np.median(sides[1])), min(len(above), len(below))
    if n < MINIMUM:
        return _refused(value, n)
    dice = np.random.default_rng(seed)
    medians = [np.median(dice.choice(side, (RESAMPLES, len(side))), axis=1) for side in sides]
    tail = NormalDist().cdf(-sqrt(n / (n - 1)) * student_quantile(1 - ALARM / 2, n - 1))
    low, high = np.quantile(medians[0] / medians[1], (tail, 1 - tail))
    return Estimate(value, min(value, float(low)), max(value, float(high)), n)


def geometric_average(values: Sequence[float]) -> float:
    """Mean in log space, of positive values."""
    return exp(sum(map(log, values)) / len(values)) if len(values) > 1 else values[0]


def p_value(e: Estimate) -> float | None:
    """Of a geometric mean: how likely so large a difference from 1 is where there is none. None without an interval."""
    if e.low is None or e.high is None:
        return None
    error = log(e.high / e.low) / 2 / student_quantile(1 - ALARM / 2, e.n - 1)
    return two_sided(log(e.value), error, e.n - 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted so that among all of them a false claim at ALARM is no more likely than ALARM (Holm 1979)."""
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = least
    return adjusted


def two_sided(difference: float, error: float, degrees: float) -> float:
    """Student's p value; an error of 0 leaves no doubt."""
    from scipy.special import stdtr  # noqa: PLC0415  as above

    if error <= ROUNDING:
        return 1.0 if abs(difference) <= ROUNDING else 0.0
    return 2 * float(stdtr(degrees, -abs(difference) / error))


def half_width(error: float, degrees: float, *, looks: int = 1) -> float:
    """Of Student's interval."""
    return error * student_quantile(1 - ALARM / 2 / looks, degrees) if error > ROUNDING else 0.0


def student_quantile(p: float, degrees: float) -> float:
    """Of Student's distribution; fractional degrees of freedom are allowed."""
    from scipy.special import stdtrit  # noqa: PLC0415  as above

    return float(stdtrit(degrees, p))


def _refused(value: float, n: int) -> Estimate:
    return Estimate(value, None, None, n, f"need >= {MINIMUM} prompts for an interval at 95 %, there are {n}")
