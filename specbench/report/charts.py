"""Charts: what is plotted as plain data (`figures` makes it), and matplotlib that draws it as PNG or SVG.

Colours are those of Okabe and Ito, told apart by colour-blind readers; markers differ too. Text is drawn as it is:
names may hold anything.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import log2
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

from specbench.analysis.stats import Estimate
from specbench.analysis.verification import Cost
from specbench.units import printable

if TYPE_CHECKING:  # 0.3 s; most commands draw nothing
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8a7a00", "#7570b3", "#a6761d", "#555555")
MARKERS = "osD^vPX*<>"
INK, FAINT, LINE, SPREAD = "#222222", "#b0b0b0", "#1f6f8b", "#8fbccb"
_CLOSE = 1.3  # times the number of positions before it
_MANY = 1500  # points that are drawn as an image even in an SVG
_DPI = 150
_LONGEST = 36  # characters of a name in a chart
_ENDS = 1.0  # powers of two at which the colours of a matrix end


@dataclass(frozen=True)
class Series:
    """Points of one label; `ends` are their intervals, None where there is none, and `spans` those of x.

    `hollow`: nobody measured it, or nothing is clearly won.
    """

    label: str
    points: tuple[tuple[float, float], ...]
    ends: tuple[tuple[float, float] | None, ...] = ()
    spans: tuple[tuple[float, float] | None, ...] = ()
    hollow: bool = False


@dataclass(frozen=True)
class Chart:
    """`name` is the file's. `ticks` name the values 0, 1, ... of x (or of y where it is `ranked`).

    `reference`: where nothing is won: a value of y (of x where `ranked`), or the diagonal.
    """

    name: str
    title: str
    x: str
    y: str
    kind: Literal["lines", "points", "ranked", "offers"]
    series: tuple[Series, ...]
    ticks: tuple[str, ...] = ()
    reference: float | Literal["diagonal"] | None = None
    logarithmic: bool = False


@dataclass(frozen=True)
class Matrix:
    """Speedups of `columns` (methods) in `rows` (categories); None was not measured."""

    name: str
    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[Estimate | None, ...], ...]


def png(chart: Chart | Matrix, caption: str) -> bytes:
    """1,200 pixels wide, with its title and a caption that says where the figures come from."""
    return _drawn(chart, caption, "png")


def card(chart: Chart | Matrix, caption: str) -> bytes:
    """The same as a PNG of 1,200 x 630 pixels, which is what links are shown with."""
    return _drawn(chart, caption, "png", (8, 4.2))


def svg(chart: Chart | Matrix, caption: str | None) -> str:
    """With text as text. Without a caption: for a page that has the title, and whose text colour it takes."""
    text = _drawn(chart, caption, "svg").decode()
    text = text[text.index("<svg") :]
    return text if caption is not None else text.replace(INK, "currentColor")


def _drawn(chart: Chart | Matrix, caption: str | None, format_: str, card: tuple[float, float] | None = None) -> bytes:
    with _settings():
        return _written(_figure(chart, caption, card), format_)


def _figure(chart: Chart | Matrix, caption: str | None, card: tuple[float, float] | None = None) -> "Figure":
    from matplotlib.figure import Figure  # noqa: PLC0415  0.3 s; most commands draw nothing

    rows = len(chart.rows) if isinstance(chart, Matrix) else len(chart.ticks) if chart.kind == "ranked" else 0
    legend = 0 if isinstance(chart, Matrix) or chart.kind in {"ranked", "offers"} else len(chart.series)
    height = 1.3 + 0.34 * rows if rows else 4.6 if isinstance(chart, Chart) and chart.kind == "offers" else 3.6
    width = min(8.0, 2.2 + 1.2 * len(chart.columns)) if isinstance(chart, Matrix) and caption is None else 8
    size = (width, height + (0.7 if caption is not None else 0)) if card is None else card
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    if isinstance(chart, Matrix):
        _matrix(axes, chart)
    else:
        {"lines": _lines, "points": _lines, "ranked": _ranked, "offers": _offers}[chart.kind](axes, chart)
        axes.set_xlabel(chart.x, color=INK)
        axes.set_ylabel(chart.y, color=INK)
    if caption is not None:
        figure.suptitle(fill(printable(chart.title), 80), fontsize=11, x=0.01, ha="left", color=INK)
        figure.supxlabel(
            "\n".join(fill(line, 125) for line in caption.splitlines()), fontsize=7, x=0.01, ha="left", color="#666666"
        )
    else:
        figure.patch.set_alpha(0)
        axes.patch.set_alpha(0)
    if legend:
        figure.legend(loc="outside right upper", frameon=False, fontsize=8, labelcolor=INK, handlelength=1.6)
    _quiet(axes)
    if isinstance(chart, Chart) and chart.kind == "offers":
        _name_points(axes, [(s.label, *s.points[0]) for s in chart.series if len(s.points) == 1])
    return figure


def _quiet(axes: "Axes") -> None:
    axes.tick_params(colors=INK, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.set_axisbelow(True)


def _short(name: str) -> str:
    """A name that leaves room for the chart, without characters that SVG forbids."""
    name = printable(name)
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _lines(axes: "Axes", chart: Chart) -> None:
    """Lines with bands of their intervals, or points alone."""
    apart = chart.kind == "points"
    for number, series in enumerate(chart.series):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        xs, ys = [x for x, _ in series.points], [y for _, y in series.points]
        many = len(xs) > _MANY
        bare = not apart and len(xs) > len(chart.ticks) + 40
        axes.plot(
            xs,
            ys,
            color=colour,
            marker="" if bare else marker,
            markersize=3 if apart else 5,
            linestyle="none" if apart else "-",
            linewidth=1.4,
            alpha=0.6 if apart else 1,
            label=_short(series.label),
            rasterized=many,
        )
        banded = [(x, *ends) for x, ends in zip(xs, series.ends, strict=False) if ends is not None]
        if banded:
            where, low, high = zip(*banded, strict=True)
            axes.fill_between(where, low, high, color=colour, alpha=0.12, linewidth=0)
    if chart.logarithmic:
        axes.set_xscale("log")
        axes.set_yscale("log")
        _plain_numbers(axes)
    if chart.reference == "diagonal":
        ends = [f(v for series in chart.series for point in series.points for v in point) for f in (min, max)]
        axes.plot(ends, ends, color=FAINT, linestyle="--", linewidth=1)
    elif chart.reference is not None:
        axes.axhline(chart.reference, color=FAINT, linestyle="--", linewidth=1)
    if chart.ticks:
        axes.set_xticks(range(len(chart.ticks)), [*map(_short, chart.ticks)])
    axes.grid(axis="y", color=FAINT, alpha=0.25)


def _plain_numbers(axes: "Axes") -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter  # noqa: PLC0415

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())


def _ranked(axes: "Axes", chart: Chart) -> None:
    """A value with its interval on each line, what it is of beside it; lines that win nothing are hollow."""
    floor = chart.reference if isinstance(chart.reference, float) else 0.0
    for series in chart.series:
        for (x, y), ends in zip(series.points, series.ends, strict=True):
            wins = ends is not None and ends[0] > floor and not series.hollow
            colour = COLOURS[0] if wins else COLOURS[5] if ends is not None and ends[1] < floor else COLOURS[-1]
            if ends is not None:
                axes.plot(ends, (y, y), color=colour, linewidth=2.2, alpha=0.5, solid_capstyle="butt")
            axes.plot(x, y, "o", color=colour, markerfacecolor=colour if wins else "white", markersize=7)
            words = f"{x:.2f}  {_short(series.label)}"
            place = (ends[1] if ends else x, y)
            axes.annotate(words, place, xytext=(9, -3), textcoords="offset points", fontsize=8, color=INK)
    axes.axvline(floor, color=FAINT, linestyle="--", linewidth=1)
    axes.set_yticks(range(len(chart.ticks)), [*map(_short, chart.ticks)])
    axes.set_ylim(len(chart.ticks) - 0.5, -0.5)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.9), high + 0.45 * (high - low))  # room for the names


def _offers(axes: "Axes", chart: Chart) -> None:
    """Points with both intervals and their names; a series of several points is a line."""
    for number, series in enumerate(chart.series):
        colour = COLOURS[number % len(COLOURS)]
        xs, ys = zip(*series.points, strict=True)
        if len(series.points) > 1:
            axes.plot(xs, ys, color=FAINT, linestyle="--", linewidth=1, drawstyle="steps-post", zorder=1)
            continue
        for ends, horizontal in ((series.spans, True), (series.ends, False)):
            if ends and ends[0] is not None:
                line = (ends[0], ys * 2) if horizontal else (xs * 2, ends[0])
                axes.plot(*line, color=colour, linewidth=1.6, alpha=0.35, solid_capstyle="butt")
        axes.plot(xs, ys, "o", color=colour, markerfacecolor="none" if series.hollow else colour, markersize=7)
    axes.set_xlim(0, 1.25 * max(x for series in chart.series for x, _ in series.points))  # long bars are cut off
    axes.set_ylim(bottom=0)
    axes.grid(color=FAINT, alpha=0.25)


def _name_points(axes: "Axes", named: Sequence[tuple[str, float, float]]) -> None:
    """Each name beside its point, where no other name or point is."""
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]  # now the axes know where they are
    points = [axes.transData.transform((x, y)) for _, x, y in named]
    taken: list[Any] = []
    for label, x, y in named:
        for dx, dy, side in [(8, dy, "left") for dy in (7, -8, 17, -18)] + [(-8, dy, "right") for dy in (7, -8)]:
            text = axes.annotate(
                _short(label), (x, y), xytext=(dx, dy), textcoords="offset points", ha=side, va="center", fontsize=8,
                color=INK,
            )  # fmt: skip
            box = text.get_window_extent()
            inside = axes.get_window_extent().contains(box.x0, box.y0) and box.x1 < axes.get_window_extent().x1
            if (
                inside
                and not any(box.overlaps(other) for other in taken)
                and not any(map(box.contains, *zip(*points, strict=True)))
            ):
                break
            if (dx, dy) != (-8, -8):
                text.remove()
        taken.append(box)


def _matrix(axes: "Axes", chart: Matrix) -> None:
    """A coloured table. `~` and grey: the interval holds 1, or there is none."""
    import matplotlib as mpl  # noqa: PLC0415

    colours = mpl.colormaps["PuOr"]
    for y, row in enumerate(chart.cells):
        for x, found in enumerate(row):
            if found is None:
                axes.text(x, y, "–", ha="center", va="center", fontsize=8, color=INK)
                continue
            sure = found.low is not None and found.high is not None and not found.low <= 1 <= found.high
            share = 0.5 + max(-_ENDS, min(_ENDS, log2(found.value))) / _ENDS / 2.6 if found.value > 0 else 0
            face = colours(share) if sure else "#e6e6e6"
            axes.fill([x - 0.47, x + 0.47, x + 0.47, x - 0.47], [y - 0.44, y - 0.44, y + 0.44, y + 0.44], color=face)
            dark = sure and abs(share - 0.5) > 0.3  # noqa: PLR2004  beyond it black text is hard to read
            axes.text(
                x, y, f"{'' if sure else '~'}{found.value:.2f}", ha="center", va="center", fontsize=8,
                color="#ffffff" if dark else "#111111",
            )  # fmt: skip
    columns = [*map(_short, chart.columns)]
    wide = max(map(len, columns), default=0) * len(chart.columns) > 80  # noqa: PLR2004  characters in a line
    axes.set_xticks(range(len(columns)), columns, rotation=30 if wide else 0, ha="right" if wide else "center")
    axes.set_yticks(range(len(chart.rows)), [*map(_short, chart.rows)])
    axes.set_xlim(-0.5, len(chart.columns) - 0.5)
    axes.set_ylim(len(chart.rows) - 0.5, -0.5)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def verification_cost(costs: Sequence[Cost], *, title: str) -> bytes:
    """The measured curve with its intervals, between free verification (1) and verification that wins nothing (k)."""
    from matplotlib.figure import Figure  # noqa: PLC0415  0.3 s; most commands draw nothing

    with _settings():
        figure = Figure(figsize=(8, 4.8), dpi=_DPI, layout="constrained")
        axes = figure.add_subplot()
        positions = [cost.positions for cost in costs]
        values = [cost.cost.value for cost in costs]
        highest = max(cost.cost.high or cost.cost.value for cost in costs)
        top = 1.15 * min(highest, 2 * max(values))  # a wild interval is cut off rather than flattening the curve
        every = [
            k / 8 for k in range(8, 8 * max(positions) + 1)
        ]  # a straight line is none where one axis is logarithmic
        axes.plot(every, [1] * len(every), color=FAINT, linestyle="--", linewidth=1, label="free: as one position")
        axes.plot(every, every, color=FAINT, linestyle=":", linewidth=1, label="wins nothing: as k passes")
        below = [cost.cost.value - (cost.cost.low or cost.cost.value) for cost in costs]
        above = [(cost.cost.high or cost.cost.value) - cost.cost.value for cost in costs]
        axes.errorbar(positions, values, yerr=[below, above], fmt="none", ecolor=SPREAD, elinewidth=1.2, capsize=3)
        axes.plot(positions, values, color=LINE, marker="o", markersize=5, linewidth=1.5)
        for before, cost in zip([0, *positions], costs, strict=False):
            close = cost.positions < _CLOSE * before  # its label goes to the other side of the line
            axes.annotate(
                f"{cost.cost.value:.2f}",
                (cost.positions, cost.cost.value),
                xytext=(5, -11) if close else (-5, 6),
                textcoords="offset points",
                ha="left" if close else "right",
                fontsize=8,
                color=INK,
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
        axes.grid(axis="y", color=FAINT, alpha=0.25)
        _quiet(axes)
        return _written(figure, "png")


@contextmanager
def _settings() -> Iterator[None]:
    """Text is drawn as it is, `$` too, and the same data give the same bytes."""
    import matplotlib as mpl  # noqa: PLC0415

    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "specbench", "text.parse_math": False}
    standard: Any = {key: value for key, value in mpl.rcParamsDefault.items() if key != "backend"}  # not the user's own
    with mpl.rc_context({**standard, **settings}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box is shown instead
        warnings.filterwarnings("ignore", message="constrained_layout not applied")  # names beyond all measure
        yield


def _written(figure: "Figure", format_: str) -> bytes:
    written = io.BytesIO()
    figure.savefig(written, format=format_, metadata={"Software": None} if format_ == "png" else {"Date": None})
    return written.getvalue()
