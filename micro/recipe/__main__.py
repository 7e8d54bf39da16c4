"""Make the embedded model family, step by step or all of it: `python -m micro.recipe all --minutes 74`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer

from . import distil, engine, packing, probe, train, vocabulary, weights
from .corpus import PHASES
from .model import DRAFT, TARGET

STEPS = ("vocabulary", "pack", "target", "draft", "probe", "acceptance")
# Training tokens per second on two quiet cores. Sets how much is packed; a faster machine goes round again.
EXPECTED_SPEED = {"copying": 6500, "main": 5800, "long": 5300}
DESCRIPTIONS = {
    "target": "Tiny chat model trained from scratch, the target of specbench's embedded family: "
    "for measuring speculative decoding, not for use",
    "draft": "Draft model distilled from specbench-micro-target, with the same vocabulary",
}


def tokenizer_of(run: Path, out: Path) -> Tokenizer:
    """The new one of this run, or the one inside the committed target."""
    path = run / "tokenizer.json"
    return vocabulary.load(path) if path.exists() else weights.read(out / "target-q8_0.gguf").tokenizer


def export(run: Path, out: Path, name: str) -> None:
    path = out / f"{name}-q8_0.gguf"
    shape = TARGET if name == "target" else DRAFT
    weights.write(
        path,
        torch.load(run / f"{name}.pt"),
        shape,
        tokenizer_of(run, out),
        name=f"specbench-micro-{name}",
        description=DESCRIPTIONS[name],
    )
    weights.write_checksums(out)
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB", flush=True)


def pack(run: Path, out: Path, minutes: float) -> None:
    tokenizer = tokenizer_of(run, out)
    for phase in PHASES:
        path = run / f"packed-{phase.name}.pt"
        if not path.exists():
            packing.pack(tokenizer, phase, int(minutes * 60 * phase.share * EXPECTED_SPEED[phase.name]), path)


def judge(path: Path, *, count: int, show: int) -> bool:
    """The probe in torch on the weights read back from Q8_0, and in the engine; True when every bar is reached."""
    loaded = weights.read(path)
    passed = True
    with engine.running(path) as address:
        for title, answer in (
            ("torch, dequantised", probe.in_torch(loaded.model(), loaded.tokenizer)),
            ("llama.cpp", engine.in_engine(address)),
        ):
            found = probe.replies(answer, count=count)
            scores = probe.scores(found)
            print(f"\n{title}\n{probe.table(scores)}", flush=True)
            passed = passed and all(s.passed for s in scores)
        texts = [probe.chat_prompt(m) for c in probe.CATEGORIES for m in probe.held_out(c, 20)]
        different = sum(engine.tokens_of(address, t) != loaded.tokenizer.encode(t).ids for t in texts)
        print(f"\ntokenization differs from llama.cpp's for {different} of {len(texts)} texts", flush=True)
    for category, replies in found.items():
        for reply in replies[:show]:
            print(f"\n--- {category}\n{reply.request}\n>>>\n{reply.text}")
    return passed and not different


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=[*STEPS, "export-target", "export-draft", "losses", "all"])
    parser.add_argument(
        "--run",
        type=Path,
        default=Path.home() / "micro-run",
        help="folder for checkpoints and packed data, outside the repository",
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "weights")
    parser.add_argument("--minutes", type=float, default=74, help="of training the target; the draft gets a fifth")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--count", type=int, default=40, help="held-out prompts per category in the probe")
    parser.add_argument("--show", type=int, default=0, help="answers per category to print after the probe")
    a = parser.parse_args()
    a.run.mkdir(parents=True, exist_ok=True)
    target, draft = (a.out / f"{n}-q8_0.gguf" for n in ("target", "draft"))
    passed = True
    for step in STEPS if a.step == "all" else (a.step,):
        if step == "vocabulary":
            vocabulary.train(a.run / "tokenizer.json")
        elif step == "pack":
            pack(a.run, a.out, a.minutes)
        elif step == "target":
            train.train(a.run, tokenizer_of(a.run, a.out), minutes=a.minutes, threads=a.threads)
            export(a.run, a.out, "target")
        elif step == "draft":
            distil.distil(a.run, weights.read(target), minutes=a.minutes / 5, threads=a.threads)
            export(a.run, a.out, "draft")
        elif step.startswith("export"):
            export(a.run, a.out, step.removeprefix("export-"))
        elif step == "probe":
            passed = judge(target, count=a.count, show=a.show)
        elif step == "losses":
            loaded = weights.read(target)
            held = packing.held_out_sequences(loaded.tokenizer, count=100)
            print(train.answer_losses(loaded.model(), held, count=100))
        elif step == "acceptance":
            print(engine.table(engine.acceptance(target, draft)))
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
