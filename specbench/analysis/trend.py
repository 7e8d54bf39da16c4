"""A figure over runs, and where its level changes."""

from collections.abc import Sequence
from math import exp

import numpy as np

from specbench.analysis.stats import ALARM


def change_points(values: Sequence[float]) -> list[int]:
    """Indexes at which a new level begins, by Pettitt's test on ranks (Applied Statistics 28, 1979), then in each part.

    The test needs eleven values to claim anything; a series without a change has a false one in at most 5 % of cases.
    """
    n = len(values)
    if n < 2:  # noqa: PLR2004  a change has two sides
        return []
    data = np.asarray(values, dtype=np.float64)
    signs = np.sign(data[:, None] - data[None, :]).sum(axis=1)
    sums = np.abs(np.cumsum(signs))[:-1]
    at = int(sums.argmax()) + 1
    if 2 * exp(-6 * float(sums[at - 1]) ** 2 / (n**3 + n**2)) > ALARM:
        return []
    return [*change_points(values[:at]), at, *(at + k for k in change_points(values[at:]))]
