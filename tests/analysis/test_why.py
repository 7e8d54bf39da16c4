"""Synthetic records whose right answer is computed by hand: 100 tokens after the first, a plain step takes 10 ms."""

from math import exp
from typing import Any

import pytest
from analysis.synthetic import BASE, PROMPTS, contender, counts, drafted, generation, ids, plan

from specbench.analysis.comparison import compare
from specbench.analysis.why import Why
from specbench.records import Result
from specbench.report import cells


def explained(*, seconds: float | list[float], length: int = 4, **changes: Any) -> Why:
    """A baseline at 1 s a prompt, and a method at `seconds`."""
    each = seconds if isinstance(seconds, list) else [seconds] * len(PROMPTS)
    draft = contender("draft", "draft-model", baseline="base", settings={"draft_tokens_max": length})
    results: list[Result] = [generation("base", p) for p in PROMPTS]
    results += [drafted(p, seconds=s, **changes) for p, s in zip(PROMPTS, each, strict=True)]
    found = compare(plan(results, (BASE, draft)), results)
    (why,) = (w for w in found.why if w.category is None)
    assert why.speedup == pytest.approx(why.tokens_per_round / why.round_cost)
    return why


def test_the_speedup_is_tokens_a_round_over_the_cost_of_a_round() -> None:
    """40 rounds of 2.5 tokens in 0.5 s are 12.5 ms each, 1.25 plain steps; a fifth of it is drafting."""
    why = explained(seconds=0.5, draft_seconds=0.1)
    assert why.tokens_per_round == pytest.approx(2.5)
    assert why.round_cost == pytest.approx(1.25)
    assert (why.drafting, why.verifying) == (pytest.approx(0.25), pytest.approx(1.0))
    assert (why.speedup, why.drafts, why.advice) == (pytest.approx(2), "well", "keep")
    assert cells.why(why) == (
        "draft drafts well, 2.50 tokens a round, and a round costs 1.25 plain steps "
        "(drafting 0.25, verifying and the rest 1.00): speed × 2.00; keep it"
    )


def test_prompts_of_different_length_are_compared_each_with_itself() -> None:
    """Round costs 1.25 and 5: their geometric mean is 2.5, the sums would say 3.125."""
    results: list[Result] = [generation("base", "code-0"), generation("base", "code-1")]
    results += [drafted("code-0", seconds=0.5), drafted("code-1", seconds=2.0)]
    draft = contender("draft", "draft-model", baseline="base")
    (row,) = (r for r in compare(plan(results, (BASE, draft)), results).rows if r.contender == "draft")
    assert row.round_cost is not None
    assert row.round_cost.value == pytest.approx(2.5)
    assert row.speedup is not None
    assert row.speedup.value == pytest.approx(1)


def test_what_the_engine_does_not_tell_is_not_split() -> None:
    why = explained(seconds=0.5, draft_seconds=None)
    assert (why.drafting, why.verifying) == (None, None)
    assert "drafting" not in cells.why(why)


@pytest.mark.parametrize(
    ("changes", "drafts", "advice"),
    [
        # Faster on five prompts and slower on one.
        ({"seconds": [0.5, 0.9, 0.95, 1.3, 0.9, 1.05]}, "well", "no clear gain"),
        # The same with a mean below 1.
        ({"seconds": [0.8, 0.9, 1.0, 1.1, 1.2, 1.2]}, "well", "no clear gain"),
        # 2.5 tokens for 3.5 plain steps, of which 2 are verification: a shorter draft.
        ({"seconds": 1.4, "draft_seconds": 0.6}, "well", "shorter draft"),
        # Verifying costs 1.05 plain steps, drafting 2.45: the drafter is too large.
        ({"seconds": 1.4, "draft_seconds": 0.98}, "well", "smaller drafter"),
        ({"seconds": 1.4, "draft_seconds": 0.6, "length": 1}, "well", "switch off"),
        # 1.25 tokens in each of 80 rounds.
        ({"seconds": 1.4, "counts": counts(320, 20)}, "badly", "other drafter"),
        ({"seconds": 1.4, "counts": counts(260, 35)}, "moderately", "shorter draft"),
        # One draft in ten rounds.
        ({"seconds": 1.4, "counts": counts(40, 20, drafted_steps=8)}, "seldom", "other text"),
    ],
)
def test_the_advice_follows_from_what_costs(changes: dict[str, Any], drafts: str, advice: str) -> None:
    why = explained(**changes)
    assert (why.drafts, why.advice) == (drafts, advice)


