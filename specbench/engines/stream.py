"""Bytes of an HTTP body -> server-sent events, each with the time its last byte arrived. The caller owns the clock."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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
