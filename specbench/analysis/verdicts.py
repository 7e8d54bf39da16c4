"""Which method to use for which kind of work."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from specbench.analysis.rows import Row
from specbench.analysis.stats import ALARM, MINIMUM, Estimate, holm, p_value

SAMPLED = frozenset({"creative"})  # greedy creative text runs into loops, which make drafting look good

Kind = Literal[
    "use",
    "switch off",
    "no clear gain",
    "too few prompts",
    "nothing drafted",
    "not in all categories",
    "not measured",
    "not credible",
    "judged when sampled",
]


@dataclass(frozen=True)
class Verdict:
    """For one category (None: all) of one target: what to do, and the fastest method by decode speedup.

    `use`: faster than the baseline beyond chance, judged by Holm over all categories and methods of the target. `switch
    off`: the interval of every method lies below 1, also of those that drafted in some categories only; that all do by
    chance is no likelier than that one does. `not credible`: every speedup lies above its bound or comes with other
    output than the baseline's; such a method is never the one to use.
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


def verdicts(rows: Sequence[Row]) -> tuple[Verdict, ...]:
    """One verdict for each target, category, temperature and fill that has a method in it, in the order of the rows.

    Synthetic rows take no part.
    """
    groups: dict[tuple[str, str | None, float, int | None], list[Row]] = defaultdict(list)
    for row in rows:
        if row.baseline is not None and not row.synthetic:
            groups[row.target, row.category, row.temperature, row.fill].append(row)
    sampled = {(target, category) for target, category, temperature, _ in groups if temperature > 0}
    sure = faster(rows)
    found = []
    for (target, category, temperature, fill), members in groups.items():
        if category in SAMPLED and temperature == 0 and (target, category) in sampled:
            found.append(Verdict(target, category, temperature, fill, "judged when sampled"))
        else:
            found.append(_verdict(target, category, temperature, fill, members, faster=sure))
    return tuple(found)


def faster(rows: Sequence[Row]) -> set[int]:
    """Ids of the rows whose speedup is above 1 beyond chance, each among all rows of its target that can be judged.

    It must be so of `bounded` too: a baseline that was slow for a while gives a method more than it can have.
    """
    families: dict[str, list[tuple[Row, float]]] = defaultdict(list)
    for row in rows:
        if row.synthetic or not row.right or row.speedup is None or row.bounded is None:
            continue
        p, most = p_value(row.speedup), p_value(row.bounded)
        if p is not None and most is not None:
            gains = row.speedup.value > 1
            families[row.target].append((row, p if not gains else max(p, most) if row.bounded.value > 1 else 1.0))
    return {
        id(row)
        for family in families.values()
        for (row, _), p in zip(family, holm([p for _, p in family]), strict=True)
        if p <= ALARM and row.speedup is not None and row.speedup.value > 1
    }


def _may_win(row: Row, *, alone: bool) -> bool:
    """Not surely slower; of a row over some categories only, beside others, what is not known is no win."""
    e = row.speedup
    if e is None:
        return False
    partial = not alone and row.categories[0] != row.categories[1]
    return e.value > 1 if e.high is None and partial else e.high is None or e.high >= 1


def _verdict(
    target: str, category: str | None, temperature: float, fill: int | None, rows: list[Row], *, faster: set[int]
) -> Verdict:
    slow = not any(_may_win(row, alone=category is not None) for row in rows if row.right)
    if category is None:  # methods that drafted in some categories only cannot be compared over all of them
        everywhere = [row for row in rows if row.categories[0] == row.categories[1]]
        if not everywhere and any(row.categories[0] for row in rows):
            return Verdict(target, category, temperature, fill, "not in all categories")
        rows = everywhere or rows
    found = [row for row in rows if row.speedup is not None]
    timed = [(row.speedup.value, row) for row in found if row.speedup is not None and row.right]
    if not timed:
        silent = not all(row.speculating for row in rows)
        kind: Kind = "not credible" if found else "nothing drafted" if silent else "not measured"
        return Verdict(target, category, temperature, fill, kind)
    fastest = max(timed, key=lambda pair: pair[0])[1]
    sure = [(value, row) for value, row in timed if id(row) in faster]
    if sure:
        fastest, kind = max(sure, key=lambda pair: pair[0])[1], "use"
    elif all(row.speedup is not None and row.speedup.n < MINIMUM for _, row in timed):
        kind = "too few prompts"
    elif slow:
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
