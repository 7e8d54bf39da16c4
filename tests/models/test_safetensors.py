import json
from pathlib import Path

import pytest
import tiny_models as tiny

from specbench.errors import InputError
from specbench.models.findings import findings
from specbench.models.safetensors import read_facts

CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_size": 128,
    "vocab_size": 300,
    "max_position_embeddings": 4096,
}


def tensors(layers: int = 2, dtype: str = "BF16") -> dict[str, tuple[str, tuple[int, ...]]]:
    found: dict[str, tuple[str, tuple[int, ...]]] = {"model.embed_tokens.weight": (dtype, (300, 128))}
    for i in range(layers):
        for name in ("self_attn.q_proj", "self_attn.k_proj", "mlp.up_proj"):
            found[f"model.layers.{i}.{name}.weight"] = (dtype, (128, 128))
    return found | {"lm_head.weight": (dtype, (300, 128))}


def test_facts_are_read_from_config_headers_and_tokenizer(tmp_path: Path) -> None:
    folder = tiny.checkpoint(tmp_path / "m", tensors(), files=2, **CONFIG)
    tokenizer = {"model": {"vocab": {"b": 1, "a": 0}}, "added_tokens": [{"id": 2, "content": "<end>"}]}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    facts = read_facts(folder)
    body = 2 * 3 * 128 * 128
    assert (facts.architecture, facts.format, facts.files, facts.layers) == ("Qwen3ForCausalLM", "safetensors", 2, 2)
    assert (facts.parameters, facts.quant, facts.quantised) == (body + 2 * 300 * 128, "BF16", False)
    assert facts.read_bytes == (body + 300 * 128) * 2
    assert facts.kv is not None
    assert (facts.kv.elements, facts.kv.layers) == (2 * 2 * 2 * 32, 2)
    assert (facts.has_chat_template, facts.context_length) == (True, 4096)
    before = facts.vocabulary_sha256
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer).replace('"b": 1', '"c": 1'))
    assert before is not None
    assert read_facts(folder).vocabulary_sha256 not in (None, before)


def test_packed_weights_count_as_the_parameters_that_they_hold(tmp_path: Path) -> None:
    names = {
        "model.layers.0.mlp.up_proj.qweight": ("I32", (16, 128)),
        "model.layers.0.mlp.up_proj.scales": ("F16", (1, 128)),
    }
    config = CONFIG | {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    facts = read_facts(tiny.checkpoint(tmp_path / "m", names, **config))
    assert (facts.parameters, facts.quant, facts.types) == (128 * 128, "gptq", (("INT4", 128 * 128),))


def test_experts_heads_and_latent_attention_are_counted(tmp_path: Path) -> None:
    found = tensors()
    found |= {f"model.layers.{i}.self_attn.kv_a_proj_with_mqa.weight": ("BF16", (96, 128)) for i in range(2)}
    found |= {f"model.layers.1.mlp.experts.{i}.up_proj.weight": ("BF16", (64, 128)) for i in range(4)}
    plain = read_facts(tiny.checkpoint(tmp_path / "a", tensors(), **CONFIG)).read_bytes
    config = CONFIG | {"n_routed_experts": 4, "num_experts_per_tok": 1, "kv_lora_rank": 64, "qk_rope_head_dim": 32}
    config |= {"num_nextn_predict_layers": 1}
    facts = read_facts(tiny.checkpoint(tmp_path / "b", found, **config))
    assert plain is not None
    assert facts.read_bytes == plain + 2 * 96 * 128 * 2 + 64 * 128 * 2
    assert facts.kv is not None
    assert facts.kv.elements == 2 * 96
    assert next(findings(facts)).code == "HEADS_DROPPED"
    kept = found | {"model.layers.2.eh_proj.weight": ("BF16", (128, 256))}
    facts = read_facts(tiny.checkpoint(tmp_path / "c", kept, **config))
    assert (facts.nextn_declared, facts.nextn_layers) == (1, 1)


def test_windows_and_recurrent_layers_come_from_layer_types_and_tensors(tmp_path: Path) -> None:
    windowed = CONFIG | {"sliding_window": 64, "layer_types": ["sliding_attention", "full_attention"]}
    kv = read_facts(tiny.checkpoint(tmp_path / "a", tensors(), **windowed)).kv
    assert kv is not None
    assert (kv.elements, kv.windowed_elements, kv.window) == (256, 128, 64)
    unsaid = read_facts(tiny.checkpoint(tmp_path / "b", tensors(), **(CONFIG | {"sliding_window": 64})))
    assert unsaid.kv is None
    hybrid = {k: v for k, v in tensors().items() if "layers.0.self_attn" not in k}
    hybrid |= {"model.layers.0.linear_attn.in_proj.weight": ("BF16", (128, 128))}
    kv = read_facts(tiny.checkpoint(tmp_path / "c", hybrid, **CONFIG)).kv
    assert kv is not None
    assert (kv.layers, kv.recurrent_layers) == (1, 1)


@pytest.mark.parametrize(
    ("config", "kind", "taps"),
    [
        (
            {"architectures": ["LlamaForCausalLMEagle3"], "eagle_config": {"eagle_aux_hidden_state_layer_ids": [1]}},
            "eagle3",
            (1,),
        ),
        ({"architectures": ["DFlashDraftModel"], "dflash_config": {"target_layer_ids": [0, 1]}}, "dflash", (0, 1)),
        ({"architectures": ["Qwen3DSparkModel"], "target_layer_ids": [0, 1]}, "dspark", (0, 1)),
        ({"architectures": ["Gemma4AssistantForCausalLM"]}, "mtp", None),
    ],
)
def test_checkpoints_of_drafters_are_recognised(
    tmp_path: Path, config: dict[str, object], kind: str, taps: tuple[int, ...] | None
) -> None:
    facts = read_facts(tiny.checkpoint(tmp_path / "m", tensors(), **(CONFIG | config)))
    assert (facts.drafter, facts.target_taps, facts.kv) == (kind, taps, None)


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    folder = tiny.checkpoint(tmp_path / "m", tensors(), files=2, **CONFIG)
    second = folder / "model-00002-of-00002.safetensors"
    whole = second.read_bytes()

    def told() -> str:
        with pytest.raises(InputError) as caught:
            read_facts(folder)
        return caught.value.message

    second.write_bytes(whole[:-1])
    assert "is truncated" in told()
    second.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    assert "Git LFS pointer" in told()
    second.write_bytes(b"\xff" * 64)
    assert "is not a safetensors file" in told()
    second.unlink()
    assert "names files that are not there: model-00002-of-00002.safetensors" in told()
    (folder / "config.json").write_text("{}")
    assert "names no architecture" in told()
    (folder / "config.json").unlink()
    assert "has no config.json" in told()
