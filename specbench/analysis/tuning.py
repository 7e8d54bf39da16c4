"""Which candidates are still worth measuring: halving and elimination on paired ratios. Assumptions: docs/tune.md.

A candidate's ratio on a prompt is its decode speed over the baseline's on the same prompt. The baseline is a candidate
too: its ratio is 1.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, exp, inf, log, sqrt

from specbench.analysis import pairing
from specbench.analysis.metrics import METRICS
from specbench.analysis.pairing import CLOCKS, Tallies
from specbench.analysis.stats import Estimate, geometric_mean, student_quantile
from specbench.records import Contender, Generation, Result

Ratios = Mapping[str, Mapping[str, float]]  # by candidate and prompt

RISK = 0.05  # that an interval rules out the best candidate of a category, over all looks
MARGIN = 0.02  # an advantage below it is not worth measuring
GAIN = 1.25  # between a draft length that was tried and the best one next to it
_SHORT, _MANY = 3, 8  # of a line; of a category's prompts
_FREEDOM = 4  # degrees; the quantile is known from there on, and fewer tell too little


@dataclass(frozen=True)
class Standing:
    """A candidate in one category: its geometric mean over `prompts`; with the best luck `upper` times the leader's."""

    contender: str
    prompts: int
    speedup: float
    upper: float


def coarse(line: Sequence[str], *, prompts: int) -> list[str]:
    """Those of a line of draft lengths that are tried first: every third, so that nearly each other one is next to one.

    All of a short line, and of any where there are too few prompts for the rounds in which the others would follow.
    """
    return list(line[1::3] if len(line) > _SHORT and prompts >= _MANY else line)


@dataclass(frozen=True)
class Decision:
    """Who goes on, who joins them as a neighbour, and who was left out although an interval would have kept them."""

    left: list[str]
    beside: list[str]
    halved: list[str]


def decide(
    measured: Ratios, alive: Collection[str], *, lines: Sequence[Sequence[str]], look: int, last: bool = False
) -> Decision:
    """After the `look`-th round: the faster half of `alive`, at least two, less those that an interval rules out.

    After the `last` one nothing is saved by leaving out a half. The neighbours of the best of each line join. Speed
    over draft length is taken to have one peak; a line is refined while one GAIN faster could be the fastest.
    """
    found = standings({name: r for name, r in measured.items() if name in alive}, look=look)
    beside: list[str] = []
    for line in lines:
        best = next((s.contender for s in found if s.contender in line), None)
        if best is not None and best in survivors(found, gain=GAIN):
            at = line.index(best)
            beside += [*line[max(at - 1, 0) : at], *line[at + 1 : at + 2]]
    able, half = survivors(found), len(found) if last else max(2, ceil(len(found) / 2))
    return Decision(able[:half], beside, able[half:])


def ratios(contenders: Iterable[Contender], results: Iterable[Result]) -> dict[str, dict[str, dict[str, float]]]:
    """By category, candidate and prompt. A method that drafted nothing in a category is no candidate there."""
    everyone = list(contenders)
    found: dict[tuple[str, str], list[Generation]] = defaultdict(list)
    for r in results:
        if isinstance(r, Generation) and r.trial.role == "measured":
            found[r.trial.contender, r.trial.category].append(r)
    baselines: dict[tuple[str, str], Tallies] = {}
    by_category: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    for contender in sorted(everyone, key=lambda c: c.baseline is not None):
        for (name, category), generations in found.items():
            if name != contender.name:
                continue
            tallies = pairing.tallies(generations, baselines.get((contender.baseline or "", category)))
            if contender.baseline is None:
                baselines[name, category] = tallies
                by_category[category][name] = {p: 1.0 for p, t in tallies.items() if t.rates}
            elif any(g.counts.drafted for g in generations):
                clock = pairing.decode_clock(tallies)
                by_category[category][name] = {p: t.ratios[clock] for p, t in tallies.items() if clock in t.ratios}
    return by_category


def plain_seconds(contenders: Iterable[Contender], results: Iterable[Result]) -> dict[str, float]:
    """Seconds a token of the baseline by category."""
    plain = {c.name for c in contenders if c.baseline is None}
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for r in results:
        if isinstance(r, Generation) and r.trial.role == "measured" and r.trial.contender in plain:
            parts = next((found for clock in CLOCKS if (found := METRICS[clock].parts(r)) is not None), (0.0, 0.0))
            sums[r.trial.category] = [a + b for a, b in zip(sums[r.trial.category], parts, strict=True)]
    return {category: seconds / tokens for category, (tokens, seconds) in sums.items() if tokens}


def standings(measured: Ratios, *, look: int) -> list[Standing]:
    """The candidates, fastest first, after the `look`-th round (from 1). Those without a ratio are left out.

    The bound is Student's for paired differences of logarithms, at RISK / (candidates x look x (look + 1)), so that all
    looks together keep RISK. The spread is the larger of the pair's own and that of all candidates about an additive
    model of candidate and prompt.
    """
    logs = {name: {p: log(r) for p, r in by_prompt.items()} for name, by_prompt in measured.items() if by_prompt}
    if not logs:
        return []
    means = _means(logs)
    leader = max(means, key=lambda name: means[name])
    pooled, freedom = _pooled(logs)
    found = []
    for name, values in logs.items():
        pairs = [value - logs[leader][p] for p, value in values.items() if p in logs[leader]]
        upper = inf
        if pairs and name != leader:
            mean = sum(pairs) / len(pairs)
            own = sqrt(sum((d - mean) ** 2 for d in pairs) / (len(pairs) - 1)) if len(pairs) > 1 else 0.0
            error = max(own, sqrt(2) * pooled) / sqrt(len(pairs))
            level = 1 - RISK / (len(logs) * look * (look + 1))
            upper = exp(min(mean + student_quantile(level, freedom) * error, 99)) if freedom >= _FREEDOM else inf
        found.append(Standing(name, len(values), exp(means[name]), 1.0 if name == leader else upper))
    return sorted(found, key=lambda s: -s.speedup)


