import pytest
from analysis.synthetic import (
    BASE,
    DRAFT,
    PROMPTS,
    TEXT,
    contender,
    counts,
    drafted,
    generation,
    machine,
    opening,
    plan,
)

from specbench.analysis.checks import ADVICE, LOOP, Note, repetition
from specbench.analysis.comparison import compare
from specbench.records import Contender, DraftCounts, Result, Setting
from specbench.structs import replace

CLEAN = [r for p in PROMPTS for r in (generation("base", p), drafted(p))]


def notes(*extra: Result, contenders: tuple[Contender, ...] = (BASE, DRAFT), clean: bool = True) -> list[Note]:
    results = [*(CLEAN if clean else []), *extra]
    return list(compare(plan(results, contenders), results, machine=machine()).notes)


def only(*extra: Result, contenders: tuple[Contender, ...] = (BASE, DRAFT), clean: bool = True) -> Note:
    (found,) = notes(*extra, contenders=contenders, clean=clean)
    assert found.advice == ADVICE[found.code]
    return found


def test_a_clean_run_has_no_notes() -> None:
    assert notes(opening("base"), opening("draft")) == []


def test_wrong_counters_are_noted_with_the_prompt() -> None:
    found = only(drafted("code-6", counts=counts(50, 60)), generation("base", "code-6"))
    assert (found.code, found.contender, found.category) == ("COUNTERS_DISAGREE", "draft", "code")
    assert found.prompts == ("code-6",)
    assert found.message == "1 of 7 trials violate A <= D"


def test_a_stop_that_overcounts_is_noted() -> None:
    late = DraftCounts(emitted=14, prefill_tokens=1, drafted=20, accepted=16, drafted_steps=4)
    assert only(drafted("code-6", counts=late, output_tokens=14, stop_reason="word")).code == "STOP_OVERCOUNT"


def test_a_prompt_from_the_cache_is_noted() -> None:
    assert only(drafted("code-6", cached_tokens=12)).message == "1 of 7 prompts came from the cache, up to 12 tokens"


def test_a_learning_drafter_that_sees_a_prompt_again_is_noted() -> None:
    learner = contender("draft", "ngram-mod", baseline="base", learns=True)
    again = drafted(PROMPTS[0], repeat=1)
    found = only(again, contenders=(BASE, learner))
    assert (found.code, found.prompts) == ("DRAFT_REPLAY", (PROMPTS[0],))
    assert notes(replace(again, block=1), contenders=(BASE, learner)) == []
    assert notes(again) == []


def test_a_loop_is_noted() -> None:
    loop = "and the sea and the sea and the sea " * 8
    assert only(drafted("code-6", text=loop)).code == "DEGENERATE_OUTPUT"


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        (TEXT, 0, 0.05),
        (" ".join(f'{{"id": {i}, "name": "item {i}", "price": {i * 3}}},' for i in range(12)), 0, 0.4),
        ("\n".join(f"    self.{n} = {n}\n    if {n} is None:\n        raise ValueError" for n in "abcdefgh"), 0, 0.4),
        ("the rain fell on the roof and " * 12, 0.8, 1),
        ("ha" * 200, 0.9, 1),
    ],
)
def test_loops_lie_above_the_threshold_and_ordinary_text_below(text: str, low: float, high: float) -> None:
    found = repetition(text)
    assert found is not None
    assert low <= found <= high
    assert (found >= LOOP) == (low >= LOOP)


def test_a_few_words_are_too_short_to_repeat() -> None:
    assert repetition("no no no no") is None


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        ({"method": "none"}, "draft-model was asked for, the engine shows none"),
        ({"temperature": 0.8}, "temperature 0 was asked for, the engine shows 0.8"),
        ({"seed": 7}, "seed 1 was asked for, the engine shows 7"),
        ({"top_k": 20}, "top_k 40 was asked for, the engine shows 20"),
        ({"ignore_eos": False}, "ignore_eos True was asked for, the engine shows False"),
    ],
)
def test_a_setting_that_the_engine_contradicts_is_noted(shown: dict[str, Setting], message: str) -> None:
    found = only(*(drafted(f"code-{i}", observed=shown) for i in (6, 7)))
    assert (found.code, found.contender, found.message) == ("SETTING_IGNORED", "draft", message)


def test_a_setting_that_the_engine_confirms_is_not_noted() -> None:
    shown: dict[str, Setting] = {"method": "draft-model", "temperature": 0.8 + 1.2e-8, "seed": 1, "ignore_eos": True}
    sampled = [drafted(p, temperature=0.8, observed=shown) for p in PROMPTS]
    assert notes(*sampled, drafted("code-0", observed={"method": "ngram-mod+draft-model"})) == []


