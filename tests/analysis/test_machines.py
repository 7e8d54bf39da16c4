"""Machines side by side, on synthetic runs: every time and count is invented."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
from analysis.synthetic import BASE, contender, counts, drafted, generation, machine, plan
from hypothesis import given
from hypothesis import strategies as st

from specbench.analysis.comparison import Comparison, compare
from specbench.analysis.conditions import Measured
from specbench.analysis.machines import Machines, machines
from specbench.records import Contender, Machine, Result
from specbench.report.machines import page, sections
from specbench.structs import replace

PROMPTS = [f"{category}-{i}" for category in ("code", "json") for i in range(6)]
HOSTILE = "<script>window.hacked=1</script>"


def run(name: str, *, plain: float, fast: float, accepted: int = 60, cpu: str = "x") -> tuple[Measured, Comparison]:
    results = [generation("base", p, seconds=plain * (1 + i / 10)) for i, p in enumerate(PROMPTS)]
    results += [drafted(p, seconds=fast * (1 + i / 10), counts=counts(80, accepted)) for i, p in enumerate(PROMPTS)]
    made = plan(results, (contender("base"), contender("draft", "draft-model", baseline="base")))
    measured = Measured(name, made, Machine(system="Synthetic", cpu=cpu), results)
    return measured, compare(made, results)


def compared(*runs: tuple[Measured, Comparison]) -> Machines:
    return machines(runs, words=[measured.machine.cpu or "" for measured, _ in runs])


def test_a_faster_machine_with_dearer_rounds_is_told_from_a_better_drafter() -> None:
    found = compared(run("one", plain=1.0, fast=0.5), run("two", plain=0.5, fast=0.4, accepted=70, cpu="y"))
    (standing,) = [s for s in found.standings if (s.work.category, s.label, s.run) == ("code", "draft", 1)]
    assert standing.total is not None
    assert standing.plain is not None
    assert standing.drafter is not None
    assert standing.rounds is not None
    assert standing.total.value == pytest.approx(0.5 / 0.4)
    assert standing.plain.value == pytest.approx(2.0)
    assert standing.drafter.value == pytest.approx((100 / 30) / (100 / 40))
    assert standing.rounds == pytest.approx(0.5 / 0.4 / 2.0 / standing.drafter.value)
    (first,) = [f for f in found.fastest if f.work.category == "code"]
    assert first.winner == 1
    assert first.lead is not None
    assert first.lead.value == pytest.approx(0.5 / 0.4)


@given(st.floats(0.1, 3), st.floats(0.1, 3), st.integers(1, 79))
def test_the_three_factors_multiply_to_the_whole(plain: float, fast: float, accepted: int) -> None:
    found = compared(run("one", plain=1.0, fast=0.5), run("two", plain=plain, fast=fast, accepted=accepted))
    for s in found.standings:
        if s.rounds is not None and s.total and s.plain and s.drafter:
            assert s.plain.value * s.drafter.value * s.rounds == pytest.approx(s.total.value)


def test_prompts_that_take_different_times_do_not_widen_a_ratio_that_is_the_same_on_each() -> None:
    found = compared(run("one", plain=1.0, fast=0.5), run("two", plain=0.9, fast=0.45))
    leads = [f.lead for f in found.fastest]
    assert all(lead is not None and lead.low == pytest.approx(1 / 0.9) for lead in leads)


def test_what_only_one_run_holds_is_left_out_and_what_else_differs_is_told() -> None:
    one, two = run("one", plain=1.0, fast=0.5), run("two", plain=0.5, fast=0.4)
    results = [r for r in two[0].results if r.kind == "generation" and r.trial.category == "code"]
    prompts = tuple(replace(p, check=None, messages=p.messages[:1]) for p in two[0].plan.prompts)
    made = replace(two[0].plan, prompts=prompts, thinking=not two[0].plan.thinking)
    found = compared(one, (replace(two[0], plan=made, results=results), compare(made, results)))
    assert {s.work.category for s in found.standings if s.label == "draft"} == {"code", None}
    assert found.same == ("two",)
    assert "thinking" in {difference.what for _, difference in found.differs}


def made_of(name: str, results: list[Result], *contenders: Contender) -> tuple[Measured, Comparison]:
    made = plan(results, contenders)
    return Measured(name, made, Machine(system="Synthetic", cpu=name), results), compare(made, results)


def plain_run(name: str, seconds: Mapping[str, float], **changes: Any) -> tuple[Measured, Comparison]:
    results: list[Result] = [generation("base", p, seconds=s, **changes) for p, s in seconds.items()]
    return made_of(name, results, contender("base"))


def test_over_all_work_a_method_that_drafted_in_some_of_it_is_not_the_fastest() -> None:
    def one(name: str, times: float) -> tuple[Measured, Comparison]:
        results: list[Result] = []
        for p in PROMPTS:
            code = p.startswith("code")
            results.append(generation("base", p, seconds=times * (1 if code else 4)))
            results.append(drafted(p, seconds=times * (0.5 if code else 2)))
            silent = counts(80, 60) if code else counts(0, 0)
            results.append(generation("ngram", p, seconds=times * (0.6 if code else 4.4), counts=silent))
        ngram = contender("ngram", "ngram-simple", baseline="base")
        return made_of(name, results, contender("base"), contender("draft", "draft-model", baseline="base"), ngram)

    (everything,) = [f for f in compared(one("one", 1.0), one("two", 0.9)).fastest if f.work.category is None]
    assert [best and best[0] for best in everything.best] == ["draft", "draft"]


def test_the_winner_is_the_faster_one_on_the_prompts_that_both_have() -> None:
    ten = {p: float(s) for p, s in zip(PROMPTS[:6], (10, 1, 1, 1, 1, 1), strict=True)}
    seven = {p: 7.0 if s == 10 else 1.2 for p, s in ten.items()}
    slow = dict.fromkeys(PROMPTS[6:], 4.0)  # one has them, two does not
    for one, two in ((ten, seven), (dict.fromkeys(ten, 1.0) | slow, dict.fromkeys(ten, 1.5))):
        for runs in ((one, two), (two, one)):
            for f in compared(*(plain_run(f"run {len(r)} {r is one}", r) for r in runs)).fastest:
                assert runs[f.winner] is one
                assert f.lead is not None
                assert f.lead.value > 1


@given(st.lists(st.lists(st.floats(0.1, 10), min_size=5, max_size=5), min_size=2, max_size=4))
def test_the_lead_of_a_winner_is_over_the_next_and_never_below_1(seconds: list[list[float]]) -> None:
    found = compared(*(plain_run(str(i), dict(zip(PROMPTS, s, strict=False))) for i, s in enumerate(seconds)))
    means = sorted(math.prod(s) ** (1 / len(s)) for s in seconds)
    for f in found.fastest:
        assert f.lead is not None
        assert f.lead.value == pytest.approx(means[1] / means[0])


def test_one_stream_is_not_compared_with_four() -> None:
    one = plain_run("one", dict.fromkeys(PROMPTS, 1.0))
    grouped: list[Result] = [
        generation("base", p, streams=4, stream=i % 4, group_tokens=404, group_seconds=2.0)
        for i, p in enumerate(PROMPTS)
    ]
    found = compared(one, made_of("four", grouped, contender("base", streams=4)))
    assert (found.fastest, found.standings) == ((), ())
    (runs,) = sections(found)
    assert "streams=1" in runs.lines[2]
    assert runs.lines[3].startswith("no machine leads: ")


def test_an_engines_clock_is_not_held_against_a_clients() -> None:
    """Two times as fast by either clock; only one of the engines shows its own."""
    fast, slow = plain_run("fast", dict.fromkeys(PROMPTS, 1.0)), dict.fromkeys(PROMPTS, 2.0)
    for found in (compared(fast, plain_run("slow", slow, decode_seconds=None)),
                  compared(plain_run("slow", slow, decode_seconds=None), fast)):  # fmt: skip
        for f in found.fastest:
            assert found.names[f.winner] == "fast"
            assert f.lead is not None
            assert f.lead.value == pytest.approx(2.0)


def test_fills_of_one_prompt_are_not_prompts_of_their_own() -> None:
    def one(name: str, times: float) -> tuple[Measured, Comparison]:
        results: list[Result] = [
            generation("base", p, fill=fill, seconds=times) for p in PROMPTS[:2] for fill in (1024, 8192, 32768)
        ]
        return made_of(name, results, contender("base"))

    leads = {f.work.fill: f.lead for f in compared(one("one", 1.0), one("two", 2.0)).fastest}
    assert {lead and (round(lead.value, 9), lead.n, lead.low) for lead in leads.values()} == {(2.0, 2, None)}
    assert None in leads


def test_tables_and_page_say_who_is_faster_and_hostile_names_are_escaped() -> None:
    found = compared(run("one", plain=1.0, fast=0.5), run("two", plain=0.5, fast=0.4, cpu=HOSTILE))
    who, why, runs = sections(found)
    assert who.rows[0][:2] == ("code", "B × 1.25 (1.25–1.25)")
    assert [row[6:] for row in why.rows[:4]] == [
        ("—", "—", "—", "—"),
        ("2.00 (2.00–2.00)", "2.00", "—", "—"),
        ("—", "—", "—", "—"),
        ("1.25 (1.25–1.25)", "2.00", "1.00", "0.63"),
    ]
    assert runs.lines[1] == f"B: two, {HOSTILE}"
    assert HOSTILE not in page(found)
    assert "&lt;script&gt;" in page(found)


def test_nobody_wins_where_each_loses_on_the_prompts_that_it_shares_with_another() -> None:
    prompts = {pair: [f"code-{pair}{i}" for i in range(6)] for pair in ("ab", "bc", "ca")}

    def measured(name: str, **seconds: float) -> tuple[Measured, Comparison]:
        trials = [
            generation("base", prompt, seconds=each * (1 + i / 50))
            for pair, each in seconds.items()
            for i, prompt in enumerate(prompts[pair])
        ]
        made = plan(trials, (BASE,))
        return Measured(name, made, machine(), trials), compare(made, trials)

    runs = [measured("A", ab=1.0, ca=2.0), measured("B", bc=1.0, ab=2.0), measured("C", ca=1.0, bc=2.0)]
    assert machines(runs, words=["A", "B", "C"]).fastest == ()


def test_other_settings_are_told_where_one_run_names_its_contenders_by_target() -> None:
    one, comparison = run("one", plain=1.0, fast=0.5)
    long_names = {c.name: f"{c.target_label} · {c.name}" for c in one.plan.contenders}
    slow = tuple(
        replace(
            c,
            name=long_names[c.name],
            baseline=c.baseline and long_names[c.baseline],
            engine_settings={"threads": 1},
        )
        for c in one.plan.contenders
    )
    results = [
        replace(r, trial=replace(r.trial, contender=long_names[r.trial.contender]))
        for r in one.results
        if r.kind == "generation"
    ]
    made = plan(results, slow)
    other = Measured("two", made, Machine(system="Synthetic", cpu="y"), results)
    found = compared((one, comparison), (other, compare(made, results)))
    assert ("settings of target · base", "streams=1 template=True", "streams=1 template=True threads=1") in {
        (d.what, d.base, d.new) for _, d in found.differs
    }
