"""Prediction: on simulated devices, and on the published rows that come with specbench."""

import csv
import re
import tomllib
from math import exp, log
from random import Random

import pytest
from analysis.synthetic import counts, drafted, generation, plan
from hypothesis import example, given
from hypothesis import strategies as st

from specbench import datafiles, prediction
from specbench.analysis.comparison import compare
from specbench.analysis.prediction import (
    LEAST,
    Prediction,
    Published,
    backtest,
    on_curve,
    plain_speed,
    predicted,
    slopes,
    speedup,
    spread,
)
from specbench.analysis.stats import Estimate
from specbench.analysis.verification import Cost
from specbench.hardware.profiles import profiles
from specbench.structs import replace

FOLDER = datafiles.path("results/published")
positive = st.floats(0.01, 100)


def published(**facts: object) -> Published:
    plain: dict[str, object] = {"device": "a", "source": "s", "label": "m", "plain": 10.0}
    return Published(**{**plain, **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize("known", [0, 2])
def test_intervals_hold_new_reports_95_times_in_100(known: int) -> None:
    dice, hits, trials = Random(3), 0, 1500  # noqa: S311  a simulation
    for _ in range(trials):
        values = []
        for device in range(12):
            centre = dice.gauss(0, 0.3)
            values += [(str(device), str(k), exp(centre + dice.gauss(0, 0.15))) for k in range(1 + device % 3)]
        mine = dice.gauss(0, 0.3)
        values += [("new", str(k), exp(mine + dice.gauss(0, 0.15))) for k in range(known)]
        found = predicted(spread(values), "new")
        assert found is not None
        assert found.basis == ("published for this device" if known else "other devices")
        hits += found.low <= exp(mine + dice.gauss(0, 0.15)) <= found.high
    assert 0.93 <= hits / trials <= 0.985


def test_with_too_few_devices_nothing_is_predicted() -> None:
    few = [(str(device), "s", 1.0 + device) for device in range(LEAST - 1)]
    assert predicted(spread(few), "new") is None
    assert predicted(spread([]), "new") is None
    assert predicted(spread([*few, ("one more", "s", 2.0)]), "new") is not None


@given(st.lists(positive, min_size=LEAST, max_size=9), positive)
def test_a_unit_changes_nothing_but_the_unit(values: list[float], unit: float) -> None:
    one = predicted(spread((str(i), "s", v) for i, v in enumerate(values)), "new")
    other = predicted(spread((str(i), "s", v * unit) for i, v in enumerate(values)), "new")
    assert one is not None
    assert other is not None
    assert other.value == pytest.approx(one.value * unit)
    assert other.high / other.low == pytest.approx(one.high / one.low)


@given(st.floats(0.01, 2), st.integers(1, 16), st.floats(0, 1))
def test_no_speedup_is_above_the_tokens_per_round(slope: float, length: int, rate: float) -> None:
    tau = 1 + rate * length
    guess = speedup(
        Prediction(slope, slope / 2, slope * 2, "other devices"),
        tokens_per_round=Estimate(tau, None, None, 9),
        draft_tokens=length,
    )
    assert guess.low <= guess.value <= guess.high < tau * (1 + 1e-9)


@given(st.floats(0.05, 5), st.floats(1, 4), st.floats(0.01, 2), st.integers(1, 16), st.floats(0, 1))
def test_nothing_is_read_faster_than_the_bandwidth(
    used: float, width: float, slope: float, length: int, rate: float
) -> None:
    plain = plain_speed(Prediction(used, used / width, used * width, "other devices"), bandwidth=1e12, read_bytes=16e9)
    ceiling, tau = 1e12 / 16e9, 1 + rate * length
    assert plain.low <= plain.value <= plain.high <= ceiling
    gain = speedup(
        Prediction(slope, slope / 2, slope * 2, "other devices"),
        tokens_per_round=Estimate(tau, tau * 0.9, tau * 1.1, 9),
        draft_tokens=length,
    )
    fast = plain.over(gain)
    assert fast.value <= ceiling * tau * (1 + 1e-9)
    assert fast.high <= ceiling * tau * 1.1 * (1 + 1e-9)


def test_no_published_plain_speed_that_is_used_exceeds_the_bandwidth() -> None:
    """The bound on what is predicted takes nothing away that anybody measured."""
    assert max(row.utilisation for row in prediction.published()[0] if row.utilisation is not None) < 1


def test_plain_speed_is_bandwidth_by_bytes() -> None:
    half = plain_speed(Prediction(0.5, 0.4, 0.6, "other devices"), bandwidth=1e12, read_bytes=1e10)
    assert (half.value, half.low, half.high) == (pytest.approx(50), pytest.approx(40), pytest.approx(60))


def test_a_measured_interval_of_tau_widens_the_prediction() -> None:
    slope = Prediction(0.2, 0.15, 0.3, "other devices")
    sure = speedup(slope, tokens_per_round=Estimate(3.0, None, None, 9), draft_tokens=3)
    vague = speedup(slope, tokens_per_round=Estimate(3.0, 2.0, 4.0, 9), draft_tokens=3)
    assert vague.low < sure.low < sure.value == vague.value < sure.high < vague.high


def test_claims_beyond_a_bound_are_named() -> None:
    assert published(draft_tokens=2, tokens_per_round=3.5, fast=20.0).impossible == (
        "3.50 tokens a round at a draft length of 2"
    )
    assert published(draft_tokens=3, tokens_per_round=2.0, fast=25.0).impossible == (
        "2.50 times as fast with 2.00 tokens a round"
    )
    assert published(draft_tokens=3, tokens_per_round=2.0, fast=15.0).impossible is None
    assert published().impossible is None


def test_a_round_that_costs_nothing_says_nothing_of_what_drafts_cost() -> None:
    free = published(method="mtp", draft_tokens=2, tokens_per_round=2.0, fast=20.0)
    assert slopes([free], "mtp").means == {}


def test_what_drafts_of_one_method_cost_says_nothing_of_another() -> None:
    rows = [published(method=name, draft_tokens=2, tokens_per_round=2.0, fast=10.0) for name in ("mtp", "dflash")]
    assert slopes(rows, "mtp") == slopes(rows[:1], "mtp") == slopes(rows[1:], "dflash")
    assert slopes(rows[1:], "mtp").means == {}


def test_published_rows_are_predicted_as_well_as_the_documentation_says() -> None:
    rows, broken = prediction.published()
    assert broken == []
    tests = backtest(rows)
    assert {(t.quantity, t.basis) for t in tests} == {
        ("plain speed", "other devices"),
        ("plain speed", "published for this device"),
        ("speedup, DFlash with a draft tree", "other devices"),
        ("speedup, MTP", "other devices"),
    }
    assert all(t.covered / t.rows >= 0.9 for t in tests)
    page = (datafiles.path("docs") / "prediction.md").read_text(encoding="utf-8")
    for t in tests:
        line = f"| {t.quantity} | {t.basis} | {t.devices} | {t.rows} | {t.error * 100:.0f} % | {t.covered} "
        assert line in page, line


def test_drafts_that_a_threshold_may_end_early_say_nothing_of_a_drafted_tokens_cost() -> None:
    """With p-min, g x the acceptance rate is not what was accepted in a round."""
    gated = [row for row in prediction.published_rows() if re.search("p[_-]min", row["method"])]
    ends = {(row["baseline_tok_s"], row["tok_s"]) for row in gated if row["acceptance_rate"] and row["baseline_tok_s"]}
    assert {("22.8", "19.9"), ("28.8", "60.7"), ("69.3", "123.9")} <= ends
    used = {(row.plain, row.fast) for row in prediction.published()[0] if row.method == "mtp"}
    assert not used & {(float(plain), float(fast)) for plain, fast in ends}


def test_withdrawn_and_doubtful_rows_are_never_used() -> None:
    with (FOLDER / "results.csv").open(encoding="utf-8", newline="") as file:
        doubtful = [row for row in csv.DictReader(file) if row["status"] != "ok"]
    assert {row["status"] for row in doubtful} == {"lead", "caution", "retracted"}
    used = {(row.device, row.plain, row.fast) for row in prediction.published()[0]}
    retracted = next(row for row in doubtful if row["status"] == "retracted")
    assert not any(fast == float(retracted["tok_s"]) for _, _, fast in used)


def test_every_device_that_rows_are_taken_for_has_a_profile_and_a_row() -> None:
    table = tomllib.loads((FOLDER / "prediction.toml").read_text(encoding="utf-8"))
    with (FOLDER / "results.csv").open(encoding="utf-8", newline="") as file:
        named = {row["hardware"] for row in csv.DictReader(file)}
    assert set(table["devices"].values()) <= set(profiles())
    assert set(table["devices"]) <= named


def test_more_reports_on_a_device_count_more_than_other_devices() -> None:
    others = [(str(i), str(k), exp((i - 2) / 10 + k / 50)) for i in range(6) for k in range(2)]
    one = predicted(spread([*others, ("new", "a", 3.0)]), "new")
    many = predicted(spread([*others, *(("new", str(k), 3.0) for k in range(5))]), "new")
    assert one is not None
    assert many is not None
    assert log(3.0) >= log(many.value) > log(one.value) > 0


def test_a_curve_is_read_between_its_points_and_never_beyond() -> None:
    def cost(positions: int, value: float) -> Cost:
        return Cost(positions=positions, seconds=value, cost=Estimate(value, None, None, 9), requests=9, spoilt=0)

    costs = [cost(1, 1.0), cost(4, 1.5), cost(8, 2.5)]
    at = {n: on_curve(costs, drafting=0.5, tokens_per_round=4.0, draft_tokens=n) for n in (3, 5, 7, 8)}
    assert [None if p is None else p.value for p in at.values()] == [2.0, 4 / 2.5, pytest.approx(4 / 3), None]


@given(st.integers(1, 60).flatmap(lambda rounds: st.tuples(st.just(rounds), st.integers(0, 4 * rounds))))
@example((24, 0))  # what was asked for counts
def test_what_is_drafted_in_every_round_is_read_at_the_longest_measured_point(made: tuple[int, int]) -> None:
    rounds, accepted = made  # of four drafted tokens each
    emitted = 1 + rounds + accepted
    told = counts(4 * rounds, accepted, emitted=emitted, drafted_steps=rounds)
    results = [generation("base", "code-0"), drafted("code-0", counts=told, output_tokens=emitted, draft_seconds=0.1)]
    row = next(r for r in compare(plan(results), results).rows if r.contender == "draft")
    costs = [Cost(positions=n, seconds=1.0, cost=Estimate(1.0, None, None, 9), requests=9, spoilt=0) for n in (1, 5)]
    assert prediction._guess(replace(row, axes={"draft_tokens_max": 4}), costs) is not None
