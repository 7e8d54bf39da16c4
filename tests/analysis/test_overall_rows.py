"""Rows over all categories, where a contender has no figures in one of them. Synthetic records."""

import pytest
from analysis.synthetic import BASE, DRAFT, contender, counts, drafted, failure, generation, plan

from specbench.analysis.comparison import Comparison, compare
from specbench.analysis.verdicts import Verdict
from specbench.records import Contender, Result

NGRAM = contender("ngram", "ngram-simple", baseline="base")


def compared(results: list[Result], contenders: tuple[Contender, ...]) -> Comparison:
    return compare(plan(results, contenders), results)


def overall(found: Comparison) -> Verdict:
    (verdict,) = (v for v in found.verdicts if v.category is None)
    return verdict


def some_silent(ngram_seconds: float) -> list[Result]:
    """A draft model that is slow everywhere, and n-grams that draft in code only."""
    results: list[Result] = []
    for category in ("code", "chat"):
        for prompt in (f"{category}-{i}" for i in range(6)):
            results += [generation("base", prompt, counts=counts(0, 0)), drafted(prompt, seconds=1.2)]
            results.append(
                drafted(prompt, who="ngram", seconds=ngram_seconds)
                if category == "code"
                else generation("ngram", prompt, counts=counts(0, 0))
            )
    return results


def test_nothing_is_switched_off_over_all_while_a_method_of_some_categories_wins() -> None:
    found = compared(some_silent(0.5), (BASE, DRAFT, NGRAM))
    assert {v.category: v.kind for v in found.verdicts} == {"code": "use", "chat": "switch off", None: "no clear gain"}
    assert overall(found).contender == "draft"


def test_all_is_switched_off_where_a_method_of_some_categories_loses_too() -> None:
    assert overall(compared(some_silent(1.3), (BASE, DRAFT, NGRAM))).kind == "switch off"


def test_a_row_over_all_holds_only_categories_in_which_the_baseline_ran() -> None:
    """Its figures are those of code and json alone, and it says so."""
    results: list[Result] = []
    for category in ("code", "json", "chat"):
        for prompt in (f"{category}-{i}" for i in range(6)):
            lost = category == "chat"
            results.append(failure("base", prompt) if lost else generation("base", prompt))
            results.append(drafted(prompt, seconds=1.6 if lost else 0.4))
    found = compared(results, (BASE, DRAFT))
    rows = {r.contender: r for r in found.overall}
    assert rows["base"].categories == rows["draft"].categories == (2, 3)
    assert rows["draft"].decode is not None
    assert rows["draft"].decode.value == pytest.approx(250)
    assert (rows["draft"].prompts, rows["draft"].trials, rows["draft"].planned) == (12, 18, 18)
    assert overall(found).kind == "not in all categories"
    alone = {(r.contender, r.category): r for r in found.rows}["draft", "chat"]
    assert alone.decode is not None
    assert alone.speedup is None


def test_a_row_over_all_without_any_figure_of_the_baseline_keeps_its_own() -> None:
    results: list[Result] = [
        r for c in ("code", "chat") for i in range(6) for r in (failure("base", f"{c}-{i}"), drafted(f"{c}-{i}"))
    ]
    (draft,) = (r for r in compared(results, (BASE, DRAFT)).overall if r.contender == "draft")
    assert draft.categories == (2, 2)
    assert draft.decode is not None
    assert draft.speedup is None


def test_over_all_a_method_that_never_ran_is_not_measured_and_not_called_silent() -> None:
    results: list[Result] = []
    for prompt in (f"code-{i}" for i in range(6)):
        results += [generation("base", prompt, counts=counts(0, 0)), failure("draft", prompt)]
    assert overall(compared(results, (BASE, DRAFT))).kind == "not measured"


def test_a_method_of_few_prompts_that_loses_where_it_drafts_does_not_keep_all_from_being_switched_off() -> None:
    results: list[Result] = []
    for category in ("code", "chat"):
        for i in range(6):
            prompt = f"{category}-{i}"
            results += [generation("base", prompt, counts=counts(0, 0)), drafted(prompt, seconds=1.4)]
            if category == "chat":
                results.append(generation("ngram", prompt, counts=counts(0, 0)))
            elif i < 3:
                results.append(drafted(prompt, who="ngram", seconds=1.6))
    assert overall(compared(results, (BASE, DRAFT, NGRAM))).kind == "switch off"


def test_over_all_nothing_is_called_silent_while_a_method_drafted_that_has_no_baseline() -> None:
    results: list[Result] = []
    for prompt in (f"{category}-{i}" for category in ("code", "chat") for i in range(6)):
        results += [failure("base", prompt), drafted(prompt), generation("ngram", prompt, counts=counts(0, 0))]
    assert overall(compared(results, (BASE, DRAFT, NGRAM))).kind == "not measured"
