"""Runs against runs: verdicts, gates, and how often they are wrong, on synthetic and on recorded runs."""

import json
from collections import Counter
from collections.abc import Sequence
from math import exp, log
from typing import Any

import numpy as np
import pytest
from analysis.recorded_runs import recorded
from analysis.synthetic import BASE, DRAFT, counts, drafted, failure, generation, ids, machine, plan, prompt
from analysis.synthetic import contender as named
from hypothesis import given
from hypothesis import strategies as st

from specbench.analysis.conditions import Measured
from specbench.analysis.crossed import contrasts, effect, floor
from specbench.analysis.regression import Change, Gate, Regression, describe, gate, regression
from specbench.analysis.sides import MEASURES, Place, sides
from specbench.errors import InputError
from specbench.records import Generation, Result
from specbench.structs import replace

GATES = tuple(map(gate, ("decode_speed<-5%", "speedup<-5%", "acceptance<-0.02", "tokens_per_step<-2%")))
CLAIMS = {"faster", "slower", "higher", "lower"}


def run(name: str, results: Sequence[Result], **machine_changes: Any) -> Measured:
    return Measured(name, plan(results), replace(machine(), **machine_changes), results)


def side(
    name: str, pace: Sequence[float], *, plain: float = 1.0, method: float = 1.0, accepted: int = 60, n: int = 6
) -> list[Measured]:
    """Synthetic runs: `pace` is what each run's seconds are multiplied by; prompts and repeats jitter by 1 %."""
    dice = np.random.default_rng(sum(map(ord, name)))
    runs = []
    for number, factor in enumerate(pace):
        started = 1000.0 * number + (500 if name == "new" else 0)
        results: list[Result] = []
        for i in range(n):
            jitter = [factor * float(x) for x in np.exp(dice.normal(0, 0.01, 2))]
            at = {"started": started + i}
            results += [
                generation("base", f"code-{i}", seconds=jitter[0] * plain, counts=counts(0, 0), **at),
                drafted(f"code-{i}", seconds=0.5 * jitter[1] * plain * method, counts=counts(80, accepted), **at),
            ]
        runs.append(run(f"{name}-{number}", results))
    return runs


PACE = (1.0, 1.01, 0.99, 1.005, 0.995)


def verdicts(found: Regression, measure: str = "decode_speed") -> dict[tuple[str, str | None], str]:
    return {(c.contender, c.category): c.verdict for c in found.changes if c.measure == measure}


def test_a_slower_build_is_slower_and_fails_its_gate() -> None:
    found = regression(side("base", PACE), side("new", PACE, plain=1.10), gates=[gate("decode_speed<-5%")])
    assert verdicts(found) == {("base", "code"): "slower", ("draft", "code"): "slower"}
    assert found.exit_status == 1
    first = found.changes[0]
    assert first.change == pytest.approx(1 / 1.10 - 1, abs=0.01)
    assert "plain steps" in (first.cause or "")
    assert "slower" in found.gates[0].where[0]
    assert "-9." in found.gates[0].where[0]


def test_the_same_build_is_equivalent_and_passes() -> None:
    found = regression(side("base", PACE), side("new", PACE), gates=[gate("decode_speed<-5%")])
    assert set(verdicts(found).values()) == {"equivalent"}
    assert found.exit_status == 0


def test_a_faster_build_passes_a_gate_against_slower_ones() -> None:
    found = regression(side("base", PACE), side("new", PACE, plain=0.8), gates=[gate("decode_speed<-5%")])
    assert set(verdicts(found).values()) == {"faster"}
    assert found.exit_status == 0


def test_a_change_beyond_chance_but_below_the_threshold_is_no_regression() -> None:
    calm = [1.0] * 5
    found = regression(side("base", calm), side("new", calm, plain=1.02), gates=[gate("decode_speed<-5%")])
    assert set(verdicts(found).values()) == {"equivalent"}
    assert all(c.p is not None and c.p < 0.05 for c in found.changes)
    assert found.exit_status == 0


