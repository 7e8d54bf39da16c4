"""Distil the draft: cross entropy with the whole distribution of the frozen target, as read back from its Q8_0 file."""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from .corpus import PHASES
from .model import DRAFT, LanguageModel, make_optimizers, save, set_rate
from .packing import ANSWER, held_out_sequences
from .train import WARM_UP_STEPS, Batches, chosen_positions, learning_rate
from .weights import Loaded

SECONDS_PER_CHECKPOINT = 120
_, MAIN, LONG = PHASES
LONG_FROM = 0.8  # share of the time after which the 1024-token sequences take over


def soft_loss(logits: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Cross entropy [positions, vocab] against probabilities [positions, vocab], weighted."""
    return (-(wanted * F.log_softmax(logits, -1)).sum(-1) * weights).sum() / weights.sum()


@torch.no_grad()
def agreement(draft: LanguageModel, target: LanguageModel, held: dict[str, tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Share of the held-out answer tokens after which both models' likeliest tokens agree, by category."""
    result = {}
    for category, (x, kinds) in held.items():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            same = draft(x[:, :-1].long()).argmax(-1) == target(x[:, :-1].long()).argmax(-1)
        result[category] = round(float(same[kinds == ANSWER].float().mean()), 3)
    return result


def distil(run: Path, loaded: Loaded, *, minutes: float, threads: int = 2, seed: int = 0) -> None:
    """Writes run/draft.pt and run/draft-log.jsonl; resumes from run/draft-resume.pt."""
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    target = loaded.model().requires_grad_(requires_grad=False)
    draft = LanguageModel(DRAFT)
    optimizers = make_optimizers(draft)
    seconds, steps, tokens, positions = 0.0, 0, 0, {}
    resume = run / "draft-resume.pt"
    if resume.exists():
        state = torch.load(resume, weights_only=False)
        draft.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        seconds, steps, tokens, positions = state["seconds"], state["steps"], state["tokens"], state["positions"]
        print("resumed at", round(seconds), "s", flush=True)
    held = held_out_sequences(loaded.tokenizer, count=16)
    limit, before = minutes * 60, seconds
    begin = last_save = time.monotonic()
    phase, batches, smooth = MAIN, Batches(run, MAIN, positions), 0.0
    while seconds < limit:
        if seconds >= LONG_FROM * limit and phase is MAIN:
            phase, batches = LONG, Batches(run, LONG, positions)
        x, kinds = batches.next()
        index, weights = chosen_positions(kinds)
        set_rate(optimizers, min(1.0, (steps + 1) / WARM_UP_STEPS) * learning_rate(seconds / limit))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            with torch.no_grad():
                teacher = target.head(target.states(x[:, :-1])[0][-1].flatten(0, 1)[index])
            student = draft.head(draft.states(x[:, :-1])[0][-1].flatten(0, 1)[index])
        loss = soft_loss(student.float(), torch.softmax(teacher.float(), -1), weights)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        steps, tokens = steps + 1, tokens + kinds.numel()
        seconds = before + time.monotonic() - begin
        smooth = loss.item() if not smooth else 0.95 * smooth + 0.05 * loss.item()
        if steps % 50 == 0:
            print(
                f"{steps} {seconds:.0f}s {tokens / 1e6:.2f}M loss={smooth:.3f} {tokens / seconds:.0f} tok/s", flush=True
            )
        if time.monotonic() - last_save > SECONDS_PER_CHECKPOINT or seconds >= limit:
            last_save = time.monotonic()
            state = {"model": draft.state_dict(), "optimizers": [o.state_dict() for o in optimizers]}
            save(state | {"seconds": seconds, "steps": steps, "tokens": tokens, "positions": positions}, resume)
            save(draft.state_dict(), run / "draft.pt")
            entry = {
                "seconds": round(seconds),
                "steps": steps,
                "tokens": tokens,
                "training_loss": round(smooth, 3),
                "agreement": agreement(draft, target, held),
            }
            with (run / "draft-log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(entry) + "\n")
            print("  agreement", entry["agreement"], flush=True)
