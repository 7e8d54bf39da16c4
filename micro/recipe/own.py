"""Text that the target itself writes, answered by the real engine: what a drafter will have to follow."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import torch

from . import corpus_asked
from .corpus import CODE_FIRST, DRAFTERS, document
from .engine import Engaged, complete, running
from .packing import ANSWER, PROMPT, Encoded, Packer, as_tensors
from .vocabulary import END_ID, PAD, chat_prompt
from .weights import read

SLOTS = 8
LIMIT = 220  # tokens of an answer
IN_OTHER_WORDS = 0.6  # share of requests that the corpus would not word like this


def request(r: Random) -> str:
    """The text before an answer."""
    if r.random() < IN_OTHER_WORDS:
        table = corpus_asked.GENERATORS
        asked = r.choices(list(table), weights=list(table.values()))[0](r)
        return chat_prompt([("user", asked)])
    return templated(r, DRAFTERS.mix)


def request_of_templates(r: Random) -> str:
    """The same, from the corpus alone and mostly for code."""
    return templated(r, CODE_FIRST.mix)


def templated(r: Random, mix: dict[str, float]) -> str:
    category = r.choices(list(mix), weights=list(mix.values()))[0]
    return chat_prompt(document(r, category)[:-1])


def write(target: Path, tokens: int, path: Path, *, seed: int = 0, ask: Callable[[Random], str] = request) -> None:
    """Write about `tokens` tokens of requests and the target's answers, half greedy, half at temperature 0.8."""
    tokenizer, r = read(target).tokenizer, Random(f"own-{seed}")
    packer, written = Packer(DRAFTERS.length), 0
    with running(Engaged(target, slots=SLOTS)) as address, ThreadPoolExecutor(SLOTS) as pool:

        def answer(asked: tuple[str, float, int]) -> Encoded:
            prompt, temperature, dice = asked
            reply = complete(address, prompt, limit=LIMIT, temperature=temperature, seed=dice)
            ids, said = tokenizer.encode(prompt).ids, reply["tokens"]
            if reply["stop_type"] == "eos":
                said = [*said[: -1 if said and said[-1] == END_ID else None], END_ID]
            tail = tokenizer.encode("\n" + PAD).ids
            return ids + said + tail, [PROMPT] * len(ids) + [ANSWER] * len(said) + [PROMPT] * len(tail)

        while written < tokens:
            asked = [(ask(r), r.choice([0.0, 0.8]), r.randrange(1 << 30)) for _ in range(512)]
            for ids, kinds in pool.map(answer, asked):
                if len(ids) <= DRAFTERS.length:
                    packer.add((ids, kinds))
                    written += len(ids)
            print(f"{written} of {tokens} tokens", flush=True)
    order = torch.randperm(len(packer.rows), generator=torch.Generator().manual_seed(seed))
    x, kinds = as_tensors(packer.rows)
    partial = path.with_suffix(".tmp")
    torch.save((x[order].clone(), kinds[order].clone()), partial)
    partial.rename(path)