@pytest.mark.parametrize(
    ("changed", "part"),
    [({"accepted": 40, "method": 1.2}, "tokens per step"), ({"method": 1.25}, "cost of a round")],
)
def test_a_slower_method_is_attributed(changed: dict[str, Any], part: str) -> None:
    seconds = {"method": (100 - 40) / (100 - 60)} if "accepted" in changed else changed
    found = regression(side("base", PACE), side("new", PACE, **changed | seconds))
    method = next(c for c in found.changes if c.contender == "draft")
    assert method.verdict == "slower"
    assert method.cause is not None
    assert method.cause.startswith(part)


def test_a_server_that_drafts_without_a_baseline_has_its_acceptance_compared_and_blamed() -> None:
    server = named("mtp", "mtp", kind="attach", url="http://x")

    def night(name: str, started: float, accepted: int) -> Measured:
        dice = np.random.default_rng(int(started))
        trials = [
            generation(
                "mtp",
                f"code-{i}",
                seconds=(100 - accepted) * 0.01 * float(np.exp(dice.normal(0, 0.002))),
                counts=counts(120, accepted),
                started=started + i,
            )
            for i in range(6)
        ]
        return Measured(name, plan(trials, (server,)), machine(), trials)

    old = [night(f"base-{n}", 2000.0 * n, 60) for n in range(5)]
    new = [night(f"new-{n}", 2000.0 * n + 1000, 45) for n in range(5)]
    found = regression(old, new, gates=[gate("acceptance<-0.02"), gate("decode_speed<-5%")])
    assert [g.outcome for g in found.gates] == ["failed", "failed"]
    (speed,) = (c for c in found.changes if c.measure == "decode_speed")
    assert (speed.cause or "").startswith("tokens per step")
    assert "plain steps" not in (speed.cause or "")


def test_context_fills_of_a_prompt_are_no_prompts_of_their_own() -> None:
    def night(name: str, started: float, slow: float) -> Measured:
        dice = np.random.default_rng(int(started))
        trials = [
            generation(
                "base",
                f"code-{i}",
                fill=fill,
                seconds=slow * fill / 1024 * float(np.exp(dice.normal(0, 0.005))),
                counts=counts(0, 0),
                started=started + 10 * i + fill / 1e5,
            )
            for i in range(3)
            for fill in (1024, 8192, 32768)
        ]
        return Measured(name, plan(trials, (BASE,)), machine(), trials)

    old = [night(f"base-{n}", 2000.0 * n, 1.0) for n in range(5)]
    new = [night(f"new-{n}", 2000.0 * n + 1000, 1.1) for n in range(5)]
    both = sides(old, new)
    base, slower = both.values(MEASURES["decode_speed"], Place("base", None, 0.0))  # type: ignore[misc]
    assert base.shape[1] == 3
    assert (slower.mean() - base.mean()) == pytest.approx(-log(1.1), abs=0.01)  # type: ignore[union-attr]
    assert {c.verdict for c in regression(old, new).changes} == {"inconclusive"}


def test_speed_of_several_streams_is_the_output_of_all_of_them() -> None:
    streams = named("none", streams=4)

    def night(name: str, started: float, seconds: float) -> Measured:
        trials = [
            generation(
                "none",
                f"code-{4 * wave + i}",
                streams=4,
                stream=i,
                group_tokens=404,
                group_seconds=seconds * (1 + wave / 1000),
                total=seconds,
                counts=counts(0, 0),
                started=started + wave,
            )
            for wave in range(6)
            for i in range(4)
        ]
        return Measured(name, plan(trials, (streams,)), machine(), trials)

    old = [night(f"base-{n}", 2000.0 * n, 1.5) for n in range(5)]
    new = [night(f"new-{n}", 2000.0 * n + 1000, 3.0) for n in range(5)]
    found = regression(old, new, gates=[gate("decode_speed<-5%")])
    assert found.exit_status == 1
    (speed,) = (c for c in found.changes if c.measure == "decode_speed")
    assert (speed.prompts, speed.change) == (6, pytest.approx(-0.5))
    assert any("all streams" in note for note in found.notes)


def test_a_threshold_below_the_noise_of_runs_is_refused_with_the_noise_named() -> None:
    wild = (1.0, 1.2, 0.85, 1.1, 0.9)
    found = regression(side("base", wild), side("new", wild[::-1]), gates=[gate("decode_speed<-1%")])
    assert found.exit_status == 5
    assert "runs that are alike differ by up to" in found.gates[0].where[0]
    assert all(c.floor is not None and c.floor > 0.01 for c in found.changes)


