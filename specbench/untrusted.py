"""Text that others wrote -> values. ValueError for all that is none, however it is built."""

import json
import math
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from specbench.errors import InputError

MISFITS = (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError)
# Tomllib's time grows with the square of the parts of a key; nobody nests tables so deeply.
_LONG_KEY = re.compile(r"(?<![\w\"'-])(?:[\w\"'-]++[ \t]*+\.[ \t]*+){100}")


@contextmanager
def understood(what: object, *, hint: str) -> Iterator[None]:
    """Where a file is read that may be built in any way: what does not fit it is an InputError."""
    try:
        yield
    except MISFITS as error:
        raise InputError(f"{what} is not built as it should be: {str(error)[:200]}", hint=hint) from error


def toml(text: str) -> dict[str, Any]:
    """The tables in `text`. TOMLDecodeError where it is no TOML."""
    if _LONG_KEY.search(text):
        raise tomllib.TOMLDecodeError("a key has more than 100 parts")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise tomllib.TOMLDecodeError(str(error) or "nested too deeply") from error


def decoded(text: str | bytes) -> Any:
    """The JSON value. ValueError where it is none; NaN, infinities and what no float holds are not JSON."""
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    return value if math.isfinite(value := float(text)) else _no_number(text)