def test_a_server_that_speculates_undeclared_is_shown_as_what_it_does() -> None:
    unknown = contender("base", "none", kind="attach")
    results = [generation("base", p, counts=counts(80, 60), observed={"method": "draft-model"}) for p in PROMPTS]
    (found, *_) = compare(plan(results, (unknown,)), results, machine=machine()).rows
    assert (found.method, found.label, found.lossless) == ("draft-model", "draft-model (observed)", None)


@pytest.mark.parametrize(("shown", "noted"), [("ngram-mod+mtp", False), ("mtp+ngram-mod", False), ("mtp", True)])
def test_a_combination_is_ignored_when_the_engine_does_not_show_all_of_its_parts(*, shown: str, noted: bool) -> None:
    both = contender("draft", "ngram-mod+mtp", baseline="base")
    found = notes(drafted("code-0", observed={"method": shown}), contenders=(BASE, both))
    message = f"ngram-mod+mtp was asked for, the engine shows {shown}"
    assert [note.message for note in found] == ([message] if noted else [])


@pytest.mark.parametrize(
    ("method", "settings", "positions", "message"),
    [
        ("mtp", {"draft_tokens_max": 4}, 3, "4 draft tokens were asked for, the engine drafts at most 3"),
        ("mtp", {"draft_tokens_max": 3}, 3, None),
        ("mtp", {"draft_tokens_max": 4}, 1, None),  # 2 drafted in each step: the positions are not all of them
        ("mtp", {"draft_tokens_max": 4}, 0, None),
        ("ngram-mod+mtp", {"ngram-mod.draft_tokens_max": 3, "mtp.draft_tokens_max": 4}, 3, "4 draft tokens were asked"),
        ("ngram-simple", {"ngram_draft_size": 8}, 3, "8 draft tokens were asked"),
    ],
)
def test_a_draft_length_that_the_engine_lowers_is_noted(
    method: str, settings: dict[str, Setting], positions: int, message: str | None
) -> None:
    asked = contender("draft", method, baseline="base", settings=settings)
    shown = counts(80, 60, accepted_by_position=(60,) + (0,) * (positions - 1) if positions else ())
    found = notes(*(drafted(p, counts=shown) for p in PROMPTS), contenders=(BASE, asked), clean=False)
    ignored = [note.message for note in found if note.code == "SETTING_IGNORED"]
    assert len(ignored) == (message is not None)
    assert all(text.startswith(message or "") for text in ignored)


def test_a_smaller_context_than_asked_for_is_noted() -> None:
    asked = contender("draft", "draft-model", baseline="base", engine_settings={"context_size": 8192})
    assert only(opening("draft"), contenders=(BASE, asked)).message == (
        "a context of 8192 tokens was asked for, the engine has 4096"
    )


def test_a_missing_template_is_noted() -> None:
    assert only(opening("base", chat_template_sha256=None)).code == "TEMPLATE_MISSING"


def test_another_build_of_the_engine_is_noted() -> None:
    trials = [g for p in PROMPTS for g in (generation("base", p, block=0), drafted(p, block=1))]
    updated = opening("draft", block=1, engine_commit="def")
    found = only(*trials, opening("base"), updated, clean=False)
    assert (found.code, found.contender) == ("CONFIGURATION_MISMATCH", "draft")
    assert (
        found.message
        == f"{len(PROMPTS)} of {len(PROMPTS)} trials ran on another build of the engine than the baseline's"
    )
    assert notes(*trials, opening("base"), opening("draft", block=1), clean=False) == []


def test_a_target_that_is_no_model_of_real_use_is_noted_once() -> None:
    both = [replace(c, target_note="ballast") for c in (BASE, DRAFT)]
    found = only(contenders=(both[0], both[1]))
    assert (found.code, found.contender, found.message) == ("SYNTHETIC", None, "target: ballast")


def test_acceptance_by_dice_is_noted() -> None:
    dice = replace(DRAFT, engine_args=("--spec-synth-len", "2"))
    assert only(contenders=(BASE, dice)).code == "SYNTHETIC"


def test_a_busy_machine_is_noted() -> None:
    assert only(generation("base", "code-6", load_average=5.3)).message == (
        "the load was above 2 cores in 1 of 1 trials, up to 5.3"
    )
    assert notes(generation("base", "code-6", load_average=2.05)) == []


def test_a_slow_client_is_noted() -> None:
    slow = [drafted(p, total=0.7) for p in PROMPTS] + [generation("base", p) for p in PROMPTS]
    assert only(*slow, clean=False).message == "the client waited 17% longer than the engine worked"


def test_a_first_token_that_reaches_the_client_late_is_noted() -> None:
    """The answer takes 0.601 s, of which the engine decodes 0.5: the first token was there after 0.101."""
    late = [drafted(p, first_token=0.202) for p in PROMPTS] + [generation("base", p) for p in PROMPTS]
    found = only(*late, clean=False)
    assert found.code == "CLIENT_BOUND"
    assert found.message == "the first token reached the client 100% later than the rest of the answer allows"