def test_an_open_gate_says_which_rerun_would_decide() -> None:
    some = (1.0, 1.03, 0.97)
    found = regression(side("base", some), side("new", some), gates=[gate("decode_speed<-5%")])
    assert found.exit_status == 5
    assert all(c.needed is not None and c.needed[0] > 3 for c in found.changes)
    assert "runs a side, in turns, over" in found.gates[0].where[0]


def test_one_run_a_side_decides_counts_but_no_times() -> None:
    gates = [gate("decode_speed<-5%"), gate("acceptance<-0.02")]
    found = regression(side("base", [1]), side("new", [1], accepted=40), gates=gates)
    assert set(verdicts(found).values()) == {"inconclusive"}
    assert verdicts(found, "acceptance") == {("draft", "code"): "lower"}
    assert [g.outcome for g in found.gates] == ["inconclusive", "failed"]
    assert "one session a side" in found.changes[0].reason


def test_too_few_prompts_are_no_claim() -> None:
    found = regression(side("base", PACE, n=1), side("new", PACE, n=1, plain=2))
    assert {(c.verdict, c.low, c.p) for c in found.changes} == {("inconclusive", None, None)}
    assert "need >= 5 prompts" in found.changes[0].reason


def test_a_category_that_failed_throughout_is_not_comparable_and_leaves_the_gate_open() -> None:
    new = [
        replace(r, results=[*r.results, *(failure("draft", f"json-{i}") for i in range(6))]) for r in side("new", PACE)
    ]
    old = [
        replace(r, results=[*r.results, *(drafted(f"json-{i}", started=r.results[0].started) for i in range(6))])  # type: ignore[union-attr]
        for r in side("base", PACE)
    ]
    both = [r for side in (old, new) for r in side]
    known = plan([g for r in both for g in r.results])
    old, new = ([replace(r, plan=known) for r in side] for side in (old, new))
    found = regression(old, new, gates=[gate("decode_speed<-5%")])
    lost = next(c for c in found.changes if (c.contender, c.category) == ("draft", "json"))
    assert (lost.verdict, lost.reason) == ("not comparable", "all 30 trials failed in NEW")
    assert found.exit_status == 5
    assert any("30 trials failed in NEW" in note for note in found.notes)


def test_answers_without_tokens_are_not_comparable_and_nothing_is_nan() -> None:
    empty = {"output_tokens": 0, "output_ids": (), "counts": counts(0, 0, emitted=0, verification_steps=0)}
    runs = [run(f"r{k}", [generation("base", f"code-{i}", started=k, **empty) for i in range(6)]) for k in range(4)]
    found = regression(runs[::2], runs[1::2], gates=GATES)
    assert {c.verdict for c in found.changes} == {"not comparable"}
    assert found.exit_status == 5
    assert "NaN" not in json.dumps([describe(c) for c in found.changes])


def test_other_output_than_the_baselines_fails_the_lossless_gate() -> None:
    results = [g for i in range(6) for g in (generation("base", f"code-{i}"), drafted(f"code-{i}", output_ids=ids(2)))]
    same = [g for i in range(6) for g in (generation("base", f"code-{i}"), drafted(f"code-{i}"))]
    assert regression([run("a", same)], [run("b", results)], gates=[gate("lossless")]).gates[0].outcome == "failed"
    assert regression([run("a", same)], [run("b", same)], gates=[gate("lossless")]).gates[0].outcome == "passed"
    died = [g for g in same if g.trial.contender == "base"] + [failure("draft", f"code-{i}") for i in range(6)]
    assert regression([run("a", same)], [run("b", died)], gates=[gate("lossless")]).gates[0].outcome == "inconclusive"


def test_answers_of_both_kinds_in_a_category_do_not_refuse_but_another_stop_rule_does() -> None:
    def stopped(r: Measured, *free: str) -> Measured:
        blocks = tuple(
            replace(b, trials=tuple(replace(t, ignore_eos=t.prompt not in free) for t in b.trials))
            for b in r.plan.blocks
        )
        return replace(r, plan=replace(r.plan, blocks=blocks))

    mixed = [stopped(r, "code-0") for r in side("base", PACE)]
    assert regression(mixed, [stopped(r, "code-0") for r in side("new", PACE)]).differences == ()
    with pytest.raises(InputError, match="answers to code-0"):
        regression(mixed, [stopped(r) for r in side("new", PACE)])


