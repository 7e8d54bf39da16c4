"""Checkpoints <-> GGUF. The Q8_0 files are the masters: they can be read back into torch, tokenizer included."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf.quants import dequantize, quantize
from tokenizers import Tokenizer

from .model import LanguageModel, Shape
from .vocabulary import CHAT_TEMPLATE, END_ID, PAD_ID, SIZE, SPECIALS, from_parts, merges_of

ARCHITECTURE = "qwen3"
TENSORS = {  # in a layer: PyTorch name -> GGUF name
    "self_attn.q_proj.weight": "attn_q",
    "self_attn.k_proj.weight": "attn_k",
    "self_attn.v_proj.weight": "attn_v",
    "self_attn.o_proj.weight": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj.weight": "ffn_gate",
    "mlp.up_proj.weight": "ffn_up",
    "mlp.down_proj.weight": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
LICENSE = "MIT"


@dataclass(frozen=True)
class Loaded:
    shape: Shape
    state: dict[str, torch.Tensor]
    tokenizer: Tokenizer

    def model(self) -> LanguageModel:
        model = LanguageModel(self.shape)
        model.load_state_dict(self.state)
        return model.eval()


def tensor_names(layers: int) -> dict[str, str]:
    """PyTorch name -> GGUF name of every tensor."""
    names = {"embed_tokens.weight": "token_embd.weight", "norm": "output_norm.weight"}
    for i in range(layers):
        names |= {f"layers.{i}.{a}": f"blk.{i}.{b}.weight" for a, b in TENSORS.items()}
    return names


def write(
    path: Path, state: dict[str, torch.Tensor], shape: Shape, tokenizer: Tokenizer, *, name: str, description: str
) -> None:
    """A language model; matrices as Q8_0, norms as F32."""
    w = begin(path, ARCHITECTURE, shape, tokenizer, name=name, description=description)
    finish(w, {theirs: state[ours] for ours, theirs in tensor_names(shape.layers).items()})


def begin(
    path: Path, architecture: str, shape: Shape, tokenizer: Tokenizer, *, name: str, description: str
) -> gguf.GGUFWriter:
    """A writer that has the metadata that all files of the family share."""
    path.parent.mkdir(parents=True, exist_ok=True)
    w = gguf.GGUFWriter(path, architecture)
    w.add_name(name)
    w.add_description(description)
    w.add_license(LICENSE)
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    w.add_context_length(shape.context)
    w.add_embedding_length(shape.width)
    w.add_block_count(shape.layers)
    w.add_feed_forward_length(shape.ff)
    w.add_head_count(shape.heads)
    w.add_head_count_kv(shape.kv_heads)
    w.add_key_length(shape.head_dim)
    w.add_value_length(shape.head_dim)
    w.add_rope_dimension_count(shape.head_dim)
    w.add_rope_freq_base(shape.theta)
    w.add_layer_norm_rms_eps(shape.eps)
    w.add_vocab_size(shape.vocab)
    _write_tokenizer(w, tokenizer)
    return w


def finish(w: gguf.GGUFWriter, tensors: dict[str, torch.Tensor]) -> None:
    for name, tensor in tensors.items():
        values = tensor.detach().float().numpy()
        if values.ndim == 1:
            w.add_tensor(name, values.astype(np.float32))
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            w.add_tensor(name, quantize(values, kind), raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def _write_tokenizer(w: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    tokens = [tokenizer.id_to_token(i) for i in range(SIZE)]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list(tokens)
    w.add_token_types([gguf.TokenType.CONTROL if t in SPECIALS else gguf.TokenType.NORMAL for t in tokens])
    w.add_token_merges([" ".join(pair) for pair in merges_of(tokenizer)])
    w.add_eos_token_id(END_ID)
    w.add_eot_token_id(END_ID)
    w.add_pad_token_id(PAD_ID)
    w.add_bos_token_id(PAD_ID)
    w.add_add_bos_token(False)
    w.add_chat_template(CHAT_TEMPLATE)


def tensors_of(reader: gguf.GGUFReader) -> dict[str, torch.Tensor]:
    return {
        t.name: torch.from_numpy(np.array(dequantize(t.data, t.tensor_type), dtype=np.float32)) for t in reader.tensors
    }


def read(path: Path) -> Loaded:
    """Dequantised weights as a state dict of `LanguageModel`, the shape and the tokenizer."""
    reader = gguf.GGUFReader(path)

    def field(key: str) -> Any:
        return reader.fields[key].contents()

    def of_model(key: str) -> Any:
        return field(f"{ARCHITECTURE}.{key}")

    shape = Shape(
        width=of_model("embedding_length"),
        layers=of_model("block_count"),
        heads=of_model("attention.head_count"),
        kv_heads=of_model("attention.head_count_kv"),
        head_dim=of_model("attention.key_length"),
        ff=of_model("feed_forward_length"),
        vocab=of_model("vocab_size"),
        theta=of_model("rope.freq_base"),
        eps=of_model("attention.layer_norm_rms_epsilon"),
        context=of_model("context_length"),
    )
    tensors = tensors_of(reader)
    state = {ours: tensors[theirs] for ours, theirs in tensor_names(shape.layers).items()}
    tokenizer = from_parts(
        field("tokenizer.ggml.tokens"), [tuple(m.split(" ")) for m in field("tokenizer.ggml.merges")]
    )
    return Loaded(shape, state, tokenizer)


def write_checksums(folder: Path) -> None:
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}" for p in sorted(folder.glob("*.gguf"))]
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n", encoding="utf-8")
