"""Which method to use for which kind of work."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from specbench.analysis.rows import Row
from specbench.analysis.stats import MINIMUM, Estimate

SAMPLED = frozenset({"creative"})  # greedy creative text runs into loops, which make drafting look good

Kind = Literal[
    "use",
    "switch off",
    "no clear gain",
    "too few prompts",
    "nothing drafted",
    "not measured",
    "not credible",
    "judged when sampled",
]


@dataclass(frozen=True)
class Verdict:
    """For one category (None: all) of one target: what to do, and the fastest method by decode speedup.

    `use`: its interval lies above 1. `switch off`: the interval of every method lies below 1. `not credible`: every
    speedup lies above its bound or comes with other output than the baseline's; such a method is never the one to use.
    """

    target: str
    category: str | None
    temperature: float
    fill: int | None
    kind: Kind
    contender: str | None = None
    label: str | None = None
    speedup: Estimate | None = None
    end_to_end_speedup: Estimate | None = None


def verdicts(rows: Iterable[Row]) -> tuple[Verdict, ...]:
    """One verdict for each target, category, temperature and fill that has a method in it, in the order of the rows.

    Synthetic rows take no part.
    """
    groups: dict[tuple[str, str | None, float, int | None], list[Row]] = defaultdict(list)
    for row in rows:
        if row.baseline is not None and not row.synthetic:
            groups[row.target, row.category, row.temperature, row.fill].append(row)
    sampled = {(target, category) for target, category, temperature, _ in groups if temperature > 0}
    found = []
    for (target, category, temperature, fill), members in groups.items():
        if category in SAMPLED and temperature == 0 and (target, category) in sampled:
            found.append(Verdict(target, category, temperature, fill, "judged when sampled"))
        else:
            found.append(_verdict(target, category, temperature, fill, members))
    return tuple(found)


def _verdict(target: str, category: str | None, temperature: float, fill: int | None, rows: list[Row]) -> Verdict:
    if category is None:  # methods that drafted in some categories only cannot be compared over all of them
        rows = [row for row in rows if row.categories[0] == row.categories[1]]
    found = [row for row in rows if row.speedup is not None]
    timed = [(row.speedup.value, row) for row in found if row.speedup is not None and row.right]
    if not timed:
        silent = not rows or not all(row.speculating for row in rows)
        kind: Kind = "not credible" if found else "nothing drafted" if silent else "not measured"
        return Verdict(target, category, temperature, fill, kind)
    fastest = max(timed, key=lambda pair: pair[0])[1]
    sure = [(value, row) for value, row in timed if row.speedup is not None and (row.speedup.low or 0) > 1]
    if sure:
        fastest, kind = max(sure, key=lambda pair: pair[0])[1], "use"
    elif all(row.speedup is not None and row.speedup.n < MINIMUM for _, row in timed):
        kind = "too few prompts"
    elif all(row.speedup is not None and row.speedup.high is not None and row.speedup.high < 1 for _, row in timed):
        kind = "switch off"
    else:
        kind = "no clear gain"
    return Verdict(
        target,
        category,
        temperature,
        fill,
        kind,
        fastest.contender,
        fastest.label,
        fastest.speedup,
        fastest.end_to_end_speedup,
    )