@pytest.mark.parametrize("changes", [{"streams": 4}, {"draft_label": "other"}])
def test_streams_and_the_draft_model_are_settings(changes: dict[str, Any]) -> None:
    old, new = side("base", PACE), side("new", PACE)
    other = [
        replace(r, plan=replace(r.plan, contenders=tuple(replace(c, **changes) for c in r.plan.contenders)))
        for r in new
    ]
    with pytest.raises(InputError, match="cannot be compared"):
        regression(old, other)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [({"cpu": "another"}, "machine"), ({}, "prompts"), ({}, "engine"), ({}, "target")],
)
def test_runs_that_do_not_belong_together_are_refused_unless_asked_for(changes: dict[str, str], kind: Any) -> None:
    old, new = side("base", PACE), side("new", PACE, plain=1.1)
    contenders = {"engine": {"engine": "other"}, "target": {"target_label": "other"}}.get(kind, {})
    texts = {"suite": "other"} if kind == "prompts" else {}
    new = [
        replace(
            r,
            machine=replace(r.machine, **changes),
            plan=replace(
                r.plan,
                contenders=tuple(replace(c, **contenders) for c in r.plan.contenders),
                prompts=tuple(replace(p, **texts) for p in r.plan.prompts),
            ),
        )
        for r in new
    ]
    with pytest.raises(InputError, match="cannot be compared") as refused:
        regression(old, new)
    assert f"--across {kind}" in refused.value.hint
    found = regression(old, new, across=[kind])
    assert found.across == (kind,)
    assert any(d.kind == kind for d in found.differences)
    assert set(verdicts(found).values()) == {"slower"}


def test_what_else_differs_is_listed_and_does_not_refuse() -> None:
    old = side("base", PACE)
    new = [replace(r, machine=replace(r.machine, readings={"driver": "2"})) for r in side("new", PACE)]
    told = [(d.what, d.base, d.new) for d in regression(old, new).differences]
    assert told == [("driver", "—", "2")]


def test_another_text_of_the_same_prompts_is_listed_and_its_outputs_are_not_called_different() -> None:
    old, new = side("base", PACE), side("new", PACE)

    def next_day(r: Measured) -> Measured:  # the chat template holds the date
        first = min(g.trial.prompt for g in r.results if isinstance(g, Generation))
        dated = [
            replace(g, prompt_sha256="2" * 64, output_ids=(1, 2, 3))
            if isinstance(g, Generation) and g.trial.prompt == first
            else g
            for g in r.results
        ]
        return replace(r, results=dated)

    found = regression(old, [next_day(r) for r in new])
    prompts = len({g.trial.prompt for g in old[0].results if isinstance(g, Generation)})
    assert [d.what for d in found.differences] == [f"text of 1 of {prompts} prompts as the engine got it (SHA-256)"]
    same = [note for note in found.notes if "greedy outputs" in note]
    assert all(note.split()[0] == note.split()[2] for note in same)
    assert set(verdicts(found)) == set(verdicts(regression(old, new)))


def test_sides_that_were_not_measured_in_turns_are_one_session_each_and_decide_nothing() -> None:
    old, new = side("base", PACE), side("new", PACE, plain=2)
    assert not any("session" in note for note in regression(old, new).notes)
    found = regression(old, [later(r, 10_000) for r in new])
    assert set(verdicts(found).values()) == {"inconclusive"}
    assert "the 5 runs of BASE are 1 session(s)" in found.notes[0]


def test_a_history_of_nights_tells_its_noise_to_one_new_night() -> None:
    nights = [later(r, 86_400 * k) for k, r in enumerate(side("base", PACE))]
    tonight = [later(r, 86_400 * 9) for r in side("new", PACE[:2], plain=1.2)]
    assert set(verdicts(regression(nights, tonight)).values()) == {"slower"}


