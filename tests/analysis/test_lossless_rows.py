"""Rows, notes, verdicts and the gate agree on whose output it is. Synthetic records."""

from analysis.synthetic import PROMPTS, drafted, generation, ids, machine, plan

from specbench.analysis.comparison import Comparison, compare
from specbench.analysis.conditions import Measured
from specbench.analysis.regression import gate, regression
from specbench.records import Generation


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
