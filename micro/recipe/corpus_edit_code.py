"""Edits of code: the answer is the code of the prompt with a change."""

# ruff: noqa: E501  the sentences are data

from __future__ import annotations

import re
from random import Random

from . import corpus_classes, corpus_code, corpus_records
from .corpus_repair import repair, some_function
from .phrasing import (
    FIELDS,
    NOUNS,
    THINGS,
    cap,
    invented,
    pick,
    plural,
    syllables,
)

Pair = tuple[str, str]  # prompt, answer


def some_code(r: Random) -> str:
    for _ in range(20):
        make = r.choice(
            [corpus_code.algorithm, corpus_code.algorithm, corpus_records.over_records, corpus_classes.record_class]
        )
        text = make(r)[1]
        if len(text) < 900:
            break
    return text


def rename(r: Random) -> Pair:
    code = some_code(r)
    names = sorted(
        {
            *re.findall(r"(?:def|class) (\w+)", code),
            *re.findall(r"^\s+(\w+) = ", code, re.MULTILINE),
            *re.findall(r"for (\w+) in", code),
        }
        - {"_", "__init__", "__repr__"}
    )
    old = r.choice(names or ["self"])
    new = r.choice(
        [
            r.choice(THINGS),
            r.choice(FIELDS),
            syllables(r),
            f"{r.choice(FIELDS)}_{r.choice(THINGS)}",
            f"my_{old}",
            f"new_{old}",
        ]
    )
    if old[0].isupper():
        new = r.choice([invented(r), cap(r.choice(THINGS)), f"My{old}", f"{cap(r.choice(FIELDS))}{old}"])
    changed = re.sub(rf"\b{old}\b", new, code)
    return pick(
        r,
        f"Rename {old} to {new} in this code.\n\n{code}|Rewrite this code with {old} renamed to {new}.\n\n{code}|Change the name {old} to {new}:\n{code}"
        f"|Replace every {old} with {new}.\n\n{code}|{code}\n\nRename {old} to {new}.|Refactor: rename `{old}` to `{new}`.\n{code}",
    ), changed


HINTS = {
    "items": "list",
    "values": "list",
    "numbers": "list",
    "data": "list",
    "text": "str",
    "s": "str",
    "string": "str",
    "sentence": "str",
    "n": "int",
    "number": "int",
    "path": "str",
    "filename": "str",
    "file_path": "str",
    "a": "int",
    "b": "int",
    "limit": "int",
    "size": "int",
    "target": "int",
    "name": "str",
    "value": "float",
    "line": "str",
    "num": "int",
}


def type_hints(r: Random) -> Pair:
    for _ in range(40):
        code = some_code(r)
        found = re.search(r"def \w+\(([a-z_, ]+)\):", code)
        if found and ":" not in found[1] and "self" not in found[1]:
            break
    else:
        return rename(r)
    hinted = ", ".join(f"{p}: {HINTS.get(p, 'list' if p.endswith('s') else 'int')}" for p in found[1].split(", "))
    return pick(
        r,
        f"Add type hints to this function.\n\n{code}|Rewrite this code with type hints.\n\n{code}|Add type annotations:\n{code}|{code}\n\nAdd type hints to the parameters.",
    ), code.replace(f"({found[1]})", f"({hinted})", 1)


def docstring(r: Random) -> Pair:
    for _ in range(40):
        code = some_code(r)
        if code.startswith("def ") and '"""' not in code:
            break
    else:
        return rename(r)
    head, _, body = code.partition("\n")
    words = head[4 : head.index("(")].replace("_", " ")
    return pick(
        r,
        f"Add a docstring to this function.\n\n{code}|Write this function again with a docstring.\n{code}|Document the function:\n\n{code}",
    ), f'{head}\n    """{cap(words)}."""\n{body}'


def change_class(r: Random) -> Pair:
    """Add, remove or retype a field of a dataclass."""
    fields = {f: r.choice(["int", "str", "float", "bool"]) for f in r.sample(FIELDS, r.randint(2, 6))}
    name = cap(r.choice(THINGS))

    def written(f: dict[str, str]) -> str:
        return "\n".join(
            [
                "from dataclasses import dataclass",
                "",
                "",
                "@dataclass",
                f"class {name}:",
                *(f"    {k}: {v}" for k, v in f.items()),
            ]
        )

    code, key, new = written(fields), r.choice(list(fields)), r.choice([f for f in FIELDS if f not in fields])
    kind = r.choice(["add", "remove", "type"])
    if kind == "add":
        return pick(
            r,
            f"Add a field {new} of type int to this class.\n\n{code}|Add the field {new}: int.\n{code}|{code}\n\nAdd {new} (int) to the class.",
        ), written(fields | {new: "int"})
    if kind == "remove" and len(fields) > 1:
        return pick(r, f"Remove the field {key} from this class.\n\n{code}|Delete {key}:\n{code}"), written(
            {k: v for k, v in fields.items() if k != key}
        )
    return pick(r, f"Change the type of {key} to list.\n\n{code}|Make {key} a list in this class:\n{code}"), written(
        fields | {key: "list"}
    )


def guarded(r: Random) -> Pair:
    """Put a function's body into try and except."""
    for _ in range(40):
        code = some_code(r)
        if code.startswith("def ") and code.count("\n") < 12 and "yield" not in code and '"""' not in code:
            break
    else:
        return rename(r)
    head, *body = code.split("\n")
    changed = [
        head,
        "    try:",
        *("    " + line for line in body),
        "    except Exception as error:",
        '        print(f"error: {error}")',
        "        return None",
    ]
    return pick(
        r,
        f"Add error handling to this function.\n\n{code}|Wrap the body in try and except.\n\n{code}|Rewrite this function so that it handles errors.\n{code}",
    ), "\n".join(changed)


def rename_two(r: Random) -> Pair:
    """For the category edit."""
    code = some_function(r)
    names = sorted(
        {
            *re.findall(r"for (\w+) in", code),
            *re.findall(r"^\s+(\w+) = ", code, re.MULTILINE),
            *re.findall(r"def \w+\((\w+)", code),
        }
        - {"_", "self", "f", "data"}
    )
    if len(names) < 2:
        return repair(r)
    old = r.sample(names, 2)
    new = r.sample(
        [n for n in [*FIELDS, *THINGS, *(plural(t) for t in THINGS), *NOUNS[:60]] if not re.search(rf"\b{n}\b", code)],
        2,
    )
    changed = code
    for a, b in zip(old, new, strict=True):
        changed = re.sub(rf"\b{a}\b", b, changed)
    return pick(
        r,
        f"Rename the variable {old[0]} to {new[0]} and the variable {old[1]} to {new[1]}. Change nothing else.\n\n{code}|Rename {old[0]} to {new[0]} and {old[1]} to {new[1]}.\n\n{code}"
        f"|{code}\n\nChange {old[0]} to {new[0]} and {old[1]} to {new[1]}.",
    ), changed


GENERATORS = {rename: 34, rename_two: 10, type_hints: 10, docstring: 7, change_class: 7, guarded: 5}
