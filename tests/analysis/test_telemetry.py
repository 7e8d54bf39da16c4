import itertools
from typing import Any

import pytest
from analysis.synthetic import BASE, generation, machine, opening, plan
from hypothesis import given
from hypothesis import strategies as st

from specbench.analysis import telemetry
from specbench.analysis.comparison import compare
from specbench.analysis.metrics import METRICS
from specbench.records import Gauge, Generation, Meter, Result, Telemetry
from specbench.structs import replace

STEPS = st.lists(st.floats(0, 50), min_size=1, max_size=60)


def meter(*readings: float, every: float = 0.1, **changes: Any) -> Meter:
    points = tuple((index * every, value) for index, value in enumerate(readings))
    return Meter(**{"scope": "gpu", "kind": "energy", "points": points} | changes)


def recorded(meters: dict[str, Meter] | None = None, trial: str | None = "t", **changes: Any) -> Telemetry:
    facts: dict[str, Any] = {"gauges": {}, "throttle": {}, "reasons": {}, "started": 0.0}
    return Telemetry(trial=trial, meters=meters or {}, **facts | changes)


def steady(watts: float, seconds: float = 3.0, **changes: Any) -> Meter:
    return meter(*(100 + watts * 0.1 * n for n in range(int(seconds * 10) + 1)), **changes)


def gauge(value: float) -> Gauge:
    return Gauge(count=1, total=value, low=value, high=value)


@given(st.floats(0, 99.9), STEPS)
def test_a_counter_that_starts_again_loses_nothing(start: float, steps: list[float]) -> None:
    values = [start]
    for step in steps:
        values.append((values[-1] + step) % 100)
    points = telemetry.curve(meter(*values, wrap=100.0))
    assert points is not None
    assert points[-1][1] == pytest.approx(sum(steps), abs=1e-6)
    assert all(after[1] >= before[1] for before, after in itertools.pairwise(points))


@given(st.lists(st.floats(0, 3000), min_size=2, max_size=60))
def test_power_is_integrated_by_trapezoids(watts: list[float]) -> None:
    points = telemetry.curve(meter(*watts, every=0.5, kind="power"))
    assert points is not None
    assert points[-1][1] == pytest.approx(sum((a + b) / 4 for a, b in itertools.pairwise(watts)))


@given(st.lists(st.floats(0.1, 50), min_size=40, max_size=60), st.floats(1.05, 1.9))
def test_the_joules_of_two_windows_add_up(steps: list[float], cut: float) -> None:
    values = [sum(steps[:n]) for n in range(len(steps) + 1)]
    watched = recorded({"a": meter(*values), "b": meter(*values, scope="package")})
    whole, first, second = (telemetry.joules(watched, *window) for window in ((0, 3), (0, cut), (cut, 3)))
    assert first + second == pytest.approx(whole)
    assert whole == pytest.approx(2 * values[30])


def test_a_counter_that_was_set_back_is_a_reason() -> None:
    found = telemetry.joules(recorded({"nvidia0": meter(*range(20), *range(20))}), 0, 3)
    assert found == "the energy counter of nvidia0 was set back"


def test_a_jump_that_no_device_can_draw_is_a_reason() -> None:
    assert "set back" in str(telemetry.joules(recorded({"cpu0": meter(*range(20), 1e6)}), 0, 3))


@pytest.mark.parametrize(("seconds", "known"), [(0.95, False), (1.05, True)])
def test_a_window_shorter_than_ten_updates_has_no_energy(seconds: float, *, known: bool) -> None:
    found = telemetry.joules(recorded({"nvidia0": steady(200)}), 1.0, 1.0 + seconds)
    assert isinstance(found, float) == known


