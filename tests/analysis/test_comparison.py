from collections.abc import Sequence

import pytest
from analysis.synthetic import (
    BASE,
    DRAFT,
    PROMPTS,
    contender,
    counts,
    drafted,
    failure,
    generation,
    ids,
    opening,
    plan,
    prompt,
)

from specbench.analysis.comparison import Comparison, compare
from specbench.analysis.rows import Row
from specbench.errors import InputError
from specbench.records import Check, Contender, Prompt, Result, Skip
from specbench.structs import replace


def compared(
    results: list[Result], contenders: tuple[Contender, ...] = (BASE, DRAFT), prompts: tuple[Prompt, ...] = ()
) -> Comparison:
    return compare(plan(results, contenders, prompts), results)


def row(comparison: Comparison, who: str = "draft", category: str | None = "code", temperature: float = 0) -> Row:
    (found,) = (
        r
        for r in comparison.rows + comparison.overall
        if (r.contender, r.category, r.temperature) == (who, category, temperature)
    )
    return found


def codes(comparison: Comparison) -> set[str]:
    return {n.code for n in comparison.notes}


def base_and_draft(*seconds: float) -> list[Result]:
    """Six code prompts; the baseline decodes in 1 s each, the contender in `seconds`."""
    return [
        *(generation("base", p) for p in PROMPTS),
        *(drafted(p, seconds=s) for p, s in zip(PROMPTS, seconds, strict=False)),
    ]


def test_the_speedup_is_the_geometric_mean_over_prompts() -> None:
    found = row(compared(base_and_draft(0.5, 0.5, 0.5, 1, 1, 2))).speedup
    assert found is not None
    assert found.value == pytest.approx((2 * 2 * 2 * 1 * 1 * 0.5) ** (1 / 6))
    assert found.n == 6
    assert found.low is not None
    assert found.low < found.value


def test_metrics_are_sums_divided_once() -> None:
    decode = row(compared(base_and_draft(0.5, 0.5, 0.5, 1, 1, 2))).decode
    assert decode is not None
    assert decode.value == pytest.approx(600 / 5.5)


def test_only_the_same_prompt_temperature_and_fill_are_paired() -> None:
    results = [
        generation("base", "code-0"),
        generation("base", "code-1", temperature=0.8),
        generation("base", "code-2", fill=1024),
        drafted("code-0"),
        drafted("code-1"),
        drafted("code-2", fill=4096),
    ]
    comparison = compared(results)
    speedups = [r.speedup.n if r.speedup else None for r in comparison.rows if r.contender == "draft"]
    assert speedups == [1, None]


def test_repeats_are_averaged_within_a_prompt_before_prompts_are() -> None:
    results: list[Result] = [generation("base", "code-0"), generation("base", "code-1")]
    results += [drafted("code-0", seconds=s, repeat=i) for i, s in enumerate((0.25, 1.0))]
    results += [drafted("code-1", seconds=0.5)]
    found = row(compared(results))
    assert found.speedup is not None
    assert found.speedup.value == pytest.approx(2)
    assert (found.speedup.n, found.prompts, found.trials) == (2, 2, 3)


def test_each_family_is_compared_with_its_own_baseline_in_its_own_table() -> None:
    contenders = [
        contender(f"{name} threads={n}", method, baseline=base and f"none threads={n}", family=f"threads={n}")
        for n in (1, 2)
        for name, method, base in (("none", "none", None), ("draft", "draft-model", "none"))
    ]
    results: list[Result] = []
    for n, pace in ((1, 1.0), (2, 0.5)):
        results += [generation(f"none threads={n}", p, seconds=pace) for p in PROMPTS]
        results += [drafted(p, who=f"draft threads={n}", seconds=0.5) for p in PROMPTS]
    found = compared(results, tuple(contenders))
    assert [t.label for t in found.targets] == ["target, threads=1", "target, threads=2"]
    speedups = [(r.target, r.label, r.speedup.value) for r in found.rows if r.speedup]
    assert speedups == [("target, threads=1", "draft", 2.0), ("target, threads=2", "draft", 1.0)]
    assert [v.kind for v in found.verdicts if v.category] == ["use", "no clear gain"]


def test_warm_ups_and_controls_are_in_no_metric() -> None:
    extra: list[Result] = [
        *(generation("base", p, seconds=9, role=role) for p in PROMPTS for role in ("warm-up", "control")),
        *(drafted(p, seconds=9, role="warm-up") for p in PROMPTS),
    ]
    plain, more = compared(base_and_draft(*[0.5] * 6)), compared(base_and_draft(*[0.5] * 6) + extra)
    assert row(plain).metrics == row(more).metrics
    assert row(plain, "base").metrics == row(more, "base").metrics
    assert row(more).trials == 6


