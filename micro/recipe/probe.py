"""The acceptance test: do greedy answers to held-out prompts parse, use words, copy and end?"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

import torch
from tokenizers import Tokenizer

from .corpus import CATEGORIES, Messages, document, held_out
from .model import LanguageModel, generate
from .vocabulary import END_ID, chat_prompt

Answer = Callable[[str], tuple[str, bool]]  # prompt -> greedy answer, and whether it ended by itself
LIMIT = 360  # tokens of an answer


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


def quoted(text: str) -> set[str]:
    return set(re.findall(r'"([^"\n]{8,})"', text))


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
    def answer(prompt: str) -> tuple[str, bool]:
        tokens, ended = generate(model, tokenizer.encode(prompt).ids, stop=END_ID, limit=LIMIT)
        return tokenizer.decode(tokens), ended

    return answer


def questions(category: str, count: int) -> list[Messages]:
    """Held-out documents; of code only templated Python, which a model this small can be asked to master."""
    found = (
        m for m in held_out(category, 2 * count) if "function from the module" not in m[-2][1] and "SQL" not in m[-2][1]
    )
    return [m for m, _ in zip(found, range(count), strict=False)]


def probe(answer: Answer, *, count: int = 40) -> tuple[list[Score], dict[str, list[tuple[str, str]]]]:
    """-> scores, and (last request, answer) pairs by category for a look at them."""
    shown: dict[str, list[tuple[str, str]]] = {}
    ended = asked = 0
    exact: dict[str, int] = {}
    for category in CATEGORIES:
        shown[category] = []
        exact[category] = 0
        for messages in questions(category, count):
            text, end = answer(chat_prompt(messages[:-1]))
            shown[category].append((messages[-2][1], text))
            exact[category] += text == messages[-1][1]
            if category == "rag":
                exact["copy"] = exact.get("copy", 0) + (
                    quoted(messages[-1][1]) <= quoted(text) if quoted(messages[-1][1]) else text == messages[-1][1]
                )
            ended, asked = ended + end, asked + 1
    prose = [
        w
        for c in ("creative", "summarise", "chat")
        for request, text in shown[c]
        for w in lower_case_words(text)
        if w not in request
    ]
    scores = [
        Score("code: parses", sum(parses(t) for _, t in shown["code"]), count, 0.8),
        Score("json: parses", sum(is_json(t) for _, t in shown["json"]), count, 0.9),
        Score("prose: words known to the corpus", sum(w in corpus_words() for w in prose), len(prose), 0.95),
        Score("rag: quote copied exactly", exact["copy"], count, 0.6),
        Score("all: answer ends by itself", ended, asked, 0.9),
        *(
            Score(f"{c}: answer equals the held-out one", exact[c], count)
            for c in ("edit", "summarise", "reasoning", "json")
        ),
    ]
    return scores, shown


def table(scores: list[Score]) -> str:
    lines = ["| check | right | share | bar | |", "|---|---|---|---|---|"]
    for s in scores:
        bar = "" if s.bar is None else f"{s.bar:.2f}"
        verdict = "" if s.bar is None else "pass" if s.passed else "MISSED"
        lines.append(f"| {s.name} | {s.right} of {s.asked} | {s.right / max(1, s.asked):.2f} | {bar} | {verdict} |")
    return "\n".join(lines)


def copy_probe(model: LanguageModel, tokenizer: Tokenizer, *, count: int) -> tuple[int, int]:
    """Short held-out RAG prompts whose quotes come back exactly, and prompts asked; for a glance during training."""
    right = 0
    answer = in_torch(model, tokenizer)
    with torch.inference_mode():
        for messages in held_out("rag", count):
            right += quoted(messages[-1][1]) <= quoted(answer(chat_prompt(messages[:-1]))[0])
    return right, count
