from analysis.synthetic import contender, counts, failure, generation, plan

from specbench.analysis.effects import effects
from specbench.records import Result

CONTENDERS = (
    contender("none"),
    contender("draft-model draft_tokens_max=1", "draft-model", baseline="none"),
    contender("draft-model draft_tokens_max=4", "draft-model", baseline="none"),
    contender("draft-model p_split=0.1", "draft-model", baseline="none"),
    contender("draft-model p_split=0.9", "draft-model", baseline="none"),
)


def measured(setting: str, low: tuple[int, int], high: tuple[int, int]) -> list[Result]:
    """Drafted and accepted on one prompt at both values; on a second prompt both are alike."""
    (one, two) = (c.name for c in CONTENDERS if f" {setting}=" in c.name)
    alike = [generation(name, "code-1", counts=counts(80, 40)) for name in (one, two)]
    return [generation(one, "code-0", counts=counts(*low)), generation(two, "code-0", counts=counts(*high)), *alike]


def test_a_setting_that_changes_no_count_on_any_prompt_is_ignored() -> None:
    results = [*measured("draft_tokens_max", (10, 8), (30, 12)), *measured("p_split", (90, 30), (90, 30))]
    acts, ignored = effects(plan(results, CONTENDERS), results)
    assert (acts.setting, acts.values, acts.verdict, acts.differing, acts.prompts) == (
        "draft_tokens_max",
        ("1", "4"),
        "acts",
        1,
        2,
    )
    assert (ignored.setting, ignored.verdict, ignored.differing, ignored.prompts) == (
        "p_split",
        "SETTING_IGNORED",
        0,
        2,
    )


def test_a_drafter_that_hardly_drafts_and_an_engine_that_refuses_tell_nothing_about_a_setting() -> None:
    drafts_nothing: list[Result] = [
        generation(c.name, "code-0", counts=counts(0, 0)) for c in CONTENDERS if "p_split" in c.name
    ]
    results = [*drafts_nothing, failure("draft-model draft_tokens_max=4", "code-0")]
    refused, silent = effects(plan(results, CONTENDERS), results)
    assert (refused.verdict, refused.prompts) == ("refused", 0)
    assert refused.reason
    assert silent.verdict == "too few drafts"


def test_what_was_not_measured_accuses_nobody_and_a_value_that_was_left_out_has_no_row() -> None:
    assert {e.verdict for e in effects(plan([], CONTENDERS), [])} == {"not measured"}
    assert [e.setting for e in effects(plan([], CONTENDERS[:-1]), [])] == ["draft_tokens_max"]
