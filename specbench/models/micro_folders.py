"""The embedded family in Hugging Face's layout, made of its GGUF files for the engines that read folders.

The values are those of the Q8_0 files, in F32. GGUF keeps the rotary pairs of the EAGLE-3 head interleaved, and
llama.cpp counts a DFlash drafter's layers by their inputs, vLLM by their outputs.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specbench.errors import InputError
from specbench.models.micro import being_made

if TYPE_CHECKING:
    import gguf
    import numpy as np

_VERSION = 1  # raise it when the same folder is made differently
NAMES: Mapping[str, str] = {
    f"micro{suffix}": name
    for suffix, name in {"": "target", "-draft": "draft", "-eagle3": "eagle3", "-dflash": "dflash"}.items()
}
_ARCHITECTURES = {"qwen3": "Qwen3ForCausalLM", "eagle3": "LlamaForCausalLMEagle3", "dflash": "DFlashDraftModel"}
_QWEN2 = (  # how GGUF's pre-tokenizer of that name splits text
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_PARTS = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm", "attn_norm_2": "hidden_norm", "ffn_norm": "post_attention_layernorm",
    "token_embd": "embed_tokens", "output_norm": "norm", "enc.output_norm": "hidden_norm", "fc": "fc",
}  # fmt: skip


def model_folder(name: str, *, weights: Path, cache: Path) -> Path:
    """The folder of a member, its drafters beside it; made in `cache` where it is not there yet."""
    if name not in NAMES:
        raise InputError(f"{name} exists as GGUF only", hint=f"for this engine: {', '.join(NAMES)}, or a folder")
    digest = hashlib.sha256(b"".join((weights / f"{f}-q8_0.gguf").read_bytes() for f in NAMES.values())).hexdigest()
    family = cache / f"micro-{digest[:12]}-v{_VERSION}"
    if not family.is_dir():
        with being_made(family, what="make the folders of the micro family in") as unfinished:
            for file in NAMES.values():
                _write(unfinished / file, weights / f"{file}-q8_0.gguf", weights / "target-q8_0.gguf")
    return family / NAMES[name]


def _write(folder: Path, source: Path, target: Path) -> None:
    import gguf  # noqa: PLC0415  0.2 s, and numpy; most runs find the folder in the cache

    folder.mkdir(parents=True)
    reader = gguf.GGUFReader(source)
    values = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("tokenizer.ggml.t")}
    kind = values["general.architecture"]
    (folder / "config.json").write_text(json.dumps(_config(kind, values), indent=1), encoding="utf-8")
    tensors = {_name(t.name, kind): _values(t, kind, values) for t in reader.tensors}
    if kind == "eagle3":
        embedding = next(t for t in gguf.GGUFReader(target).tensors if t.name == "token_embd.weight")
        tensors["lm_head.weight"] = gguf.dequantize(embedding.data, embedding.tensor_type)
    save(tensors, folder / "model.safetensors")
    if kind == "qwen3":
        _write_tokenizer(folder, reader)


def _config(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    def of(key: str) -> Any:
        return values.get(f"{kind}.{key}")

    heads, key_length = of("attention.head_count"), of("attention.key_length")
    config = {
        "architectures": [_ARCHITECTURES[kind]],
        "model_type": "llama" if kind == "eagle3" else "qwen3",
        "hidden_size": of("embedding_length"),
        "num_hidden_layers": of("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": of("attention.head_count_kv"),
        "head_dim": key_length,
        "intermediate_size": of("feed_forward_length"),
        "vocab_size": of("vocab_size"),
        "rms_norm_eps": of("attention.layer_norm_rms_epsilon"),
        "rope_theta": of("rope.freq_base"),
        "max_position_embeddings": of("context_length"),
        "hidden_act": "silu",
        "attention_bias": False,
        "tie_word_embeddings": kind != "eagle3",
        "torch_dtype": "float32",
        "eos_token_id": values["tokenizer.ggml.eos_token_id"],
        "pad_token_id": values["tokenizer.ggml.padding_token_id"],
    }
    if (taps := of("target_layers")) is None:
        return config
    if kind == "eagle3":
        own = {"eagle_aux_hidden_state_layer_ids": taps, "use_aux_hidden_state": True}
        return {
            **config,
            **own,
            "eagle_config": own,
            "draft_vocab_size": of("vocab_size"),
            "target_hidden_size": of("target_hidden_size"),
        }
    block = {
        "mask_token_id": values["tokenizer.ggml.mask_token_id"],
        "target_layer_ids": [tap - 1 for tap in taps],
        "block_size": of("block_size"),
    }
    return {**config, "block_size": of("block_size"), "num_target_layers": max(taps) + 1, "dflash_config": block}


def _name(name: str, kind: str) -> str:
    """The tensor's name in the folder."""
    stem = name.removesuffix(".weight")
    if not stem.startswith("blk."):
        return ("model." if kind == "qwen3" else "") + _PARTS[stem] + ".weight"
    _, layer, part = stem.split(".", 2)
    prefix = {"qwen3": f"model.layers.{layer}.", "eagle3": "midlayer.", "dflash": f"layers.{layer}."}[kind]
    return f"{prefix}{_PARTS[part]}.weight"


def _values(tensor: "gguf.ReaderTensor", kind: str, values: Mapping[str, Any]) -> "np.ndarray[Any, Any]":
    import gguf  # noqa: PLC0415  as above

    found = gguf.dequantize(tensor.data, tensor.tensor_type)
    if kind == "eagle3" and tensor.name.endswith(("attn_q.weight", "attn_k.weight")):
        half = values["eagle3.attention.key_length"] // 2
        found = found.reshape(-1, half, 2, found.shape[1]).swapaxes(1, 2).reshape(found.shape)
    return found


def save(tensors: Mapping[str, "np.ndarray[Any, Any]"], path: Path) -> None:
    """The safetensors format: the header's length, a JSON header, the values."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    parts = [values.astype("<f4").tobytes() for values in tensors.values()]
    at = 0
    for (name, values), data in zip(tensors.items(), parts, strict=True):
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at := at + len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def _write_tokenizer(folder: Path, reader: "gguf.GGUFReader") -> None:
    """A byte-level BPE with Qwen2's split, as the GGUF names it, and its control tokens as special ones."""
    told = {
        k: reader.fields[f"tokenizer.ggml.{k}"].contents()
        for k in ("tokens", "token_type", "merges", "eos_token_id", "padding_token_id")
    }
    tokens = told["tokens"]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    special = [i for i, kind in enumerate(told["token_type"]) if kind == 3]  # noqa: PLR2004  gguf.TokenType.CONTROL
    made = {
        "version": "1.0",
        "added_tokens": [{"id": i, "content": tokens[i], **plain} for i in special],
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": _QWEN2}, "behavior": "Isolated", "invert": False},
                byte_level,
            ],
        },
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": {token: i for i, token in enumerate(tokens)}, "merges": told["merges"]},
    }
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": tokens[told["eos_token_id"]],
        "pad_token": tokens[told["padding_token_id"]],
        "chat_template": reader.fields["tokenizer.chat_template"].contents(),
    }
    (folder / "tokenizer.json").write_text(json.dumps(made), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
