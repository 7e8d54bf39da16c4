"""Generate with llama.cpp (through xllamacpp): the probe's second opinion, and acceptance of the draft by category.

Each server runs in a child process, so that a failed assertion in the engine ends only the child.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from . import weights
from .corpus import CATEGORIES
from .probe import LIMIT, Answer, questions
from .rehearsal import Drafter, Rounds, rehearse
from .vocabulary import chat_prompt

ROOT = Path(__file__).parents[2]  # where `python -m micro.recipe.engine` finds this module
# One model that drafts alone or a head for several tokens: 4; the MTP block is trained for 3; a block has 5 to fill.
DRAFT_TOKENS_MAX = {"draft": 4, "eagle3": 4, "mtp": 3, "dflash": 5, "dspark": 5}
FIRST_BAR, DISTANCE_BAR, DISAGREEMENT_BAR = 0.6, 0.15, 0.05
PROMPTS, ROUNDS, MOST_PROMPTS = 12, 100, 120  # by category and temperature; fewer rounds miss a bar of their own
# Nothing but the temperature shapes the distribution.
OPEN = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0}


@dataclass(frozen=True)
class Engaged:
    """A target, perhaps a drafter of some kind for it, and how the engine is to draft."""

    target: Path
    kind: str | None = None  # one of DRAFT_TOKENS_MAX
    draft: Path | None = None  # None for mtp, whose block is in the target's file
    slots: int = 1

    @property
    def draft_tokens_max(self) -> int:
        return DRAFT_TOKENS_MAX[self.kind] if self.kind else 0


@dataclass(frozen=True)
class Acceptance:
    """Sums over the prompts of one category at one temperature."""

    category: str
    temperature: float
    prompts: int
    output_tokens: int
    counted: Rounds
    same_output: int | None  # prompts whose output equals that without a draft; None above temperature 0
    rehearsed: Rounds | None  # what the drafter in PyTorch reaches on the same outputs; None above temperature 0

    @property
    def mean_acceptance_length(self) -> float | None:
        """Output tokens per verification step, the steps being output tokens minus accepted ones."""
        steps = self.output_tokens - sum(self.counted.accepted)
        return self.output_tokens / steps if steps else None

    @property
    def disagreement(self) -> float:
        """The largest difference between engine and PyTorch in the share of rounds that accept a position."""
        if self.rehearsed is None:
            return 0.0
        pairs = zip(self.counted.by_position(), self.rehearsed.by_position(), strict=True)
        return max(abs(a - b) for a, b in pairs)


def serve(engaged: Engaged) -> None:
    """The child: print the address, stop when stdin closes."""
    import xllamacpp as x  # noqa: PLC0415  only the child process loads the engine

    p = x.CommonParams()
    p.model.path = str(engaged.target)
    p.n_ctx, p.n_parallel, p.verbosity, p.endpoint_metrics = 2048 * engaged.slots, engaged.slots, 1, True
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
    if engaged.kind:
        kind = "simple" if engaged.kind == "draft" else engaged.kind
        name = f"COMMON_SPECULATIVE_TYPE_DRAFT_{kind.upper()}"
        p.speculative.types = [getattr(x.common_speculative_type, name)]
        p.speculative.draft.n_max = engaged.draft_tokens_max
        p.speculative.draft.cpuparams.n_threads = p.speculative.draft.cpuparams_batch.n_threads = 1
        if engaged.draft:
            p.speculative.draft.mparams.path = str(engaged.draft)
    server = x.Server(p)
    print(json.dumps({"address": server.listening_address}), flush=True)
    sys.stdin.read()
    os._exit(0)  # unloading in order could hang


@contextmanager
def running(engaged: Engaged) -> Iterator[str]:
    """The address of a server that lives as long as the block."""
    argv = [sys.executable, "-m", __spec__.name, str(engaged.target.resolve()), "--slots", str(engaged.slots)]
    argv += ["--kind", engaged.kind] if engaged.kind else []
    argv += ["--draft", str(engaged.draft.resolve())] if engaged.draft else []
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as child:
        line = child.stdout.readline() if child.stdout else ""
        if not line or not child.stdin:
            raise RuntimeError(f"the engine did not start with {engaged}: exit status {child.wait()}")
        try:
            yield json.loads(line)["address"]
        finally:
            child.stdin.close()


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310  our own server
    with urllib.request.urlopen(request, timeout=300) as reply:  # noqa: S310  our own server
        found: dict[str, Any] = json.load(reply)
        return found


def complete(address: str, prompt: str, *, limit: int, temperature: float = 0.0, seed: int = 0) -> dict[str, Any]:
    body = {
        "prompt": prompt,
        "n_predict": limit,
        "temperature": temperature,
        "seed": seed,
        "cache_prompt": False,
        "return_tokens": True,
        **OPEN,
    }
    return post(f"{address}/completion", body)


def in_engine(address: str) -> Answer:
    def answer(prompt: str, temperature: float) -> tuple[str, bool]:
        reply = complete(address, prompt, limit=LIMIT, temperature=temperature, seed=len(prompt))
        return reply["content"], reply["stop_type"] == "eos"

    return answer


def tokens_of(address: str, text: str) -> list[int]:
    body = {"content": text, "add_special": False, "parse_special": True}
    tokens: list[int] = post(f"{address}/tokenize", body)["tokens"]
    return tokens


def counters(address: str, positions: int) -> Rounds:
    """The server's sums since its start, from its Prometheus page."""
    with urllib.request.urlopen(f"{address}/metrics", timeout=60) as reply:  # noqa: S310  our own server
        text = reply.read().decode()

    def value(name: str) -> int:
        found = re.search(rf"^llamacpp:spec_decode_num_{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return int(float(found[1])) if found else 0

    accepted = (value(f'accepted_tokens_per_pos_total{{position="{i}"}}') for i in range(positions))
    return Rounds(value("drafts_total"), value("draft_tokens_total"), tuple(accepted))


def acceptance(target: Path, engaged: Engaged, loaded: Drafter, *, limit: int = 160) -> list[Acceptance]:
    """`target` is the plain file; `loaded` is the drafter of `engaged` in PyTorch.

    Every category gets PROMPTS held-out prompts, and more of them until it has ROUNDS rounds.
    """
    plain_file, results, most = weights.read(target), [], engaged.draft_tokens_max
    model, tokenizer = plain_file.model(), plain_file.tokenizer
    with running(Engaged(engaged.target)) as plain, running(engaged) as address:
        before = counters(address, most)
        for temperature, category in product((0.0, 0.8), CATEGORIES):
            asked = emitted = same = 0
            counted = rehearsed = Rounds(0, 0, (0,) * most)
            for document in questions(category, MOST_PROMPTS):
                if asked >= PROMPTS and counted.rounds >= ROUNDS:
                    break
                prompt = chat_prompt(document[:-1])
                reply = complete(address, prompt, limit=limit, temperature=temperature, seed=100 + asked)
                if temperature == 0:
                    known = complete(plain, prompt, limit=limit)["tokens"]
                    same += reply["tokens"] == known
                    rehearsed += rehearse(loaded, model, tokenizer.encode(prompt).ids, known, most)
                asked, emitted = asked + 1, emitted + reply["timings"]["predicted_n"]
                now = counters(address, most)
                counted, before = counted + (now - before), now
            greedy = (same, rehearsed) if temperature == 0 else (None, None)
            results.append(Acceptance(category, temperature, asked, emitted, counted, *greedy))
    return results


def table(results: list[Acceptance]) -> str:
    head = [
        "category",
        "T",
        "prompts",
        "output tokens",
        "rounds",
        "accepted by position",
        "the same in PyTorch",
        "rate",
    ]
    head += ["tokens per step", "same output"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for a in results:
        shares, rehearsal = (
            "" if r is None else " ".join(f"{s:.2f}" for s in r.by_position()) for r in (a.counted, a.rehearsed)
        )
        rate = sum(a.counted.accepted) / max(1, a.counted.draft_tokens)
        length = "" if a.mean_acceptance_length is None else f"{a.mean_acceptance_length:.2f}"
        same = "" if a.same_output is None else a.same_output
        cells = [a.category, f"{a.temperature:g}", a.prompts, a.output_tokens, a.counted.rounds, shares, rehearsal]
        lines.append("| " + " | ".join(str(c) for c in [*cells, f"{rate:.2f}", length, same]) + " |")
    return "\n".join(lines)


def bars(results: list[Acceptance]) -> list[str]:
    """What a drafter misses: 0.6 of its first tokens on code and JSON, a distance to creative text, PyTorch's word."""

    def first(category: str, temperature: float) -> float:
        return next(a for a in results if (a.category, a.temperature) == (category, temperature)).counted.by_position()[
            0
        ]

    missed = [f"{a.category} at {a.temperature:g}: {n} rounds" for a in results if (n := a.counted.rounds) < ROUNDS]
    for temperature, category in product((0.0, 0.8), ("code", "json")):
        reached = first(category, temperature)
        if reached < FIRST_BAR:
            missed.append(f"{category} at {temperature:g}: first token accepted {reached:.2f} < {FIRST_BAR}")
        if reached < first("creative", 0.8) + DISTANCE_BAR:
            missed.append(
                f"{category} at {temperature:g}: {reached:.2f} is not {DISTANCE_BAR} above creative text at 0.8"
            )
    missed += [
        f"{a.category}: engine and PyTorch differ by {a.disagreement:.2f} at a position"
        for a in results
        if a.disagreement > DISAGREEMENT_BAR
    ]
    return missed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve until stdin closes.")
    parser.add_argument("target", type=Path)
    parser.add_argument("--kind", choices=DRAFT_TOKENS_MAX)
    parser.add_argument("--draft", type=Path)
    parser.add_argument("--slots", type=int, default=1)
    a = parser.parse_args()
    serve(Engaged(a.target, a.kind, a.draft, a.slots))
