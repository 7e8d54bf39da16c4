"""Why a method is fast or slow: speedup = tokens per round / round cost, both measured on the same prompts."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from specbench.analysis.rows import Row
from specbench.analysis.stats import MINIMUM, Estimate
from specbench.analysis.verdicts import faster

WELL, BADLY = 2.0, 1.3  # tokens a round
CHEAPEST = 0.95  # plain steps a round, with room for noise: it cannot cost less than 1
SEVERAL = 2  # draft lengths that can be compared
SELDOM = 0.5  # of the rounds have a draft
LENGTHS = ("draft_tokens_max", "ngram_draft_size")  # settings that say how long a draft may be

_Lines = dict[tuple[object, ...], dict[int, Estimate]]
Drafts = Literal["well", "moderately", "badly", "seldom"]
Advice = Literal[
    "keep",
    "no clear gain",
    "disturbed",
    "too few prompts",
    "other output",
    "dice",
    "other text",
    "other drafter",
    "smaller drafter",
    "shorter draft",
    "longer draft",
    "no length",
    "switch off",
]


@dataclass(frozen=True)
class Why:
    """One row explained. Costs are in plain steps of the baseline: `drafting` and `verifying` sum to `round_cost`.

    Both are None where the engine does not tell how long it drafted; `verifying` holds all that is not drafting.
    """

    target: str
    contender: str
    label: str
    category: str | None
    temperature: float
    fill: int | None
    tokens_per_round: float
    round_cost: float
    drafting: float | None
    verifying: float | None
    speedup: float
    drafts: Drafts
    advice: Advice


def explain(rows: Sequence[Row]) -> Iterator[Why]:
    """An explanation of each row that has a credible speedup, with the advice that its verdict allows."""
    sure, lines = faster(rows), _lines(rows)
    for row in rows:
        if row.speedup is None or row.round_cost is None or not row.credible:
            continue
        if row.decode_source == "output_throughput":  # it has prefill in it, and no round
            continue
        tokens = row.speedup.value * row.round_cost.value
        drafts = _drafts(row, tokens)
        yield Why(
            target=row.target,
            contender=row.contender,
            label=row.label,
            category=row.category,
            temperature=row.temperature,
            fill=row.fill,
            tokens_per_round=tokens,
            round_cost=row.round_cost.value,
            drafting=row.drafting_cost,
            verifying=row.verifying_cost,
            speedup=row.speedup.value,
            drafts=drafts,
            advice=_advice(row, row.speedup, drafts, lines, sure=id(row) in sure),
        )


def _drafts(row: Row, tokens: float) -> Drafts:
    share = row.metrics["drafted_share"]
    if share is not None and share.value < SELDOM:
        return "seldom"
    return "well" if tokens >= WELL else "badly" if tokens < BADLY else "moderately"


def _advice(row: Row, speedup: Estimate, drafts: Drafts, lines: _Lines, *, sure: bool) -> Advice:
    """`sure`: faster beyond chance; `lines`: what other draft lengths gave."""
    if row.synthetic or not row.right:
        return "dice" if row.synthetic else "other output"
    if sure or speedup.n < MINIMUM:
        return "keep" if sure else "too few prompts"
    if speedup.high is not None and speedup.high < 1:
        return _remedy(row, drafts, lines)
    return "disturbed" if row.round_cost is not None and row.round_cost.value < CHEAPEST else "no clear gain"


def _remedy(row: Row, drafts: Drafts, lines: _Lines) -> Advice:
    """Of a method that is slower than plain decoding."""
    if drafts in {"seldom", "badly"}:
        return "other text" if drafts == "seldom" else "other drafter"
    extra = None if row.verifying_cost is None else row.verifying_cost - 1
    if extra is not None and row.drafting_cost is not None and row.drafting_cost > 2 * extra:
        return "smaller drafter"
    place, length = _line(row)
    tried = lines.get(place, {})
    if len(tried) >= SEVERAL and all(e.high is not None and e.high < 1 for e in tried.values()):
        return "no length"
    best = max(tried, key=lambda n: tried[n].value, default=0)
    return "longer draft" if best > length else "switch off" if length == 1 else "shorter draft"


def _lines(rows: Sequence[Row]) -> _Lines:
    """Speedups by draft length, of rows that differ in nothing else."""
    found: _Lines = defaultdict(dict)
    for row in rows:
        place, length = _line(row)
        if length and row.speedup is not None and row.credible:
            found[place][length] = row.speedup
    return found


def _line(row: Row) -> tuple[tuple[object, ...], int]:
    """Where a row stands but for its draft length, and that; 0 where it has none."""
    key = next((key for key in LENGTHS if key in row.axes), None)
    length = None if key is None else row.axes[key]
    others = repr(sorted((name, value) for name, value in row.axes.items() if name != key))
    place = (row.target, row.engine, row.method, row.category, row.temperature, row.fill, others)
    return place, length if isinstance(length, int) else 0
