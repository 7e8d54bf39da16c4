"""Charts of many lines: none is lost."""

from specbench.analysis.axes import Curve, Point
from specbench.analysis.stats import Estimate
from specbench.report.figures import _along


def test_lines_beyond_ten_go_into_another_chart() -> None:
    def point(value: int) -> Point:
        one = Estimate(1.5, None, None, 5)
        return Point(value, 5, one, one, one, one, one, None)

    curves = [Curve("threads", "t", f"method {i}", None, 0.0, None, (point(1), point(2)), None) for i in range(23)]
    drawn = [chart for chart in _along(curves, "Decode") if chart.name.startswith("speedup")]
    assert [len(chart.series) for chart in drawn] == [10, 10, 3]
    assert len({chart.name for chart in drawn}) == 3
    assert {series.label for chart in drawn for series in chart.series} == {f"method {i}" for i in range(23)}
