"""Machines side by side, on synthetic runs: every time and count is invented."""

from dataclasses import replace

import pytest
from analysis.synthetic import contender, counts, drafted, generation, plan
from hypothesis import given
from hypothesis import strategies as st

from specbench.analysis.comparison import Comparison, compare
from specbench.analysis.conditions import Measured
from specbench.analysis.machines import Machines, machines
from specbench.records import Machine
from specbench.report.machines import page, sections

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
