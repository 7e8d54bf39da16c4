"""The draft model's first weights: the target with all of its attention and the busiest quarter of its FFN neurons.

Tried against the target's lower two or three layers, and against a small model from scratch: none of them copies names
and numbers as well after the same training, because copying is what several layers of attention do together.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .model import DRAFT, LanguageModel, rms_norm, rotation

MATRICES = ("gate_proj.weight", "up_proj.weight")  # neurons are rows; in down_proj.weight they are columns


@torch.no_grad()
def busyness(target: LanguageModel, tokens: Tensor) -> list[Tensor]:
    """Per layer and neuron [ff]: its root mean square on tokens [batch, length], times the norm of its output."""
    hidden, s = target.states(tokens)[0], target.shape
    turn, found = rotation(0, tokens.shape[1], s), []
    for x, block in zip(hidden, target.layers, strict=False):
        mixed, _ = block.self_attn(rms_norm(x, block.input_layernorm, s.eps), *turn, None)
        y, mlp = rms_norm(x + mixed, block.post_attention_layernorm, s.eps), block.mlp
        active = torch.nn.functional.silu(mlp.gate_proj(y)) * mlp.up_proj(y)
        found.append(active.square().mean((0, 1)).sqrt() * mlp.down_proj.weight.norm(dim=0))
    return found


def narrowed(target: LanguageModel, tokens: Tensor) -> LanguageModel:
    """A model of the shape DRAFT; `tokens` are a sample of what it will read."""
    state = target.state_dict()
    for i, busy in enumerate(busyness(target, tokens)):
        kept = busy.topk(DRAFT.ff).indices.sort()[0]
        for name in MATRICES:
            state[f"layers.{i}.mlp.{name}"] = state[f"layers.{i}.mlp.{name}"][kept]
        state[f"layers.{i}.mlp.down_proj.weight"] = state[f"layers.{i}.mlp.down_proj.weight"][:, kept]
    draft = LanguageModel(DRAFT)
    draft.load_state_dict(state)
    return draft
