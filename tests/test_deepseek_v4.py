"""DeepSeek-V4-Flash with MTP: a conversion without its heads is told before the start, a silent one after the run.

Folders whose headers have the names of that family; the model itself was not here.
"""

from pathlib import Path
from typing import Any

import pytest
import tiny_models as tiny
from analysis.synthetic import BASE, DRAFT, generation, plan
from planning.test_plan import SUITES

from specbench.analysis.comparison import compare
from specbench.engines import catalog, counters
from specbench.errors import InputError
from specbench.models import safetensors
from specbench.models.findings import findings
from specbench.planning.plan import make_plan
from specbench.planning.runfile import validate_runfile
from specbench.records import Plan

CONFIG: dict[str, Any] = {
    "architectures": ["DeepseekV4ForCausalLM"],
    "model_type": "deepseek_v4",
    "num_hidden_layers": 2,
    "hidden_size": 128,
    "vocab_size": 300,
    "max_position_embeddings": 4096,
}


def folder(path: Path, *, heads: int, declared: int = 1) -> str:
    tensors = {f"layers.{i}.ffn.experts.{j}.w1.weight": ("BF16", (64, 128)) for i in range(2) for j in range(2)}
    tensors |= dict.fromkeys(("embed.weight", "head.weight"), ("BF16", (300, 128)))
    for i in range(heads):
        tensors |= {
            f"mtp.{i}.ffn.experts.0.w1.weight": ("BF16", (64, 128)),
            f"mtp.{i}.e_proj.weight": ("BF16", (128, 128)),
        }
    return str(tiny.checkpoint(path, tensors, files=2, num_nextn_predict_layers=declared, **CONFIG))


def planned(model: str, **asked: Any) -> Plan:
    return make_plan(
        validate_runfile({"engine": "vllm", "targets": [{"model": model}], **asked}),
        suite=SUITES[1],
        profiles=catalog.profiles(None),
        facts={model: safetensors.read_facts(Path(model))},
        version="0",
    )


@pytest.mark.parametrize("heads", [1, 3])
def test_heads_are_counted_in_the_index_before_anything_starts(tmp_path: Path, heads: int) -> None:
    model = folder(tmp_path / "m", heads=heads, declared=heads)
    facts = safetensors.read_facts(Path(model))
    assert (facts.nextn_declared, facts.nextn_layers, facts.files) == (heads, heads, 2)
    assert "HEADS_DROPPED" not in {finding.code for finding in findings(facts)}
    made = planned(model, methods=["none", "mtp"])
    assert "mtp" in made.contender("mtp").argv


def test_a_conversion_that_dropped_them_is_refused_before_the_start(tmp_path: Path) -> None:
    model = folder(tmp_path / "m", heads=0)
    first = next(findings(safetensors.read_facts(Path(model))))
    assert (first.code, first.severe) == ("HEADS_DROPPED", True)
    with pytest.raises(InputError, match="mtp needs MTP heads that the engine drafts with, and the target has none"):
        planned(model, methods=["none", "mtp"])
    assert "mtp" in planned(model).left_out


@pytest.mark.parametrize(
    "metrics",
    [
        {"speculative_decoding": {"num_spec_steps": 0, "num_draft_tokens": 0, "num_accepted_draft_tokens": 0}},
        {"speculative_decoding": None},
        {},
    ],
)
def test_an_engine_that_loads_no_heads_and_says_nothing_has_no_result_of_the_method(metrics: dict[str, Any]) -> None:
    answer = {"usage": {"completion_tokens": 101}, "metrics": metrics}
    counts = counters.openai_counts(answer, logged={}, before={}, after={})
    prompts = [f"code-{i}" for i in range(6)]
    results = [generation("base", p) for p in prompts] + [generation("draft", p, counts=counts) for p in prompts]
    comparison = compare(plan(list(results), (BASE, DRAFT), ()), list(results))
    assert "NOT_SPECULATING" in {note.code for note in comparison.notes}
    (row,) = (row for row in comparison.rows if row.contender == "draft")
    assert not row.speculating
    assert row.speedup is None
