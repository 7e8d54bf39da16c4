"""Generate with llama.cpp (through xllamacpp): the probe's second opinion, and acceptance of the draft by category.

Each server runs in a child process, so that a failed assertion in the engine ends only the child.
"""

from __future__ import annotations

import argparse
import json
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
from .model import generate
from .probe import LIMIT, Answer, questions
from .vocabulary import chat_prompt

ROOT = Path(__file__).parents[2]  # where `python -m micro.recipe.engine` finds this module
NEVER = -1  # no token stops a draft
# Nothing but the temperature shapes the distribution.
OPEN = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0}


@dataclass(frozen=True)
class Acceptance:
    """Sums over the prompts of one category at one temperature."""

    category: str
    temperature: float
    output_tokens: int
    draft_tokens: int
    accepted_tokens: int
    same_output: int | None  # prompts whose output equals that without a draft; None above temperature 0
    rehearsed_rate: float | None  # what the draft in PyTorch reaches on the same outputs; None above temperature 0

    @property
    def draft_acceptance_rate(self) -> float | None:
        return self.accepted_tokens / self.draft_tokens if self.draft_tokens else None

    @property
    def mean_acceptance_length(self) -> float | None:
        """Output tokens per verification step, the steps being output tokens minus accepted ones."""
        steps = self.output_tokens - self.accepted_tokens
        return self.output_tokens / steps if steps else None


def serve(target: Path, draft: Path | None, draft_tokens_max: int) -> None:
    """The child: print the address, stop when stdin closes."""
    import xllamacpp as x  # noqa: PLC0415  only the child process loads the engine

    p = x.CommonParams()
    p.model.path = str(target)
    p.n_ctx, p.n_parallel, p.verbosity, p.endpoint_metrics = 2048, 1, 1, True
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
    if draft:
        p.speculative.types = [x.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
        p.speculative.draft.n_max = draft_tokens_max
        p.speculative.draft.mparams.path = str(draft)
    server = x.Server(p)
    print(json.dumps({"address": server.listening_address}), flush=True)
    sys.stdin.read()


@contextmanager
def running(target: Path, draft: Path | None = None, *, draft_tokens_max: int = 4) -> Iterator[str]:
    """The address of a server that lives as long as the block."""
    argv = [
        sys.executable,
        "-m",
        __spec__.name,
        str(target.resolve()),
        "--draft-tokens-max",
        str(draft_tokens_max),
        *(["--draft", str(draft.resolve())] if draft else []),
    ]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as child:
        line = child.stdout.readline() if child.stdout else ""
        if not line or not child.stdin:
            raise RuntimeError(f"the engine did not start with {target.name}: exit status {child.wait()}")
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


def rehearsed(draft: weights.Loaded, prompt: str, output: list[int], draft_tokens_max: int) -> tuple[int, int]:
    """Draft and accepted tokens when PyTorch drafts for a greedy output that is already known."""
    model, start = draft.model(), draft.tokenizer.encode(prompt).ids
    drafted = accepted = 0
    at = 1  # the first token comes with the prompt
    while at < len(output):
        guess, _ = generate(model, start + output[:at], stop=NEVER, limit=min(draft_tokens_max, len(output) - at))
        right = 0
        while right < len(guess) and guess[right] == output[at + right]:
            right += 1
        drafted, accepted, at = drafted + len(guess), accepted + right, at + right + 1
    return drafted, accepted


def acceptance(
    target: Path, draft: Path, *, count: int = 12, draft_tokens_max: int = 4, limit: int = 160
) -> list[Acceptance]:
    prompts = {c: [chat_prompt(m[:-1]) for m in questions(c, count)] for c in CATEGORIES}
    with running(target) as address:
        plain = {c: [complete(address, p, limit=limit)["tokens"] for p in prompts[c]] for c in CATEGORIES}
    results = []
    loaded = weights.read(draft)
    with running(target, draft, draft_tokens_max=draft_tokens_max) as address:
        for temperature, category in product((0.0, 0.8), CATEGORIES):
            replies = [
                complete(address, p, limit=limit, temperature=temperature, seed=100 + i)
                for i, p in enumerate(prompts[category])
            ]
            same = rehearsal = None
            if temperature == 0:
                same = sum(r["tokens"] == known for r, known in zip(replies, plain[category], strict=True))
                pairs = zip(prompts[category], plain[category], strict=True)
                counts = [rehearsed(loaded, p, known, draft_tokens_max) for p, known in pairs]
                rehearsal = sum(right for _, right in counts) / max(1, sum(drafted for drafted, _ in counts))
            timings = [r["timings"] for r in replies]
            emitted = sum(t["predicted_n"] for t in timings)
            drafted, accepted = (sum(t.get(k, 0) for t in timings) for k in ("draft_n", "draft_n_accepted"))
            results.append(Acceptance(category, temperature, emitted, drafted, accepted, same, rehearsal))
    return results


def table(results: list[Acceptance]) -> str:
    counted = ["category", "T", "output tokens", "drafted", "accepted"]
    head = [*counted, "rate", "rate in PyTorch", "tokens per step", "same output"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for a in results:
        rates = a.draft_acceptance_rate, a.rehearsed_rate, a.mean_acceptance_length
        rate, rehearsal, length = ("" if v is None else f"{v:.2f}" for v in rates)
        counts = f"{a.output_tokens} | {a.draft_tokens} | {a.accepted_tokens}"
        same = "" if a.same_output is None else a.same_output
        lines.append(f"| {a.category} | {a.temperature:g} | {counts} | {rate} | {rehearsal} | {length} | {same} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve until stdin closes.")
    parser.add_argument("target", type=Path)
    parser.add_argument("--draft", type=Path)
    parser.add_argument("--draft-tokens-max", type=int, default=4)
    arguments = parser.parse_args()
    serve(arguments.target, arguments.draft, arguments.draft_tokens_max)
