"""Prompts of other benchmarks -> the files of a suite. Their texts and categories stay as they are."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from specbench.errors import InputError
from specbench.faults import did_you_mean

PLACEHOLDER = "FULL BENCHMARK DATA SHOULD BE FETCHED"  # how SPEED-Bench begins a prompt that it may not pass on
_AFTER = {None: ("system", "user"), "system": ("user",), "user": ("assistant",), "assistant": ("user",)}
_MICRO = 650  # characters that the embedded models can take, of plain text
_TAKEN = ("suite", "passages")  # names of files that are no category


@dataclass(frozen=True)
class Shape:
    """The columns of a file of prompts. `prompt`: a text, turns, or messages; of several columns the first there is.

    Without a column of categories all rows are of the category that `kind` names.
    """

    prompt: tuple[str, ...]
    category: str | None
    id: str | None
    licence: str
    kind: str = "other"


SHAPES = {
    "spec-bench": Shape(("turns",), "category", "question_id", "Apache-2.0 (repository); the texts have their own"),
    "mt-bench": Shape(("turns", "prompt"), "category", "question_id", "Apache-2.0 (FastChat)"),
    "speed-bench": Shape(
        ("turns", "messages"), "category", "question_id", "NVIDIA Evaluation Dataset License; not to be passed on"
    ),
    "humaneval": Shape(("prompt",), None, "task_id", "MIT", "humaneval"),
    "gsm8k": Shape(("question",), None, None, "MIT", "gsm8k"),
    "jsonl": Shape(("prompt",), None, None, "not stated"),
}


def shape(name: str, columns: Mapping[str, object], *, licence: str | None) -> Shape:
    """A known shape, with other columns or another licence where they are given."""
    if name not in SHAPES:
        raise InputError(f"there is no format {name!r}", hint=did_you_mean(name, SHAPES))
    known = ("prompt", "category", "id")
    if unknown := [key for key in columns if key not in known]:
        raise InputError(f"there is no column for {unknown[0]!r}", hint=f"known: {', '.join(known)}")
    given: dict[str, Any] = {key: (str(name),) if key == "prompt" else str(name) for key, name in columns.items()}
    return replace(SHAPES[name], **given, licence=licence or SHAPES[name].licence)


def converted(rows: Any, form: Shape, *, name: str, output_tokens: int) -> tuple[dict[str, str], int]:
    """The files of the suite `name`, and how many questions are left out: they follow what is no conversation.

    InputError when a row has no prompt, or only a placeholder of one.
    """
    if not isinstance(rows, list) or not rows or not all(isinstance(row, Mapping) for row in rows):
        raise InputError("this is no list of prompts", hint="give JSON lines, one object a prompt, or a JSON array")
    told = [_messages(next((row[key] for key in form.prompt if row.get(key)), None)) for row in rows]
    columns, there = " or ".join(form.prompt), dict.fromkeys(key for row in rows for key in row)
    for fault, wrong, hint in (
        (
            f"no text in {columns}",
            [not messages for messages, _ in told],
            f"name its column: --column prompt=NAME, of {', '.join(there)}",
        ),
        (
            "a placeholder instead of a prompt",
            [any(PLACEHOLDER in text for _, text in messages) for messages, _ in told],
            "fetch the texts with the benchmark's own script, and import what it writes",
        ),
    ):
        if any(wrong):
            first = wrong.index(True) + 1
            raise InputError(f"{sum(wrong)} of {len(rows)} rows (the first is row {first}) have {fault}", hint=hint)
    for key, column in (("category", form.category), ("id", form.id)):
        if column is not None and column not in there:
            hint = f"--column {key}=NAME, of {', '.join(there)}"
            raise InputError(f"no row has a column {column!r}", hint=hint)
    entries, ids = defaultdict[str, list[str]](list), Counter[str]()
    for number, (row, (messages, _)) in enumerate(zip(rows, told, strict=True), 1):
        category = _slug(row.get(form.category) if form.category else form.kind)
        key = f"{category}-{_slug(row.get(form.id) if form.id else number)}"
        ids[key] += 1
        entries[category].append(_prompt(key if ids[key] == 1 else f"{key}-{number}", messages))
    files = {
        f"{category}.toml": f"category = {_text(category)}\ndescription = {_text(f'{category} of {name}')}\n"
        f"output_tokens = {output_tokens}\n" + "".join(prompts)
        for category, prompts in entries.items()
    }
    version = sha256("".join(files.values()).encode()).hexdigest()[:12]
    files["suite.toml"] = (
        f"name = {_text(name)}\nversion = {_text(f'1.0.0+{version}')}\nlicence = {_text(form.licence)}\n"
        f"description = {_text(f'Imported: {name}')}\ncategories = [{', '.join(map(_text, entries))}]\n"
    )
    return files, sum(left for _, left in told)


def _messages(value: Any) -> tuple[list[tuple[str, str]], int]:
    """Roles and texts, without a text where an answer is missing between questions; and how many questions are lost."""
    turns = [value] if isinstance(value, str | Mapping) else value if isinstance(value, list) else []
    told = [("user", turn) if isinstance(turn, str) else _message(turn) for turn in turns]
    messages = [(role, text) for role, text in told if text.strip()]
    kept: list[tuple[str, str]] = []
    for role, text in messages:
        if role == "user" and kept and kept[-1][0] == "user":
            kept.append(("assistant", ""))
        if role not in _AFTER[kept[-1][0] if kept else None]:
            break
        kept.append((role, text))
    while kept and kept[-1][0] != "user":
        kept.pop()
    return kept, sum(role == "user" for role, _ in messages) - sum(role == "user" for role, _ in kept)


def _message(turn: Any) -> tuple[str, str]:
    role, text = (turn.get("role"), turn.get("content")) if isinstance(turn, Mapping) else (None, None)
    return (role, text) if isinstance(role, str) and isinstance(text, str) else ("user", "")


def _prompt(key: str, messages: list[tuple[str, str]]) -> str:
    whole = "".join(text for _, text in messages)
    tags = '["micro"]' if whole.isascii() and len(whole) <= _MICRO else "[]"
    lines = ["", "[[prompt]]", f"id = {_text(key)}", f"tags = {tags}"]
    system, turns = (messages[:1], messages[1:]) if messages[0][0] == "system" else ([], messages)
    lines += [f"system = {_text(text)}" for _, text in system]
    if len(turns) == 1:
        lines.append(f"user = {_text(turns[0][1])}")
    else:
        texts = ((role, f", content = {_text(text)}" if text else "") for role, text in turns)
        told = ", ".join(f"{{ role = {_text(role)}{text} }}" for role, text in texts)
        lines.append(f"messages = [{told}]")
    return "\n".join(lines) + "\n"


def _slug(value: Any) -> str:
    """A name that a file can have."""
    slug = re.sub(r"\W+", "-", str(value).lower())[:80].strip("-") or "other"
    return f"{slug}-prompts" if slug in _TAKEN else slug


def _text(value: str) -> str:
    """A basic string of TOML: JSON's escapes are among its own, but it wants DEL escaped, too."""
    whole = value.encode("utf-8", "replace").decode()
    return json.dumps(whole, ensure_ascii=False).replace("\x7f", "\\u007f")