@pytest.mark.parametrize(
    ("took", "advice"),
    [
        ({2: 1.6, 4: 1.3, 8: 1.5}, {2: "no length", 4: "no length", 8: "no length"}),
        ({1: 0.5, 4: 1.3}, {1: "keep", 4: "shorter draft"}),
        ({1: 1.4, 8: 0.5}, {1: "longer draft", 8: "keep"}),
        ({1: 1.4}, {1: "switch off"}),
        ({4: 1.4}, {4: "shorter draft"}),
    ],
)
def test_a_sweep_tells_whether_another_length_helps(took: dict[int, float], advice: dict[int, str]) -> None:
    results: list[Result] = [generation("base", p) for p in PROMPTS]
    drafts = [contender(f"d{n}", "draft-model", baseline="base", settings={"draft_tokens_max": n}) for n in took]
    for n, seconds in took.items():
        results += [drafted(p, seconds=seconds, who=f"d{n}") for p in PROMPTS]
    found = compare(plan(results, (BASE, *drafts)), results)
    assert {int(w.contender[1:]): w.advice for w in found.why if w.category is None} == advice


def test_a_round_that_is_cheaper_than_a_plain_step_is_not_explained() -> None:
    results: list[Result] = [generation("base", p) for p in PROMPTS] + [drafted(p, seconds=0.2) for p in PROMPTS]
    draft = contender("draft", "draft-model", baseline="base")
    found = compare(plan(results, (BASE, draft)), results)
    assert found.why == ()
    assert "CONFIGURATION_MISMATCH" in {n.code for n in found.notes}


@pytest.mark.parametrize("seconds", [0.99, 1.4])
def test_too_few_prompts_advise_nothing(seconds: float) -> None:
    results: list[Result] = [generation("base", "code-0"), drafted("code-0", seconds=seconds)]
    found = compare(plan(results), results)
    assert {v.kind for v in found.verdicts} == {"too few prompts"}
    assert {w.advice for w in found.why} == {"too few prompts"}
    assert cells.why(found.why[0]).endswith("; too few prompts to advise anything")


def test_a_gain_that_is_chance_among_several_methods_is_not_kept() -> None:
    """Its interval alone lies above 1 (p = 0.03), but there are two methods to choose from."""
    other = contender("ngram", "ngram-mod", baseline="base")
    draft = contender("draft", "draft-model", baseline="base")
    gains = dict(zip(PROMPTS, (0.30, 0.10, 0.20, 0.05, 0.35, 0.0), strict=True))
    results: list[Result] = [generation("base", p) for p in PROMPTS]
    results += [drafted(p, seconds=exp(-gain)) for p, gain in gains.items()]
    results += [drafted(p, who="ngram", seconds=1 + 0.1 * (-1) ** i) for i, p in enumerate(PROMPTS)]
    found = compare(plan(results, (BASE, draft, other)), results)
    (row,) = (r for r in found.overall if r.contender == "draft")
    assert row.speedup is not None
    assert row.speedup.low is not None
    assert row.speedup.low > 1
    assert {v.kind for v in found.verdicts} == {"no clear gain"}
    assert {w.advice for w in found.why} == {"no clear gain"}


def test_a_method_that_writes_something_else_is_not_kept() -> None:
    results: list[Result] = [g for p in PROMPTS for g in (generation("base", p), drafted(p, output_ids=ids(2)))]
    found = compare(plan(results), results)
    assert {v.kind for v in found.verdicts} == {"not credible"}
    assert {w.advice for w in found.why} == {"other output"}
    assert cells.why(found.why[0]).endswith("speed × 2.00; but its output is not the baseline's: do not use it")


def test_dice_get_no_advice() -> None:
    dice = contender("draft", "draft-model", baseline="base", settings={"spec_synth_accept": 0.9})
    results: list[Result] = [g for p in PROMPTS for g in (generation("base", p), drafted(p))]
    found = compare(plan(results, (BASE, dice)), results)
    assert found.verdicts == ()
    assert {w.advice for w in found.why} == {"dice"}
