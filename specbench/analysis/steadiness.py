"""Trials that ran unlike those around them. They stay in every number; a note names them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import exp, log
from statistics import median

from specbench.analysis import stats
from specbench.analysis.checks import Note, note
from specbench.analysis.metrics import step_seconds
from specbench.records import Generation

_FAR = 5 * 1.4826  # median absolute deviations that are five standard deviations of normal data
_NOTABLE = 1.25  # times the seconds a step of its neighbours
_COLD = 1.05
_FEW = 10  # trials: below it the spread is not known


def notes(contender: str, generations: Iterable[Generation]) -> Iterator[Note]:
    """Outliers in seconds a step, and whether the first trial after each start is slow in spite of the warm-up.

    A trial's neighbours are those of its category, temperature and fill on the same start of the engine.
    """
    groups: dict[object, list[tuple[float, Generation]]] = defaultdict(list)
    for g in sorted(generations, key=lambda g: g.started):
        if (parts := step_seconds(g)) is not None and min(parts) > 0.0 and parts[0] / parts[1] > 0.0:
            t = g.trial
            groups[g.block, t.category, t.temperature, t.fill].append((log(parts[0] / parts[1]), g))
    middles = {key: median(cost for cost, _ in group) for key, group in groups.items()}
    around = [(g, cost - middles[key]) for key, group in groups.items() for cost, g in group]
    far = _FAR * median(abs(d) for _, d in around) if len(around) >= _FEW else 0.0
    if far and (seen := [(g, d) for g, d in around if abs(d) > max(far, log(_NOTABLE))]):
        text = f"{len(seen)} of {len(around)} trials took a step far slower or faster than those around them"
        yield note("OUTLIERS", text, contender=contender, seen=[g for g, _ in seen])
    yield from _cold(contender, [[cost for cost, _ in group] for group in _first_of_blocks(groups)])


def _first_of_blocks(groups: dict[object, list[tuple[float, Generation]]]) -> list[list[tuple[float, Generation]]]:
    """Of each block the group that ran first, if it has trials to compare its first one with."""
    first: dict[int, list[tuple[float, Generation]]] = {}
    for group in groups.values():  # in the order of their first trials
        first.setdefault(group[0][1].block, group)
    return [group for group in first.values() if len(group) > 2]  # noqa: PLR2004  one, and a middle of the others


def _cold(contender: str, blocks: Sequence[Sequence[float]]) -> Iterator[Note]:
    late = stats.geometric_mean([exp(costs[0] - median(costs[1:])) for costs in blocks])
    if late is not None and late.low is not None and late.low > 1 and late.value > _COLD:
        text = f"the first trial after a start takes {late.value:.2f} times the seconds a step of the others"
        yield note("COLD_START", text, contender=contender)
