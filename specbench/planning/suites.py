"""A suite's TOML files -> prompts. Strict: every fault of every file is reported at once."""

import hashlib
import json
import re
import tomllib
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from specbench import faults, passages
from specbench.errors import InputError
from specbench.planning.tables import AsTable
from specbench.records import Check, Message, Passages, Prompt
from specbench.untrusted import toml

_SUITE, _PASSAGES = "suite.toml", "passages.toml"
_SHOWN, _LISTED = 60, 10  # characters of a name, and unknown names


@dataclass(frozen=True)
class Category:
    """A kind of work; `output_tokens` is the length of throughput runs."""

    name: str
    description: str
    output_tokens: int


@dataclass(frozen=True)
class Suite:
    """A versioned set of prompts. `passages` is passages.toml, which `passages.render` fills."""

    name: str
    version: str
    licence: str
    description: str
    categories: tuple[Category, ...]
    prompts: tuple[Prompt, ...]
    passages: dict[str, Any] | None

    def category(self, name: str) -> Category:
        """The category of that name; KeyError when there is none."""
        return {c.name: c for c in self.categories}[name]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_T = TypeVar("_T", bound=_Table)


class _Suite(_Table):
    name: str
    version: str
    licence: str
    description: str
    categories: list[str]


class _Turn(_Table):
    role: Literal["system", "user", "assistant"]
    content: str | None = None  # None: an answer that is left open


class _Prompt(_Table):
    id: str
    tags: tuple[str, ...]
    system: str | None = None
    user: str | None = None
    messages: tuple[_Turn, ...] | None = None
    question: str | None = None
    needles: tuple[str, ...] | None = None
    answer: tuple[str, ...] | None = None
    instruction: str | None = None
    check: Annotated[Check, AsTable()] | None = None
    schema_: str | None = Field(default=None, alias="schema")  # `schema` is a method of pydantic's
    constrained: bool = False


class _Category(_Table):
    category: str
    description: str
    output_tokens: int
    prompt: list[dict[str, Any]]


class _Document(_Table):
    title: str
    frames: list[str]


class _Passages(_Table):
    slots: dict[str, list[str]]
    document: list[_Document]


def parse_suite(files: Mapping[str, str]) -> Suite:
    """The suite in `files` (name -> text, as they lie in the suite's folder). InputError lists all faults."""
    wrong: list[str] = []
    tables = {name: _toml(name, text, wrong) for name, text in files.items()}
    if _SUITE not in files:
        raise InputError(f"there is no {_SUITE}", hint="a suite is a folder with a suite.toml; see suites/README.md")
    suite = _validated(_Suite, tables.pop(_SUITE), _SUITE, wrong)
    material = tables.pop(_PASSAGES, None)
    if material is not None:
        wrong += _passages_faults(material)
    found: list[Category] = []
    prompts: list[Prompt] = []
    order = suite.categories if suite else sorted(name.removesuffix(".toml") for name in tables)
    for name in order:
        if f"{name}.toml" not in files:
            wrong.append(f"{_SUITE}: category {name!r} has no file {name}.toml")
            continue
        raw = tables.pop(f"{name}.toml")
        table = _validated(_Category, raw, f"{name}.toml", wrong)
        if table is None:
            continue
        if table.category != name:
            wrong.append(f"{name}.toml: category is {table.category!r}, but the file is {name}.toml")
        if table.output_tokens < 1:
            wrong.append(f"{name}.toml: output_tokens must be at least 1")
        found.append(Category(name, table.description, table.output_tokens))
        for index, entry in enumerate(table.prompt, 1):
            where = f"{name}.toml: {entry.get('id') or f'prompt {index}'}"
            prompts += _turns(entry, name, suite.name if suite else "", where, wrong, has_material=material is not None)
    wrong += [f"{name}: no category of {_SUITE} is called so" for name in tables]
    wrong += [f"the id {i!r} is used {n} times" for i, n in Counter(p.id for p in prompts).items() if n > 1]
    if wrong or suite is None:
        many = f"{len(wrong)} faults" if len(wrong) > 1 else "a fault"
        raise InputError("\n  ".join([f"the suite has {many}:", *wrong]), hint="correct the files; suites/README.md")
    return Suite(suite.name, suite.version, suite.licence, suite.description, tuple(found), tuple(prompts), material)


def select(
    suite: Suite,
    *,
    categories: Iterable[str] | None = None,
    tags: Iterable[str] | None = None,
    limit: int | None = None,
) -> tuple[Prompt, ...]:
    """The prompts of `categories` that have all of `tags`, in the suite's order.

    At most `limit` of each category; a conversation counts once, with all of its turns.
    """
    names = {category.name for category in suite.categories}
    known_tags = {tag for prompt in suite.prompts for tag in prompt.tags}
    wanted, marks = (None if categories is None else set(categories)), set(tags or ())
    for what, asked, known in ("category", wanted or set(), names), ("tag", marks, known_tags):
        if unknown := sorted(asked - known):
            hint = "; ".join(f"{name}: {faults.did_you_mean(name, known)}" for name in unknown)
            raise InputError(f"suite {suite.name} has no {what} {', '.join(map(repr, unknown))}", hint=hint)
    taken: Counter[str] = Counter()
    chosen: list[Prompt] = []
    for prompt in suite.prompts:
        fits = (wanted is None or prompt.category in wanted) and marks <= set(prompt.tags)
        goes_on = bool(chosen) and prompt.after == chosen[-1].id
        if fits and (goes_on or limit is None or taken[prompt.category] < limit):
            taken[prompt.category] += not goes_on
            chosen.append(prompt)
    if not chosen:
        raise InputError(f"no prompt of suite {suite.name} has all of the tags", hint="ask for fewer tags")
    return tuple(chosen)


