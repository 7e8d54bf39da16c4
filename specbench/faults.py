"""What pydantic found wrong in a user's file, as lines that a user understands."""

import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?`, or the list of what is known."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names) or 'none'}"


def lines(error: ValidationError, tables: Mapping[str, type]) -> list[str]:
    """One line for each fault. `tables`: the model of each table by its place without list indices; "" is the top."""
    return [_line(fault, tables) for fault in error.errors()]


def _line(fault: ErrorDetails, tables: Mapping[str, type]) -> str:
    where = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).removeprefix(".")
    if fault["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        *table, key = fault["loc"]
        model = tables.get(".".join(part for part in table if isinstance(part, str)))
        suggestion = did_you_mean(str(key), _keys(model)) if model else "leave it out"
        return f"unknown key {where!r}: {suggestion}"
    if fault["type"] == "missing":
        return f"{where!r} is missing"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {message[:1].lower()}{message[1:]}" if where else message


def _keys(model: type) -> list[str]:
    if issubclass(model, BaseModel):
        return [field.alias or name for name, field in model.model_fields.items()]
    return list(inspect.signature(model).parameters)  # a record