def later(r: Measured, seconds: float) -> Measured:
    moved = [replace(g, started=g.started + seconds) for g in r.results if isinstance(g, Generation)]
    return replace(r, results=moved)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("decode_speed<5%", "no change for the worse"),
        ("decode_speed>-5%", "no change for the worse"),
        ("decode_speed<-0%", "no change for the worse"),
        ("decode_sped<-5%", "no measure"),
        ("decode_speed -5%", "is no condition"),
        ("", "is no condition"),
    ],
)
def test_a_wrong_condition_is_refused(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        gate(text)


@given(st.sampled_from(["decode_speed", "step_seconds", "acceptance"]), st.integers(1, 99), st.booleans())
def test_a_condition_is_read_as_it_is_written(name: str, per_cent: int, falls: bool) -> None:  # noqa: FBT001  hypothesis gives it
    sign, word = ("-", "<") if falls else ("", ">")
    found = gate(f" {name} {word} {sign}{per_cent} % ")
    assert found == Gate(f"{name} {word} {sign}{per_cent} %", name, (-1 if falls else 1) * per_cent / 100)


# --------------------------------------------------------------------------------------------- how often it is wrong


def drawn(
    dice: np.random.Generator, *, runs: int, start: float, change: float = 0.0, cells: int = 4
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Synthetic log rates, (runs, prompts) for each cell; a run brings something shared and something of each cell."""
    found = []
    brought = dice.normal(0, start, (2, runs, 1))
    for _ in range(cells):
        prompts = dice.normal(0, 0.5, (1, 6))
        pair = [
            prompts + brought[k] + dice.normal(0, start / 2, (runs, 1)) + dice.normal(0, 0.02, (runs, 6))
            for k in (0, 1)
        ]
        found.append((pair[0], pair[1] + change))
    return found


def judged(pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[Any]:
    alike = [[contrasts(pair[k])[j] for pair in pairs] for k in (0, 1) for j in range(len(pairs[0][0]) - 1)]
    noise = floor(alike)
    assert noise is not None
    return [effect(*pair, noise) for pair in pairs]


@pytest.mark.parametrize(("runs", "start"), [(2, 0.03), (3, 0.03), (5, 0.03), (5, 0.3), (5, 0.0)])
def test_intervals_hold_the_truth_in_95_of_100_simulations(runs: int, start: float) -> None:
    dice = np.random.default_rng(1)
    held = np.array(
        [
            [e.low <= -0.05 <= e.high for e in judged(drawn(dice, runs=runs, start=start, change=-0.05))]
            for _ in range(500)
        ]
    )
    assert held.mean() >= 0.95 - 3 * held.mean(axis=1).std() / 500**0.5  # the places of one simulation hang together


def synthetic_runs(
    dice: np.random.Generator, name: str, *, runs: int, start: float, slower: float = 1
) -> list[Measured]:
    return side(name, [exp(float(x)) * slower for x in dice.normal(0, start, runs)])


@pytest.mark.parametrize("start", [0.01, 0.2])
def test_alike_sides_raise_a_false_alarm_in_at_most_5_of_100_simulations(start: float) -> None:
    dice = np.random.default_rng(7)
    alarms = 0
    for _ in range(120):
        pair = [synthetic_runs(dice, name, runs=3, start=start) for name in ("base", "new")]
        alarms += any(c.verdict in CLAIMS for c in regression(*pair, gates=GATES).changes)
    assert alarms / 120 <= 0.05 + 2 * (0.05 * 0.95 / 120) ** 0.5


def test_a_contender_louder_than_the_rest_is_judged_by_its_own_noise() -> None:
    dice = np.random.default_rng(11)
    noise = {f"draft-{k}": 0.1 if k == 0 else 0.01 for k in range(8)}
    contenders = (BASE, *(replace(DRAFT, name=name) for name in noise))

    def alike(name: str) -> list[Measured]:
        runs = []
        for number in range(4):
            at = {"started": 1e5 * (2 * number + (name == "new"))}
            results: list[Result] = [generation("base", f"code-{i}", counts=counts(0, 0), **at) for i in range(6)]
            for who, wide in noise.items():
                seconds = 0.5 * np.exp(dice.normal(0, wide) + dice.normal(0, 0.01, 6))
                results += [drafted(f"code-{i}", who=who, seconds=float(s), **at) for i, s in enumerate(seconds)]
            runs.append(Measured(f"{name}-{number}", plan(results, contenders), machine(), results))
        return runs

    alarms = sum(bool(claims(regression(alike("base"), alike("new")))) for _ in range(40))
    assert alarms / 40 <= 0.05 + 2 * (0.05 * 0.95 / 40) ** 0.5


def test_a_regression_of_8_per_cent_is_found_in_most_simulations_on_a_quiet_machine() -> None:
    dice = np.random.default_rng(3)
    found = []
    for _ in range(60):
        old = synthetic_runs(dice, "base", runs=5, start=0.01)
        found.append(
            regression(old, synthetic_runs(dice, "new", runs=5, start=0.01, slower=1.08), gates=GATES[:1]).exit_status
        )
    assert np.mean([status == 1 for status in found]) >= 0.9
    assert 0 not in found


def test_the_power_for_a_regression_of_5_per_cent_is_that_which_is_claimed() -> None:
    dice = np.random.default_rng(5)
    effects = [e for _ in range(200) for e in judged(drawn(dice, runs=5, start=0.012, change=log(0.95)))]
    power = np.mean([e.high < 0 for e in effects])
    assert 0.75 <= power <= 1
    assert np.median([e.detectable for e in effects]) == pytest.approx(0.05, abs=0.02)


# -------------------------------------------------------------------------------------------- recorded: real engine


def claims(found: Regression) -> list[Change]:
    return [c for c in found.changes if c.verdict in CLAIMS]


@pytest.mark.parametrize("k", range(10))
def test_ten_recorded_comparisons_of_alike_runs_raise_no_false_alarm(k: int) -> None:
    mine = recorded("micro")[4 * k : 4 * k + 4]
    found = regression(mine[::2], mine[1::2], gates=GATES)
    assert claims(found) == []
    assert found.exit_status != 1


def test_recorded_sides_that_were_not_measured_in_turns_raise_none_either() -> None:
    runs = recorded("micro")
    for k in range(4):
        found = regression(runs[10 * k : 10 * k + 5], runs[10 * k + 5 : 10 * k + 10], gates=GATES)
        assert claims(found) == []
        assert found.exit_status == 5


def test_a_recorded_engine_stopped_for_8_per_cent_of_the_time_is_inconclusive_where_noise_forbids_more() -> None:
    found = regression(recorded("ballast")[12:], recorded("slow")[12:], gates=GATES[:1])
    assert found.exit_status == 5
    assert Counter(c.verdict for c in found.changes) == {"inconclusive": 9}
    assert all(c.change is not None and c.change < 0 for c in found.changes)
    assert all(c.floor is not None and c.floor > 0.08 for c in found.changes)
    assert "find a quieter machine" in found.gates[0].where[0]


def test_a_recorded_engine_stopped_for_8_per_cent_of_the_time_is_caught_and_its_like_is_not() -> None:
    base = recorded("base")
    found = regression(base, recorded("slowed"), gates=GATES[:1])
    assert found.exit_status == 1
    assert {key for key, verdict in verdicts(found).items() if verdict == "slower"} >= {
        ("none", None),
        ("draft-model", None),
    }
    assert all((c.cause or "").startswith("plain steps") for c in found.changes if c.verdict == "slower")
    alike = regression(base, recorded("again"), gates=GATES)
    assert claims(alike) == []
    assert alike.exit_status == 5


def test_recorded_counts_are_the_same_however_busy_the_machine_is() -> None:
    found = regression(recorded("ballast"), recorded("slow"), gates=[gate("acceptance<-0.02")])
    assert found.exit_status == 0
    assert {c.verdict for c in found.changes} == {"equivalent"}


def test_recorded_runs_made_half_as_fast_are_caught_in_spite_of_the_noise() -> None:
    """Synthetic: the times of recorded runs, doubled."""
    found = regression(recorded("ballast")[12:], recorded("ballast", scale=2)[12:], gates=GATES[:1])
    assert found.exit_status == 1


def test_prompts_are_told_apart_by_their_text() -> None:
    old, new = side("base", PACE), side("new", PACE)
    other = tuple(prompt(p.id, category=p.category, tags=("x",)) for p in new[0].plan.prompts)
    with pytest.raises(InputError, match="text of code-0"):
        regression(old, [replace(r, plan=replace(r.plan, prompts=other)) for r in new])
