"""How one value looks: no false precision, a dash for what is missing, nothing that only colour says."""

from collections.abc import Sequence

from specbench.analysis.lossless import Lossless
from specbench.analysis.stats import Estimate
from specbench.analysis.verdicts import Verdict
from specbench.units import significant

MISSING = "—"
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
    if fill is None:
        return name
    return f"{name} {fill // _KILO}k" if fill % _KILO == 0 else f"{name} {fill}"


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
        "late divergence": f"late divergence at token {_token(found)} ({found.diverged} of {found.judged})",
        "diverged": f"no: diverged at token {_token(found)}",
        "engine not deterministic": f"engine not deterministic: {found.control_differing} of {found.control_judged} "
        "control runs differ",
    }[found.kind]


def _token(found: Lossless) -> int:
    return (found.first or 0) + 1


def verdict(v: Verdict) -> str:
    """What to do, with the figure that says so."""
    if v.kind == "use":
        slower = v.end_to_end_speedup is not None and v.end_to_end_speedup.value < 1
        warning = f", end to end {factor(v.end_to_end_speedup)}" if slower else ""
        return f"{v.label} {with_interval(v.speedup)}{warning}"
    if v.kind == "switch off":
        return f"switch it off (best {factor(v.speedup)})"
    return v.kind if v.speedup is None else f"{v.kind}: {with_interval(v.speedup)}"
