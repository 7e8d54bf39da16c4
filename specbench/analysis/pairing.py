"""From trials to prompts: sums for the metrics, and ratios against the baseline on the same prompt."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from specbench.analysis import stats
from specbench.analysis.metrics import METRICS, Parts
from specbench.analysis.stats import Estimate
from specbench.records import Generation, Trial

CLOCKS = ("decode_engine", "decode_client")  # the engine's, where it shows one
RATES = ("decode_engine", "decode_client", "output_throughput", "end_to_end", "prefill")
LENGTH = "mean_acceptance_length"

_DISTURBED = 1.25  # times its tokens per step: of a speedup that somebody else gave
_LEAST = 1e-9  # of a second part: what is below it was not measured


class Cell(NamedTuple):
    """What one row is about."""

    contender: str
    category: str
    temperature: float
    fill: int | None

    @classmethod
    def of(cls, t: Trial) -> "Cell":
        """Where the trial belongs."""
        return cls(t.contender, t.category, t.temperature, t.fill)


@dataclass(frozen=True)
class Tally:
    """One prompt in one cell: sums by metric; the rates of a baseline by repeat, else the ratios to the baseline's."""

    sums: Mapping[str, Parts]
    rates: Mapping[str, Mapping[int, float]]
    ratios: Mapping[str, float]


Tallies = Mapping[str, Tally]


def tallies(generations: Iterable[Generation], baseline: Tallies | None) -> dict[str, Tally]:
    """By prompt id; `baseline` is the same cell of the baseline."""
    by_prompt: dict[str, list[Generation]] = defaultdict(list)
    for g in generations:
        by_prompt[g.trial.prompt].append(g)
    return {prompt: _tally(gs, (baseline or {}).get(prompt)) for prompt, gs in by_prompt.items()}


def decode_clock(tallies: Tallies) -> str:
    """The one that gives ratios."""
    return next((name for name in CLOCKS if any(name in t.ratios for t in tallies.values())), CLOCKS[0])


def _tally(generations: Sequence[Generation], baseline: Tally | None) -> Tally:
    sums: dict[str, Parts] = {}
    rates: dict[str, dict[int, float]] = {}
    ratios: dict[str, float] = {}
    repeats = [g.trial.repeat for g in generations]
    for name, metric in METRICS.items():
        all_parts = list(map(metric.parts, generations))
        found = [p for p in all_parts if p is not None and p[1] > _LEAST]
        if name not in RATES:
            if found:
                sums[name] = _sum(found)
            continue
        known = {r: p for r, p in zip(repeats, all_parts, strict=True) if p is not None and p[1] > _LEAST and p[0] > 0}
        if not known:
            continue
        sums[name] = _sum(p for p in found if p[0] > 0)
        mine = {r: above / below for r, (above, below) in known.items()}
        if baseline is None:
            rates[name] = mine
        elif theirs := baseline.rates.get(name):
            among = [theirs[r] for r in mine if r in theirs] or list(theirs.values())
            ratios[name] = stats.geometric_average(list(mine.values())) / stats.geometric_average(among)
    return Tally(sums, rates, ratios)


def _sum(parts: Iterable[Parts]) -> Parts:
    above, below = zip(*parts, strict=True)
    return sum(above), sum(below)


@dataclass(frozen=True)
class Prompts:
    """What a row is made of: the tallies of each prompt, one in a cell, one for each context fill over all categories.

    A prompt weighs more than 1 where it stands for others that need not run; `looks` as in stats.
    """

    groups: Sequence[Sequence[Tally]]
    weights: Sequence[float]
    looks: int


def grouped(cells: Mapping[Cell, Tallies], parts: Mapping[Cell, tuple[int, int]]) -> Prompts:
    """The tallies of each prompt in any of the cells. `parts`: looks at cells that may stop early, and prompts."""
    groups: dict[tuple[str, str], list[Tally]] = defaultdict(list)
    weights: dict[tuple[str, str], list[float]] = defaultdict(list)
    most = 1
    for cell, by_prompt in cells.items():
        looks, planned = parts.get(cell, (1, len(by_prompt)))
        most = max(most, looks)
        for prompt, tally in by_prompt.items():
            groups[cell.category, prompt].append(tally)
            weights[cell.category, prompt].append(planned / len(by_prompt))
    return Prompts(list(groups.values()), [sum(w) / len(w) for w in weights.values()], most)


def metric(name: str, prompts: Prompts) -> Estimate | None:
    """Sums over everything, divided once; the interval comes from leaving out prompts."""
    pairs = []
    for group, weight in zip(prompts.groups, prompts.weights, strict=True):
        parts = [tally.sums[name] for tally in group if name in tally.sums]
        if parts:
            pairs.append((weight * sum(a for a, _ in parts), weight * sum(b for _, b in parts)))
    chosen = METRICS[name]
    return stats.ratio_of_sums(pairs, interval=chosen.interval, share=chosen.share, looks=prompts.looks)


def speedup(rate: str, prompts: Prompts) -> Estimate | None:
    """Geometric mean over prompts of a rate over the baseline's."""
    return _mean(prompts, ([tally.ratios[rate] for tally in group if rate in tally.ratios] for group in prompts.groups))


def bounded(rate: str, prompts: Prompts) -> Estimate | None:
    """As `speedup`, with 1 for a prompt that is far above its tokens per step: no method gave that."""
    return _mean(
        prompts, ([_possible(t.ratios[rate], _length(t)) for t in g if rate in t.ratios] for g in prompts.groups)
    )


def _possible(ratio: float, length: float) -> float:
    return 1.0 if length and ratio > _DISTURBED * length else ratio


def round_cost(rate: str, prompts: Prompts) -> Estimate | None:
    """Seconds of a verification step over those of a plain step, whose tokens are 1: tokens per step / speedup."""
    return _mean(
        prompts,
        (
            [length / t.ratios[rate] for t in group if rate in t.ratios for length in [_length(t)] if length > 0]
            for group in prompts.groups
        ),
    )


def _length(tally: Tally) -> float:
    """Tokens per step; 0 where they are not known."""
    above, below = tally.sums.get(LENGTH, (0, 1))
    return above / below


def _mean(prompts: Prompts, found: Iterable[Sequence[float]]) -> Estimate | None:
    """The geometric mean over prompts; those without a value are left out."""
    known = [(stats.geometric_average(v), weight) for v, weight in zip(found, prompts.weights, strict=True) if v]
    return stats.geometric_mean([v for v, _ in known], weights=[weight for _, weight in known], looks=prompts.looks)
