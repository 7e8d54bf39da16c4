"""Rows over all categories, where a contender has no figures in one of them. Synthetic records."""

from analysis.synthetic import BASE, DRAFT, contender, counts, drafted, generation, plan

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
