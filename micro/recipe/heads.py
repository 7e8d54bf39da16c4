"""Heads that read the target's hidden states and draft token after token: EAGLE-3 and the MTP block of Qwen3.5.

Both are trained with the training-time test of EAGLE-3 (Li et al., arXiv 2503.01840): in step k a position reads its
own output of step k - 1 instead of the target's state, and attends to what an engine has then: the keys of the true
states up to itself, and its own keys of the later steps. Embedding and output matrix are the target's.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .drafters import Answer, Lesson
from .model import Block, FeedForward, LanguageModel, Shape, rms_norm, rotate, rotation

FEATURES = (1, 2, 3)  # layer inputs that EAGLE-3 and DFlash read; llama.cpp's default for four layers would repeat one
STEPS = 3  # chained steps in training
SINGLE_UNTIL = 0.5  # share of the time in which only the first step is taught: it is a third of the work
STEP_WEIGHT = 0.8  # step k weighs 0.8 ** k
HEAD = Shape(layers=1)


def initialise(head: nn.Module) -> None:
    """Random matrices. Copies of the target's last layer were tried: they learn more slowly."""
    for name, p in head.named_parameters():
        if p.dim() == 2:
            residual = 0.5 if "o_proj" in name or "down_proj" in name else 1.0
            nn.init.normal_(p, 0, residual / math.sqrt(p.shape[1]))


def attend(q: Tensor, keys: list[Tensor], values: list[Tensor]) -> Tensor:
    """Causal attention to the keys of step 0 [batch, heads, n, head_dim], and to a position's own of later steps."""
    if len(keys) == 1:
        return F.scaled_dot_product_attention(q, keys[0], values[0], is_causal=True)
    n, scale = q.shape[2], 1 / math.sqrt(q.shape[3])
    future = torch.ones(n, n, dtype=torch.bool).triu(1)
    true = (q @ keys[0].transpose(-1, -2) * scale).masked_fill(future, -torch.inf)
    own = [(q * k).sum(-1, keepdim=True) * scale for k in keys[1:]]
    shares = torch.softmax(torch.cat([true, *own], -1), -1)
    mixed = shares[..., :n] @ values[0]
    for i, v in enumerate(values[1:]):
        mixed = mixed + shares[..., n + i : n + i + 1] * v
    return mixed


def split_heads(x: Tensor, heads: int, *, groups: int = 1) -> Tensor:
    """[batch, n, heads x dim] becomes [batch, heads x groups, n, dim]."""
    batch, n, _ = x.shape
    return x.view(batch, n, heads, -1).transpose(1, 2).repeat_interleave(groups, 1)


class Eagle3(nn.Module):
    """Llama layout as llama.cpp has it: no norms of queries and keys, their inputs are [embedding, state]."""

    def __init__(self, target: LanguageModel) -> None:
        super().__init__()
        self.shape = s = target.shape
        self.fc = nn.Linear(len(FEATURES) * s.width, s.width, bias=False)
        self.q_proj = nn.Linear(2 * s.width, s.heads * s.head_dim, bias=False)
        self.k_proj = nn.Linear(2 * s.width, s.kv_heads * s.head_dim, bias=False)
        self.v_proj = nn.Linear(2 * s.width, s.kv_heads * s.head_dim, bias=False)
        self.o_proj = nn.Linear(s.heads * s.head_dim, s.width, bias=False)
        self.mlp = FeedForward(s)
        self.embedding_norm = nn.Parameter(torch.ones(s.width))
        self.state_norm = nn.Parameter(torch.ones(s.width))
        self.post_attention_layernorm = nn.Parameter(torch.ones(s.width))
        self.norm = nn.Parameter(target.norm.detach().clone())
        initialise(self)

    def chain(self, target: LanguageModel, tokens: Tensor, states: list[Tensor], steps: int) -> list[Tensor]:
        """-> per step the normed output [batch, length - steps, width]; row p of step k predicts token p + 2 + k."""
        s, n = self.shape, tokens.shape[1] - steps
        state = self.fc(torch.cat([states[i][:, :n] for i in FEATURES], -1))
        keys, values, found = [], [], []
        for k in range(steps):
            embedded = target.embed_tokens(tokens[:, 1 + k : 1 + k + n])
            x = torch.cat([rms_norm(embedded, self.embedding_norm, s.eps), rms_norm(state, self.state_norm, s.eps)], -1)
            groups, turn = s.heads // s.kv_heads, rotation(k, k + n, s)
            keys.append(rotate(split_heads(self.k_proj(x), s.kv_heads, groups=groups), *turn))
            values.append(split_heads(self.v_proj(x), s.kv_heads, groups=groups))
            mixed = attend(rotate(split_heads(self.q_proj(x), s.heads), *turn), keys, values)
            state = state + self.o_proj(mixed.transpose(1, 2).flatten(2))
            state = state + self.mlp(rms_norm(state, self.post_attention_layernorm, s.eps))
            found.append(rms_norm(state, self.norm, s.eps))
        return found


