"""Train drafters for the frozen target, several at once: they share its forward pass.

The target is what its Q8_0 file says. Half of the text is the corpus, half is what the target itself writes (`own.py`).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .model import LanguageModel, make_optimizers, save, set_rate
from .packing import ANSWER, PROMPT, held_out_sequences
from .weights import Loaded

SECONDS_PER_CHECKPOINT = 150
WARM_UP_STEPS = 30
PROMPT_WEIGHT, PROMPT_SHARE = 0.1, 0.2  # a prompt's token weighs 0.1 on average: 0.5, and four of five are skipped
EDGE = 4  # the first and the last positions of a sequence are not asked: chained steps need neighbours


@dataclass(frozen=True)
class Lesson:
    """What the frozen target says about a batch. `rows` and `at` name the positions that are asked.

    tokens [batch, length]; states[i] [batch, length, width] is the input of layer i, the last one the output before
    the final norm; wanted [asked, vocab] is the distribution of the token after position `at` of sequence `rows`.
    """

    target: LanguageModel
    tokens: Tensor
    states: list[Tensor]
    rows: Tensor
    at: Tensor
    wanted: Tensor
    weights: Tensor
    elapsed: float  # share of the training

    def score(self, logits: Tensor) -> tuple[Tensor, float]:
        """Weighted cross entropy of logits [asked, vocab], and the share of answers' tokens with the same favourite."""
        losses = -(self.wanted * F.log_softmax(logits.float(), -1)).sum(-1)
        same = (logits.argmax(-1) == self.wanted.argmax(-1))[self.weights == 1]
        return (losses * self.weights).sum() / self.weights.sum(), float(same.float().mean())

    def only(self, chosen: Tensor) -> Lesson:
        """The same with fewer positions asked; a mask or indices."""
        kept = (t[chosen] for t in (self.rows, self.at, self.wanted, self.weights))
        return Lesson(self.target, self.tokens, self.states, *kept, self.elapsed)


def ask(target: LanguageModel, tokens: Tensor, kinds: Tensor, *, elapsed: float = 1.0) -> Lesson:
    """Tokens [batch, length + 1], kinds [batch, length] of the token to predict: all of answers, a few of prompts."""
    prompt = (kinds == PROMPT) & (torch.rand(kinds.shape) < PROMPT_SHARE)
    chosen = (kinds == ANSWER) | prompt
    chosen[:, :EDGE] = False
    chosen[:, -EDGE:] = False
    rows, at = chosen.nonzero(as_tuple=True)
    weights = torch.where(kinds[rows, at] == ANSWER, 1.0, PROMPT_WEIGHT / PROMPT_SHARE)
    with torch.no_grad():
        states = target.states(tokens[:, :-1])[0]
        wanted = torch.softmax(target.head(states[-1][rows, at]).float(), -1)
    return Lesson(target, tokens[:, :-1], states, rows, at, wanted, weights, elapsed)


Answer = tuple[Tensor, list[float]]  # the loss, and the agreement with the target by step or by slot
Teach = Callable[[Any, Lesson], Answer]


def teach_draft(draft: LanguageModel, lesson: Lesson) -> Answer:
    loss, same = lesson.score(draft.head(draft.states(lesson.tokens)[0][-1][lesson.rows, lesson.at]))
    return loss, [same]


class Rows:
    """Batches of the packed files in turn, each in its order and starting again at its end."""

    def __init__(self, paths: list[Path], batch: int, positions: dict[str, int]) -> None:
        self.batch = batch
        self.files = [(path.stem, *torch.load(path)) for path in paths]
        self.positions, self.turn = positions, 0

    def next(self) -> tuple[Tensor, Tensor]:
        """-> tokens [batch, length + 1], kinds [batch, length]."""
        name, tokens, kinds = self.files[self.turn % len(self.files)]
        self.turn += 1
        start = self.positions.get(name, 0)
        if start + self.batch > len(tokens):
            start = 0
        self.positions[name] = start + self.batch
        return tokens[start : start + self.batch].long(), kinds[start : start + self.batch].long()


