"""Methods that run code from a model's folder: planned only with the user's word, and the word is in the plan."""

from typing import Any

import pytest
from planning.test_plan import SUITES, facts

from specbench.engines import catalog
from specbench.errors import InputError
from specbench.pipeline import find_suite
from specbench.planning.plan import make_plan
from specbench.planning.runfile import validate_runfile
from specbench.records import Plan
from specbench.structs import replace

WORD = "--trust-remote-code"
CORE = find_suite("core")


def planned(architecture: str = "Qwen3ForCausalLM", drafters: tuple[str, ...] = (), **asked: Any) -> Plan:
    known = {"t": replace(facts("t"), architecture=architecture, format="safetensors")}
    known |= {file: replace(facts(file), drafter="domino", format="safetensors") for file in drafters}
    runfile = validate_runfile({"engine": "transformers", "targets": [{"model": "t", "drafters": drafters}], **asked})
    return make_plan(runfile, suite=SUITES[1], profiles=catalog.profiles(None), facts=known, version="0")


@pytest.mark.parametrize(
    ("method", "architecture", "drafters"), [("orthrus", "OrthrusLM", ()), ("domino", "Qwen3ForCausalLM", ("d",))]
)
def test_the_method_is_left_out_without_the_users_word_and_refused_where_it_was_asked_for(
    method: str, architecture: str, drafters: tuple[str, ...]
) -> None:
    made = planned(architecture, drafters)
    assert method not in {c.method for c in made.contenders}
    assert WORD in made.left_out[method]
    with pytest.raises(InputError, match=f"{method} runs Python code") as refused:
        planned(architecture, drafters, methods=["none", method])
    assert WORD in refused.value.hint
    trusted = planned(architecture, drafters, trust_remote_code=True)
    assert {c.method: WORD in c.argv for c in trusted.contenders} == {"none": True, "ngram": True, method: True}


def test_each_needs_the_model_that_has_it() -> None:
    made = planned(trust_remote_code=True)
    assert made.left_out["orthrus"] == "it needs a target with Orthrus' diffusion path, and this one has none"
    assert made.left_out["domino"] == "it needs a Domino drafter, and none was given or found"


def test_an_engine_that_runs_no_such_code_refuses_the_word() -> None:
    with pytest.raises(InputError, match="llama-server runs no code from a model's folder"):
        make_plan(
            validate_runfile({"engine": "llama-server", "targets": [{"model": "t"}], "trust_remote_code": True}),
            suite=SUITES[1],
            profiles=catalog.profiles(None),
            facts={"t": facts("t")},
            version="0",
        )


def test_a_gguf_is_no_model_for_transformers() -> None:
    with pytest.raises(InputError, match=r"transformers reads a folder with config\.json and safetensors"):
        make_plan(
            validate_runfile({"engine": "transformers", "targets": [{"model": "t.gguf"}]}),
            suite=SUITES[1],
            profiles=catalog.profiles(None),
            facts={"t.gguf": facts("t.gguf")},
            version="0",
        )


def test_prompts_with_a_schema_are_left_out_for_an_engine_without_grammars() -> None:
    known = {"t": replace(facts("t"), format="safetensors")}
    held = {p.id for p in CORE.prompts if p.constrained}
    made = {}
    for engine in ("transformers", "vllm"):
        runfile = validate_runfile({"engine": engine, "targets": [{"model": "t"}], "methods": ["none"], "warmups": 2})
        made[engine] = make_plan(runfile, suite=CORE, profiles=catalog.profiles(None), facts=known, version="0")
    trials = {engine: {t.prompt for b in plan.blocks for t in b.trials} for engine, plan in made.items()}
    assert held
    assert held <= trials["vllm"]
    assert not held & trials["transformers"]
    assert made["transformers"].left_out == {"transformers: prompts with a schema": "it has no grammars"}
    measured = {e: {t.prompt for b in p.blocks for t in b.trials if t.role == "measured"} for e, p in made.items()}
    assert measured["vllm"] - measured["transformers"] == held
