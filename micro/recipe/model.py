"""Qwen3 in plain PyTorch, greedy generation with a key-value cache, and the optimizers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Cache = list[tuple[Tensor, Tensor]]  # per layer: keys and values [batch, kv_heads, positions, head_dim]


@dataclass(frozen=True)
class Shape:
    width: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    ff: int = 768
    vocab: int = 2048
    theta: float = 10_000.0
    eps: float = 1e-6
    context: int = 2048


TARGET = Shape()
DRAFT = Shape(ff=192)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],), weight.to(x.dtype), eps)


def rotation(start: int, stop: int, shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines [positions, head_dim / 2]."""
    frequencies = shape.theta ** -(torch.arange(0, shape.head_dim, 2).float() / shape.head_dim)
    angles = torch.outer(torch.arange(start, stop).float(), frequencies)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """NEOX layout: the two halves of a head are the pairs."""
    a, b = x.chunk(2, -1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.q_proj = nn.Linear(shape.width, shape.heads * shape.head_dim, bias=False)
        self.k_proj = nn.Linear(shape.width, shape.kv_heads * shape.head_dim, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.kv_heads * shape.head_dim, bias=False)
        self.o_proj = nn.Linear(shape.heads * shape.head_dim, shape.width, bias=False)
        self.q_norm = nn.Parameter(torch.ones(shape.head_dim))
        self.k_norm = nn.Parameter(torch.ones(shape.head_dim))

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        s = self.shape
        batch, length, _ = x.shape
        q = rms_norm(self.q_proj(x).view(batch, length, s.heads, s.head_dim), self.q_norm, s.eps)
        k = rms_norm(self.k_proj(x).view(batch, length, s.kv_heads, s.head_dim), self.k_norm, s.eps)
        v = self.v_proj(x).view(batch, length, s.kv_heads, s.head_dim).transpose(1, 2)
        q, k = rotate(q.transpose(1, 2), cos, sin), rotate(k.transpose(1, 2), cos, sin)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        groups = s.heads // s.kv_heads
        wide_k, wide_v = (k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)) if groups > 1 else (k, v)
        mixed = F.scaled_dot_product_attention(q, wide_k, wide_v.to(q.dtype), is_causal=past is None)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1)), (k, v)


class FeedForward(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.ff, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.ff, bias=False)
        self.down_proj = nn.Linear(shape.ff, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.eps = shape.eps
        self.self_attn = Attention(shape)
        self.mlp = FeedForward(shape)
        self.input_layernorm = nn.Parameter(torch.ones(shape.width))
        self.post_attention_layernorm = nn.Parameter(torch.ones(shape.width))

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        mixed, cache = self.self_attn(rms_norm(x, self.input_layernorm, self.eps), cos, sin, past)
        x = x + mixed
        return x + self.mlp(rms_norm(x, self.post_attention_layernorm, self.eps)), cache


class LanguageModel(nn.Module):
    """Tied embeddings. `states(x)[i]` is the input of layer i, the last one the output before the final norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab, shape.width)
        self.layers = nn.ModuleList([Block(shape) for _ in range(shape.layers)])
        self.norm = nn.Parameter(torch.ones(shape.width))
        for name, p in self.named_parameters():
            if p.dim() == 2:
                residual = 1 / math.sqrt(2 * shape.layers) if "o_proj" in name or "down_proj" in name else 1.0
                nn.init.normal_(p, 0, 0.02 if "embed" in name else residual / math.sqrt(p.shape[1]))

    def states(self, x: Tensor, cache: Cache | None = None) -> tuple[list[Tensor], Cache]:
        """Tokens [batch, length] -> layer inputs and final hidden state [batch, length, width], and the new cache."""
        start = cache[0][0].shape[2] if cache else 0
        cos, sin = rotation(start, start + x.shape[1], self.shape)
        h = self.embed_tokens(x)
        hidden, kept = [h], []
        for i, block in enumerate(self.layers):
            h, kv = block(h, cos, sin, cache[i] if cache else None)
            hidden.append(h)
            kept.append(kv)
        return hidden, kept

    def head(self, h: Tensor) -> Tensor:
        return F.linear(rms_norm(h, self.norm, self.shape.eps), self.embed_tokens.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [batch, length] -> logits [batch, length, vocab]."""
        return self.head(self.states(x)[0][-1])


@torch.inference_mode()
def generate(
    model: LanguageModel, prompt: list[int], *, stop: int, limit: int = 256, temperature: float = 0.0, seed: int = 0
) -> tuple[list[int], bool]:
    """-> tokens without the stop token, and whether the answer ended by itself. Temperature 0 is greedy."""
    dice = torch.Generator().manual_seed(seed)
    x, cache, out = torch.tensor([prompt]), None, []
    for _ in range(limit):
        hidden, cache = model.states(x, cache)
        logits = model.head(hidden[-1][0, -1])
        if temperature:
            token = int(torch.multinomial(torch.softmax(logits / temperature, -1), 1, generator=dice))
        else:
            token = int(logits.argmax())
        if token == stop:
            return out, True
        out.append(token)
        x = torch.tensor([[token]])
    return out, False


def save(value: Any, path: Path) -> None:
    """Write under a temporary name first: an interrupted run must not destroy a checkpoint."""
    partial = path.with_suffix(path.suffix + ".tmp")
    torch.save(value, partial)
    partial.replace(path)


# --------------------------------------------------------------------------- Muon for matrices, AdamW for the rest
def orthogonalize(gradient: Tensor, steps: int = 5) -> Tensor:
    """Quintic Newton-Schulz iteration of Jordan et al. (2024) on [n, rows, columns]; singular values end up near 1."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = gradient.float()  # bfloat16 is several times slower on a processor without instructions for it
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float = 0.02, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # no closure
        for group in self.param_groups:
            same_shape: dict[tuple[int, ...], list[nn.Parameter]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    same_shape.setdefault(tuple(p.shape), []).append(p)
            for shape, members in same_shape.items():
                updates = []
                for p in members:
                    buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
                    buffer.mul_(group["momentum"]).add_(p.grad)
                    updates.append(p.grad + group["momentum"] * buffer)
                scale = -group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                for p, update in zip(members, orthogonalize(torch.stack(updates)), strict=True):
                    p.add_(update, alpha=scale)


def make_optimizers(model: nn.Module, *, lr_muon: float = 0.02, lr_adam: float = 3e-3) -> list[torch.optim.Optimizer]:
    named = list(model.named_parameters())
    matrices = [p for n, p in named if p.dim() == 2 and "embed" not in n]
    others = [p for n, p in named if not (p.dim() == 2 and "embed" not in n)]
    optimizers: list[torch.optim.Optimizer] = [
        Muon(matrices, lr=lr_muon),
        torch.optim.AdamW(others, lr=lr_adam, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def set_rate(optimizers: list[torch.optim.Optimizer], fraction: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * fraction