class Mtp(nn.Module):
    """eh_proj([norm(embedding), norm(state)]), a block, a norm.

    The state is the target's after its final norm, in later steps the own output after `norm`.
    """

    def __init__(self, target: LanguageModel) -> None:
        super().__init__()
        self.shape = target.shape
        width = target.shape.width
        self.eh_proj = nn.Linear(2 * width, width, bias=False)
        self.block = Block(target.shape)
        self.enorm = nn.Parameter(torch.ones(width))
        self.hnorm = nn.Parameter(torch.ones(width))
        self.norm = nn.Parameter(target.norm.detach().clone())
        initialise(self)

    def chain(self, target: LanguageModel, tokens: Tensor, states: list[Tensor], steps: int) -> list[Tensor]:
        """As `Eagle3.chain`."""
        s, n, b = self.shape, tokens.shape[1] - steps, self.block
        a = b.self_attn
        state = rms_norm(states[-1][:, :n], target.norm, s.eps)
        keys, values, found = [], [], []
        for k in range(steps):
            embedded = target.embed_tokens(tokens[:, 1 + k : 1 + k + n])
            pair = [rms_norm(embedded, self.enorm, s.eps), rms_norm(state, self.hnorm, s.eps)]
            x = self.eh_proj(torch.cat(pair, -1))
            y = rms_norm(x, b.input_layernorm, s.eps)
            groups, turn = s.heads // s.kv_heads, rotation(k, k + n, s)
            k_heads = split_heads(a.k_proj(y), s.kv_heads, groups=groups)
            keys.append(rotate(rms_norm(k_heads, a.k_norm, s.eps), *turn))
            values.append(split_heads(a.v_proj(y), s.kv_heads, groups=groups))
            q = rotate(rms_norm(split_heads(a.q_proj(y), s.heads), a.q_norm, s.eps), *turn)
            x = x + a.o_proj(attend(q, keys, values).transpose(1, 2).flatten(2))
            x = x + b.mlp(rms_norm(x, b.post_attention_layernorm, s.eps))
            state = rms_norm(x, self.norm, s.eps)
            found.append(state)
        return found


def teach_chain(head: Eagle3 | Mtp, lesson: Lesson) -> Answer:
    target, losses, agreement = lesson.target, [], []
    steps = 1 if lesson.elapsed < SINGLE_UNTIL else STEPS
    inside = (lesson.at >= STEPS) & (lesson.at < lesson.tokens.shape[1] - STEPS)
    asked = lesson.only(inside)
    for k, states in enumerate(head.chain(target, lesson.tokens, lesson.states, steps)):
        # The distribution after position `at` belongs to row at - 1 - k: the token it embeds in this step is at `at`.
        loss, same = asked.score(F.linear(states[asked.rows, asked.at - 1 - k], target.embed_tokens.weight))
        losses.append(loss * STEP_WEIGHT**k)
        agreement.append(same)
    return torch.stack(losses).sum() / sum(STEP_WEIGHT**k for k in range(steps)), agreement
