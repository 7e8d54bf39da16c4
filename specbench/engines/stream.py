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


def dechunked(parts: Iterable[Part]) -> Iterator[Part]:
    """Undo HTTP/1.1 chunked transfer coding. ValueError when it is malformed or ends early."""
    waiting, wanted, ended = bytearray(), -1, False  # wanted: bytes of the current chunk still to come; -1: a size line
    for at, part in parts:
        waiting += part
        body = bytearray()
        while waiting and not ended:
            if wanted < 0:
                line, newline, rest = bytes(waiting).partition(b"\r\n")
                if not newline:
                    break
                if line:  # empty: the end of the chunk before
                    wanted = int(line.partition(b";")[0], 16)
                    ended = wanted == 0
                waiting[:] = rest
            else:
                body += waiting[:wanted]
                taken = min(wanted, len(waiting))
                del waiting[:taken]
                wanted = wanted - taken or -1
        if body:
            yield at, bytes(body)
    if not ended:
        raise ValueError("the answer ends in the middle")


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
