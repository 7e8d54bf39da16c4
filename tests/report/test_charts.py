import struct
from types import SimpleNamespace
from typing import Any

from specbench.analysis.stats import Estimate
from specbench.analysis.verification import Cost
from specbench.report import charts, figures


def cost(positions: int, value: float, spread: float | None = 0.1) -> Cost:
    low, high = (None, None) if spread is None else (value - spread, value + spread)
    return Cost(positions=positions, seconds=value / 100, cost=Estimate(value, low, high, 9), requests=9, spoilt=0)


CURVE = [cost(1, 1.0, None), cost(8, 1.2), cost(9, 2.1), cost(16, 2.3), cost(32, 4.5)]


def test_the_chart_is_a_png_of_a_fixed_size_and_shows_what_it_is_given() -> None:
    drawn = charts.verification_cost(CURVE, title="micro Q8_0, llama-server abc, 512 tokens of context, a CPU")
    assert drawn.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", drawn[16:24]) == (1200, 720)
    again = charts.verification_cost(CURVE, title="micro Q8_0, llama-server abc, 512 tokens of context, a CPU")
    assert drawn == again
    assert drawn != charts.verification_cost([*CURVE[:-1], cost(32, 5.5)], title="micro")


def test_a_curve_of_one_point_and_one_without_intervals_can_be_drawn() -> None:
    for costs in (CURVE[:1], [cost(1, 1.0, None), cost(8, 2.0, None)]):
        assert charts.verification_cost(costs, title="t" * 300).startswith(b"\x89PNG")


def test_only_what_the_verdict_advises_is_drawn_as_won() -> None:
    verdicts: Any = [
        SimpleNamespace(label="m", kind=kind, category="code", fill=None, speedup=Estimate(1.2, 1.1, 1.3, 9))
        for kind in ("use", "no clear gain", "not credible")
    ]
    (chart,) = figures._best("micro", verdicts, "decode")
    assert [series.hollow for series in chart.series] == [False, True, True]
