"""How one value looks: no false precision, a dash for what is missing, nothing that only colour says."""

from collections.abc import Iterable, Sequence

from specbench.analysis.axes import Curve
from specbench.analysis.lossless import Lossless
from specbench.analysis.rows import Row
from specbench.analysis.stats import Estimate
from specbench.analysis.verdicts import Verdict
from specbench.analysis.why import Why
from specbench.records import Setting
from specbench.report.section import MISSING
from specbench.units import significant

_POSITIONS = 4
_KILO = 1024


def rate(e: Estimate | None) -> str:
    """Tokens per second: three digits."""
    return MISSING if e is None else significant(e.value)


def milliseconds(e: Estimate | None) -> str:
    return MISSING if e is None else significant(e.value * 1000)


def thousands(e: Estimate | None) -> str:
    return MISSING if e is None else significant(e.value / 1000)


def mebibytes(count: float | None) -> str:
    return MISSING if count is None else significant(count / 2**20)


def factor(e: Estimate | None) -> str:
    return MISSING if e is None else f"{e.value:.2f}"


def steps(value: float | None) -> str:
    """A cost in plain steps: two digits behind the point."""
    return MISSING if value is None else f"{value:.2f}"


def with_interval(e: Estimate | None) -> str:
    """1.31 (1.12-1.52), with a dash of the right width; without an interval, the value alone."""
    if e is None or e.low is None or e.high is None:
        return factor(e)
    return f"{e.value:.2f} ({e.low:.2f}\N{EN DASH}{e.high:.2f})"


def percentage(e: Estimate | None) -> str:
    """The number of per cent; the header has the sign."""
    return MISSING if e is None else f"{e.value * 100:.0f}"


def positions(shares: Sequence[float] | None) -> str:
    """Per cent at the first positions."""
    if not shares:
        return MISSING
    shown = " ".join(f"{share * 100:.0f}" for share in shares[:_POSITIONS])
    return f"{shown} …" if len(shares) > _POSITIONS else shown


def category(name: str | None, fill: int | None, categories: tuple[int, int] | None = None) -> str:
    """`rag-long 32k`; `all`, or `all (5/8)` when some categories are not in it."""
    if name is None:
        return (
            "all" if categories is None or categories[0] == categories[1] else f"all ({categories[0]}/{categories[1]})"
        )
    return name if fill is None else f"{name} {setting('fill', fill)}"


def speed(rows: Iterable[Row]) -> str:
    """What a speedup is of: `output` of all streams where any row has several."""
    return "output" if any(row.decode_source == "output_throughput" for row in rows) else "decode"


def setting(key: str, value: Setting) -> str:
    """The value of a setting as one writes it; a fill of 32768 is 32k."""
    if key == "fill" and isinstance(value, int) and value % _KILO == 0:
        return f"{value // _KILO}k"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def break_even(curve: Curve) -> str | None:
    """Where it stops (or begins) to pay, with the points between which that lies; None where nothing can be said."""
    points = [(p.value, p.speedup) for p in curve.points if p.speedup and isinstance(p.value, int | float)]
    speeds = {float(value): speedup.value for value, speedup in points if value >= 0}
    where, found = f"{category(curve.category, curve.fill)}, {curve.label}", curve.break_even
    if found is not None:
        way = "below" if found.falls else "above"
        low, high = (f"× {speeds[end]:.2f} at {setting(curve.axis, _whole(end))}" for end in (found.low, found.high))
        return f"{where}: pays {way} {curve.axis} {significant(found.value)} ({low}, {high})"
    if len(speeds) < 2 or any(isinstance(p.value, bool) for p in curve.points):  # noqa: PLR2004  a curve has two ends
        return None
    ends = min(speeds, key=lambda v: speeds[v]), max(speeds, key=lambda v: speeds[v])
    worst, best = (f"× {speeds[end]:.2f} at {setting(curve.axis, _whole(end))}" for end in ends)
    if speeds[ends[0]] <= 1 <= speeds[ends[1]]:
        return f"{where}: break-even not known, {worst} and {best} are not both told from 1"
    return f"{where}: break-even not reached, " + (f"at worst {worst}" if speeds[ends[0]] > 1 else f"at best {best}")


def _whole(value: float) -> int | float:
    return int(value) if value == int(value) else value


def temperature(value: float) -> str:
    return "greedy" if value == 0 else f"temperature {value:g}"


def lossless_short(found: Lossless | None) -> str:
    """At most 8 characters; `lossless` says it in full."""
    if found is None or found.kind == "not judged":
        return MISSING
    return {
        "identical": "yes",
        "tie flips": "1 tie" if found.tie_flips == 1 else f"{found.tie_flips} ties",
        "late divergence": f"late {_token(found)}",
        "diverged": f"no @{_token(found)}",
        "engine not deterministic": "not det.",
    }[found.kind]


def lossless(found: Lossless | None) -> str:
    """The verdict in words; tokens are counted from 1."""
    if found is None:
        return "not judged"
    return {
        "not judged": "not judged",
        "identical": "yes",
        "tie flips": f"tie flips {found.tie_flips}",
        "late divergence": f"late divergence at token {_token(found)} ({found.diverged} of {found.judged} differ)",
        "diverged": f"no: diverged at token {_token(found)}",
        "engine not deterministic": f"engine not deterministic: {found.control_differing} of {found.control_judged} "
        "control runs differ"
        if found.control_differing
        else "engine not deterministic: controls of other rows differ",
    }[found.kind]


def _token(found: Lossless) -> str:
    return "?" if found.first is None else str(found.first + 1)


_DRAFTS = {
    "well": "drafts well",
    "moderately": "drafts moderately well",
    "badly": "drafts badly",
    "seldom": "seldom drafts",
}
_ADVICE = {
    "keep": "keep it",
    "no clear gain": "no clear gain: use more prompts or repeats",
    "disturbed": "a round costs no less than a plain step: perhaps the machine was disturbed, measure again",
    "too few prompts": "too few prompts to advise anything",
    "other output": "but its output is not the baseline's: do not use it",
    "dice": "acceptance by dice, which advises nothing",
    "other text": "it wants text that repeats itself",
    "other drafter": "take another drafter, or switch it off",
    "smaller drafter": "drafting costs most of that: take a smaller drafter or a shorter draft",
    "shorter draft": "use a shorter draft",
    "longer draft": "a longer draft was faster",
    "no length": "no draft length that was tried wins: switch it off",
    "switch off": "the draft cannot be shorter: switch it off",
}


def why(w: Why) -> str:
    """`draft-model drafts well, 3.2 tokens a round, but a round costs 2.9 plain steps (...): 1.10 times …`."""
    parts = (
        "" if w.drafting is None else f" (drafting {steps(w.drafting)}, verifying and the rest {steps(w.verifying)})"
    )
    return (
        f"{w.label} {_DRAFTS[w.drafts]}, {w.tokens_per_round:.2f} tokens a round, {'and' if w.speedup > 1 else 'but'} "
        f"a round costs {steps(w.round_cost)} plain steps{parts}: speed × {w.speedup:.2f}; {_ADVICE[w.advice]}"
    )


def verdict(v: Verdict) -> str:
    """What to do, with the figure that says so."""
    if v.kind == "use":
        slower = v.end_to_end_speedup is not None and v.end_to_end_speedup.value < 1
        warning = f", end to end {factor(v.end_to_end_speedup)}" if slower else ""
        return f"{v.label} {with_interval(v.speedup)}{warning}"
    if v.kind == "switch off":
        return f"switch it off (best {factor(v.speedup)})"
    return v.kind if v.speedup is None else f"{v.kind}: {with_interval(v.speedup)}"