@pytest.mark.parametrize("nothing", [counts(0, 0), counts(None, None)])
def test_a_method_that_drafted_nothing_has_no_result(nothing: object) -> None:
    results: list[Result] = [
        *base_and_draft(*[0.5] * 6),
        *(generation("base", f"chat-{i}") for i in range(6)),
        *(drafted(f"chat-{i}", counts=nothing) for i in range(6)),
    ]
    comparison = compared(results)
    silent = row(comparison, category="chat")
    assert not silent.speculating
    assert set(silent.metrics.values()) == {None}
    assert (silent.speedup, silent.end_to_end_speedup, silent.prefill_cost, silent.lossless) == (None,) * 4
    (note,) = (n for n in comparison.notes if n.code == "NOT_SPECULATING")
    assert (note.contender, note.category) == ("draft", "chat")
    whole = row(comparison, category=None)
    assert whole.categories == (1, 2)
    assert whole.metrics == row(comparison).metrics
    assert {v.category: v.kind for v in comparison.verdicts} == {
        "code": "use",
        "chat": "nothing drafted",
        None: "not in all categories",
    }


def test_a_prompt_without_a_draft_among_others_still_counts() -> None:
    results = base_and_draft(*[0.5] * 5)
    found = row(compared([*results, drafted(PROMPTS[5], seconds=1, counts=counts(0, 0))]))
    assert found.speculating
    assert found.prompts == 6


@pytest.mark.parametrize(
    ("seconds", "kind"),
    [
        ((0.5, 0.4, 0.5, 0.6, 0.5, 0.5), "use"),
        ((2, 1.9, 2, 2.2, 2, 2), "switch off"),
        ((1.1, 0.9, 1.05, 0.95, 1.2, 0.8), "no clear gain"),
        ((0.5, 0.5), "too few prompts"),
    ],
)
def test_the_verdict_follows_the_interval(seconds: tuple[float, ...], kind: str) -> None:
    (code, _) = compared(base_and_draft(*seconds)).verdicts
    assert code.kind == kind
    assert code.contender == "draft"


def test_a_gain_above_the_tokens_per_step_is_nobodys() -> None:
    """1.19 tokens a step, and a baseline that was 2.4 times slower for half of the prompts: 1.55 by the interval."""
    names = [f"code-{n}" for n in range(12)]
    results: list[Result] = [generation("base", p, seconds=2.4 if n % 2 else 1.0) for n, p in enumerate(names)]
    results += [drafted(p, seconds=1.0, counts=counts(100, 16)) for p in names]
    found = compared(results)
    seen = row(found)
    assert seen.credible
    assert seen.speedup is not None
    assert seen.speedup.low is not None
    assert seen.speedup.low > 1.1
    assert seen.bounded is not None
    assert seen.bounded.value == pytest.approx(1)
    assert (found.verdicts[0].kind, found.why[0].advice) == ("no clear gain", "disturbed")


def test_a_prompt_above_its_bound_takes_no_win_away() -> None:
    results = base_and_draft(*[0.5] * 5, 0.2)  # 2.5 tokens a step; the last one's 5 cannot be
    seen = row(compared(results))
    assert seen.speedup is not None
    assert seen.bounded is not None
    assert (seen.speedup.value, seen.bounded.value) == (
        pytest.approx(2 ** (5 / 6) * 5 ** (1 / 6)),
        pytest.approx(2 ** (5 / 6)),
    )
    assert compared(results).verdicts[0].kind == "use"


def test_the_fastest_method_wins_and_not_the_one_with_the_higher_acceptance() -> None:
    keen = contender("ngram", "ngram-mod", baseline="base")
    results = base_and_draft(*[0.8] * 6)
    results += [drafted(p, who="ngram", seconds=0.5, counts=counts(200, 50)) for p in PROMPTS]
    verdict = compared(results, (BASE, DRAFT, keen)).verdicts[0]
    assert (verdict.kind, verdict.label) == ("use", "ngram")


def test_creative_text_is_judged_when_sampled() -> None:
    results: list[Result] = []
    for temperature in (0.0, 0.8):
        for i in range(6):
            results.append(generation("base", f"creative-{i}", temperature=temperature))
            results.append(drafted(f"creative-{i}", temperature=temperature))
    kinds = {v.temperature: v.kind for v in compared(results).verdicts if v.category == "creative"}
    assert kinds == {0.0: "judged when sampled", 0.8: "use"}


