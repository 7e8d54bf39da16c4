"""Where the level of a figure changes over runs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specbench.analysis.sides import Place
from specbench.analysis.trend import change_points
from specbench.report.trend import picture, rows, sparkline


def test_series_without_a_change_have_a_false_one_in_at_most_5_of_100_simulations() -> None:
    dice = np.random.default_rng(1)
    false = np.mean([bool(change_points(list(dice.normal(100, 5, 30)))) for _ in range(400)])
    assert false <= 0.05 + 2 * (0.05 * 0.95 / 400) ** 0.5


@pytest.mark.parametrize("at", [12, 20])
def test_a_change_of_8_per_cent_in_noise_of_2_per_cent_is_found_where_it_is(at: int) -> None:
    dice = np.random.default_rng(2)
    found = [change_points([*dice.normal(100, 2, at), *dice.normal(92, 2, 32 - at)]) for _ in range(100)]
    assert np.mean([any(abs(k - at) <= 1 for k in points) for points in found]) >= 0.95


def test_two_changes_are_found() -> None:
    assert change_points([10.0] * 15 + [9.0] * 15 + [11.0] * 15) == [15, 30]


@settings(deadline=None)  # a busy machine is no fault
@given(st.lists(st.floats(0, 1e6), max_size=40))
def test_points_lie_inside_and_bars_are_as_many_as_values(values: list[float]) -> None:
    points = change_points(values)
    assert points == sorted(set(points))
    assert all(0 < k < len(values) for k in points)
    if values:
        assert len(sparkline(values)) == min(len(values), 32)


def test_a_sparkline_goes_from_the_least_to_the_greatest() -> None:
    assert sparkline([1, 2, 4]) == "▁▅█"
    assert sparkline([3, 3]) == "▅▅"


def test_rows_name_the_run_at_which_the_level_changed_and_the_picture_is_a_png() -> None:
    series = {f"run-{k:02}": 100.0 if k < 15 else 90.0 for k in range(30)}
    trends = {Place("draft", None, 0.0): series, Place("draft", "code", 0.0): series}
    assert [(row["category"], row["changed at"]) for row in rows(trends)] == [("all", "run-15"), ("code", "run-15")]
    filled = {Place("draft", "rag-long", 0.0, fill): series for fill in (512, 1024)}
    assert [row["category"] for row in rows(filled)] == ["rag-long 512", "rag-long 1k"]
    assert picture(trends, measure="decode_speed", unit="tok/s").startswith(b"\x89PNG")
