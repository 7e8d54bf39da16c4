"""Drafters that fill a block of masks in one pass: DFlash, and DSpark, which adds a Markov head.

Slot 0 of a block holds the last token that is known, the others the mask; slot i predicts the token at its own place.
A block attends to the keys that the target's states left for the places before it, and to all of itself. DSpark adds
w2 . w1[token before] to the logits of a slot, in the graph the likeliest token before, in training the true one. Its
layout is that of `sample_from_anchor = false`, so that both can share their weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .drafters import Answer, Lesson
from .heads import FEATURES, initialise
from .model import Block, LanguageModel, rms_norm, rotate, rotation
from .vocabulary import MASK_ID

BLOCK = 6  # slots, so at most five tokens are drafted
LAYERS = 2
ANCHORS = 40  # blocks per sequence in training
SLOT_DECAY = 0.8  # slot i weighs 0.8 ** (i - 1): a slot counts only when those before it were right
# For DFlash alone, which seldom gets further in code: more blocks, and nearly all of the weight on the first slot.
ANCHORS_ALONE, SLOT_DECAY_ALONE = 96, 0.4
RANK = 64  # of the Markov head


class DFlash(nn.Module):
    def __init__(self, target: LanguageModel, *, markov: bool = False) -> None:
        super().__init__()
        s = target.shape
        self.shape = s
        self.fc = nn.Linear(len(FEATURES) * s.width, s.width, bias=False)
        self.state_norm = nn.Parameter(torch.ones(s.width))
        self.layers = nn.ModuleList([Block(s) for _ in range(LAYERS)])
        self.norm = nn.Parameter(target.norm.detach().clone())
        initialise(self)
        self.markov_w1 = nn.Parameter(torch.randn(s.vocab, RANK) * 0.1) if markov else None
        self.markov_w2 = nn.Parameter(torch.zeros(s.vocab, RANK)) if markov else None

    def fill(self, target: LanguageModel, tokens: Tensor, states: list[Tensor], anchors: Tensor) -> Tensor:
        """Anchors [batch, n]: places of the last known tokens -> normed output [batch, n, BLOCK, width]."""
        s, (batch, length), n = self.shape, tokens.shape, anchors.shape[1]
        places = (anchors[:, :, None] + torch.arange(BLOCK)).flatten(1)
        block = torch.full((batch, n, BLOCK), MASK_ID)
        block[:, :, 0] = tokens.gather(1, anchors)
        x = target.embed_tokens(block.flatten(1))
        known = rms_norm(self.fc(torch.cat([states[i] for i in FEATURES], -1)), self.state_norm, s.eps)
        cos, sin = rotation(0, length + BLOCK, s)
        here = cos[places][:, None], sin[places][:, None]
        before = (torch.arange(length) < anchors[:, :, None]).repeat_interleave(BLOCK, 1)
        inside = torch.block_diag(*[torch.ones(BLOCK, BLOCK, dtype=torch.bool)] * n).expand(batch, -1, -1)
        mask = torch.cat([before, inside], -1)[:, None]
        groups = s.heads // s.kv_heads
        for layer in self.layers:
            a, y = layer.self_attn, rms_norm(x, layer.input_layernorm, s.eps)

            def heads(projected: Tensor, count: int) -> Tensor:
                return projected.view(batch, -1, count, s.head_dim).transpose(1, 2)

            q = rotate(rms_norm(heads(a.q_proj(y), s.heads), a.q_norm, s.eps), *here)
            k = rotate(rms_norm(heads(a.k_proj(y), s.kv_heads), a.k_norm, s.eps), *here)
            k_known = heads(a.k_proj(known), s.kv_heads)
            k_known = rotate(rms_norm(k_known, a.k_norm, s.eps), cos[:length], sin[:length])
            k = torch.cat([k_known, k], 2).repeat_interleave(groups, 1)
            v = torch.cat([heads(a.v_proj(known), s.kv_heads), heads(a.v_proj(y), s.kv_heads)], 2)
            mixed = F.scaled_dot_product_attention(q, k, v.repeat_interleave(groups, 1), attn_mask=mask)
            x = x + a.o_proj(mixed.transpose(1, 2).flatten(2))
            x = x + layer.mlp(rms_norm(x, layer.post_attention_layernorm, s.eps))
        return rms_norm(x, self.norm, s.eps).view(batch, n, BLOCK, -1)

    def bias(self, before: Tensor) -> Tensor:
        """Logits [..., vocab] that the Markov head adds after the tokens `before`."""
        if self.markov_w1 is None or self.markov_w2 is None:
            raise TypeError("a DFlash drafter has no Markov head")
        return F.linear(self.markov_w1[before], self.markov_w2)


def place_anchors(lesson: Lesson, count: int) -> Tensor:
    """[batch, count], fewer in short sequences: random places, mostly just before a token that is asked."""
    batch, length = lesson.tokens.shape
    count = min(count, length - 2 * (BLOCK + 2))
    likely = torch.full((batch, length), 1e-3)
    likely[lesson.rows, lesson.at] = torch.where(lesson.weights == 1, 1.0, 0.1)
    likely[:, : BLOCK + 2] = 0
    likely[:, -BLOCK - 2 :] = 0
    return torch.multinomial(likely, count).sort(1)[0]


def teach_blocks(head: DFlash, lesson: Lesson) -> Answer:
    """With a Markov head both logits are taught, with and without it: the weights then serve for both drafters."""
    alone = head.markov_w1 is None
    decay = SLOT_DECAY_ALONE if alone else SLOT_DECAY
    target, anchors = lesson.target, place_anchors(lesson, ANCHORS_ALONE if alone else ANCHORS)
    states = head.fill(target, lesson.tokens, lesson.states, anchors)
    which = torch.full(lesson.tokens.shape, -1)
    which[lesson.rows, lesson.at] = torch.arange(len(lesson.at))
    at = anchors[:, :, None] + torch.arange(BLOCK - 1)  # slot i predicts what follows the place before it
    found = which.flatten(1).gather(1, at.flatten(1)).view(at.shape)
    before = lesson.tokens.gather(1, at.flatten(1)).view(at.shape)
    losses, plain_agreement, agreement = [], [], []
    for i in range(BLOCK - 1):
        rows, blocks = (found[:, :, i] >= 0).nonzero(as_tuple=True)
        asked = lesson.only(found[rows, blocks, i])
        logits = F.linear(states[rows, blocks, i + 1], target.embed_tokens.weight)
        loss, same = asked.score(logits)
        plain_agreement.append(same)
        if head.markov_w1 is not None:
            better, same = asked.score(logits + head.bias(before[rows, blocks, i]))
            loss = (loss + better) / 2
            agreement.append(same)
        losses.append(loss * decay**i)
    return torch.stack(losses).sum() / sum(decay**i for i in range(BLOCK - 1)), plain_agreement + agreement