def test_one_clock_serves_both_sides_of_a_ratio() -> None:
    slow = {"decode_seconds": None, "first_token": 0.5, "last_token": 1.5}
    results: list[Result] = [*(generation("base", p) for p in PROMPTS), *(drafted(p, **slow) for p in PROMPTS)]
    comparison = compared(results)
    assert {r.decode_source for r in comparison.rows} == {"decode_client"}
    found = row(comparison).speedup
    assert found is not None
    assert found.value == pytest.approx(1)


def test_prefill_cost_is_time_per_prefilled_token_over_the_baselines() -> None:
    results: list[Result] = [generation("base", p) for p in PROMPTS]
    results += [drafted(p, prefill_seconds=0.12) for p in PROMPTS]
    cost = row(compared(results)).prefill_cost
    assert cost is not None
    assert (cost.value, cost.low, cost.high) == pytest.approx((1.2, 1.2, 1.2))


def test_failures_are_counted_and_a_trial_done_again_is_not() -> None:
    results = base_and_draft(*[0.5] * 4)
    lost: list[Result] = [failure("draft", PROMPTS[4]), failure("draft", PROMPTS[0])]
    found = row(compared([*lost[1:], *results, *lost]))
    assert (found.trials, found.planned, found.failed) == (4, 7, 1)


def test_answers_are_judged_when_they_were_not_cut() -> None:
    checked = prompt("code-0", check=Check(kind="contains", all=("lantern",)))
    results: list[Result] = [
        generation("base", "code-0", ignore_eos=False, stop_reason="eos"),
        drafted("code-0", ignore_eos=False, stop_reason="eos", text="nothing of it"),
        generation("base", "code-1"),
    ]
    comparison = compared(results, prompts=(checked,))
    assert (row(comparison, "base").checks_passed, row(comparison, "base").checks_judged) == (1, 1)
    assert (row(comparison).checks_passed, row(comparison).checks_judged) == (0, 1)


def test_the_baseline_run_twice_is_the_floor_of_losslessness() -> None:
    results = base_and_draft(*[0.5] * 5)
    results += [generation("base", p, role="control") for p in PROMPTS]
    results += [drafted(PROMPTS[5], output_ids=ids(12))]
    comparison = compared(results)
    assert row(comparison).lossless is not None
    assert row(comparison).lossless.kind == "diverged"
    assert row(comparison, "base").lossless.kind == "identical"
    (note,) = (n for n in comparison.notes if n.code == "DIVERGED")
    assert (note.contender, note.prompts) == ("draft", (PROMPTS[5],))

    unsteady = compared([*results, generation("base", PROMPTS[0], role="control", repeat=1, output_ids=ids(9))])
    assert row(unsteady).lossless.kind == "engine not deterministic"
    (note,) = (n for n in unsteady.notes if n.code == "DIVERGED")
    assert note.contender == "base"
    assert note.message == "engine not deterministic: 1 of 7 control runs differ"


def test_an_impossible_speedup_is_noted() -> None:
    assert "CONFIGURATION_MISMATCH" not in codes(compared(base_and_draft(*[0.5] * 6)))
    impossible = compared(base_and_draft(*[0.3] * 6))
    assert "CONFIGURATION_MISMATCH" in codes(impossible)
    assert {v.kind for v in impossible.verdicts} == {"not credible"}


def test_few_prompts_are_noted_and_get_no_interval() -> None:
    comparison = compared(base_and_draft(0.5, 0.5))
    assert "UNDERPOWERED" in codes(comparison)
    assert row(comparison).speedup.low is None


def test_context_fills_are_rows_of_their_own_and_one_prompt_over_all() -> None:
    results: list[Result] = []
    for fill, seconds in ((1024, 0.25), (4096, 1.0)):
        results += [generation("base", p, fill=fill) for p in PROMPTS]
        results += [drafted(p, fill=fill, seconds=seconds) for p in PROMPTS]
    comparison = compared(results)
    assert [r.fill for r in comparison.rows if r.contender == "draft"] == [1024, 4096]
    found = row(comparison, category=None).speedup
    assert found is not None
    assert (found.value, found.n) == (pytest.approx(2), 6)


@pytest.mark.parametrize(("before", "shown"), [("target · ", ""), ("engine · target · ", "engine · ")])
def test_a_label_is_the_name_without_the_target(before: str, shown: str) -> None:
    base, draft = (replace(c, name=f"{before}{c.name}", baseline=c.baseline and f"{before}base") for c in (BASE, DRAFT))
    results: list[Result] = [generation(base.name, "code-0"), drafted("code-0", who=draft.name)]
    assert [r.label for r in compared(results, (base, draft)).rows] == [f"{shown}base", f"{shown}draft"]