def test_a_counter_that_moves_once_a_second_needs_ten_seconds() -> None:
    slow = meter(*(float(n // 10 * 200) for n in range(300)))
    watched = recorded({"nvidia0": slow})
    assert isinstance(telemetry.joules(watched, 1.0, 9.0), str)
    assert telemetry.joules(watched, 1.0, 21.0) == pytest.approx(4000, rel=0.06)


def test_a_counter_that_stands_still_is_not_zero_joules() -> None:
    assert isinstance(telemetry.joules(recorded({"nvidia0": meter(*[5.0] * 40)}), 0, 3.5), str)


def test_a_card_that_is_lost_during_a_decode_has_no_energy() -> None:
    found = telemetry.joules(recorded({"nvidia0": steady(200, 5), "nvidia1": steady(200, 2)}), 0.5, 4.0)
    assert found == "nvidia1 did not answer to the end"


def measured(prompt: str = "code-0", **changes: Any) -> Generation:
    """2 s of decoding at 200 W, 100 tokens, after 0.5 s before the request and 0.1 s of prefill."""
    facts = {"telemetry": recorded({"nvidia0": steady(200)}), "asked": 0.5, "total": 2.1, "seconds": 2.0}
    return generation("base", prompt, **facts | changes)


def test_energy_is_that_of_the_decode_only() -> None:
    assert METRICS["energy_per_token"].parts(measured()) == (pytest.approx(400), 100)
    assert METRICS["tokens_per_kwh"].parts(measured()) == (100, pytest.approx(400 / 3.6e6))


@pytest.mark.parametrize("changes", [{"telemetry": None}, {"asked": None}, {"telemetry": recorded()}])
def test_without_telemetry_there_is_no_energy(changes: dict[str, Any]) -> None:
    assert METRICS["energy_per_token"].parts(measured(**changes)) is None


def said(*results: Result, **changes: Any) -> str:

    return compare(replace(plan(results, [BASE]), **changes), results, machine=machine()).energy


def test_the_report_says_what_the_energy_is_of() -> None:
    idle = recorded({"nvidia0": steady(21)}, trial=None, reasons={"cpu.energy": "RAPL is not there"})
    assert said(idle, measured(), measured("code-1", telemetry=recorded({"nvidia0": steady(200, 1)}))) == (
        "J/token is of the GPU only (energy counter); 21 W of it are drawn when idle; "
        "1 of 2 trials have none: shorter than 10 updates of the energy reading; RAPL is not there"
    )
    both = recorded({"amd0": steady(21, kind="power"), "cpu0": steady(1, scope="package")}, trial=None)
    assert said(both, measured()).startswith(
        "J/token is of the GPU and CPU package only (integral of the power readings and energy counter)"
    )


def test_the_report_says_once_why_there_is_no_energy() -> None:
    reasons = {"nvidia.energy": "NVIDIA: no driver", "cpu.energy": "RAPL is not there", "host.memory": "other"}
    blind = recorded(trial=None, reasons=reasons)
    assert said(blind, measured(telemetry=None)) == "no energy: NVIDIA: no driver; RAPL is not there"
    idle = recorded({"nvidia0": steady(21)}, trial=None)
    short = measured(telemetry=recorded({"nvidia0": steady(200, 0.5)}))
    assert said(idle, short) == "no energy: every decode is shorter than 10 updates of the energy reading"
    assert said(measured(telemetry=None)) == "no energy: telemetry is not on disk"
    assert said(measured(telemetry=None), telemetry=False) == "no energy: telemetry was switched off"


def test_the_peak_is_the_highest_of_all_trials_over_all_cards() -> None:
    def using(*bytes_: float) -> Generation:
        gauges = {f"nvidia{n}.engine_memory": gauge(used) for n, used in enumerate(bytes_)}
        return measured(
            telemetry=recorded(gauges=gauges | {"host.memory": gauge(3.0), "nvidia0.device_memory": gauge(99)})
        )

    results = [using(5.0, 1.0), using(4.0, 7.0), measured()]
    row = compare(plan(results[:1], [BASE]), results[:1]).rows[0]
    assert (row.peak_device_memory, row.peak_memory) == (6.0, 3.0)
    assert telemetry.peak(results, "engine_memory") == 11.0
    assert telemetry.peak([measured()], "engine_memory") is None


QUIET = {
    "nvidia0.power_limit": 350.0,
    "nvidia0.power_limit_default": 350.0,
    "nvidia0.foreign_processes": 0.0,
    "nvidia0.sm_clock": 1.8e9,
    "nvidia0.sm_clock_max": 2.1e9,
    "nvidia0.utilization": 0.97,
    "host.on_battery": 0.0,
}


def disturbed(throttle: dict[int, int] | None = None, **changed: float) -> dict[str, str]:
    values = QUIET | {f"{key.replace('__', '.')}": value for key, value in changed.items()}
    watched = recorded(
        gauges={key: gauge(value) for key, value in values.items()}, throttle={"nvidia0": throttle or {0: 99}}
    )
    return {n.code: n.message for n in telemetry.notes("base", [measured(telemetry=watched)])}


def test_a_quiet_machine_has_no_note() -> None:
    assert disturbed() == {}
    assert disturbed({0x4: 50, 0x1: 50}) == {}, "a card at its default limit and an idle one are as they should be"
    assert list(telemetry.notes("base", [measured(telemetry=None)])) == []


@pytest.mark.parametrize("mask", [0x8, 0x20, 0x40, 0x80, 0x44])
def test_a_card_that_was_slowed_down_is_noted(mask: int) -> None:
    assert disturbed({0: 90, mask: 10}) == {"THROTTLED": "nvidia0 was slowed down in 10% of the readings"}


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("POWER_CAPPED", {"nvidia0__power_limit": 250.0}),
        ("FOREIGN_GPU_PROCESS", {"nvidia0__foreign_processes": 1.0}),
        ("ON_BATTERY", {"host__on_battery": 1.0}),
        ("CLOCK_LOW", {"nvidia0__sm_clock": 0.9e9}),
    ],
)
def test_what_disturbs_a_measurement_is_noted(code: str, changed: dict[str, float]) -> None:
    assert disturbed(**changed).keys() == {code}


def test_a_low_clock_is_no_fault_of_a_card_that_is_idle_or_capped() -> None:
    assert disturbed(nvidia0__sm_clock=0.9e9, nvidia0__utilization=0.4) == {}
    assert disturbed({0x4: 9}, nvidia0__sm_clock=0.9e9) == {}


@pytest.mark.parametrize(
    ("environment", "named"), [({}, True), ({"OMP_WAIT_POLICY": "passive"}, False), ({"GOMP_SPINCOUNT": "0"}, False)]
)
def test_on_shared_cores_the_waiting_of_threads_is_named_unless_it_is_set(
    environment: dict[str, str], *, named: bool
) -> None:
    results = [opening("base", environment=environment), measured(load_average=9.0)]
    (found,) = (n for n in compare(plan(results, [BASE]), results, machine=machine(2)).notes if "CPU" in n.code)
    assert ("OMP_WAIT_POLICY" in found.advice) == named
