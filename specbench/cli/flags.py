"""Command-line words -> the values of a run file. Nothing is decided here: the run file's model checks everything."""

import os
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import isfinite, nan
from pathlib import Path
from typing import Any

from specbench import datafiles, remote, store, untrusted
from specbench.errors import InputError
from specbench.planning.runfile import RunFile, validate_runfile
from specbench.units import parse_duration


def runfile(
    path: Path | None,
    *,
    model: list[str] | None,
    draft_model: list[str] | None,
    sweep: list[str] | None = None,
    **flags: Any,
) -> RunFile:
    """The run file with the given flags laid over it; the embedded default when neither names a model or a server."""
    given = {key: value for key, value in flags.items() if value not in (None, {}, [])}
    for pair in sweep or ():
        given = _merged(given, _swept(pair))
    if path is not None:
        base = toml(path)
    elif model is None and "url" not in given:
        base = toml(datafiles.path("micro/run.toml"))
        if "until" in given:
            del base["prompts_per_category"]  # the rule decides how many
    else:
        base = {}
    if model is not None:
        base["targets"] = [{"model": m, "drafters": draft_model or []} for m in model]
    elif draft_model is not None:
        raise InputError("--draft-model without --model", hint="name the target too: --model TARGET.gguf")
    if "methods" in given and isinstance(tables := base.get("methods"), dict):
        base = {**base, "methods": list(tables), "method_settings": {**tables, **base.get("method_settings", {})}}
    if {"methods", "temperatures"} & given.keys() and "targets" in base:
        base["targets"] = [{k: v for k, v in target.items() if k not in given} for target in base["targets"]]
    for key, value in given.items():
        merge = key in ("engine_settings", "method_settings") and key in base
        base[key] = _merged(base[key], value) if merge else value
    return validate_runfile(base)


def refuse_with_resume(path: Path | None, **flags: Any) -> None:
    """A run that goes on does what its plan says: only a budget and the way of showing it can be new."""
    if path is not None or any(value not in (None, False) for value in flags.values()):
        raise InputError("--resume goes on with a run as it was planned", hint="leave out what would change the plan")


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` over `below`, tables within them key by key."""
    both = {k: {**below[k], **v} for k, v in above.items() if isinstance(v, dict) and isinstance(below.get(k), dict)}
    return {**below, **above, **both}


def toml(path: Path, *, what: str = "run file") -> dict[str, Any]:
    """The tables of a user's file."""
    try:
        return untrusted.toml(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        hint = "check the path; --model is for models" if what == "run file" else "check the path"
        raise InputError(f"there is no {what} {path}", hint=hint) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read as TOML: {error}", hint="correct the file") from error


def names(text: str | None) -> list[str] | None:
    """Words of a comma list."""
    return None if text is None else [word.strip() for word in text.split(",") if word.strip()]


def numbers(text: str | None) -> list[float] | None:
    """Numbers of a comma list."""
    return None if text is None else [_number(word) for word in text.split(",")]


def token_counts(text: str | None) -> list[int] | None:
    """Token counts of a comma list; `8k` is 8192."""
    if text is None:
        return None
    counts = []
    for word in text.lower().split(","):
        factor = 1024 if word.strip().endswith("k") else 1
        counts.append(int(_number(word.strip().removesuffix("k")) * factor))
    return counts


def tokens(text: str) -> int:
    """One token count, 0 or more; `32k` is 32768."""
    (count, *more) = token_counts(text) or [-1]
    if count < 0 or more:
        raise InputError(f"a context of {text} tokens cannot be", hint="--context 0 or more, e.g. 32k")
    return count


def _number(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise InputError(f"{word.strip()!r} is not a number", hint="give numbers with commas between them")
    return number


def shares(text: str | None) -> dict[str, float] | None:
    """NAME=NUMBER pairs of a comma list."""
    if text is None:
        return None
    pairs = [word.partition("=") for word in text.split(",")]
    return {name.strip(): _number(number) for name, _, number in pairs}


def seconds(text: str | None) -> float | None:
    """A duration such as 90s or 5m."""
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise InputError(f"--budget: {error}", hint="write it as 90s, 5m or 1h30m") from error


def value(text: str) -> bool | int | float | str:
    """A setting's value as TOML would read it; what TOML cannot read is a string."""
    try:
        parsed = untrusted.toml(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text
    return parsed if isinstance(parsed, bool | int | float | str) else text


def settings(pairs: list[str] | None, *, like: str = "threads=8") -> dict[str, Any] | None:
    """KEY=VALUE pairs as a dictionary; `like` shows how one is written."""
    if pairs is None:
        return None
    return dict(_pair(pair, like) for pair in pairs)


def _pair(pair: str, like: str) -> tuple[str, bool | int | float | str]:
    key, equals, text = pair.partition("=")
    if not equals or not key:
        raise InputError(f"{pair!r} is not KEY=VALUE", hint=f"write it as {like}")
    return key.strip(), value(text.strip())


def method_settings(pairs: list[str] | None) -> dict[str, dict[str, Any]] | None:
    """METHOD.KEY=VALUE[,VALUE...] pairs by method; several values are a sweep, unless the comma stands in quotes."""
    if pairs is None:
        return None
    found: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        method, dot, key = name.strip().partition(".")
        if not equals or not dot or not key:
            raise InputError(f"{pair!r} is not METHOD.KEY=VALUE", hint="write it as draft-model.draft_tokens_max=4,8")
        words = re.findall(r'(?:"[^"]*"|[^,])+', text)
        values = [value(word.strip()) for word in words] or [value(text)]
        found.setdefault(method, {})[key] = values if len(values) > 1 else values[0]
    return found


def _swept(pair: str) -> dict[str, Any]:
    """KEY=VALUE,VALUE... as the part of a run file that it stands for: what is nothing else is an engine setting."""
    key, equals, text = (part.strip() for part in pair.partition("="))
    if not equals or not key or not text:
        raise InputError(f"{pair!r} is not KEY=VALUE,VALUE", hint="write it as draft-model.draft_tokens_max=1,2,4")
    if "." in key:
        return {"method_settings": method_settings([pair])}
    if key == "fill":
        return {"fill": token_counts(text)}
    values = [value(word.strip()) for word in text.split(",")]
    top = {"temperature": "temperatures", "template": "template", "streams": "streams"}
    return {top[key]: values} if key in top else {"engine_settings": {key: values}}


def run_folder(given: Path | None, *, results: Path) -> Path:
    """A run folder by path, by name below `results`, or the newest."""
    if given is None:
        return store.latest(results)
    if (path := store.named(given, results=results)) is None:
        raise InputError(f"there is no run {remote.shown(given)}", hint="`specbench runs list` lists them")
    return path


def write(text: str, path: Path | None, *, append: bool = False) -> None:
    """Text to a file, or to standard output."""
    if path is None:
        print(text, end="")
        return
    try:
        with path.open("a" if append else "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", hint="choose another --output") from error


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """A reader that has enough, such as `head`, changes no exit status."""
    try:
        yield
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # the second is how Rich leaves
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def shown_words(words: Iterable[str]) -> tuple[str, ...]:
    """Words of a command as they may be recorded: without what stands for a password or a key."""
    found = []
    for word in words:
        text = re.sub(r"(?<=//)[^/@\s]+@", "…@", word.encode(errors="replace").decode())
        found.append(re.sub(r"(?i)((?:key|token|secret|password)\S*?[= ]).+", r"\1…", text))
    return tuple(found)