def _means(logs: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """By candidate; one that was measured on fewer prompts is set right by what the longest measured had on them."""
    plain = {name: sum(values.values()) / len(values) for name, values in logs.items()}
    longest = max(logs, key=lambda name: (len(logs[name]), plain[name]))
    found = {}
    for name, values in logs.items():
        shared = [p for p in values if p in logs[longest]]
        apart = sum(values[p] - logs[longest][p] for p in shared)
        found[name] = plain[longest] + apart / len(shared) if shared else plain[name]
    return found


def _pooled(logs: Mapping[str, Mapping[str, float]]) -> tuple[float, int]:
    """Residual standard deviation of the two-way layout, on prompts that all candidates have, and its freedom."""
    shared = set.intersection(*(set(values) for values in logs.values()))
    rows = [[values[p] for p in sorted(shared)] for values in logs.values()]
    freedom = (len(rows) - 1) * (len(shared) - 1)
    if freedom < 1:
        return 0.0, 0
    across = [sum(row) / len(row) for row in rows]
    down = [sum(column) / len(column) for column in zip(*rows, strict=True)]
    whole = sum(across) / len(across)
    squares = ((v - across[i] - down[j] + whole) ** 2 for i, row in enumerate(rows) for j, v in enumerate(row))
    return sqrt(sum(squares) / freedom), freedom


def survivors(found: Iterable[Standing], *, gain: float = 1.0) -> list[str]:
    """Those that may still be faster than the leader by more than MARGIN, and the leader, which comes first.

    `gain`: how many times as fast each could still become.
    """
    ordered = list(found)
    return [s.contender for i, s in enumerate(ordered) if i == 0 or s.upper * gain > 1 + MARGIN]


@dataclass(frozen=True)
class Single:
    """One setting for all work: its speedup on the mix, and that of the best setting for each category."""

    contender: str
    speedup: float
    per_category: float

    @property
    def cost(self) -> float:
        """Share of time that one setting for all takes longer."""
        return self.per_category / self.speedup - 1


def single(
    speedups: Mapping[str, Mapping[str, float]],
    best: Mapping[str, str],
    *,
    seconds: Mapping[str, float],
    mix: Mapping[str, float],
) -> Single | None:
    """The best setting for a mix of work; None when no candidate was measured in all of it.

    `speedups` by category and candidate; `best` by category, where the setting for all is not faster; `seconds` a token
    of the baseline by category; `mix` are shares of tokens.
    """
    everywhere = set.intersection(*(set(speedups.get(category, ())) for category in mix))
    if not everywhere:
        return None
    plain = sum(share * seconds[category] for category, share in mix.items())

    def on_mix(chosen: Mapping[str, float]) -> float:
        return plain / sum(share * seconds[category] / chosen[category] for category, share in mix.items())

    totals = {name: on_mix({category: speedups[category][name] for category in mix}) for name in sorted(everywhere)}
    one = max(totals, key=lambda name: totals[name])
    each = {c: max(speedups[c][one], speedups[c][best.get(c, one)]) for c in mix}
    return Single(one, totals[one], on_mix(each))


def prompts_in_round(total: int, look: int) -> range:
    """Which of a category's prompts the `look`-th round (from 1) adds: 2, 2, 4, 8 and so on."""
    return range(min(0 if look == 1 else 2 ** (look - 1), total), min(2**look, total))


@dataclass(frozen=True)
class Winner:
    """The fastest candidate of a category. `others` could not be told from it, so far as was measured.

    `halved` were slower on the few prompts that they had, and perhaps by chance only.
    """

    category: str
    contender: str
    speedup: Estimate
    others: tuple[str, ...]
    halved: tuple[str, ...]


@dataclass(frozen=True)
class Tuned:
    """What tuning found. `trials` were planned of the `grid` that measuring everything would have taken."""

    target: str
    temperature: float
    winners: tuple[Winner, ...]
    mix: dict[str, float]
    single: Single | None
    commands: dict[str, str]
    rounds: int
    trials: int
    grid: int


def winners(
    measured: Mapping[str, Ratios],
    alive: Mapping[str, Collection[str]],
    halved: Mapping[str, Collection[str]],
    *,
    plain: str,
) -> tuple[Winner, ...]:
    """By category; `alive` are the candidates that went on to the end, or joined last.

    The baseline `plain` is measured to the end in any case, and wins where it is faster than they are.
    """
    found = []
    for category, by_candidate in measured.items():
        ordered = [s for s in standings(by_candidate, look=1) if s.contender in {plain, *alive[category]}]
        if ordered and plain not in alive[category]:
            able = survivors(ordered) if ordered[0].contender == plain else alive[category]
            ordered = [s for s in ordered if s.contender in able]
        if ordered:
            best = ordered[0].contender
            speedup = geometric_mean(list(by_candidate[best].values()))
            if speedup is not None:
                others = tuple(s.contender for s in ordered[1:])
                found.append(
                    Winner(category, best, speedup, others, tuple(n for n in halved.get(category, ()) if n != best))
                )
    return tuple(found)
