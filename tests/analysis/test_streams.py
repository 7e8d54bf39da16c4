"""Synthetic groups of two streams: 202 tokens, the baseline's in 2 s."""

import pytest
from analysis.synthetic import PROMPTS, contender, counts, drafted, generation, opening, plan

from specbench.analysis.comparison import Comparison, compare
from specbench.analysis.metrics import METRICS
from specbench.records import Generation, Result


def grouped(who: str, first: int, *, seconds: float) -> list[Generation]:
    """Two prompts at once on `who`."""
    facts = {"streams": 2, "group_tokens": 202, "group_seconds": seconds}
    members = [(n, PROMPTS[first + n]) for n in (0, 1)]
    if who.startswith("draft"):
        return [drafted(prompt, who=who, stream=n, **facts) for n, prompt in members]
    return [generation(who, prompt, stream=n, **facts) for n, prompt in members]


def contenders() -> tuple[object, ...]:
    return tuple(
        contender(
            f"{name} streams={n}", method, baseline=base and f"none streams={n}", family=f"streams={n}", streams=n
        )
        for n in (1, 2)
        for name, method, base in (("none", "none", None), ("draft", "draft-model", "none"))
    )


@pytest.fixture
def comparison() -> Comparison:
    """Alone a draft doubles the throughput; with two streams it halves it."""
    results: list[Result] = [generation("none streams=1", p, total=1.0) for p in PROMPTS]
    results += [drafted(p, who="draft streams=1", total=0.5) for p in PROMPTS]
    for first in (0, 2, 4):
        results += grouped("none streams=2", first, seconds=2.0)
        results += grouped("draft streams=2", first, seconds=4.0)
    results += [
        opening("none streams=2", observed={"parallel_slots": 1}),
        opening("draft streams=2", observed={"parallel_slots": 2}),
    ]
    return compare(plan(results, contenders()), results)


def test_the_output_of_a_group_counts_once(comparison: Comparison) -> None:
    first, second = grouped("none streams=2", 0, seconds=2.0)
    assert METRICS["output_throughput"].parts(first) == (202, 2.0)
    assert METRICS["output_throughput"].parts(second) is None
    assert METRICS["output_throughput"].parts(generation("none", "code-0", total=0.5)) == (101, 0.5)
    whole = next(r for r in comparison.rows if r.contender == "none streams=2").metrics["output_throughput"]
    assert whole is not None
    assert (whole.value, whole.n) == (101.0, 3)


def test_the_speedup_is_that_of_groups_and_three_of_them_show_no_break_even(comparison: Comparison) -> None:
    found = {r.contender: r.speedup for r in comparison.rows if r.speedup}
    assert {name: (s.value, s.n) for name, s in found.items()} == {
        "draft streams=1": (pytest.approx(2), 6),
        "draft streams=2": (pytest.approx(0.5), 3),
    }
    (curve,) = (c for c in comparison.curves if c.label == "draft" and c.category == "code")
    assert (curve.axis, [p.value for p in curve.points]) == ("streams", [1, 2])
    assert (curve.break_even, [p.prompts for p in curve.points]) == (None, [6, 3])
    assert [p.speed.value if p.speed else None for p in curve.points] == [202, 50.5]


def test_too_few_groups_and_too_few_slots_are_noted(comparison: Comparison) -> None:
    messages = {(n.code, n.contender): n.message for n in comparison.notes}
    assert messages["UNDERPOWERED", "draft streams=2"] == "3 groups of streams at temperature 0: no interval"
    assert messages["SETTING_IGNORED", "none streams=2"] == "2 streams were asked for, the engine serves 1 at once"
    assert ("SETTING_IGNORED", "draft streams=2") not in messages
    assert comparison.why == ()


def test_a_group_is_not_held_to_the_tokens_per_step_of_one_of_its_prompts() -> None:
    """Groups 1.66 times as fast: the prompt that carries the group's figures has 1.25 tokens a step, the other 4."""
    names = [f"code-{n}" for n in range(12)]
    results: list[Result] = []
    for n in range(0, 12, 2):
        for stream, prompt in enumerate(names[n : n + 2]):
            facts = {"streams": 2, "stream": stream, "group_tokens": 202}
            results.append(generation("none streams=2", prompt, group_seconds=1.66 + n / 1000, **facts))
            accepted = counts(80, 75 if stream else 20)
            results.append(drafted(prompt, who="draft streams=2", counts=accepted, group_seconds=1.0, **facts))
    verdict = compare(plan(results, contenders()[2:]), results).verdicts[0]
    assert (verdict.kind, verdict.label) == ("use", "draft")
