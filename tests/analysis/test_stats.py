import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specbench.analysis import stats

ratios = st.lists(st.floats(0.05, 20), min_size=5, max_size=40)


@settings(deadline=None, max_examples=30)
@given(ratios)
def test_an_interval_holds_its_value(values: list[float]) -> None:
    found = stats.geometric_mean(values, seed=0)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert min(values) * 0.999 <= found.low <= found.value <= found.high <= max(values) * 1.001


@settings(deadline=None, max_examples=30)
@given(ratios, st.floats(0.1, 10))
def test_scaling_every_ratio_scales_the_estimate(values: list[float], scale: float) -> None:
    one, other = (stats.geometric_mean(v, seed=3) for v in (values, [scale * value for value in values]))
    assert one is not None
    assert other is not None
    assert [other.value, other.low, other.high] == pytest.approx([scale * x for x in (one.value, one.low, one.high)])


@settings(deadline=None, max_examples=30)
@given(ratios)
def test_the_inverse_of_ratios_is_the_inverse_of_their_mean(values: list[float]) -> None:
    one = stats.geometric_mean(values, seed=0)
    other = stats.geometric_mean([1 / v for v in values], seed=0)
    assert one is not None
    assert other is not None
    assert other.value == pytest.approx(one.inverse().value)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0.1, 100)), min_size=5, max_size=30), st.randoms())
def test_the_value_does_not_depend_on_the_order(pairs: list[tuple[float, float]], dice: random.Random) -> None:
    shuffled = list(pairs)
    dice.shuffle(shuffled)
    one, other = (stats.ratio_of_sums(p, seed=0) for p in (pairs, shuffled))
    assert one is not None
    assert other is not None
    assert one.value == pytest.approx(other.value)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values = [1.0, 1.2, 1.5, 0.9, 2.0, 1.1]
    assert stats.geometric_mean(values, seed=1) == stats.geometric_mean(values, seed=1)
    assert stats.geometric_mean(values, seed=1) != stats.geometric_mean(values, seed=2)


def test_fewer_than_five_prompts_give_a_value_and_a_reason_but_no_interval() -> None:
    found = stats.geometric_mean([2.0, 2.0, 0.5], seed=0)
    assert found is not None
    assert found.value == pytest.approx(2 ** (1 / 3))
    assert (found.low, found.high, found.n) == (None, None, 3)
    assert found.reason == "need >= 5 prompts for an interval, there are 3"


def test_nothing_has_no_mean() -> None:
    assert stats.geometric_mean([], seed=0) is None
    assert stats.ratio_of_sums([(0, 0), (1, 0)], seed=0) is None


def test_sums_are_divided_once() -> None:
    found = stats.ratio_of_sums([(1, 1), (0, 9)], seed=0)
    assert found is not None
    assert found.value == 0.1


def test_the_quantile_of_students_t_is_that_of_the_tables() -> None:
    for degrees, expected in {4: 2.776, 5: 2.571, 7: 2.365, 19: 2.093, 99: 1.984}.items():
        assert stats.student_quantile(0.975, degrees) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("n", [5, 8, 20])
def test_a_95_percent_interval_holds_the_truth_about_95_times_in_100(n: int) -> None:
    dice = np.random.default_rng(7)
    hits = 0
    for _ in range(300):
        found = stats.geometric_mean([float(x) for x in np.exp(dice.normal(0.3, 0.25, n))], seed=0)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= np.exp(0.3) <= found.high
    assert hits / 300 > 0.89


def test_a_long_list_is_resampled_in_parts() -> None:
    found = stats.geometric_mean([1.0, 4.0] * 1000, seed=0)
    assert found is not None
    assert found.value == pytest.approx(2)
    assert found.low == pytest.approx(2 * np.exp(-1.96 * np.log(2) / np.sqrt(2000)), rel=0.01)
