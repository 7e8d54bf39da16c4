"""Rows, notes, verdicts and the gate agree on whose output it is. Synthetic records."""

from analysis.synthetic import PROMPTS, drafted, generation, ids, machine, plan

from specbench.analysis.comparison import Comparison, compare
from specbench.analysis.conditions import Measured
from specbench.analysis.regression import gate, regression
from specbench.records import Generation
from specbench.report import cells


def judged(results: list[Generation]) -> tuple[Comparison, str]:
    """The comparison, and what the gate `lossless` says."""
    run = Measured("run", plan(results), machine(), results)
    return compare(run.plan, results), regression([run], [run], gates=[gate("lossless")]).gates[0].outcome


def trio(prompt: str, control: tuple[int, ...], output: tuple[int, ...]) -> list[Generation]:
    """The baseline, its control and the method on one prompt."""
    return [
        generation("base", prompt),
        generation("base", prompt, role="control", output_ids=control),
        drafted(prompt, output_ids=output),
    ]


def test_a_method_that_writes_garbage_is_not_recommended_and_fails_the_gate() -> None:
    results = [g for i, p in enumerate(PROMPTS) for g in trio(p, ids(95) if i < 3 else ids(), ids(0))]
    found, outcome = judged(results)
    assert {v.kind for v in found.verdicts} == {"not credible"}
    assert {n.contender for n in found.notes if n.code == "DIVERGED"} == {"base", "draft"}
    assert outcome == "failed"


CATEGORIES = ("code", "json", "chat", "qa", "edit", "math", "rag")


def in_rag(control: tuple[int, ...], output: tuple[int, ...], *, prompts: int = 6) -> list[Generation]:
    """Seven categories of which six have equal outputs everywhere."""
    return [
        g
        for category in CATEGORIES
        for i in range(prompts)
        for g in trio(f"{category}-{i}", *((control, output) if category == "rag" else (ids(), ids())))
    ]


def test_a_method_is_judged_by_the_controls_of_its_own_category() -> None:
    found, outcome = judged(in_rag(ids(30), ids(40)))
    kinds = {(r.contender, r.category): r.lossless.kind for r in (*found.rows, *found.overall) if r.lossless}
    assert {where for where, kind in kinds.items() if kind == "engine not deterministic"} == {
        (who, where) for who in ("base", "draft") for where in ("rag", None)
    }
    assert set(kinds.values()) == {"engine not deterministic", "identical"}
    assert {v.kind for v in found.verdicts} == {"use"}
    (note,) = (n for n in found.notes if n.code == "DIVERGED")
    assert (note.contender, note.message) == ("base", "engine not deterministic: 6 of 6 control runs differ")
    texts = {(r.contender, r.category): cells.lossless(r.lossless) for r in (*found.rows, *found.overall)}
    assert texts["draft", "rag"] == "engine not deterministic: 6 of 6 control runs differ"
    assert texts["draft", None] == "engine not deterministic: 6 of 42 control runs differ"
    assert outcome == "passed"


def test_controls_that_differ_in_another_category_excuse_little() -> None:
    one, all_of_them = (
        [*in_rag(ids(30), ids()), *(drafted(f"code-{i}", repeat=1, output_ids=ids(at)) for i in range(n))]
        for n, at in ((1, 40), (6, 40))
    )
    found, outcome = judged(one)
    rows = {r.category: r for r in (*found.rows, *found.overall) if r.contender == "draft"}
    assert cells.lossless(rows["code"].lossless) == "engine not deterministic: controls of other rows differ"
    assert outcome == "passed"
    found, outcome = judged(all_of_them)
    rows = {r.category: r for r in (*found.rows, *found.overall) if r.contender == "draft"}
    assert {rows[where].lossless.kind for where in ("code", None) if rows[where].lossless} == {"diverged"}
    assert cells.lossless(rows[None].lossless) == "no: diverged at token 41"
    assert {v.category for v in found.verdicts if v.kind == "not credible"} == {"code", None}
    assert outcome == "failed"


def test_few_controls_in_a_category_are_judged_with_all_others() -> None:
    found, outcome = judged(in_rag(ids(30), ids(40), prompts=1))
    rows = {r.category: r for r in (*found.rows, *found.overall) if r.contender == "draft"}
    assert {rows[where].lossless.kind for where in ("rag", None) if rows[where].lossless} == {
        "engine not deterministic"
    }
    assert outcome == "passed"
