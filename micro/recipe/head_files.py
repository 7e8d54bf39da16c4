"""The heads' checkpoints <-> GGUF, in the layouts that llama.cpp reads; the MTP block in one of ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
from tokenizers import Tokenizer
from torch import Tensor, nn

from . import weights
from .blocks import BLOCK, LAYERS, DFlash
from .heads import FEATURES, Eagle3, Mtp
from .model import LanguageModel, Shape
from .vocabulary import MASK_ID

EAGLE3_TENSORS = {
    "fc.weight": "fc.weight",
    "embedding_norm": "blk.0.attn_norm.weight",
    "state_norm": "blk.0.attn_norm_2.weight",
    "q_proj.weight": "blk.0.attn_q.weight",
    "k_proj.weight": "blk.0.attn_k.weight",
    "v_proj.weight": "blk.0.attn_v.weight",
    "o_proj.weight": "blk.0.attn_output.weight",
    "post_attention_layernorm": "blk.0.ffn_norm.weight",
    "mlp.gate_proj.weight": "blk.0.ffn_gate.weight",
    "mlp.up_proj.weight": "blk.0.ffn_up.weight",
    "mlp.down_proj.weight": "blk.0.ffn_down.weight",
    "norm": "output_norm.weight",
}
MTP_TENSORS = {
    "eh_proj.weight": "nextn.eh_proj.weight",
    "enorm": "nextn.enorm.weight",
    "hnorm": "nextn.hnorm.weight",
    "norm": "nextn.shared_head_norm.weight",
    **{f"block.{ours}": f"blk.0.{theirs}.weight" for ours, theirs in weights.TENSORS.items()},
}
DFLASH_TENSORS = {
    "fc.weight": "fc.weight",
    "state_norm": "enc.output_norm.weight",
    "norm": "output_norm.weight",
    **{
        f"layers.{i}.{ours}": f"blk.{i}.{theirs}.weight"
        for i in range(LAYERS)
        for ours, theirs in weights.TENSORS.items()
    },
}
MARKOV_TENSORS = {"markov_w1": "markov_w1.weight", "markov_w2": "markov_w2.weight"}
BLOCK_KEYS: dict[str, Any] = {"dflash.target_layers": list(FEATURES), "dflash.block_size": BLOCK}


@dataclass(frozen=True)
class Kind:
    """How a head is stored: the architecture in its file, the names of its tensors, and metadata of its own."""

    architecture: str
    layers: int
    tensors: dict[str, str]
    description: str
    keys: dict[str, Any] = field(default_factory=dict)


KINDS = {
    "eagle3": Kind(
        "eagle3",
        1,
        EAGLE3_TENSORS,
        "EAGLE-3 head of specbench-micro-target",
        {
            "eagle3.target_layers": list(FEATURES),
            "eagle3.target_hidden_size": Shape().width,
            "eagle3.norm_before_residual": False,
        },
    ),
    "mtp": Kind(
        "specbench-mtp",
        1,
        MTP_TENSORS,
        "MTP block of specbench-micro-target; specbench puts both into one qwen35 file",
    ),
    "dflash": Kind("dflash", LAYERS, DFLASH_TENSORS, "DFlash drafter of specbench-micro-target", BLOCK_KEYS),
    "dspark": Kind(
        "dflash",
        LAYERS,
        DFLASH_TENSORS | MARKOV_TENSORS,
        "DSpark drafter of specbench-micro-target: DFlash with a Markov head",
        BLOCK_KEYS | {"dflash.sample_from_anchor": False, "dflash.has_confidence_head": False},
    ),
}


def new(name: str, target: LanguageModel) -> nn.Module:
    """A head that starts from the target's last layers."""
    if name == "eagle3":
        return Eagle3(target)
    return Mtp(target) if name == "mtp" else DFlash(target, markov=name == "dspark")


def pairs_apart(weight: Tensor, shape: Shape) -> Tensor:
    """Rows of a q or k projection: the pairs i, i + d/2 that are trained become pairs 2i, 2i + 1.

    llama.cpp's eagle3 rotates those (NORM, not NEOX). Without this everything runs, and only the acceptance falls.
    """
    half = shape.head_dim // 2
    return weight.view(-1, 2, half, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def pairs_together(weight: Tensor, shape: Shape) -> Tensor:
    """The way back."""
    half = shape.head_dim // 2
    return weight.view(-1, half, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def write(path: Path, name: str, state: dict[str, Tensor], tokenizer: Tokenizer) -> None:
    kind = KINDS[name]
    shape = Shape(layers=kind.layers)
    w = weights.begin(
        path, kind.architecture, shape, tokenizer, name=f"specbench-micro-{name}", description=kind.description
    )
    if name in ("dflash", "dspark"):
        w.add_mask_token_id(MASK_ID)
    for key, value in kind.keys.items():
        if isinstance(value, bool):
            w.add_bool(key, value)
        elif isinstance(value, int):
            w.add_uint32(key, value)
        else:
            w.add_array(key, value)
    tensors = {theirs: state[ours] for ours, theirs in kind.tensors.items()}
    if name == "eagle3":
        for tensor in ("blk.0.attn_q.weight", "blk.0.attn_k.weight"):
            tensors[tensor] = pairs_apart(tensors[tensor], shape)
    weights.finish(w, tensors)


def read(path: Path, name: str, target: LanguageModel) -> nn.Module:
    """The head with its dequantised weights."""
    tensors = weights.tensors_of(gguf.GGUFReader(path))
    if name == "eagle3":
        for tensor in ("blk.0.attn_q.weight", "blk.0.attn_k.weight"):
            tensors[tensor] = pairs_together(tensors[tensor], target.shape)
    head = new(name, target)
    head.load_state_dict({ours: tensors[theirs] for ours, theirs in KINDS[name].tensors.items()})
    return head.eval().requires_grad_(requires_grad=False)
