"""Drafting in PyTorch for outputs that are already known: what an engine must accept when an export is right.

A draft token counts only when those before it were right, so the later steps may be fed with the known output: one
pass over the whole text tells what every round would draft.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from . import head_files, weights
from .blocks import BLOCK, DFlash
from .heads import Eagle3, Mtp
from .model import LanguageModel
from .vocabulary import END_ID

Drafter = LanguageModel | Eagle3 | Mtp | DFlash


@dataclass(frozen=True)
class Rounds:
    """Rounds with a draft, draft tokens, and how often each position of the draft was accepted."""

    rounds: int
    draft_tokens: int
    accepted: tuple[int, ...]

    def __add__(self, other: Rounds) -> Rounds:
        accepted = tuple(a + b for a, b in zip(self.accepted, other.accepted, strict=True))
        return Rounds(self.rounds + other.rounds, self.draft_tokens + other.draft_tokens, accepted)

    def __sub__(self, other: Rounds) -> Rounds:
        accepted = tuple(a - b for a, b in zip(self.accepted, other.accepted, strict=True))
        return Rounds(self.rounds - other.rounds, self.draft_tokens - other.draft_tokens, accepted)

    def by_position(self) -> list[float]:
        """Share of the rounds in which the position was accepted."""
        return [a / max(1, self.rounds) for a in self.accepted]


def load(path: Path, name: str, target: LanguageModel) -> Drafter:
    """A drafter with the weights of its file, dequantised."""
    return weights.read(path).model() if name == "draft" else head_files.read(path, name, target)


@torch.inference_mode()
def guesses(drafter: Drafter, target: LanguageModel, tokens: list[int], first: int, steps: int) -> Tensor:
    """[steps, length - first]: what is drafted in each step of a round whose last known token is at `first`, ... ."""
    x = torch.tensor([tokens])
    known = len(tokens)
    if isinstance(drafter, LanguageModel):
        found = drafter(x)[0].argmax(-1)
        later = F.pad(found, (0, steps))
        return torch.stack([later[first + k : known + k] for k in range(steps)])
    if isinstance(drafter, DFlash):
        anchors = torch.arange(first, known)[None]
        states = drafter.fill(target, x, target.states(x)[0], anchors)[0, :, 1 : steps + 1]
        logits = F.linear(states, target.embed_tokens.weight)
        if drafter.markov_w1 is not None:
            before = F.pad(x[0], (0, BLOCK))
            logits = logits + drafter.bias(torch.stack([before[first + k : known + k] for k in range(steps)], 1))
        return logits.argmax(-1).T
    padded = F.pad(x, (0, steps))
    chained = drafter.chain(target, padded, target.states(padded)[0], steps)
    return torch.stack(
        [F.linear(states[0], target.embed_tokens.weight).argmax(-1)[first - 1 : known - 1] for states in chained]
    )


def rehearse(
    drafter: Drafter,
    target: LanguageModel,
    prompt: list[int],
    output: list[int],
    draft_tokens_max: int,
) -> Rounds:
    """The rounds that draft for `output`; its first token comes with the prompt.

    As in the engine, a draft is not cut where the answer ends, and the token that ends it counts as accepted only in
    the last place of a draft (llama.cpp, common_sampler_sample_and_accept_n).
    """
    drafted = guesses(drafter, target, prompt + output, len(prompt), draft_tokens_max).tolist()
    rounds = at = 0
    accepted = [0] * draft_tokens_max
    while at < len(output) - 1:
        right = 0
        for wanted in output[at + 1 : at + 1 + draft_tokens_max]:
            if drafted[right][at] != wanted or (wanted == END_ID and right < draft_tokens_max - 1):
                break
            accepted[right] += 1
            right += 1
        rounds, at = rounds + 1, at + right + 1
    return Rounds(rounds, rounds * draft_tokens_max, tuple(accepted))
