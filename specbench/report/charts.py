"""Charts as PNG bytes."""

import io
from collections.abc import Sequence
from textwrap import fill

from specbench.analysis.verification import Cost

_INK, _LINE, _SPREAD, _IDEAL = "#222222", "#1f6f8b", "#8fbccb", "#b0b0b0"
_CLOSE = 1.3  # times the number of positions before it


def verification_cost(costs: Sequence[Cost], *, title: str) -> bytes:
    """The measured curve with its intervals, between free verification (1) and verification that wins nothing (k)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  0.3 s; most commands draw nothing
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(8, 4.8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    positions = [cost.positions for cost in costs]
    values = [cost.cost.value for cost in costs]
    highest = max(cost.cost.high or cost.cost.value for cost in costs)
    top = 1.15 * min(highest, 2 * max(values))  # a wild interval is cut off rather than flattening the curve
    every = [k / 8 for k in range(8, 8 * max(positions) + 1)]  # a straight line is none where one axis is logarithmic
    axes.plot(every, [1] * len(every), color=_IDEAL, linestyle="--", linewidth=1, label="free: as one position")
    axes.plot(every, every, color=_IDEAL, linestyle=":", linewidth=1, label="wins nothing: as k passes")
    below = [cost.cost.value - (cost.cost.low or cost.cost.value) for cost in costs]
    above = [(cost.cost.high or cost.cost.value) - cost.cost.value for cost in costs]
    axes.errorbar(positions, values, yerr=[below, above], fmt="none", ecolor=_SPREAD, elinewidth=1.2, capsize=3)
    axes.plot(positions, values, color=_LINE, marker="o", markersize=5, linewidth=1.5)
    for before, cost in zip([0, *positions], costs, strict=False):
        close = cost.positions < _CLOSE * before  # its label goes to the other side of the line
        axes.annotate(
            f"{cost.cost.value:.2f}",
            (cost.positions, cost.cost.value),
            xytext=(5, -11) if close else (-5, 6),
            textcoords="offset points",
            ha="left" if close else "right",
            fontsize=8,
            color=_INK,
        )
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    axes.set_xscale("log", base=2)
    axes.set_xticks(positions, [str(p) for p in positions])
    axes.minorticks_off()
    axes.set_xlim(0.8, max(positions) * 1.15)
    axes.set_ylim(0, top)
    axes.set_xlabel("positions in one forward pass (draft length + 1)")
    axes.set_ylabel("cost, in passes over one position")
    axes.set_title(fill(f"Verification cost: {title}", 90), fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#eeeeee")
    axes.set_axisbelow(True)
    written = io.BytesIO()
    figure.savefig(written, format="png", metadata={"Software": None})
    return written.getvalue()
