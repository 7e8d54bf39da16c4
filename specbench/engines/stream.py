"""Bytes of an HTTP body -> server-sent events, each with the time its last byte arrived. The caller owns the clock."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

Part = tuple[float, bytes]  # when these bytes arrived


@dataclass(frozen=True)
class Event:
    """`name` is the event's type: `message` unless the server gave one; `error` also for lines that begin `error:`."""

    at: float
    name: str
    data: str


def events(parts: Iterable[Part]) -> Iterator[Event]:
    """Events in the order they came. Comments, ids and a closing `[DONE]` are left out; so is an event cut short."""
    waiting = b""
    name, data = "message", list[str]()
    for at, part in parts:
        waiting += part
        keep_return = waiting.endswith(b"\r")  # its line feed may come with the next part
        lines = (waiting[:-1] if keep_return else waiting).replace(b"\r\n", b"\n").split(b"\n")
        waiting = lines.pop() + (b"\r" if keep_return else b"")
        for line in lines:
            if not line:
                if data and data != ["[DONE]"]:
                    yield Event(at, name, "\n".join(data))
                name, data = "message", []
                continue
            field, _, value = line.decode("utf-8", errors="replace").partition(":")
            value = value.removeprefix(" ")
            if field in {"data", "error"}:
                data.append(value)
                name = "error" if field == "error" else name
            elif field == "event":
                name = value


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
