"""Runs on different machines side by side: who is faster at what, and whether drafter or hardware makes the difference.

speed = plain speed x tokens a round / round cost. Tokens a round belong to drafter and work, plain speed and round cost
to hardware and engine; each factor is compared with that of the first run, on the prompts that both have.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp
from statistics import mean

from specbench.analysis import sides
from specbench.analysis.comparison import Comparison
from specbench.analysis.conditions import Difference, Measured, differences
from specbench.analysis.metrics import METRICS
from specbench.analysis.pairing import LENGTH
from specbench.analysis.rows import Row, without_target
from specbench.analysis.stats import Estimate, geometric_mean
from specbench.records import Contender

SEVERAL = 2  # runs that can be compared


@dataclass(frozen=True)
class Work:
    """A kind of work (None: all) on a target."""

    target: str
    category: str | None
    temperature: float
    fill: int | None
    streams: int


@dataclass(frozen=True)
class Standing:
    """A method in one run (a number), and the factors over the first run that has it: `total` is their product.

    `drafter` and `rounds` are None for plain decoding, and all are in the first run itself.
    """

    work: Work
    label: str
    run: int
    speed: Estimate | None
    tokens_per_round: Estimate | None
    round_cost: Estimate | None
    total: Estimate | None
    plain: Estimate | None
    drafter: Estimate | None
    rounds: float | None


@dataclass(frozen=True)
class Fastest:
    """The fastest method of each run (None: not measured there), the winner, and its speed over the next run's.

    Over all work, methods that drafted in all of it. The lead is over the prompts that both runs have.
    """

    work: Work
    best: tuple[tuple[str, Estimate] | None, ...]
    winner: int
    lead: Estimate


@dataclass(frozen=True)
class Machines:
    """`differs`: what each later run (a number) does not share with the first, beside the machine."""

    names: tuple[str, ...]
    machines: tuple[str, ...]
    fastest: tuple[Fastest, ...]
    standings: tuple[Standing, ...]
    differs: tuple[tuple[int, Difference], ...]
    same: tuple[str, ...]


def machines(runs: Sequence[tuple[Measured, Comparison]], *, words: Sequence[str]) -> Machines:
    """Of two runs or more; what only one of them holds is left out. `words`: each machine as it is shown."""
    rows: dict[Work, dict[str, dict[int, Row]]] = defaultdict(lambda: defaultdict(dict))
    for number, (_, comparison) in enumerate(runs):
        for row in (*comparison.rows, *comparison.overall):
            if row.decode is not None and row.speculating and not row.synthetic:
                work = Work(row.target, row.category, row.temperature, row.fill, int(row.axes["streams"]))
                rows[work][row.label][number] = row
    trials = [sides.trials_by_place(measured, defaultdict(lambda: [0, 0]), 0) for measured, _ in runs]
    first = runs[0][0]
    return Machines(
        names=tuple(measured.name for measured, _ in runs),
        machines=tuple(words),
        fastest=tuple(f for work, found in rows.items() if (f := _fastest(work, found, trials)) is not None),
        standings=tuple(s for work, found in rows.items() for s in _standings(work, found, trials)),
        differs=tuple(
            (number, difference)
            for number, (measured, _) in enumerate(runs[1:], start=1)
            for difference in differences([first], [measured], called=_work_and_label)
            if difference.kind not in {None, "machine"}
        ),
        same=tuple(measured.name for measured, _ in runs[1:] if measured.machine.same(first.machine)),
    )


def _work_and_label(c: Contender) -> str:
    """As rows are matched: a run of several targets or engines names its contenders by them."""
    return f"{c.target_label} · {without_target(c.name, c.target_label)}"


_Recorded = Sequence[Mapping[sides.Place, sides.Trials]]


def _fastest(work: Work, rows: Mapping[str, Mapping[int, Row]], trials: _Recorded) -> Fastest | None:
    best: list[Row | None] = [None] * len(trials)
    for found in rows.values():
        for number, row in found.items():
            mine = best[number]
            if (
                row.decode
                and row.right
                and (work.category is not None or row.categories[0] == row.categories[1])
                and (mine is None or mine.decode is None or row.decode.value > mine.decode.value)
            ):
                best[number] = row
    leads: dict[int, Estimate] = {}
    for number, new in enumerate(best):
        others = [_faster((n, base), (number, new), trials) for n, base in enumerate(best) if n != number]
        if known := [ratio for ratio in others if ratio is not None]:
            leads[number] = min(known, key=lambda ratio: ratio.value)
    if not leads:
        return None
    winner = max(leads, key=lambda number: leads[number].value)
    if leads[winner].value < 1:  # each loses on the prompts that it shares with another
        return None
    told = tuple((row.label, row.decode) if row and row.decode else None for row in best)
    return Fastest(work, told, winner, leads[winner])


def _standings(work: Work, rows: Mapping[str, Mapping[int, Row]], trials: _Recorded) -> list[Standing]:
    found = []
    by_name = {(number, row.contender): row for mine in rows.values() for number, row in mine.items()}
    for label, mine in rows.items():
        start, *others = sorted(mine)
        for number in (start, *others) if others else ():
            row, base = (number, mine[number]), (start, mine[start])
            again = number != start
            total = _faster(base, row, trials) if again else None
            plains = [(n, by_name.get((n, r.baseline or r.contender))) for n, r in (base, row)]
            plain = _faster(plains[0], plains[1], trials) if again else None
            drafter = _ratio(base, row, trials, LENGTH) if again and row[1].baseline else None
            rest = total.value / plain.value / drafter.value if total and plain and drafter else None
            found.append(
                Standing(
                    work=work, label=label, run=number, speed=row[1].decode, tokens_per_round=row[1].metrics[LENGTH],
                    round_cost=row[1].round_cost, total=total, plain=plain, drafter=drafter, rounds=rest,
                )
            )  # fmt: skip
    return found


_Side = tuple[int, Row | None]  # the run's number, and what was measured there


def _ratio(base: _Side, new: _Side, trials: _Recorded, metric: str) -> Estimate | None:
    """Geometric mean, over the prompts that both have, of a metric over that of `base`; all fills of one count once."""
    found = [
        sides.numbers(METRICS[metric].parts, trials[number].get(place, {}))
        for number, row in (base, new)
        if row and (place := sides.Place(row.contender, row.category, row.temperature, row.fill))
    ]
    if len(found) < SEVERAL:
        return None
    logs: dict[tuple[str, str], list[float]] = defaultdict(list)
    for key in found[0]:
        if key in found[1]:
            logs[key[:2]].append(found[1][key][2] - found[0][key][2])
    return geometric_mean([exp(mean(fills)) for fills in logs.values()])


def _faster(base: _Side, new: _Side, trials: _Recorded) -> Estimate | None:
    """By a clock that both have; all output of several streams is held against nothing else."""
    clocks = {row.decode_source for _, row in (base, new) if row}
    if len(clocks) > 1 and "output_throughput" in clocks:
        return None
    return _ratio(base, new, trials, clocks.pop() if len(clocks) == 1 else "decode_client")
