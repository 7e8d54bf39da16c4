"""Curves made by hand; the expected values can be computed in the head."""

import pytest
from analysis.synthetic import contender

from specbench import listings
from specbench.analysis.verification import curve
from specbench.measurements import HardwareMeasurement, VerificationPasses
from specbench.records import Machine, Opening
from specbench.structs import from_json, to_json


def measured(*points: VerificationPasses) -> HardwareMeasurement:
    opening = Opening(
        contender="none",
        block=0,
        started=0.0,
        engine_version="1",
        engine_commit="abc",
        executable=None,
        executable_sha256=None,
        argv=(),
        environment={},
        load_seconds=1.0,
        context_size=768,
        chat_template_sha256=None,
    )
    return HardwareMeasurement(
        specbench_version="0",
        started=0.0,
        machine=Machine(system="Linux", cpu="CPU"),
        load_average=0.0,
        host_bandwidth=(8e9, 10e9, 9e9),
        device_bandwidth={"0000:01:00.0": (900e9,)},
        contender=contender("none"),
        opening=opening,
        model_bytes=1,
        fill=512,
        verification=points,
        reasons={"device_bandwidth.HIP": "no library"},
    )


def point(positions: int, *milliseconds: float, spoilt: int = 0) -> VerificationPasses:
    """Requests of two passes that took so long each."""
    seconds = tuple(2 * each / 1000 for each in milliseconds)
    return VerificationPasses(positions=positions, passes=2, seconds=seconds, spoilt=spoilt)


PLAIN = point(1, 10, 10, 10, 10, 10)


def test_a_cost_is_the_median_pass_over_the_median_pass_of_one_position() -> None:
    one, eight = curve(measured(PLAIN, point(8, 14, 15, 15, 15, 90)))
    assert (one.positions, one.cost.value, one.best_gain) == (1, 1.0, 1.0)
    assert eight.seconds == pytest.approx(0.015)
    assert eight.cost.value == pytest.approx(1.5)
    assert eight.best_gain == pytest.approx(8 / 1.5)
    assert eight.cost.low is not None
    assert eight.cost.high is not None
    assert eight.cost.low <= 1.5 <= eight.cost.high


def test_what_was_measured_on_the_way_up_and_down_is_one_number() -> None:
    down, up = (point(4, *[each] * 5, spoilt=1) for each in (10, 30))
    four = curve(measured(PLAIN, down, up, PLAIN))[1]
    assert four.cost.value == pytest.approx(2.0)
    assert (four.requests, four.spoilt) == (10, 2)


def test_a_step_between_two_numbers_of_positions_is_not_smoothed() -> None:
    costs = curve(measured(PLAIN, point(8, *[11] * 5), point(9, *[19] * 5), point(16, *[20] * 5)))
    assert [round(cost.cost.value, 6) for cost in costs] == [1.0, 1.1, 1.9, 2.0]


def test_few_requests_have_no_interval_and_no_plain_pass_means_no_curve() -> None:
    assert curve(measured(PLAIN, point(8, 14, 15)))[1].cost.low is None
    assert curve(measured(point(8, 14, 15))) == ()
    assert curve(measured(PLAIN, point(8, spoilt=5)))[1:] == ()


def test_the_record_is_read_back_and_shown() -> None:
    record = measured(PLAIN, point(8, *[15] * 5))
    assert from_json(HardwareMeasurement, to_json(record)) == record
    memory = {row["memory"]: row["best"] for row in listings.bandwidth_rows(record)}
    assert memory["host memory"] == "10 GB/s"
    assert memory["0000:01:00.0"] == "900 GB/s"
    assert listings.curve_rows(record)[1] | {"95 % interval": None} == {
        "positions": 8,
        "draft": 7,
        "seconds": "15 ms",
        "cost": "1.50",
        "95 % interval": None,
        "gain at most": "5.33",
        "requests": 5,
    }
