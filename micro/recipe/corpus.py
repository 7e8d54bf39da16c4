"""The corpus: documents by category, streams mixed by tokens' share, and the held-out documents.

A document is a list of (role, text) messages; the last one is the assistant's answer. Everything follows from the seed
and from this Python version (its standard library is a source).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from . import (
    corpus_chat,
    corpus_classes,
    corpus_code,
    corpus_copy,
    corpus_creative,
    corpus_edit_code,
    corpus_edit_text,
    corpus_extraction,
    corpus_json,
    corpus_rag,
    corpus_reasoning,
    corpus_records,
    corpus_repair,
    corpus_summary,
)

Messages = list[tuple[str, str]]
Weighted = dict[Callable[[Random], Any], int]

CATEGORIES = ("code", "json", "creative", "rag", "edit", "summarise", "chat", "reasoning")
GENERATORS: dict[str, Weighted] = {
    "code": corpus_code.GENERATORS | corpus_records.GENERATORS | corpus_classes.GENERATORS | corpus_repair.GENERATORS,
    "json": corpus_json.GENERATORS | corpus_extraction.GENERATORS,
    "creative": corpus_creative.GENERATORS,
    "rag": corpus_rag.SHORT,
    "rag-long": corpus_rag.LONG,
    "edit": corpus_edit_code.GENERATORS | corpus_edit_text.GENERATORS,
    "summarise": corpus_summary.GENERATORS,
    "chat": corpus_chat.GENERATORS,
    "reasoning": corpus_reasoning.GENERATORS,
    "copy": corpus_copy.GENERATORS,
}
SYSTEM = (
    "You are a helpful assistant.",
    "You are a helpful assistant. Answer briefly.",
    "You are a careful programmer.",
    "Answer in English.",
    "You work in the support of a shop. Be friendly and short.",
    "You are a teacher.",
    "Be brief.",
)


@dataclass(frozen=True)
class Phase:
    """A part of the training: `share` of the time, sequences of `length` tokens, categories by share of characters."""

    name: str
    share: float
    length: int
    batch: int
    mix: dict[str, float]


PHASES = (
    Phase(
        "copying",
        0.15,
        256,
        16,
        {
            "copy": 36,
            "code": 15,
            "json": 14,
            "creative": 8,
            "rag": 12,
            "edit": 6,
            "summarise": 3,
            "chat": 3,
            "reasoning": 3,
        },
    ),
    Phase(
        "main",
        0.62,
        512,
        8,
        {
            "copy": 6,
            "code": 24,
            "json": 17,
            "creative": 13,
            "rag": 15,
            "edit": 10,
            "summarise": 5,
            "chat": 5,
            "reasoning": 5,
        },
    ),
    Phase(
        "long",
        0.23,
        1024,
        4,
        {
            "copy": 3,
            "code": 23,
            "json": 16,
            "creative": 13,
            "rag": 9,
            "rag-long": 13,
            "edit": 9,
            "summarise": 5,
            "chat": 5,
            "reasoning": 4,
        },
    ),
)
# What all drafters are trained on, besides the target's own answers: more JSON, less practice in copying.
DRAFTERS = Phase(
    "drafters",
    1.0,
    512,
    8,
    {
        "copy": 4,
        "code": 26,
        "json": 28,
        "creative": 11,
        "rag": 9,
        "edit": 8,
        "summarise": 4,
        "chat": 5,
        "reasoning": 5,
    },
)

# What DFlash goes on with alone: without a Markov head, code is what it drafts worst.
CODE_FIRST = Phase(
    "code-first",
    1.0,
    512,
    4,
    {"code": 48, "json": 18, "creative": 6, "rag": 8, "edit": 8, "summarise": 4, "chat": 4, "reasoning": 4},
)


def document(r: Random, category: str) -> Messages:
    table = GENERATORS[category]
    made = r.choices(list(table), weights=list(table.values()))[0](r)
    turns = made if isinstance(made, list) else [made]
    messages: Messages = [("system", r.choice(SYSTEM))] if r.random() < 0.06 and category != "copy" else []
    for user, assistant in turns:
        messages += [("user", user), ("assistant", assistant)]
    return messages


def stream(phase: Phase, *, seed: int) -> Iterator[tuple[str, Messages]]:
    """Endless documents with their categories; the one furthest behind its share of characters comes next."""
    r = Random(f"{seed}-{phase.name}")
    written = dict.fromkeys(phase.mix, 0.0)
    while True:
        category = min(phase.mix, key=lambda c: (written[c] + r.random() * 2000) / phase.mix[c])
        messages = document(r, category)
        written[category] += sum(len(text) + 12 for _, text in messages)
        yield category, messages


def held_out(category: str, count: int, *, seed: int = 990_001) -> list[Messages]:
    """Documents from dice that training never throws; random entities make nearly all of them new."""
    r = Random(f"held-out-{seed}-{category}")
    return [document(r, category) for _ in range(count)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("category", choices=sorted(GENERATORS))
    parser.add_argument("--count", type=int, default=5)
    arguments = parser.parse_args()
    for example in held_out(arguments.category, arguments.count):
        print(json.dumps(example, indent=1))
