"""Train the target for a number of minutes, phase by phase; can be interrupted and resumed."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from .corpus import PHASES, Phase
from .model import TARGET, LanguageModel, make_optimizers, save, set_rate
from .packing import ANSWER, PROMPT, held_out_sequences
from .probe import copy_probe

WARM_UP_STEPS = 30
PROMPT_WEIGHT = 0.1  # an answer's tokens weigh 1
SECONDS_PER_CHECKPOINT = 240


def learning_rate(elapsed: float) -> float:
    """Fraction of the peak at this share of the time: flat for 45 %, then linear down to 2 %."""
    return max(0.02, min(1.0, (1 - elapsed) / 0.55))


def phase_at(elapsed: float) -> Phase:
    end = 0.0
    for phase in PHASES:
        end += phase.share
        if elapsed < end:
            return phase
    return PHASES[-1]


class Batches:
    """Batches of one phase's packed file in order, starting again at its end. `positions` remembers where, by phase."""

    def __init__(self, run: Path, phase: Phase, positions: dict[str, int]) -> None:
        self.tokens, self.kinds = torch.load(run / f"packed-{phase.name}.pt")
        self.phase, self.positions = phase, positions

    def next(self) -> tuple[torch.Tensor, torch.Tensor]:
        """-> tokens [batch, length + 1], kinds [batch, length]."""
        start = self.positions.get(self.phase.name, 0)
        if start + self.phase.batch > len(self.tokens):
            start = 0
        rows = slice(start, start + self.phase.batch)
        self.positions[self.phase.name] = rows.stop
        return self.tokens[rows].long(), self.kinds[rows].long()


def chosen_positions(kinds: torch.Tensor, *, prompt_share: float = 0.2) -> tuple[torch.Tensor, torch.Tensor]:
    """-> flat indices of all answer tokens and a random share of the prompt's, and their weights (1 and 0.5).

    Prompts are mostly random entities, which nothing can predict: they weigh 0.1 on average, and the output layer
    skips the rest.
    """
    prompt = (kinds == PROMPT) & (torch.rand(kinds.shape) < prompt_share)
    index = ((kinds == ANSWER) | prompt).flatten().nonzero().squeeze(1)
    weights = torch.where(kinds.flatten()[index] == ANSWER, 1.0, PROMPT_WEIGHT / prompt_share)
    return index, weights


@torch.no_grad()
def answer_losses(
    model: LanguageModel, held: dict[str, tuple[torch.Tensor, torch.Tensor]], *, count: int = 24
) -> dict[str, float]:
    """Nats per answer token of held-out documents, by category."""
    result = {}
    for category, (x, kinds) in held.items():
        tokens, answer = x[:count].long(), kinds[:count] == ANSWER
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(tokens[:, :-1])
        losses = F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten(), reduction="none").view(
            answer.shape
        )
        result[category] = round(float((losses * answer).sum() / answer.sum()), 3)
    return result


@dataclass
class Progress:
    seconds: float = 0.0
    steps: int = 0
    tokens: int = 0

    def __str__(self) -> str:
        speed = self.tokens / max(self.seconds, 1)
        return f"{self.steps} {self.seconds:.0f}s {self.tokens / 1e6:.2f}M {speed:.0f} tok/s"


def train(run: Path, tokenizer: Tokenizer, *, minutes: float, threads: int = 2, seed: int = 0) -> None:
    """Writes run/target.pt (weights), run/target-resume.pt and run/target-log.jsonl."""
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    model = LanguageModel(TARGET)
    optimizers = make_optimizers(model)
    progress, positions = Progress(), {}
    resume = run / "target-resume.pt"
    if resume.exists():
        state = torch.load(resume, weights_only=False)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        progress, positions = state["progress"], state["positions"]
        print("resumed", progress, flush=True)
    held = held_out_sequences(tokenizer)
    limit = minutes * 60
    phase = phase_at(progress.seconds / limit)
    batches = Batches(run, phase, positions)
    last_save = begin = time.monotonic()
    before = progress.seconds
    smooth: float | None = None
    while progress.seconds < limit:
        elapsed = progress.seconds / limit
        if phase_at(elapsed) is not phase:
            phase = phase_at(elapsed)
            batches = Batches(run, phase, positions)
            print("phase", phase.name, flush=True)
        x, kinds = batches.next()
        set_rate(optimizers, min(1.0, (progress.steps + 1) / WARM_UP_STEPS) * learning_rate(elapsed))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = model.states(x[:, :-1])[0][-1]
            index, weights = chosen_positions(kinds)
            logits = model.head(hidden.flatten(0, 1)[index])
        losses = F.cross_entropy(logits.float(), x[:, 1:].flatten()[index], reduction="none")
        loss = (losses * weights).sum() / weights.sum()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        progress.steps += 1
        progress.tokens += phase.batch * phase.length
        progress.seconds = before + time.monotonic() - begin
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss is {value} at step {progress.steps}; resume with a lower learning rate")
        smooth = value if smooth is None else 0.95 * smooth + 0.05 * value
        if progress.steps % 50 == 0:
            print(progress, f"loss={smooth:.3f}", flush=True)
        if time.monotonic() - last_save > SECONDS_PER_CHECKPOINT or progress.seconds >= limit:
            last_save = time.monotonic()
            save(
                {
                    "model": model.state_dict(),
                    "optimizers": [o.state_dict() for o in optimizers],
                    "progress": progress,
                    "positions": positions,
                },
                resume,
            )
            save(model.state_dict(), run / "target.pt")
            report(run / "target-log.jsonl", model, tokenizer, held, progress=progress, loss=smooth)
            progress.seconds = before + time.monotonic() - begin


def report(
    path: Path,
    model: LanguageModel,
    tokenizer: Tokenizer,
    held: dict[str, tuple[torch.Tensor, torch.Tensor]],
    *,
    progress: Progress,
    loss: float,
) -> None:
    copied, asked = copy_probe(model, tokenizer, count=8)
    entry: dict[str, Any] = {
        "seconds": round(progress.seconds),
        "steps": progress.steps,
        "tokens": progress.tokens,
        "training_loss": round(loss, 3),
        "held_out": answer_losses(model, held, count=8),
        "copied": copied,
        "asked": asked,
    }
    with path.open("a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")
    print("  held out", entry["held_out"], f"copied {copied}/{asked}", flush=True)
