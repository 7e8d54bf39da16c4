import pytest
from planning.test_plan import PROFILES, plan

from specbench.errors import InputError
from specbench.planning import tuning
from specbench.planning.runfile import RunFile, validate_runfile


def asked(**more: object) -> RunFile:
    return validate_runfile({"engine": "own", "targets": [{"model": "big.gguf", "drafters": "small.gguf"}], **more})


def test_every_method_gets_every_draft_length_unless_the_user_gave_some() -> None:
    found = tuning.candidates(asked(), PROFILES["own"], temperature=None)
    assert found.method_settings == {"draft-model": {"draft_tokens_max": (1, 2, 3, 4, 6, 8, 12, 16)}}
    assert (found.temperatures, found.control) == ((0.8,), False)
    given = asked(method_settings={"draft-model": {"draft_tokens_max": 5, "p_min": [0, 0.5]}})
    kept = tuning.candidates(given, PROFILES["own"], temperature=0)
    assert kept.method_settings == {"draft-model": {"draft_tokens_max": (5,), "p_min": (0, 0.5)}}
    assert kept.temperatures == (0,)


@pytest.mark.parametrize(
    "more",
    [
        {"targets": [{"model": "a.gguf"}, {"model": "b.gguf"}]},
        {"fill": [1024, 2048]},
        {"template": [True, False]},
        {"engine_settings": {"threads": [1, 2]}},
        {"url": "http://localhost:1"},
    ],
)
def test_only_methods_are_tuned(more: dict[str, object]) -> None:
    with pytest.raises(InputError):
        tuning.candidates(asked(**more), PROFILES["own"], temperature=None)


@pytest.mark.parametrize("order", ["by-category", "by-repeat"])
def test_a_round_measures_what_is_wanted_behind_its_warm_ups_and_every_other_round_runs_backwards(order: str) -> None:
    grid = plan(methods=["draft-model", "ngram-simple"], control=False, temperatures=[0], order=order)
    who = {"code": {"none", "draft-model"}, "json": {"none", "ngram-simple"}}
    prompts = {"code": ["code-0"], "json": ["json-0", "json-1"]}
    first = tuning.round_blocks(grid, who, prompts, look=1, first=0)
    measured = [(t.contender, t.prompt) for b in first for t in b.trials if t.role == "measured"]
    assert sorted(measured) == [
        ("draft-model", "code-0"),
        ("ngram-simple", "json-0"),
        ("ngram-simple", "json-1"),
        ("none", "code-0"),
        ("none", "json-0"),
        ("none", "json-1"),
    ]
    assert [[t.role for t in b.trials].count("warm-up") for b in first] == [1, 1, 1]  # opened once for all categories
    again = tuning.round_blocks(grid, who, prompts, look=2, first=len(first))
    assert [b.contender for b in again] == [b.contender for b in reversed(first)]
    assert [b.index for b in again] == list(range(len(first), 2 * len(first)))
    warm = [t.id for b in (*first, *again) for t in b.trials if t.role == "warm-up"]
    assert len(set(warm)) == len(warm)
    assert tuning.round_blocks(grid, {}, {}, look=3, first=0) == ()


def test_a_drafter_that_learns_gets_a_fresh_engine_for_each_category() -> None:
    grid = plan(methods=["ngram-mod"], control=False, temperatures=[0])
    who = dict.fromkeys(("code", "json"), ("none", "ngram-mod"))
    blocks = tuning.round_blocks(grid, who, {"code": ["code-0"], "json": ["json-0"]}, look=1, first=0)
    assert sorted(b.contender for b in blocks) == ["ngram-mod", "ngram-mod", "none"]


def test_a_mix_becomes_shares_and_must_name_what_is_measured() -> None:
    assert tuning.shares({"code": 3, "chat": 1}, ["code", "chat", "json"]) == {"code": 0.75, "chat": 0.25}
    assert tuning.shares(None, ["code", "chat"]) == {"code": 0.5, "chat": 0.5}
    for wrong in ({"cod": 1.0}, {"code": 0.0}):
        with pytest.raises(InputError):
            tuning.shares(wrong, ["code"])


def test_candidates_that_differ_in_a_draft_length_are_a_line_from_the_shortest_on() -> None:
    lengths = {"draft_tokens_max": [16, 1, 4, 2, 8], "p_min": [0, 0.5]}
    methods = ["draft-model", "ngram-simple"]
    grid = plan(methods=methods, control=False, temperatures=[0], method_settings={"draft-model": lengths})
    lines = tuning.lines(grid.contenders)
    assert sorted(map(len, lines)) == [1, 1, 5, 5]
    (line,) = (line for line in lines if len(line) == 5 and "p_min=0.5" in line[0])
    assert [grid.contender(name).settings["draft_tokens_max"] for name in line] == [1, 2, 4, 8, 16]
