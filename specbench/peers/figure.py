"""A number that another tool told, and how it becomes one: never NaN, never infinite, never without its definition."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat

from specbench.records import Setting

_WORDS = 200  # characters of a name that are kept
_SHARES = ("fraction", "%")
_EXACT = 2**53  # integers below it are whole as floats


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Figure(_Record):
    """`metric`, `definition`, `value` and `unit` are the tool's own.

    `same_as`: our metric of the very same definition, of which `value * scale` is a value; None where there is none.
    Machine, engine, model, method and category are as the tool names them.
    """

    tool: str
    metric: str
    definition: str
    value: FiniteFloat
    unit: str
    same_as: str | None = None
    scale: float = 1.0
    machine: str | None = None
    engine: str | None = None
    model: str | None = None
    method: str | None = None
    category: str | None = None
    conditions: dict[str, Setting] = {}


class Imported(_Record):
    """The figures of one file of another tool."""

    kind: Literal["imported"] = "imported"
    schema_version: Literal[1] = 1
    specbench_version: str
    file: str
    sha256: str
    format: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Term:
    """What a tool means by one of its metrics; `same_as` and `scale` as in `Figure`."""

    definition: str
    unit: str
    same_as: str | None = None
    scale: float = 1.0


def number(value: Any) -> float | None:
    """A finite number, also one that is written as text or as the mean of `{mean: ...}`; None for anything else."""
    if isinstance(value, Mapping):
        value = value.get("mean", value.get("avg"))
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if isfinite(found) else None


def word(value: Any) -> str | None:
    """A name as the tool gives it: one line, not endless; None for anything that is no name."""
    text = " ".join(str(value).split())[:_WORDS] if isinstance(value, str | int | float) else ""
    return "".join(c for c in text if c.isprintable()) or None


def _setting(value: Any) -> Setting | None:
    """A number, also one that is written as text, or a word."""
    found = None if isinstance(value, bool) else number(value)
    if found is None:
        return value if isinstance(value, bool) else word(value)
    return int(found) if found.is_integer() and abs(found) < _EXACT else found


def rows(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; nothing for anything else."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def table(value: Any, key: str) -> Mapping[str, Any]:
    """The object behind a key; an empty one for anything else."""
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def told(
    tool: str, values: Mapping[str, Any], terms: Mapping[str, Term], *, conditions: Mapping[str, Any] | None = None,
    **where: Any,
) -> Iterator[Figure]:  # fmt: skip
    """A figure for each term of which `values` has a finite number; a time or a rate of 0 is how tools write none."""
    kept = {key: value for key, given in (conditions or {}).items() if (value := _setting(given)) is not None}
    for metric, term in terms.items():
        value = number(values.get(metric))
        if value is not None and (value > 0 or (value == 0 and term.unit in _SHARES)):
            yield Figure(
                tool=tool, metric=metric, definition=term.definition, value=value, unit=term.unit,
                same_as=term.same_as, scale=term.scale, conditions=kept,
                **{key: word(name) for key, name in where.items()},
            )  # fmt: skip