def test_a_fixed_length_against_a_natural_stop_is_noted() -> None:
    one_sided = [drafted(p, ignore_eos=False) for p in PROMPTS] + [generation("base", p) for p in PROMPTS]
    assert only(*one_sided, clean=False).message == (
        f"in {len(PROMPTS)} of {len(PROMPTS)} trials one side has a fixed output length, the other stops by itself"
    )


def test_a_baseline_of_another_day_is_noted() -> None:
    late = [drafted(p, started=1_100_000.0) for p in PROMPTS] + [generation("base", p) for p in PROMPTS]
    assert only(*late, clean=False).message == "the baseline was measured up to 28 hours apart"


def test_trials_that_a_late_resume_measured_are_noted_even_when_others_are_from_the_baselines_day() -> None:
    last = PROMPTS[-1]
    trials = [generation("base", p) for p in PROMPTS] + [drafted(p) for p in PROMPTS[:-1]]
    assert notes(*trials, clean=False) == []
    assert only(*trials, drafted(last, started=1_100_000.0), clean=False).code == "BASELINE_STALE"
    again = generation("base", last, repeat=1, started=1_099_000.0)
    assert notes(*trials, drafted(last, started=1_100_000.0), again, clean=False) == []


def test_prompts_that_reached_the_engine_as_another_text_than_the_baselines_are_noted() -> None:
    trials = [g for p in PROMPTS[1:] for g in (generation("base", p), drafted(p))]
    apart = generation("base", PROMPTS[0]), drafted(PROMPTS[0], prompt_sha256="2" * 64)
    found = only(*trials, *apart, clean=False)
    assert (found.code, found.contender, found.prompts) == ("CONFIGURATION_MISMATCH", "draft", (PROMPTS[0],))


def test_a_missed_context_fill_is_noted() -> None:
    exact, short = (drafted(p, fill=2000, prompt_tokens=n) for p, n in zip(PROMPTS, (1961, 1950), strict=False))
    found = {n.code: n.message for n in notes(exact, short, clean=False)}
    assert found["CONFIGURATION_MISMATCH"] == "1 of 2 prompts miss the context fill, at most 1950 for 2000"
    assert "CONFIGURATION_MISMATCH" not in {n.code for n in notes(exact, clean=False)}


def test_a_baseline_that_slows_down_is_noted() -> None:
    hot = [generation("base", p, repeat=1, seconds=1.2 + i / 100) for i, p in enumerate(PROMPTS)]
    assert only(*hot).code == "THERMAL_DRIFT"
    assert notes(*(generation("base", p, repeat=1, seconds=1.02) for p in PROMPTS)) == []


def test_every_note_has_advice_of_its_own() -> None:
    assert len(set(ADVICE.values())) == len(ADVICE)


@pytest.mark.parametrize(
    ("asked", "shown", "message"),
    [
        ({"cache_type_k": "q8_0"}, {"cache_type_k": "f16"}, "cache_type_k q8_0 was asked for, the engine shows f16"),
        ({"batch_size": 2048}, {"batch_size": 512}, "batch_size 2048 was asked for, the engine shows 512"),
        ({"gpu_layers": 99}, {"gpu_layers": "ignored"}, "gpu_layers 99 was asked for, the engine shows ignored"),
        (
            {"context_size": 8192, "parallel_slots": 1},
            {},
            "a context of 8192 tokens was asked for, the engine has 4096",
        ),
    ],
)
def test_a_setting_that_is_not_in_force_is_noted(
    asked: dict[str, Setting], shown: dict[str, Setting], message: str
) -> None:
    draft = replace(DRAFT, engine_settings=asked)
    found = only(opening("draft", observed=shown), contenders=(BASE, draft))
    assert (found.code, found.contender, found.message) == ("SETTING_IGNORED", "draft", message)


def test_a_setting_that_is_in_force_unseen_or_left_to_the_engine_is_not_noted() -> None:
    asked = {"cache_type_k": "Q8_0", "p_min": 0.3, "flash_attention": "auto", "gpu_layers": 0, "main_gpu": 1}
    asked |= {"parallel_slots": 2, "context_size": 8192}
    shown = {"cache_type_k": "q8_0", "p_min": 0.30000001, "flash_attention": "on", "gpu_layers": "ignored"}
    draft = replace(DRAFT, engine_settings=asked)
    assert notes(opening("draft", observed=shown), contenders=(BASE, draft)) == []


def test_what_a_profile_says_about_a_flag_is_noted() -> None:
    lossy = replace(DRAFT, doubts=(("LOSSY_PREFILL", "the prompt is shortened"),))
    found = only(contenders=(BASE, lossy))
    assert (found.code, found.contender, found.message) == ("LOSSY_PREFILL", "draft", "the prompt is shortened")


def test_an_answer_that_ends_although_it_shall_not_is_noted() -> None:
    ended = generation("base", "code-6", stop_reason="eos"), drafted("code-6")
    assert only(*ended).message == "ignore_eos was asked for, an answer ended by itself"
