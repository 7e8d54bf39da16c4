"""Random heads in the formats that vLLM loads, for the embedded target; and a random MiMo target with an MTP module.

Next to nothing that they draft is accepted: what they show is that counts reconcile and that nothing is lost.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from specbench.models.micro_folders import save

_DICE = np.random.default_rng(1)
Tensors = dict[str, "np.ndarray[Any, Any]"]
_KEPT = (
    "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "intermediate_size", "vocab_size",
    "rms_norm_eps", "rope_theta", "max_position_embeddings", "hidden_act", "torch_dtype", "eos_token_id",
)  # fmt: skip


def write(kind: str, target: Path, folder: Path) -> Path:
    """The head `kind` (eagle, medusa, or mimo: a whole target) for the embedded target in `target`."""
    of = json.loads((target / "config.json").read_text(encoding="utf-8"))
    base = {key: of[key] for key in _KEPT}
    config, tensors = {"eagle": _eagle, "medusa": _medusa, "mimo": _mimo}[kind](base)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save(tensors, folder / "model.safetensors")
    if kind == "mimo":
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(target / name, folder / name)
    return folder


def _random(*shape: int) -> "np.ndarray[Any, Any]":
    return _DICE.normal(0, 0.05, shape)


def _layer(c: dict[str, Any], prefix: str, *, bias: bool = False, first_norm: bool = True) -> Tensors:
    width, inner = c["hidden_size"], c["intermediate_size"]
    sizes = {
        "q": c["num_attention_heads"] * c["head_dim"],
        "k": c["num_key_value_heads"] * c["head_dim"],
        "v": c["num_key_value_heads"] * c["head_dim"],
    }
    tensors = {f"{prefix}self_attn.{name}_proj.weight": _random(size, width) for name, size in sizes.items()}
    if bias:
        tensors |= {f"{prefix}self_attn.{name}_proj.bias": np.zeros(size) for name, size in sizes.items()}
    tensors |= {
        f"{prefix}self_attn.o_proj.weight": _random(width, sizes["q"]),
        f"{prefix}mlp.gate_proj.weight": _random(inner, width),
        f"{prefix}mlp.up_proj.weight": _random(inner, width),
        f"{prefix}mlp.down_proj.weight": _random(width, inner),
        f"{prefix}post_attention_layernorm.weight": np.ones(width),
    }
    return tensors | ({f"{prefix}input_layernorm.weight": np.ones(width)} if first_norm else {})


def _eagle(c: dict[str, Any]) -> tuple[dict[str, Any], Tensors]:
    config = {**c, "architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 1}
    fc = _random(c["hidden_size"], 2 * c["hidden_size"])
    return config, _layer(c, "layers.0.", first_norm=False) | {"fc.weight": fc}


def _medusa(c: dict[str, Any]) -> tuple[dict[str, Any], Tensors]:
    config = {
        **{key: c[key] for key in ("hidden_size", "vocab_size", "torch_dtype")},
        "architectures": ["MedusaModel"],
        "model_type": "medusa",
        "num_heads": 4,
        "num_hidden_layers": 1,
    }
    width = c["hidden_size"]
    blocks = {f"blocks.{i}.layers.0.weight": _random(width, width) for i in range(4)}
    return config, blocks | {f"lm_heads.{i}.weight": _random(c["vocab_size"], width) for i in range(4)}


def _mimo(c: dict[str, Any]) -> tuple[dict[str, Any], Tensors]:
    """Qwen2 with one MTP module; model_type stays qwen2, so that no code of the model's own is asked for."""
    width = c["hidden_size"]
    config = {
        **c,
        "architectures": ["MiMoForCausalLM"],
        "model_type": "qwen2",
        "num_hidden_layers": 2,
        "num_nextn_predict_layers": 1,
        "attention_bias": True,
        "tie_word_embeddings": False,
    }
    module = _layer(c, "", bias=True)
    module |= {f"{name}_layernorm.weight": np.ones(width) for name in ("token", "hidden", "final")}
    module["input_proj.weight"] = _random(width, 2 * width)
    tensors = {
        "model.embed_tokens.weight": _random(c["vocab_size"], width),
        "lm_head.weight": _random(c["vocab_size"], width),
        "model.norm.weight": np.ones(width),
        **_layer(c, "model.layers.0.", bias=True),
        **_layer(c, "model.layers.1.", bias=True),
    }
    return config, tensors | {f"model.mtp_layers.0.{name}": values for name, values in module.items()}
