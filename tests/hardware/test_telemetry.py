import threading
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from hardware import watched

from specbench.hardware import telemetry
from specbench.hardware.sensors import Engine, Source
from specbench.hardware.telemetry import Sampler
from specbench.records import Telemetry
from specbench.structs import from_json, to_json


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "telemetry"]


def watch(*sources: Source, seconds: float = 0.0, reasons: dict[str, str] | None = None) -> Telemetry:
    sampler = Sampler(sources, Engine(), reasons or {}, monotonic=time.monotonic)
    with sampler.watching() as watched_now:
        time.sleep(seconds)
    return watched_now.telemetry("a trial", started=7.0)


def test_a_trial_is_looked_at_before_after_and_ten_times_a_second() -> None:
    values = iter(range(1, 1000))
    found = watch(Source("own", {"memory": lambda: next(values)}), seconds=0.55)
    gauge = found.gauges["own.memory"]
    assert 3 <= gauge.count <= 8, "fewer where the machine is busy"
    assert (gauge.low, gauge.high) == (1, gauge.count)
    assert gauge.total == sum(range(1, gauge.count + 1))
    assert (found.trial, found.started) == ("a trial", 7.0)
    assert from_json(Telemetry, to_json(found)) == found


@pytest.mark.parametrize("plugged", [True, False])
def test_a_machine_with_a_battery_is_watched(monkeypatch: pytest.MonkeyPatch, *, plugged: bool) -> None:
    battery = SimpleNamespace(power_plugged=plugged)
    monkeypatch.setattr(psutil, "sensors_battery", lambda: battery, raising=False)
    gauge = watch(Engine().source()).gauges["host.on_battery"]
    assert (gauge.low, gauge.high) == ((0.0, 0.0) if plugged else (1.0, 1.0))


def test_what_costs_time_is_read_at_the_edges_only() -> None:
    found = watch(Source("own", {"memory": lambda: 5.0, "power_limit": lambda: 300.0}), seconds=0.35)
    assert found.gauges["own.power_limit"].count == 2
    assert found.gauges["own.memory"].count > 2


def test_no_thread_is_left_after_a_trial_or_an_interruption() -> None:
    watch(Source("own", {"memory": lambda: 1.0}))
    assert threads() == []
    sampler = Sampler([Source("own", {"memory": lambda: 1.0})], Engine(), {}, monotonic=time.monotonic)
    with pytest.raises(KeyboardInterrupt), sampler.watching():
        raise KeyboardInterrupt
    assert threads() == []


def test_a_driver_that_hangs_does_not_hold_the_run_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_PATIENCE", 0.05)
    released, calls = threading.Event(), iter(range(100))

    def hangs() -> float:
        if next(calls):
            released.wait(60)
        return 1.0

    began = time.monotonic()
    found = watch(Source("own", {"memory": hangs}), seconds=0.3)
    assert time.monotonic() - began < 30
    assert found.gauges["own.memory"].count == 1
    (thread,) = threads()
    assert thread.daemon
    released.set()
    thread.join(10)
    assert threads() == []


def test_slow_sensors_are_read_less_often() -> None:
    def slow() -> float:
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass
        return 1.0

    found = watch(Source("own", {"memory": slow}), seconds=0.6)
    assert found.gauges["own.memory"].count <= 3, "20 ms at 10 Hz would be a fifth of a core"


def test_an_energy_counter_is_kept_as_it_was_read_with_its_wrap() -> None:
    counter = iter((8.0, 9.5, 1.0, *range(2, 90)))
    found = watch(Source("cpu0", {"energy": lambda: next(counter)}, scope="package", wrap=10.0), seconds=0.45)
    meter = found.meters["cpu0"]
    assert (meter.kind, meter.scope, meter.wrap) == ("energy", "package", 10.0)
    assert [value for _, value in meter.points[:3]] == [8.0, 9.5, 1.0]
    assert meter.points[0][0] <= 0, "the first reading is before the trial"
    assert all(before <= after for (before, _), (after, _) in pairwise(meter.points))


def test_a_long_trial_keeps_the_ends_of_its_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_POINTS", 8)
    counter, times = iter(range(1000)), iter(range(1000))
    look = telemetry.Watch(
        [Source("own", {"energy": lambda: float(next(counter))}, scope="gpu")], lambda: float(next(times)), {}
    )
    for _ in range(100):
        look.look()
    points = look.telemetry("t", started=0.0).meters["own"].points
    assert 4 <= len(points) <= 8
    assert points[0] == (0, 0)
    assert points[-1] == (99, 99)


def test_power_is_the_fallback_where_there_is_no_counter() -> None:
    def none() -> float:
        raise LookupError("Not Supported")

    found = watch(Source("amd0", {"energy": none, "power": lambda: 200.0}, scope="gpu"), seconds=0.25)
    assert found.meters["amd0"].kind == "power"
    assert found.reasons == {"amd0.energy": "Not Supported"}


def test_what_is_not_counted_has_no_meter() -> None:
    found = watch(Source("amd0", {"power": lambda: 55.0}, scope=None))
    assert found.meters == {}
    assert found.gauges["amd0.power"].high == 55


def test_reasons_that_hold_for_the_run_are_told_once() -> None:
    def none() -> float:
        raise LookupError("Not Supported")

    def gone() -> float:
        raise LookupError("gone")

    found = watch(Source("own", {"power": none, "energy": gone}), reasons={"own.power": "Not Supported"})
    assert found.reasons == {"own.energy": "gone"}


def test_before_the_run_power_is_watched_for_a_few_seconds_only_where_there_is_any() -> None:
    slept: list[float] = []
    sources = [Source("own", {"memory": lambda: 1.0})]
    sampler = Sampler(sources, Engine(), {"cpu.energy": "RAPL is not there"}, monotonic=time.monotonic)
    idle = sampler.idle(clock=lambda: 3.0, sleep=slept.append)
    assert (idle.trial, idle.started, slept) == (None, 3.0, [])
    assert idle.reasons == {"cpu.energy": "RAPL is not there"}
    sampler = Sampler([Source("g", {"power": lambda: 9.0}, scope="gpu")], Engine(), {}, monotonic=time.monotonic)
    assert sampler.idle(sleep=slept.append).meters["g"].kind == "power"
    assert len(slept) == 1


def test_the_real_library_calls_give_a_curve_and_survive_a_card_that_falls_off(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tmp_path / "nvml.txt"
    watched.write(spec, watched.CARD)
    watched.install(monkeypatch, watched.library(tmp_path_factory.getbasetemp() / "nvml"), spec)
    watched.powercap(tmp_path, "intel-rapl:0", name="package-0", energy=5_000_000)
    with telemetry.opened(root=tmp_path) as sampler:
        with sampler.watching() as now:
            time.sleep(0.4)
            watched.write(spec, {**watched.CARD, "power": "!15"})
        found = now.telemetry("t", started=0.0)
    assert found.meters.keys() == {"nvidia0", "cpu0"}
    first, last = found.meters["nvidia0"].points[0], found.meters["nvidia0"].points[-1]
    assert (last[1] - first[1]) / (last[0] - first[0]) == pytest.approx(200, rel=0.3)
    assert found.reasons["nvidia0.power"] == "GPU is lost"
    assert found.gauges["nvidia0.power"].low == 250, "what was read before stays"
    assert found.throttle["nvidia0"].keys() == {4}
