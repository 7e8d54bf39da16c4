"""From trials to prompts: sums for the metrics, and ratios against the baseline on the same prompt."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from specbench.analysis import stats
from specbench.analysis.metrics import METRICS, Parts
from specbench.analysis.stats import Estimate
from specbench.records import Generation

RATES = ("decode_engine", "decode_client", "output_throughput", "end_to_end", "prefill")
LENGTH = "mean_acceptance_length"


class Cell(NamedTuple):
    """What one row is about."""

    contender: str
    category: str
    temperature: float
    fill: int | None


@dataclass(frozen=True)
class Tally:
    """One prompt in one cell: sums per metric, rates (repeats averaged in log space), rates over the baseline's."""

    sums: Mapping[str, Parts]
    rates: Mapping[str, float]
    ratios: Mapping[str, float]


Tallies = Mapping[str, Tally]


def tallies(generations: Iterable[Generation], baseline: Tallies | None) -> dict[str, Tally]:
    """By prompt id; `baseline` is the same cell of the baseline."""
    by_prompt: dict[str, list[Generation]] = defaultdict(list)
    for g in generations:
        by_prompt[g.trial.prompt].append(g)
    return {prompt: _tally(gs, (baseline or {}).get(prompt)) for prompt, gs in by_prompt.items()}


def _tally(generations: Sequence[Generation], baseline: Tally | None) -> Tally:
    sums: dict[str, Parts] = {}
    rates: dict[str, float] = {}
    for name, metric in METRICS.items():
        parts = [found for g in generations if (found := metric.parts(g)) is not None]
        if parts:
            above, below = zip(*parts, strict=True)
            sums[name] = sum(above), sum(below)
            if name in RATES:
                rates[name] = stats.geometric_average([a / b for a, b in parts])
    shared = rates.keys() & baseline.rates.keys() if baseline is not None else set()
    ratios = {name: rates[name] / baseline.rates[name] for name in shared} if baseline is not None else {}
    return Tally(sums, rates, ratios)


# A row holds one group of tallies a prompt: one tally in a cell, one for each context fill over all categories.


def grouped(cells: Mapping[Cell, Tallies]) -> list[list[Tally]]:
    """The tallies of each prompt in any of the cells."""
    groups: dict[tuple[str, str], list[Tally]] = defaultdict(list)
    for cell, by_prompt in cells.items():
        for prompt, tally in by_prompt.items():
            groups[cell.category, prompt].append(tally)
    return list(groups.values())


def metric(name: str, groups: Iterable[Sequence[Tally]]) -> Estimate | None:
    """Sums over everything, divided once; the interval comes from resampling prompts."""
    pairs = []
    for group in groups:
        parts = [tally.sums[name] for tally in group if name in tally.sums]
        if parts:
            pairs.append((sum(a for a, _ in parts), sum(b for _, b in parts)))
    return stats.ratio_of_sums(pairs, interval=METRICS[name].interval, share=METRICS[name].share)


def speedup(rate: str, groups: Iterable[Sequence[Tally]]) -> Estimate | None:
    """Geometric mean over prompts of a rate over the baseline's."""
    ratios = ([tally.ratios[rate] for tally in group if rate in tally.ratios] for group in groups)
    return stats.geometric_mean([stats.geometric_average(r) for r in ratios if r])


def round_cost(rate: str, groups: Iterable[Sequence[Tally]]) -> Estimate | None:
    """Seconds of a verification step over those of a plain step, whose tokens are 1: tokens per step / speedup."""
    costs = []
    for group in groups:
        found = [
            a / b / t.ratios[rate] for t in group if rate in t.ratios for a, b in [t.sums.get(LENGTH, (0, 1))] if a
        ]
        if found:
            costs.append(stats.geometric_average(found))
    return stats.geometric_mean(costs)