def test_a_method_without_a_baseline_has_neither_speedup_nor_losslessness() -> None:
    alone = contender("draft", "draft-model")
    results: list[Result] = [*(drafted(p) for p in PROMPTS), drafted(PROMPTS[0], role="control")]
    found = row(compared(results, (alone,)))
    assert (found.speedup, found.lossless) == (None, None)
    assert found.decode is not None
    assert compared(results, (alone,)).verdicts == ()


def test_a_run_without_results_has_no_figures_and_does_not_fail() -> None:
    planned = replace(plan(base_and_draft(*[0.5] * 6)), left_out={"mtp": "it needs a head"})
    skip = Skip(contender="draft", block=None, reason="no such flag", hint="update the engine")
    comparison = compare(planned, [opening("base"), skip])
    assert [(r.trials, r.planned, r.speedup) for r in comparison.rows] == [(0, 6, None)] * 2
    assert comparison.measured == 0
    assert [(s.contender, s.reason) for s in comparison.skipped] == [
        ("mtp", "it needs a head"),
        ("draft", "no such flag"),
    ]


def test_results_of_another_plan_are_refused() -> None:
    with pytest.raises(InputError, match="unknown contender 'draft'"):
        compare(plan([], (BASE,)), [drafted("code-0")])


def test_the_same_records_give_the_same_answer() -> None:
    results = base_and_draft(0.5, 0.4, 0.5, 0.6, 0.5, 0.5)
    assert compared(results) == compared(results)


def test_synthetic_acceptance_never_wins_and_is_not_judged() -> None:
    dice = replace(DRAFT, name="dice", settings={"synthetic_length": 4})
    other = ids(3)  # the dice's text is not the baseline's
    results = [
        *base_and_draft(*[0.9] * 6),
        *(drafted(p, who="dice", seconds=0.2, output_ids=other, text="x " * 99) for p in PROMPTS),
    ]
    comparison = compare(plan(results, (BASE, DRAFT, dice)), results)
    found = row(comparison, "dice")
    assert (found.synthetic, found.label, found.lossless) == (True, "dice (synthetic)", None)
    assert found.speedup is not None
    assert found.speedup.value > 4
    assert {v.contender for v in comparison.verdicts} == {"draft"}
    assert {n.code for n in comparison.notes if n.contender == "dice"} == {"SYNTHETIC", "CONFIGURATION_MISMATCH"}
    (real,) = (r for r in comparison.overall if r.contender == "draft")
    assert real.trials == len(PROMPTS)


def test_a_chat_server_that_reports_no_acceptance_still_has_a_speed() -> None:
    chat = replace(DRAFT, protocol="openai")
    results = [*base_and_draft(*[0.5] * 6)]
    quiet = [replace(r, counts=counts(None, None)) if r.trial.contender == "draft" else r for r in results]
    found = row(compare(plan(quiet, (BASE, chat)), quiet))
    assert found.speculating
    assert found.speedup is not None
    assert found.metrics["draft_acceptance_rate"] is None


def test_a_target_in_two_formats_names_both_quants() -> None:
    from specbench.analysis.comparison import _quants

    one = Contender(
        name="a", engine="e", kind="server", target_model="m", target_label="m", method="none", target_quant="Q8_0"
    )
    two, third = replace(one, name="b", target_quant="F32"), replace(one, name="c")
    assert _quants(one.group, [one, two, third]) == "Q8_0 and F32"
    assert _quants(one.group, [one, third]) == "Q8_0"
    assert _quants(one.group, [replace(one, target_quant=None)]) is None


def test_a_gain_that_chance_gives_one_of_many_methods_is_no_gain() -> None:
    """Alone its interval lies above 1; among eight methods without a gain Holm's correction takes it back."""
    gains = (1.02, 1.06, 1.01, 1.05, 1.03, 1.04)
    others = [contender(f"other-{i}", "draft-model", baseline="base") for i in range(8)]

    def kind(more: Sequence[Contender]) -> str:
        results: list[Result] = [generation("base", p) for p in PROMPTS]
        results += [drafted(p, seconds=1 / gain) for p, gain in zip(PROMPTS, gains, strict=True)]
        results += [
            drafted(p, seconds=1.01 if (i + j) % 2 else 0.99, who=c.name)
            for j, c in enumerate(more)
            for i, p in enumerate(PROMPTS)
        ]
        return compare(plan(results, [BASE, DRAFT, *more]), results).verdicts[0].kind

    assert kind([]) == "use"
    assert kind(others) == "no clear gain"
