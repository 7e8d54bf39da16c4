"""Which drafter file belongs to which method, what becomes of a method without one, and methods that are combined."""

from typing import Any

import pytest
from planning.test_plan import SUITES, facts
from planning.test_runfile import load_runfile

from specbench.engines import catalog
from specbench.errors import InputError
from specbench.planning.plan import make_plan
from specbench.planning.runfile import validate_runfile
from specbench.records import Plan
from specbench.structs import replace

PROFILES = catalog.profiles(None)
KINDS = ("draft-model", "eagle3", "dflash", "dspark")
LOOK_UPS = {"none", "ngram-simple", "ngram-map-k", "ngram-map-k4v", "ngram-mod", "ngram-cache"}


def planned(*drafters: str, heads: int = 0, block: int | None = None, **asked: Any) -> Plan:
    """A plan for a target with these drafter files, named by their kind. `block` is their longest draft."""
    target = {"model": "target.gguf", "drafters": drafters}
    known = {"target.gguf": replace(facts("target.gguf"), nextn_layers=heads)}
    for file in drafters:
        kind = file.removesuffix(".gguf").removesuffix("-2")
        known[file] = replace(facts(file), drafter=None if kind == "draft-model" else kind, draft_tokens_most=block)
    runfile = validate_runfile({"engine": "llama-server", "targets": [target], **asked})
    return make_plan(runfile, suite=SUITES[1], profiles=PROFILES, facts=known, version="0")


def test_each_kind_of_file_goes_to_the_method_that_needs_it() -> None:
    made = planned(*(f"{kind}.gguf" for kind in KINDS), heads=1)
    assert {c.method: c.draft_model for c in made.contenders} == {
        **dict.fromkeys((*LOOK_UPS, "mtp")),
        **{kind: f"{kind}.gguf" for kind in KINDS},
    }
    assert made.left_out == {}
    assert "eagle3.gguf" in made.contender("eagle3").argv


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_makes_its_own_method_possible_and_the_others_are_left_out_with_a_reason(kind: str) -> None:
    made = planned(f"{kind}.gguf")
    assert {c.method for c in made.contenders} == {*LOOK_UPS, kind}
    assert set(made.left_out) == {*KINDS, "mtp"} - {kind}
    assert all(reason.startswith("it needs ") for reason in made.left_out.values())


def test_mtp_needs_heads_in_the_target_and_no_file() -> None:
    assert planned(heads=3).contender("mtp").draft_model is None
    assert planned().left_out["mtp"] == "it needs MTP heads that the engine drafts with, and the target has none"


@pytest.mark.parametrize("kind", KINDS)
def test_two_drafters_of_one_kind_are_refused(kind: str) -> None:
    with pytest.raises(InputError, match=f"{kind} and {kind}-2 are both drafters of the kind {kind}"):
        planned(f"{kind}.gguf", f"{kind}-2.gguf")


def test_a_draft_longer_than_the_block_that_a_drafter_was_trained_on_is_left_out_with_the_reason() -> None:
    lengths = {"dflash": {"draft_tokens_max": [1, 5, 6, 16]}}
    made = planned("dflash.gguf", block=5, methods=["dflash"], method_settings=lengths)
    assert [c.name for c in made.contenders] == ["none", "dflash draft_tokens_max=1", "dflash draft_tokens_max=5"]
    why = "dflash was trained on blocks of 5 draft tokens"
    assert made.left_out == {f"dflash draft_tokens_max={n}": why for n in (6, 16)}
    assert planned("dflash.gguf", block=5).contender("dflash").settings["draft_tokens_max"] == 7  # the engine lowers it


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("draft-model", "draft-model needs a draft model"),
        ("mtp", "mtp needs MTP heads that the engine drafts with"),
        ("eagle3", "eagle3 needs an EAGLE-3 head"),
        ("dflash", "dflash needs a DFlash drafter"),
        ("dspark", "dspark needs a DSpark drafter"),
        ("ngram-mod+eagle3", r"ngram-mod\+eagle3 needs an EAGLE-3 head"),
    ],
)
def test_a_method_that_was_asked_for_and_has_no_drafter_is_an_error(method: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        planned(methods=[method])


def test_a_combination_is_planned_only_when_it_is_asked_for() -> None:
    assert not [c.name for c in planned("draft-model.gguf").contenders if "+" in c.name]
    made = planned("draft-model.gguf", methods=["ngram-mod+draft-model", "ngram-mod"])
    both = made.contender("ngram-mod+draft-model")
    assert (both.draft_model, both.learns, both.baseline) == ("draft-model.gguf", True, "none")
    assert both.values_of("draft_tokens_max") == (8, 4)
    assert [c.name for c in made.contenders] == ["none", "ngram-mod+draft-model", "ngram-mod"]


def test_each_part_of_a_combination_is_swept_by_its_own_name() -> None:
    settings = {"ngram-mod+mtp": {"mtp.draft_tokens_max": [1, 2], "ngram-mod.draft_tokens_max": 16}}
    made = planned(heads=1, methods=["ngram-mod+mtp"], method_settings=settings)
    swept = {c.name: c.values_of("draft_tokens_max") for c in made.contenders if c.method != "none"}
    assert swept == {
        "ngram-mod+mtp mtp.draft_tokens_max=1": (16, 1),
        "ngram-mod+mtp mtp.draft_tokens_max=2": (16, 2),
    }


def test_a_run_file_may_leave_the_dot_of_a_combinations_setting_unquoted() -> None:
    asked = 'targets = [{ model = "a.gguf" }]\n[methods."ngram-mod+mtp"]\n'
    quoted = load_runfile(asked + '"mtp.p_min" = 0.5\n"ngram-mod.draft_tokens_max" = [8, 16]\n')
    assert load_runfile(asked + "mtp.p_min = 0.5\nngram-mod.draft_tokens_max = [8, 16]\n") == quoted
    assert quoted.method_settings == {"ngram-mod+mtp": {"mtp.p_min": (0.5,), "ngram-mod.draft_tokens_max": (8, 16)}}


def test_of_several_targets_those_do_a_method_that_can() -> None:
    plain, heads = {"model": "a.gguf", "drafters": "draft-model.gguf"}, {"model": "b.gguf"}
    known = {f: facts(f) for f in ("a.gguf", "draft-model.gguf")} | {"b.gguf": replace(facts("b.gguf"), nextn_layers=1)}

    def made(*methods: str) -> list[str]:
        runfile = validate_runfile({"engine": "llama-server", "targets": [plain, heads], "methods": methods})
        return [
            c.name for c in make_plan(runfile, suite=SUITES[1], profiles=PROFILES, facts=known, version="0").contenders
        ]

    assert made("draft-model") == ["a · none", "a · draft-model"]
    assert made("mtp", "draft-model") == ["a · none", "a · draft-model", "b · none", "b · mtp"]
    assert made("ngram-simple") == ["a · none", "a · ngram-simple", "b · none", "b · ngram-simple"]
    with pytest.raises(InputError, match="eagle3 needs an EAGLE-3 head"):
        made("eagle3")
