"""Code: classes that hold records, and classic containers."""

# ruff: noqa: E501  the sentences are data

from __future__ import annotations

from pathlib import Path
from random import Random

from .phrasing import (
    ADJECTIVES,
    FIELDS,
    NUMERIC,
    THINGS,
    a_an,
    cap,
    pick,
    plural,
    varied,
)

Pair = tuple[str, str]  # prompt, answer
CLASSES = Path(__file__).with_name("classes.txt").read_text(encoding="utf-8").rstrip().split("\n----\n")


def typed_fields(r: Random, low: int = 2, high: int = 5) -> dict[str, str]:
    names = r.sample(FIELDS, r.randint(low, high))
    return {n: r.choice(["int", "float"]) if n in NUMERIC else r.choice(["str", "str", "bool", "int"]) for n in names}


def record_class(r: Random) -> Pair:
    thing, fields = r.choice(THINGS), typed_fields(r)
    name, listed = cap(thing), ", ".join(fields)
    if len(fields) > 1 and r.random() < 0.5:
        listed = " and ".join(listed.rsplit(", ", 1))
    style = r.choice(["plain", "repr", "dataclass", "frozen", "getters", "dict", "method"])
    declared = [f"    {f}: {t}" for f, t in fields.items()]
    if style in {"dataclass", "frozen"}:
        flag = "(frozen=True)" if style == "frozen" else ""
        lines = ["from dataclasses import dataclass", "", "", f"@dataclass{flag}", f"class {name}:", *declared]
        wanted = "frozen dataclass" if flag else "dataclass"
        return varied(
            r,
            pick(
                r,
                f"Write a Python {wanted} {name} with the fields {listed}.|Create a {wanted} for {a_an(thing)} with {listed}."
                f"|Define a Python {wanted} named {name} that has {listed}.|Make a {wanted} called {name} with {listed}.",
            ),
        ), "\n".join(lines)
    hints = r.random() < 0.6
    arguments = ", ".join(f"{f}: {t}" if hints else f for f, t in fields.items())
    lines = [f"class {name}:"]
    if r.random() < 0.4:
        lines += [f'    """{cap(a_an(thing))} with {listed}."""', ""]
    lines += [f"    def __init__(self, {arguments}):", *(f"        self.{f} = {f}" for f in fields)]
    extra = ""
    if style == "repr":
        extra = " and a __repr__ method"
        shown = ", ".join(f"{f}={{self.{f}!r}}" for f in fields)
        lines += ["", "    def __repr__(self):", f'        return f"{name}({shown})"']
    elif style == "getters":
        extra = " and getters and setters"
        for f in fields:
            lines += [
                "",
                f"    def get_{f}(self):",
                f"        return self.{f}",
                "",
                f"    def set_{f}(self, {f}):",
                f"        self.{f} = {f}",
            ]
    elif style == "dict":
        extra = " and methods to_dict and from_dict"
        lines += [
            "",
            "    def to_dict(self):",
            "        return {",
            *(f'            "{f}": self.{f},' for f in fields),
            "        }",
            "",
            "    @classmethod",
            "    def from_dict(cls, data):",
            "        return cls(",
            *(f'            {f}=data["{f}"],' for f in fields),
            "        )",
        ]
    elif style == "method":
        f = r.choice(list(fields))
        word = r.choice(["update", "change", "reset", "describe"])
        extra = f" and a method {word}_{f}"
        body = {"describe": [f'        return f"The {f} of the {thing} is {{self.{f}}}"']}.get(
            word, [f"        self.{f} = {'None' if word == 'reset' else 'value'}"]
        )
        lines += ["", f"    def {word}_{f}(self{'' if word in {'reset', 'describe'} else ', value'}):", *body]
    prompt = pick(
        r,
        f"Write a Python class {name} with the fields {listed}{extra}.|Implement a class named {name} that stores {listed}{extra and ', with' + extra[4:]}."
        f"|Create a class {name} in Python with attributes {listed}{extra}.|Define a class for {a_an(thing)} with {listed}{extra}."
        f"|Write a class `{name}` that has {listed}{extra}.",
    )
    return varied(r, prompt), "\n".join(lines)


def container_class(r: Random) -> Pair:
    """A classic class from classes.txt, its blanks filled in."""
    thing = r.choice(THINGS)
    blanks = {
        "<Thing>": cap(thing),
        "<thing>": thing,
        "<a thing>": a_an(thing),
        "<things>": plural(thing),
        "<Owner>": r.choice(["Manager", "List", "Collection", "Store", "Registry", "Catalog"]),
        "<balance>": r.choice(["balance", "stock", "credit", "points"]),
        "<low>": str(r.randint(0, 5)),
        "<high>": str(r.randint(6, 99)),
    }
    text = r.choice(CLASSES)
    for blank, value in blanks.items():
        text = text.replace(blank, value)
    requests, _, answer = text.removeprefix("? ").partition("\n")
    return varied(r, pick(r, requests)), answer


def enumeration(r: Random) -> Pair:
    name, members = f"{cap(r.choice(THINGS))}Kind", r.sample(ADJECTIVES, r.randint(3, 6))
    lines = [
        "from enum import Enum",
        "",
        "",
        f"class {name}(Enum):",
        *(f"    {m.upper()} = {i}" for i, m in enumerate(members, 1)),
    ]
    return varied(r, f"Write a Python enum {name} with the members {', '.join(members)}."), "\n".join(lines)


GENERATORS = {record_class: 12, container_class: 7, enumeration: 1}
