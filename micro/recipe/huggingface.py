"""The family in Hugging Face layout (safetensors, bfloat16), derived from the GGUF files, for engines that read that.

Rotary pairs stay as they are trained (NEOX). Layouts: Qwen3ForCausalLM, vLLM's LlamaForCausalLMEagle3 with `midlayer.*`
and an output matrix of its own, and DFlashDraftModel, whose `target_layer_ids` name layer outputs: one less than
llama.cpp's layer inputs.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from . import head_files, weights
from .blocks import BLOCK, LAYERS
from .heads import FEATURES
from .model import Shape
from .vocabulary import CHAT_TEMPLATE, END, END_ID, MASK_ID, PAD, PAD_ID

EAGLE3_NAMES = {
    "fc.weight": "fc.weight",
    "norm": "norm.weight",
    "state_norm": "midlayer.hidden_norm.weight",
    "embedding_norm": "midlayer.input_layernorm.weight",
    "post_attention_layernorm": "midlayer.post_attention_layernorm.weight",
    **{f"{x}_proj.weight": f"midlayer.self_attn.{x}_proj.weight" for x in "qkvo"},
    **{f"mlp.{x}_proj.weight": f"midlayer.mlp.{x}_proj.weight" for x in ("gate", "up", "down")},
}


def save(tensors: dict[str, Tensor], path: Path) -> None:
    """The safetensors format: the header's length, a JSON header, the values."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    parts, at = [], 0
    for name, values in tensors.items():
        data = values.detach().to(torch.bfloat16).contiguous().view(torch.int16).numpy().tobytes()
        header[name] = {"dtype": "BF16", "shape": list(values.shape), "data_offsets": [at, at + len(data)]}
        parts.append(data)
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def config(shape: Shape, architecture: str, **more: object) -> dict[str, object]:
    return {
        "architectures": [architecture],
        "model_type": "qwen3",
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "intermediate_size": shape.ff,
        "vocab_size": shape.vocab,
        "rms_norm_eps": shape.eps,
        "rope_theta": shape.theta,
        "max_position_embeddings": shape.context,
        "hidden_act": "silu",
        "attention_bias": False,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "eos_token_id": END_ID,
        "pad_token_id": PAD_ID,
    } | more


def with_suffix(name: str) -> str:
    return name if name.endswith(".weight") else f"{name}.weight"


def write_folder(folder: Path, settings: dict[str, object], tensors: dict[str, Tensor]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
    save(tensors, folder / "model.safetensors")
    print(folder, flush=True)


def write_language_model(folder: Path, loaded: weights.Loaded) -> None:
    tensors = {f"model.{with_suffix(name)}": values for name, values in loaded.state.items()}
    write_folder(folder, config(loaded.shape, "Qwen3ForCausalLM"), tensors)
    loaded.tokenizer.save(str(folder / "tokenizer.json"))
    tokenizer = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "bos_token": None,
        "add_bos_token": False,
        "model_max_length": loaded.shape.context,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer, indent=1), encoding="utf-8")
    generation = {"eos_token_id": [END_ID, PAD_ID], "pad_token_id": PAD_ID}
    (folder / "generation_config.json").write_text(json.dumps(generation), encoding="utf-8")


def eagle3_settings(shape: Shape) -> dict[str, object]:
    ids = list(FEATURES)
    own = {"eagle_aux_hidden_state_layer_ids": ids, "use_aux_hidden_state": True}
    more = {"draft_vocab_size": shape.vocab, "target_hidden_size": shape.width, "eagle_config": own}
    changed = {"model_type": "llama", "tie_word_embeddings": False, "eagle_aux_hidden_state_layer_ids": ids}
    return config(Shape(layers=1), "LlamaForCausalLMEagle3") | more | changed


def write(source: Path, out: Path) -> None:
    """`source` holds the GGUF files; `out` gets target, draft, eagle3 and dflash."""
    loaded = {name: weights.read(source / f"{name}-q8_0.gguf") for name in ("target", "draft")}
    for name, model in loaded.items():
        write_language_model(out / name, model)
    target = loaded["target"].model()

    def state(name: str) -> dict[str, Tensor]:
        head: nn.Module = head_files.read(source / f"{name}-q8_0.gguf", name, target)
        return head.state_dict()

    eagle3 = {theirs: state("eagle3")[ours] for ours, theirs in EAGLE3_NAMES.items()}
    eagle3["lm_head.weight"] = target.embed_tokens.weight
    write_folder(out / "eagle3", eagle3_settings(target.shape), eagle3)
    block = {"mask_token_id": MASK_ID, "target_layer_ids": [i - 1 for i in FEATURES], "block_size": BLOCK}
    settings = config(
        Shape(layers=LAYERS),
        "DFlashDraftModel",
        block_size=BLOCK,
        num_target_layers=target.shape.layers,
        dflash_config=block,
    )
    dflash = {with_suffix(name.replace("state_norm", "hidden_norm")): v for name, v in state("dflash").items()}
    write_folder(out / "dflash", settings, dflash)
