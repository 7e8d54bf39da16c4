"""Statistics on plain lists. This module does not know what a benchmark is.

Intervals are bootstrap percentile intervals over the entries of the list. With few entries the plain percentile
interval is too narrow; the percentiles are therefore widened as Hesterberg proposes (What Teachers Should Know About
the Bootstrap, arXiv 1411.5279, "expanded percentile"): Student's quantile times sqrt(n/(n-1)) replaces the normal one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

MINIMUM = 5  # fewer than this have too few different resamples (5 have 126) for a 95 % interval
RESAMPLES = 2000
CONFIDENCE = 0.95
_CELLS = 1 << 20  # entries drawn at once, so that a long list does not need 2,000 times its size

_Array = NDArray[np.float64]


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


def geometric_mean(ratios: Sequence[float], *, seed: int) -> Estimate | None:
    """Geometric mean of positive ratios, with an interval from resampling them. None for an empty list."""
    if not ratios:
        return None
    logs = np.log(np.asarray(ratios, dtype=np.float64))
    value = float(np.exp(logs.mean()))
    if len(ratios) < MINIMUM:
        return _refused(value, len(ratios))
    means = _resampled_sums(logs[:, None], seed)[:, 0] / len(ratios)
    low, high = _percentiles(means, len(ratios))
    return Estimate(value, min(value, float(np.exp(low))), max(value, float(np.exp(high))), len(ratios))


def ratio_of_sums(pairs: Sequence[tuple[float, float]], *, seed: int, interval: bool = True) -> Estimate | None:
    """Sum of the first parts / sum of the second; the interval resamples pairs. None if the second sum is 0."""
    kept = [pair for pair in pairs if pair[1] > 0]
    if not kept:
        return None
    value = sum(a for a, _ in kept) / sum(b for _, b in kept)
    if not interval:
        return Estimate(value, None, None, len(kept), "not asked for")
    if len(kept) < MINIMUM:
        return _refused(value, len(kept))
    sums = _resampled_sums(np.asarray(kept, dtype=np.float64), seed)
    low, high = _percentiles(sums[:, 0] / sums[:, 1], len(kept))
    return Estimate(value, min(value, low), max(value, high), len(kept))


def ratio_of_medians(above: Sequence[float], below: Sequence[float], *, seed: int) -> Estimate:
    """Median of one list / median of another; the interval resamples both. Neither may be empty."""
    sides = [np.asarray(side, dtype=np.float64) for side in (above, below)]
    value, n = float(np.median(sides[0]) / np.median(sides[1])), min(len(above), len(below))
    if n < MINIMUM:
        return _refused(value, n)
    dice = np.random.default_rng(seed)
    medians = [np.median(dice.choice(side, (RESAMPLES, len(side))), axis=1) for side in sides]
    low, high = _percentiles(medians[0] / medians[1], n)
    return Estimate(value, min(value, low), max(value, high), n)


def geometric_average(values: Sequence[float]) -> float:
    """Mean in log space, of positive values."""
    return exp(sum(log(value) for value in values) / len(values)) if len(values) > 1 else values[0]


def _refused(value: float, n: int) -> Estimate:
    return Estimate(value, None, None, n, f"need >= {MINIMUM} prompts for an interval, there are {n}")


def _resampled_sums(columns: _Array, seed: int) -> _Array:
    """(n, m) -> (RESAMPLES, m): column sums of resamples of the rows, drawn with replacement."""
    size = max(1, _CELLS // len(columns))
    starts = range(0, RESAMPLES, size)
    return np.concatenate([_times_drawn(len(columns), min(size, RESAMPLES - s), seed + s) @ columns for s in starts])


@lru_cache(maxsize=8)  # most lists of one comparison have the same length
def _times_drawn(n: int, resamples: int, seed: int) -> _Array:
    """(resamples, n): how often each row is drawn."""
    drawn = np.random.default_rng(seed).integers(0, n, size=(resamples, n))
    drawn += n * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * n).reshape(resamples, n).astype(np.float64)


def _percentiles(replicates: _Array, n: int) -> tuple[float, float]:
    tail = NormalDist().cdf(-sqrt(n / (n - 1)) * student_quantile((1 + CONFIDENCE) / 2, n - 1))
    low, high = np.quantile(replicates, (tail, 1 - tail))
    return float(low), float(high)


def student_quantile(p: float, degrees: int) -> float:
    """By the Cornish-Fisher series (Abramowitz and Stegun 26.7.5); within 0.5 % from 4 degrees of freedom on."""
    z = NormalDist().inv_cdf(p)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / float(degrees) ** power for power, term in enumerate(terms, start=1))
