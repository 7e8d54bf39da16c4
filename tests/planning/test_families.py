from collections import Counter

import pytest
from analysis.synthetic import generation, opening
from planning.test_plan import plan, trials

from specbench.errors import InputError
from specbench.planning.extent import MANY, extent
from specbench.records import Generation, Result
from specbench.structs import replace


def test_a_family_of_engine_settings_has_a_baseline_of_its_own() -> None:
    made = plan(engine_settings={"threads": [1, 2]}, methods=["draft-model"])
    assert [(c.name, c.family, c.baseline) for c in made.contenders] == [
        ("none threads=1", "threads=1", None),
        ("draft-model threads=1", "threads=1", "none threads=1"),
        ("none threads=2", "threads=2", None),
        ("draft-model threads=2", "threads=2", "none threads=2"),
    ]
    assert "2" in made.contenders[3].argv
    assert {t.contender for t in trials(made, "control")} == {"none threads=1", "none threads=2"}


def test_every_combination_of_a_sweep_is_measured_on_every_prompt() -> None:
    made = plan(
        engine_settings={"threads": [1, 2]},
        template=[True, False],
        methods=["draft-model"],
        method_settings={"draft-model": {"draft_tokens_max": [1, 4], "p_min": [0, 0.5]}},
    )
    assert len(made.contenders) == 2 * 2 * (1 + 2 * 2)
    assert made.contenders[-1].name == "draft-model draft_tokens_max=4 p_min=0.5 threads=2 template=false"
    assert set(Counter(t.contender for t in trials(made)).values()) == {2 * 9}
    assert [c.template for c in made.contenders if c.method == "none"] == [True, False, True, False]


def test_what_does_not_vary_is_in_no_name() -> None:
    made = plan(engine_settings={"threads": [2]}, template=False, methods=["ngram-mod"])
    assert [(c.name, c.family, c.template) for c in made.contenders] == [("none", "", False), ("ngram-mod", "", False)]


def test_swept_context_sizes_must_all_hold_the_longest_trial() -> None:
    made = plan(engine_settings={"context_size": [2048, 4096]})
    assert {c.engine_settings["context_size"] for c in made.contenders} == {2048, 4096}
    with pytest.raises(InputError, match="more than the 1024 asked for"):
        plan(engine_settings={"context_size": [1024, 4096]}, fill=1024)


@pytest.mark.parametrize("asked", [{"threads": [1, 1]}, {"threads": list(range(1, 252))}])
def test_a_sweep_that_repeats_itself_or_explodes_is_refused(asked: dict[str, list[int]]) -> None:
    with pytest.raises(InputError, match=r"twice|1,004 contenders"):
        plan(engine_settings=asked)


def test_the_size_of_a_plan_is_counted() -> None:
    made = plan(methods=["ngram-simple"], temperatures=[0], prompts=3)
    size = extent(made)
    assert (size.contenders, size.trials, size.output_tokens) == (2, 2 * 9 + 9, 27 * 64 + size.warm_ups * 32)
    assert size.warm_ups == size.blocks == 7
    assert (size.seconds, size.large) == (None, False)
    assert extent(plan(methods=["ngram-simple"], repeats=MANY // 36 + 1)).large


def test_an_earlier_run_says_how_long_a_plan_takes() -> None:
    """One second for 50 tokens of either method, and 2 s for each of 7 blocks."""
    made = plan(methods=["ngram-simple"], temperatures=[0])
    results: list[Result] = [opening("none", load_seconds=2.0)]
    results += [generation(who, "code-0", total=2.0, output_tokens=100) for who in ("none", "ngram-simple")]
    tokens = extent(made).output_tokens
    assert extent(made, [(made, results)]).seconds == pytest.approx(tokens / 50 + 14)
    assert extent(made, [(made, results[:2])]).seconds == pytest.approx(tokens / 50 + 14)  # its target's mean
    assert extent(made, [(made, results[:1])]).seconds is None
    wide = replace(made, contenders=tuple(replace(c, streams=4) for c in made.contenders))
    shared = [replace(r, trial=replace(r.trial, streams=4)) for r in results if isinstance(r, Generation)]
    assert extent(wide, [(made, [*results, *shared])]).seconds == pytest.approx(tokens / 4 / 50 + 14)  # side by side
    long = plan(methods=["ngram-simple"], repeats=MANY // 36 + 1)
    quick = [generation("none", "code-0", total=0.01, output_tokens=100)]
    assert not extent(long, [(made, quick)]).large
