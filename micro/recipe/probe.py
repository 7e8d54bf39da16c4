"""The acceptance test: do answers to held-out prompts parse, use words, copy and end?"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

from tokenizers import Tokenizer

from .corpus import CATEGORIES, Messages, document, held_out
from .model import LanguageModel, generate
from .vocabulary import END_ID, chat_prompt

Answer = Callable[[str, float], tuple[str, bool]]  # prompt, temperature -> answer, and whether it ended by itself
ASKED = (*CATEGORIES, "rag-long")
LIMIT = 400  # tokens of an answer
CREATIVE_TEMPERATURE = 0.8  # greedy prose of a model this small runs in circles


@dataclass(frozen=True)
class Score:
    """`right` of `asked`; `bar` is the share that must be reached, None where the figure is only reported."""

    name: str
    right: int
    asked: int
    bar: float | None = None

    @property
    def passed(self) -> bool:
        return self.bar is None or self.right >= self.bar * self.asked


@dataclass(frozen=True)
class Reply:
    """A held-out document and what the model answered instead of its last message."""

    document: Messages
    text: str
    ended: bool

    @property
    def request(self) -> str:
        return self.document[-2][1]

    @property
    def wanted(self) -> str:
        return self.document[-1][1]


def quoted(text: str) -> set[str]:
    return set(re.findall(r'"([^"\n]{8,})"', text))


def copied(wanted: str, text: str) -> bool:
    """Every quoted sentence of the wanted answer comes back, character by character."""
    sentences = quoted(wanted)
    return sentences <= quoted(text) if sentences else text == wanted


def parses(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError):
        return False
    return True


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def lower_case_words(text: str) -> list[str]:
    return re.findall(r"(?<![\w'-])[a-z]{2,}(?![\w'-])", text)


@cache
def corpus_words(documents_per_category: int = 6000) -> frozenset[str]:
    """Lower-case words of a sample of the corpus's prose."""
    words: set[str] = set()
    for category in ("creative", "summarise", "chat", "rag"):
        r = Random(f"words-{category}")
        for _ in range(documents_per_category):
            for _, text in document(r, category):
                words.update(lower_case_words(text))
    return frozenset(words)


def in_torch(model: LanguageModel, tokenizer: Tokenizer) -> Answer:
    def answer(prompt: str, temperature: float) -> tuple[str, bool]:
        ids = tokenizer.encode(prompt).ids
        tokens, ended = generate(model, ids, stop=END_ID, limit=LIMIT, temperature=temperature, seed=len(ids))
        return tokenizer.decode(tokens), ended

    return answer


def questions(category: str, count: int) -> list[Messages]:
    """Held-out documents; of code only templated Python, which a model this small can be asked to master."""
    found = (
        m for m in held_out(category, 2 * count) if "function from the module" not in m[-2][1] and "SQL" not in m[-2][1]
    )
    return [m for m, _ in zip(found, range(count), strict=False)]


def replies(answer: Answer, *, count: int = 40) -> dict[str, list[Reply]]:
    """Answers by category: greedy, but for creative prompts."""
    return {
        category: [
            Reply(m, *answer(chat_prompt(m[:-1]), CREATIVE_TEMPERATURE if category == "creative" else 0.0))
            for m in questions(category, count)
        ]
        for category in ASKED
    }


def scores(found: dict[str, list[Reply]]) -> list[Score]:
    def share(name: str, hits: list[bool], bar: float | None = None) -> Score:
        return Score(name, sum(hits), len(hits), bar)

    prose = [r for category in ("creative", "summarise", "chat") for r in found[category]]
    words = [w for r in prose for w in lower_case_words(r.text) if w not in r.request]
    return [
        share("code: parses", [parses(r.text) for r in found["code"]], 0.8),
        share("json: parses", [is_json(r.text) for r in found["json"]], 0.9),
        share("prose: words known to the corpus", [w in corpus_words() for w in words], 0.95),
        share("rag: quote copied exactly", [copied(r.wanted, r.text) for r in found["rag"]], 0.6),
        share("rag, documents of up to 700 tokens: the same", [copied(r.wanted, r.text) for r in found["rag-long"]]),
        share("all: answer ends by itself", [r.ended for category in ASKED for r in found[category]], 0.9),
        *(
            share(f"{c}: answer equals the held-out one", [r.text == r.wanted for r in found[c]])
            for c in ("code", "json", "edit", "summarise", "chat", "reasoning")
        ),
    ]


def table(scores: list[Score]) -> str:
    lines = ["| check | right | share | bar | |", "|---|---|---|---|---|"]
    for s in scores:
        bar = "" if s.bar is None else f"{s.bar:.2f}"
        verdict = "" if s.bar is None else "pass" if s.passed else "MISSED"
        lines.append(f"| {s.name} | {s.right} of {s.asked} | {s.right / max(1, s.asked):.2f} | {bar} | {verdict} |")
    return "\n".join(lines)


def copy_probe(model: LanguageModel, tokenizer: Tokenizer, *, count: int) -> tuple[int, int]:
    """Short held-out RAG prompts whose quotes come back exactly, and prompts asked; for a glance during training."""
    answer = in_torch(model, tokenizer)
    found = [Reply(m, *answer(chat_prompt(m[:-1]), 0.0)) for m in held_out("rag", count)]
    return sum(copied(r.wanted, r.text) for r in found), count