@dataclass
class Pupil:
    """A drafter in training."""

    name: str
    model: nn.Module
    teach: Teach
    rate: float = 1.0  # times the learning rates of `make_optimizers`; less for weights that start from good ones
    optimizers: list[torch.optim.Optimizer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.optimizers = make_optimizers(self.model, lr_muon=0.02 * self.rate, lr_adam=3e-3 * self.rate)

    def resume_path(self, run: Path) -> Path:
        return run / f"{self.name}-resume.pt"


@dataclass
class Progress:
    seconds: float = 0.0
    steps: int = 0
    tokens: int = 0
    positions: dict[str, int] = field(default_factory=dict)


def learning_rate(elapsed: float) -> float:
    """Fraction of the peak at this share of the time: flat for a third, then linear down to 2 %."""
    return max(0.02, min(1.0, (1 - elapsed) / 0.67))


@torch.no_grad()
def held_out_agreement(pupil: Pupil, target: LanguageModel, held: dict[str, tuple[Tensor, Tensor]]) -> dict[str, Any]:
    """Agreement with the target on held-out answers, by category and step."""
    found = {}
    for category, (x, kinds) in held.items():
        _, same = pupil.teach(pupil.model, ask(target, x.long(), kinds.long()))
        found[category] = [round(s, 2) for s in same]
    return found


def train(
    run: Path, loaded: Loaded, pupils: list[Pupil], files: list[Path], *, minutes: float, threads: int, batch: int
) -> None:
    """Writes run/NAME.pt and run/NAME-log.jsonl for each pupil; resumes from run/NAME-resume.pt."""
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    target = loaded.model().requires_grad_(requires_grad=False)
    progress = Progress()
    for pupil in pupils:
        if pupil.resume_path(run).exists():
            state = torch.load(pupil.resume_path(run), weights_only=False)
            pupil.model.load_state_dict(state["model"])
            for optimizer, saved in zip(pupil.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            progress = state["progress"]
            print("resumed", pupil.name, progress, flush=True)
    held = held_out_sequences(loaded.tokenizer, count=16)
    rows = Rows(files, batch, progress.positions)
    before, begin = progress.seconds, time.monotonic()
    last_save, smooth = begin, dict.fromkeys((p.name for p in pupils), math.nan)
    while progress.seconds < minutes * 60:
        tokens, kinds = rows.next()
        elapsed = progress.seconds / (minutes * 60)
        lesson = ask(target, tokens, kinds, elapsed=elapsed)
        rate = min(1.0, (progress.steps + 1) / WARM_UP_STEPS) * learning_rate(elapsed)
        agreements = []
        for pupil in pupils:
            set_rate(pupil.optimizers, rate)
            loss, same = pupil.teach(pupil.model, lesson)
            loss.backward()
            for optimizer in pupil.optimizers:
                optimizer.step()
                optimizer.zero_grad()
            value, known = loss.item(), smooth[pupil.name]
            if not math.isfinite(value):
                raise FloatingPointError(f"the loss of {pupil.name} is {value} at step {progress.steps}")
            smooth[pupil.name] = value if math.isnan(known) else 0.95 * known + 0.05 * value
            agreements.append(f"{pupil.name} {smooth[pupil.name]:.3f} " + "/".join(f"{s:.2f}" for s in same))
        progress.steps, progress.tokens = progress.steps + 1, progress.tokens + kinds.numel()
        progress.seconds = before + time.monotonic() - begin
        if progress.steps % 50 == 0:
            speed = progress.tokens / progress.seconds
            print(progress.steps, f"{progress.seconds:.0f}s {speed:.0f} tok/s", *agreements, sep="  ", flush=True)
        if time.monotonic() - last_save > SECONDS_PER_CHECKPOINT or progress.seconds >= minutes * 60:
            for pupil in pupils:
                keep(run, pupil, progress, smooth[pupil.name], held_out_agreement(pupil, target, held))
            last_save = time.monotonic()
            progress.seconds = before + last_save - begin


def keep(run: Path, pupil: Pupil, progress: Progress, loss: float, agreement: dict[str, Any]) -> None:
    optimizers = [o.state_dict() for o in pupil.optimizers]
    model = pupil.model.state_dict()
    save({"model": model, "optimizers": optimizers, "progress": progress}, pupil.resume_path(run))
    save(model, run / f"{pupil.name}.pt")
    entry = {
        "seconds": round(progress.seconds),
        "steps": progress.steps,
        "tokens": progress.tokens,
        "training_loss": round(loss, 3),
        "agreement": agreement,
    }
    with (run / f"{pupil.name}-log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")
    print(" ", pupil.name, agreement, flush=True)
