"""Text that others wrote -> values. ValueError for all that is none, however it is built."""

import json
import math
import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from specbench.errors import InputError

MISFITS = (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
# Tomllib's time grows with the square of the parts of a key; nobody nests tables so deeply.
_LONG_KEY = re.compile(r"(?<![\w\"'-])(?:[\w\"'-]++[ \t]*+\.[ \t]*+){100}")


@contextmanager
def understood(what: object, *, hint: str) -> Iterator[None]:
    """Where a file is read that may be built in any way: what does not fit it is an InputError."""
    try:
        yield
    except MISFITS as error:
        raise InputError(f"{what} is not built as it should be: {str(error)[:200]}", hint=hint) from error


def toml(text: str, *, prompts: bool = False) -> dict[str, Any]:
    """The tables in `text`. TOMLDecodeError where it is no TOML, or where it has what only `prompts` may hold."""
    if _LONG_KEY.search(text):
        raise tomllib.TOMLDecodeError("a key has more than 100 parts")
    try:
        values = tomllib.loads(text)
        nul = not prompts and "\\" in text and _holds_nul(values)
    except (ValueError, RecursionError) as error:
        raise tomllib.TOMLDecodeError(str(error) or "nested too deeply") from error
    if nul:
        raise tomllib.TOMLDecodeError(r"\u0000 is no character of a text")
    return values


def _holds_nul(value: Any) -> bool:
    """Whether a text in it has the character that no path and no command can hold."""
    if isinstance(value, dict):
        return any(_holds_nul(part) for pair in value.items() for part in pair)
    return "\0" in value if isinstance(value, str) else isinstance(value, list) and any(map(_holds_nul, value))


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def decoded(text: str | bytes, *, constant: Callable[[str], Any] = _no_number) -> Any:
    """The JSON value. ValueError where it is none; NaN, infinities and what no float holds are not JSON.

    `constant` makes something else of these. Halves of surrogate pairs become U+FFFD.
    """

    def finite(number: str) -> Any:
        return value if math.isfinite(value := float(number)) else constant(number)

    try:
        told = text if isinstance(text, str) else text.decode("utf-8-sig")
        value = json.loads(told, parse_constant=constant, parse_float=finite)
        return unicode(value) if _SURROGATE.search(told) else value
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def unicode(value: Any) -> Any:
    """The same with U+FFFD for halves of surrogate pairs, which UTF-8 cannot hold: cut texts, odd file names."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {unicode(key): unicode(one) for key, one in value.items()}
    return [unicode(one) for one in value] if isinstance(value, list | tuple) else value
