"""Predictions and how well they do on devices that were left out, as plain data for a terminal."""

from collections.abc import Iterator, Sequence

from specbench.analysis.prediction import Backtest, Guess, OnDevice, Predicted, Prediction, Published
from specbench.analysis.stats import Estimate
from specbench.report import cells
from specbench.report.section import MISSING, Column, Section
from specbench.units import percent, significant, size


def predicted_section(found: Predicted) -> Section:
    """A line for plain decoding on each device, fastest first, and one for each kind of work with a measured tau."""
    columns = (
        Column("device"),
        Column("work"),
        Column("method", "", "left", 1),
        Column("tok/s", "(95 %)", "right"),
        Column("speedup", "× (95 %)", "right"),
        Column("from", "", "left", 2),
    )
    rows, rules = [], []
    for device in sorted(found.devices, key=_speed, reverse=True):
        first = device.name
        if not device.guesses:
            rows.append((first, _why_not(device), *[MISSING] * 4))
        for guess in device.guesses:
            when = "" if guess.temperature is None else f", {cells.temperature(guess.temperature)}"
            work = (
                "plain"
                if guess.method == "none"
                else cells.category(guess.category, guess.fill, guess.categories) + when
            )
            speed = MISSING if guess.speed is None else _interval(guess.speed, significant(guess.speed.value))
            gain = MISSING if guess.speedup is None else _interval(guess.speedup, f"{guess.speedup.value:.2f}")
            rows.append((first, work, guess.method, speed, gain, _basis(guess)))
            first = ""
        rules.append(len(rows) - 1)
    return Section(
        f"Predicted, not measured: {found.target}"
        + ("" if found.context is None else f" with {found.context:,} tokens of context"),
        columns,
        tuple(rows),
        tuple(rules[:-1]),
        footnotes=tuple(_footnotes(found)),
    )


def _footnotes(found: Predicted) -> Iterator[str]:
    if any(guess.fill is not None for device in found.devices for guess in device.guesses):
        yield "work with a fill: the tokens per round are those of the run at that context fill"
    if found.read_bytes is None:
        yield "speedup: tokens per round of the run / (drafting as in the run + the curve's cost of draft length + 1)"
        yield "without an interval: docs/prediction.md says how far off it was"
        return
    yield f"a token reads {size(found.read_bytes)}" + ("" if found.kv_known else ", the KV cache not counted")
    yield "plain speed: bandwidth x the share of it that llama.cpp reached with dense 27B models in published runs"
    yield "speedup: the run's tokens per round / the published cost of a round: MTP, and DFlash with a draft tree"
    yield "how far off that is on devices it has not seen: specbench predict --backtest"


def backtest_section(tests: Sequence[Backtest], broken: Sequence[tuple[Published, str]]) -> Section:
    """Errors and coverage by quantity."""
    names = ("quantity", "predicted from", "devices", "rows", "median error", "inside 95 %", "interval, high / low")
    columns = tuple(Column(name, "", "left" if i < 2 else "right", 0) for i, name in enumerate(names))  # noqa: PLR2004
    rows = tuple(
        (
            t.quantity, t.basis, str(t.devices), str(t.rows), percent(t.error),
            f"{percent(t.covered / t.rows)} ({t.covered})", f"{t.width:.2f}",
        )
        for t in tests
    )  # fmt: skip
    left_out = (f"left out, it breaks a bound: {row.device}, {row.label}: {why}" for row, why in broken)
    return Section(
        "Published rows, each predicted without those of its device, or of its source on it",
        columns,
        rows,
        footnotes=tuple(left_out),
    )


def _speed(device: OnDevice) -> float:
    return max((g.speed.value for g in device.guesses if g.speed), default=0.0)


def _interval(p: Prediction | Estimate, value: str) -> str:
    if p.low is None or p.high is None:
        return value
    return f"{value} ({significant(p.low, 2)}\N{EN DASH}{significant(p.high, 2)})"


def _why_not(device: OnDevice) -> str:
    if device.lacking is not None and device.lacking > 0:
        return f"does not fit: {size(device.lacking)} too much"
    return "nothing is published to predict it from"


def _basis(guess: Guess) -> str:
    found = guess.speed or guess.speedup
    if isinstance(found, Prediction):
        return found.basis
    return "its own curve" if found is not None else "beyond its curve"