def _toml(name: str, text: str, wrong: list[str]) -> dict[str, Any]:
    try:
        return toml(text, prompts=True)
    except tomllib.TOMLDecodeError as error:
        wrong.append(f"{name}: {error}")
        return {}


def _validated(kind: type[_T], values: dict[str, Any], where: str, wrong: list[str]) -> _T | None:
    """The table, or None and its faults in `wrong`. A file that was no TOML is reported already."""
    if not values:
        wrong += [] if any(fault.startswith(f"{where}: ") for fault in wrong) else [f"{where}: it is empty"]
        return None
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        wrong += [f"{where}: {line}" for line in faults.lines(error, {"": kind, "check": Check, "messages": _Turn})]
        return None


def _turns(
    entry: dict[str, Any], category: str, suite: str, where: str, wrong: list[str], *, has_material: bool
) -> list[Prompt]:
    """The prompt; a conversation with open answers is one up to each, and one to its end, which is what is judged."""
    table = _validated(_Prompt, entry, where, wrong)
    if table is None:
        return []
    found = _prompt_faults(table, category, has_material=has_material)
    if found:
        wrong += [f"{where}: {fault}" for fault in found]
        return []
    told = (_Turn(role="system", content=table.system), _Turn(role="user", content=table.user), *(table.messages or ()))
    parts: list[list[Message]] = [[]]
    for turn in told:
        if turn.content is not None:
            parts[-1].append(Message(role=turn.role, content=turn.content))
        elif turn.role == "assistant":
            parts.append([])
    hidden, check = None, table.check
    if table.question is not None:
        seed = int.from_bytes(hashlib.sha256(table.id.encode()).digest()[:4])
        hidden = Passages(
            needles=table.needles or (), question=table.question, instruction=table.instruction, seed=seed
        )
        check = Check(kind="contains", all=table.answer or ())
    ids = [table.id, *(f"{table.id}/{number}" for number in range(2, len(parts) + 1))]
    return [
        Prompt(
            id=ids[n],
            suite=suite,
            category=category,
            tags=(*table.tags, f"turn-{n + 1}") if n else table.tags,
            messages=tuple(messages),
            after=ids[n - 1] if n else None,
            passages=hidden,
            check=check if messages is parts[-1] else None,
            json_schema=table.schema_ if messages is parts[-1] else None,
            constrained=table.constrained and messages is parts[-1],
        )
        for n, messages in enumerate(parts)
    ]


def _prompt_faults(prompt: _Prompt, category: str, *, has_material: bool) -> list[str]:
    turns = prompt.messages or ()
    expected = [("user", "assistant")[i % 2] for i in range(len(turns))]
    asks, hides = prompt.question is not None, bool(prompt.needles or prompt.answer or prompt.instruction)
    forms = sum(form is not None for form in (prompt.user, prompt.messages, prompt.question))
    rules = {
        f"the id must begin with '{category}-'": not prompt.id.startswith(f"{category}-"),
        "give exactly one of user, messages, question": forms != 1,
        "messages must alternate, beginning and ending with user": prompt.messages is not None
        and ([turn.role for turn in turns] != expected or len(turns) % 2 == 0),
        "a user's message needs content": any(turn.content is None for turn in turns[::2]),
        "a question needs needles and answer": asks and not (prompt.needles and prompt.answer),
        "a question is checked by its answer; leave check out": asks and prompt.check is not None,
        f"a question needs a {_PASSAGES} in the suite": asks and not has_material,
        "needles, answer and instruction belong to a question": hides and not asks,
        "constrained needs a schema": prompt.constrained and prompt.schema_ is None,
    }
    return [
        *(fault for fault, applies in rules.items() if applies),
        *(_text_faults("schema", prompt.schema_, json.loads) if prompt.schema_ is not None else ()),
        *(_check_faults(prompt.check) if prompt.check else ()),
    ]


def _check_faults(check: Check) -> list[str]:
    if check.kind == "contains" and not (check.all or check.any):
        return ["a contains check needs all or any"]
    if check.kind == "regex":
        return (
            ["a regex check needs a pattern"]
            if check.pattern is None
            else _text_faults("pattern", check.pattern, re.compile)
        )
    return []


def _text_faults(what: str, text: str, read: Callable[[str], Any]) -> list[str]:
    try:
        with warnings.catch_warnings(action="error"):  # a pattern that a newer Python will read in another way
            read(text)
    except (ValueError, re.error, OverflowError, RecursionError, FutureWarning) as error:
        return [f"the {what} is wrong: {error}"]
    return []


def _passages_faults(values: dict[str, Any]) -> list[str]:
    wrong: list[str] = []
    table = _validated(_Passages, values, _PASSAGES, wrong)
    if table is None:
        return wrong
    if not table.document:
        wrong.append(f"{_PASSAGES}: there is no document")
    wrong += [f"{_PASSAGES}: slot {name!r} is empty" for name, words in table.slots.items() if not words]
    unknown: dict[str, str] = {}  # where each is first
    for document in table.document:
        title = document.title[:_SHOWN]
        if not document.frames:
            wrong.append(f"{_PASSAGES}: {title!r} has no frames")
        for frame in (document.title, *document.frames):
            unknown |= {
                name: title for name in passages.placeholders(frame) if name not in table.slots and name not in unknown
            }
    for name, title in [*unknown.items()][:_LISTED]:
        known = faults.did_you_mean(name, [*table.slots, *passages.BUILT_IN])
        wrong.append(f"{_PASSAGES}: {title!r}: unknown placeholder {{{name[:_SHOWN]}}}: {known}")
    if len(unknown) > _LISTED:
        wrong.append(f"{_PASSAGES}: and {len(unknown) - _LISTED} more unknown placeholders")
    return wrong
