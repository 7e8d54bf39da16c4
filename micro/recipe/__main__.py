"""Make the embedded model family, step by step or all of it: `python -m micro.recipe all --minutes 74`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer

from specbench.models import micro

from . import (
    drafters,
    engine,
    head_files,
    huggingface,
    own,
    packing,
    probe,
    pruning,
    rehearsal,
    train,
    vocabulary,
    weights,
)
from .blocks import teach_blocks
from .corpus import CODE_FIRST, DRAFTERS, PHASES
from .heads import teach_chain
from .model import DRAFT, TARGET

STEPS = ("vocabulary", "pack", "target", "own", "draft", "heads", "blocks", "dflash", "probe", "acceptance")
# Training tokens per second on two quiet cores. Sets how much is packed; a faster machine goes round again.
EXPECTED_SPEED = {"copying": 6500, "main": 5800, "long": 5300}
DRAFTERS_TOKENS, OWN_TOKENS = 7_000_000, 1_250_000
CODE_TOKENS, OWN_CODE_TOKENS = 800_000, 700_000
# Which files are trained together, sharing the target's forward pass, and for how long compared to the target.
LESSONS = {
    "draft": (("draft",), 0.35),
    "heads": (("mtp", "eagle3"), 0.32),
    "blocks": (("dspark",), 0.25),
    "dflash": (("dflash",), 0.8),
}
BATCH = 2  # sequences of 512 tokens: many small steps learn faster than few large ones
FILES = ("draft", "eagle3", "mtp", "dflash", "dspark")
DESCRIPTIONS = {
    "target": "Tiny chat model trained from scratch, the target of specbench's embedded family: "
    "for measuring speculative decoding, not for use",
    "draft": "Draft model distilled from specbench-micro-target, with the same vocabulary",
}


def file_of(out: Path, name: str) -> Path:
    return out / f"{name}-q8_0.gguf"


def tokenizer_of(run: Path, out: Path) -> Tokenizer:
    """The new one of this run, or the one inside the committed target."""
    path = run / "tokenizer.json"
    return vocabulary.load(path) if path.exists() else weights.read(file_of(out, "target")).tokenizer


def export(run: Path, out: Path, name: str) -> None:
    path = file_of(out, name)
    own_state = run / f"{name}.pt"
    state = torch.load(own_state if own_state.exists() else run / "dspark.pt")  # DFlash before its own lesson
    if name in head_files.KINDS:
        head_files.write(path, name, state, tokenizer_of(run, out))
    else:
        shape, title = (TARGET if name == "target" else DRAFT), f"specbench-micro-{name}"
        weights.write(path, state, shape, tokenizer_of(run, out), name=title, description=DESCRIPTIONS[name])
    weights.write_checksums(out)
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB", flush=True)


def pack(run: Path, out: Path, minutes: float) -> None:
    tokenizer = tokenizer_of(run, out)
    for phase in PHASES:
        path = run / f"packed-{phase.name}.pt"
        if not path.exists():
            packing.pack(tokenizer, phase, int(minutes * 60 * phase.share * EXPECTED_SPEED[phase.name]), path)


def teach(run: Path, out: Path, step: str, *, minutes: float, threads: int) -> None:
    """Train the drafters of a step and write their files."""
    loaded = weights.read(file_of(out, "target"))
    corpus, answers = run / "packed-drafters.pt", run / "packed-own.pt"
    phase, tokens = DRAFTERS, DRAFTERS_TOKENS
    if step == "dflash":
        corpus, answers = run / "packed-code.pt", run / "packed-own-code.pt"
        phase, tokens = CODE_FIRST, CODE_TOKENS
        if not answers.exists():
            own.write(file_of(out, "target"), OWN_CODE_TOKENS, answers, seed=1, ask=own.request_of_templates)
    if not corpus.exists():
        packing.pack(loaded.tokenizer, phase, tokens, corpus, seed=2)
    torch.manual_seed(0)
    target, pupils = loaded.model(), []
    for name in LESSONS[step][0]:
        if name == "draft":
            sample = torch.load(answers)[0][:32, :-1].long()
            pupil = drafters.Pupil(name, pruning.narrowed(target, sample), drafters.teach_draft, rate=0.5)
        elif name == "dflash":
            shared = head_files.read(file_of(out, name), name, target).train().requires_grad_()
            pupil = drafters.Pupil(name, shared, teach_blocks, rate=0.4)
        else:
            lesson = teach_blocks if name == "dspark" else teach_chain
            pupil = drafters.Pupil(name, head_files.new(name, target), lesson)
        pupils.append(pupil)
    batch = BATCH * 2 if step == "dflash" else BATCH
    drafters.train(run, loaded, pupils, [answers, corpus], minutes=minutes, threads=threads, batch=batch)
    for name in (*LESSONS[step][0], *(["dflash"] if step == "blocks" else [])):
        export(run, out, name)


def judge(path: Path, *, count: int, show: int) -> bool:
    """The probe in torch on the weights read back from Q8_0, and in the engine; True when every bar is reached."""
    loaded = weights.read(path)
    passed = True
    with engine.running(engine.Engaged(path)) as address:
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


def measure(run: Path, out: Path, names: list[str]) -> bool:
    """The acceptance of each drafter in the engine and in PyTorch; True when every bar is reached."""
    torch.set_num_threads(1)
    target, passed = file_of(out, "target"), True
    model = weights.read(target).model()
    for name in names:
        path = file_of(out, name)
        if name == "mtp":
            engaged = engine.Engaged(micro.derive("q8_0-mtp", weights=out, cache=run), name)
        else:
            engaged = engine.Engaged(target, name, path)
        results = engine.acceptance(target, engaged, rehearsal.load(path, name, model))
        missed = engine.bars(results)
        print(f"\n{name}, at most {engaged.draft_tokens_max} tokens\n\n{engine.table(results)}\n", flush=True)
        print(
            *[f"MISSED {name}: {reason}" for reason in missed] or [f"{name}: every bar is reached"],
            sep="\n",
            flush=True,
        )
        passed = passed and not missed
    return passed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    others = ("losses", "safetensors", *(f"export-{name}" for name in ("target", *FILES)))
    parser.add_argument("step", choices=[*STEPS, *others, "all"])
    parser.add_argument(
        "--run",
        type=Path,
        default=Path.home() / "micro-run",
        help="folder for checkpoints and packed data, outside the repository",
    )
    parser.add_argument("--out", type=Path, help="weights, by default those of the repository; of safetensors: hf")
    parser.add_argument("--minutes", type=float, default=74, help="of training the target; drafters get a share")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--count", type=int, default=40, help="held-out prompts per category in the probe")
    parser.add_argument("--show", type=int, default=0, help="answers per category to print after the probe")
    parser.add_argument("--drafter", choices=FILES, action="append", help="of `acceptance`; repeatable, default all")
    a = parser.parse_args()
    a.run.mkdir(parents=True, exist_ok=True)
    shipped = Path(__file__).parents[1] / "weights"
    out = shipped if a.out is None or a.step == "safetensors" else a.out
    target, passed = file_of(out, "target"), True
    for step in STEPS if a.step == "all" else (a.step,):
        if step == "vocabulary":
            vocabulary.train(a.run / "tokenizer.json")
        elif step == "pack":
            pack(a.run, out, a.minutes)
        elif step == "target":
            train.train(a.run, tokenizer_of(a.run, out), minutes=a.minutes, threads=a.threads)
            export(a.run, out, "target")
        elif step == "own":
            own.write(target, OWN_TOKENS, a.run / "packed-own.pt")
        elif step in LESSONS:
            teach(a.run, out, step, minutes=a.minutes * LESSONS[step][1], threads=a.threads)
        elif step.startswith("export"):
            export(a.run, out, step.removeprefix("export-"))
        elif step == "probe":
            passed = judge(target, count=a.count, show=a.show) and passed
        elif step == "losses":
            loaded = weights.read(target)
            held = packing.held_out_sequences(loaded.tokenizer, count=100)
            print(train.answer_losses(loaded.model(), held, count=100))
        elif step == "acceptance":
            passed = measure(a.run, out, a.drafter or list(FILES)) and passed
        elif step == "safetensors":
            huggingface.write(shipped, a.out or Path("hf"))
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
