"""Along an axis: what happens as one swept setting, the fill, the temperature or the target's quantisation changes."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log

from specbench.analysis.rows import Row, without_target
from specbench.analysis.stats import Estimate
from specbench.records import Setting

SWEPT = 3  # temperatures; two stand side by side in every table
_QUANT = re.compile(r"[-_. ]*\b((?:UD-)?I?Q\d\w*|TQ\d_\d|MXFP4\w*|NVFP4|BF16|F16|F32)$", re.IGNORECASE)  # ends a name


@dataclass(frozen=True)
class Point:
    """One measured value of the axis; the figures are those of its row."""

    value: Setting
    prompts: int
    speed: Estimate | None
    acceptance: Estimate | None
    tokens_per_step: Estimate | None
    round_cost: Estimate | None
    speedup: Estimate | None
    accepted_by_position: tuple[float, ...] | None


@dataclass(frozen=True)
class BreakEven:
    """Where the speedup is 1, on straight lines through measured points in log-log space (from 0: log-linear).

    `low` and `high` are measured values whose intervals lie on either side of 1. `falls`: the method pays below
    `value`; otherwise above it.
    """

    value: float
    falls: bool
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """One contender in one category with all but one axis fixed. Without `break_even` none lies between its points."""

    axis: str
    target: str
    label: str
    category: str | None
    temperature: float | None
    fill: int | None
    points: tuple[Point, ...]
    break_even: BreakEven | None


def curves(rows: Sequence[Row], quants: Mapping[str, str | None]) -> tuple[Curve, ...]:
    """Every axis of which a row has two values or more, each axis by itself; in the order of the rows.

    `quants` by target: files whose names differ in the quantisation at the end only are one target along `quant`.
    """
    groups: dict[tuple[str, str, str, str | None, float | None, int | None], list[Point]] = defaultdict(list)
    temperatures = len({row.temperature for row in rows})
    for row in rows:
        named = without_target(row.contender, row.target_label)
        words = named.split(" ")
        for axis, value in _values(row, words):
            label = " ".join(word for word in words if not word.startswith(f"{axis}="))
            temperature = None if axis == "temperature" else row.temperature
            fill = None if axis == "fill" else row.fill
            if axis != "temperature" or temperatures >= SWEPT:
                groups[axis, row.target_label, label, row.category, temperature, fill].append(_point(row, value))
        if quant := quant_of(row.target_label, quants.get(row.target_label)):
            key = "quant", _QUANT.sub("", row.target_label), named, row.category, row.temperature, row.fill
            groups[key].append(_point(row, quant))
    return tuple(
        Curve(*key, points=tuple(points), break_even=break_even(points))
        for key, points in sorted(groups.items(), key=lambda item: item[0][:2])
        if len(points) > 1
    )


def quant_of(target_label: str, recorded: str | None) -> str | None:
    """As the end of the target's name says, else as recorded."""
    named = _QUANT.search(target_label)
    found = named[1] if named else recorded
    return found and found.upper()


def _values(row: Row, words: Iterable[str]) -> Iterator[tuple[str, Setting]]:
    yield from ((key, row.axes[key]) for word in words for key in [word.partition("=")[0]] if key in row.axes)
    if row.fill is not None:
        yield "fill", row.fill
    yield "temperature", row.temperature


def _point(row: Row, value: Setting) -> Point:
    return Point(
        value=value,
        prompts=row.prompts if row.speedup is None else row.speedup.n,
        speed=row.decode,
        acceptance=row.metrics["draft_acceptance_rate"],
        tokens_per_step=row.metrics["mean_acceptance_length"],
        round_cost=row.round_cost,
        speedup=row.speedup,
        accepted_by_position=row.accepted_by_position,
    )


def break_even(points: Iterable[Point]) -> BreakEven | None:
    """The first crossing of 1 that falls, else the first that rises. None for values below 0 or without a number.

    It lies between two neighbours of those whose interval is above or below 1; what is not clear decides nothing.
    """
    numbers = [(p.value, p.speedup) for p in points if p.speedup is not None and not isinstance(p.value, bool | str)]
    measured = sorted(((float(v), e) for v, e in numbers if v >= 0), key=lambda pair: pair[0])
    clear = [(x, above) for x, e in measured if (above := _above(e)) is not None]
    found = [
        BreakEven(_crossing([(v, e.value) for v, e in measured if x <= v <= z]), above, x, z)
        for (x, above), (z, other) in pairwise(clear)
        if above != other
    ]
    return next((crossing for crossing in found if crossing.falls), found[0] if found else None)


def _above(e: Estimate) -> bool | None:
    """Whether it is above 1 beyond chance, or below; None where that is not clear."""
    if e.low is None or e.high is None:
        return None
    return True if e.low > 1 else False if e.high < 1 else None


def _crossing(line: Sequence[tuple[float, float]]) -> float:
    """Where the first of these straight pieces crosses 1; its ends lie on either side of it."""
    (x, a), (z, b) = next(piece for piece in pairwise(line) if (piece[0][1] > 1) != (piece[1][1] > 1))
    share = log(a) / (log(a) - log(b))
    return x * (z / x) ** share if x else z * share
