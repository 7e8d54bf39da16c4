"""Costs: a worked example, and what holds for every band."""

from math import isclose

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specbench.analysis.cost import NOTHING, Band, Figure, Paid, Use, best, between, costs, on_mix


def exactly(value: float) -> Band:
    return Band(value, value, value)


bands = st.lists(st.floats(0.1, 1000), min_size=3, max_size=3).map(lambda ends: Band(*sorted(ends)))


def test_a_used_card_costs_what_the_worked_example_says() -> None:
    """700 dollars, 300 got back, 250 W and 20 W, 4 hours a day for 3 years at 0.30 dollars: 860 dollars."""
    use = Use(exactly(4), 3, exactly(0.30), exactly(300 / 700))
    found = costs(Paid(exactly(700), NOTHING, exactly(250), exactly(20)), use, exactly(52.8))
    assert found.total.value == pytest.approx(860, abs=1)
    assert found.per_million is not None
    assert found.per_million.value == pytest.approx(1.03, abs=0.005)
    assert found.per_kwh is not None
    assert found.per_kwh.value == pytest.approx(760_000, rel=0.001)
    assert found.total.low == found.total.high == pytest.approx(found.total.value)


def test_what_is_rented_costs_nothing_but_its_hours() -> None:
    use = Use(exactly(4), 1, exactly(0.30), exactly(0.5))
    found = costs(Paid(NOTHING, exactly(0.5), NOTHING, NOTHING), use, exactly(50))
    assert found.outlay.value == found.total.value == pytest.approx(0.5 * 4 * 365)
    assert found.per_million is not None
    assert found.per_million.value == pytest.approx(0.5 / (50 * 3600) * 1e6)
    assert found.per_joule is None


def test_what_one_has_costs_nothing_to_pay() -> None:
    found = costs(
        Paid(NOTHING, NOTHING, exactly(250), exactly(20)), Use(exactly(4), 3, exactly(0.3), NOTHING), exactly(50)
    )
    assert found.outlay == NOTHING
    assert found.total.value > 0  # its electricity
    assert found.per_dollar is None


def test_without_a_speed_only_the_price_is_known() -> None:
    found = costs(
        Paid(exactly(700), NOTHING, exactly(250), exactly(20)), Use(*(exactly(4), 1, exactly(1), NOTHING)), None
    )
    assert found.total.value > 700
    assert (found.per_million, found.per_dollar, found.per_joule, found.per_kwh) == (None, None, None, None)


@given(bands, bands)
def test_a_result_holds_what_each_input_does_alone(a: Band, b: Band) -> None:
    found = between(lambda a, b: a / b, a=a, b=b)
    ends = [a.low / b.value, a.high / b.value, a.value / b.low, a.value / b.high]
    assert found.low <= min(ends) * (1 + 1e-9)
    assert found.high >= max(ends) * (1 - 1e-9)
    widest = (a.low / b.high, a.high / b.low)  # all at their worst together
    assert widest[0] * (1 - 1e-9) <= found.low <= found.value <= found.high <= widest[1] * (1 + 1e-9)


@given(bands)
def test_one_uncertain_input_alone_gives_its_own_ends(a: Band) -> None:
    found = between(lambda a, b: a * b, a=a, b=exactly(3))
    assert isclose(found.low, a.low * 3)
    assert isclose(found.high, a.high * 3)


@given(st.lists(bands, min_size=1, max_size=5))
def test_a_mix_lies_between_its_slowest_and_its_fastest_work(speeds: list[Band]) -> None:
    names = [str(i) for i in range(len(speeds))]
    figures = {
        name: Figure(name, "none", speed, "predicted", plain=True) for name, speed in zip(names, speeds, strict=True)
    }
    found = on_mix(figures, dict.fromkeys(names, 1 / len(speeds)))
    assert found is not None
    assert min(s.value for s in speeds) * (1 - 1e-9) <= found.value <= max(s.value for s in speeds) * (1 + 1e-9)
    assert found.low <= found.value <= found.high
    assert on_mix({**figures, names[0]: None}, dict.fromkeys(names, 1 / len(speeds))) is None


def test_a_measurement_goes_before_reports_and_those_before_predictions() -> None:
    def figure(method: str, speed: float, basis: str) -> Figure:
        return Figure("code", method, exactly(speed), basis, plain=False)  # type: ignore[arg-type]

    predicted, published = figure("mtp", 90, "predicted"), figure("mtp", 60, "published")
    plain, measured = figure("none", 30, "predicted"), figure("mtp", 50, "measured")
    assert best([plain, predicted], "code") == predicted
    assert best([plain, predicted, published], "code") == published
    assert best([plain, predicted, published, measured], "code") == measured
    assert best([plain, predicted], "chat") is None
