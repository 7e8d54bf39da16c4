"""How valid inputs are broken, by seeded dice. All the same for the same dice."""

import json
import random
import re
from collections.abc import Callable
from functools import partial
from typing import Any

LARGEST = 2**18  # bytes of an input

HOSTILE = [
    *(b"-1", b"0", b"0.5", b"1e999", b"-1e999", b"1e308", b"5e-324", b"NaN", b"nan", b"inf", b"Infinity", b"-Infinity"),
    *(str(2**bits + more).encode() for bits in (31, 32, 53, 63, 64, 128) for more in (-1, 0)),
    *(b"9" * 400, b"9" * 5000, b"1" + b"0" * 30, b"0x7fffffffffffffff", b"1_000", b"007", b"1.2.3.4", b"-", b"."),
    *(b"null", b"true", b"false", b"{}", b"[]", b"[[]]", b"[null]", b'""', b'"7"', b'"\\ud800"', b'{"":{}}', b"''"),
    *(
        b"\x00",
        b"\xff\xfe",
        b"\xc3\x28",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xef\xbb\xbf",
        b"\r",
        b"\r\n",
        b"\x1b[2J",
    ),
    *("\u202e \u2028 \u0663 \U0001f4a9".encode().split()),
    *(
        b"../../../../etc/passwd",
        b"/etc/passwd",
        b"C:\\x",
        b"%s%n{0}{}$port${x}$$",
        b"__metadata__",
        b"a.b.c",
        b"\\",
        b'"',
    ),
    *(b"\xff" * 8, b"\xff" * 4, b"\x00" * 8, b"\x7f" + b"\xff" * 7, b"\xff" * 7 + b"\x7f", b"\x00" * 7 + b"\x80"),
    *(b"\x09\x00\x00\x00" * 3, b"\x09\x00\x00\x00" + b"\x40" + b"\x00" * 7, b"\x00" * 5 + b"\x10\x00\x00"),
]
NESTED = (
    b"[",
    b"{",
    b'{"a":',
    b"[[",
    b"a.",
    b"{a=",
    b"a={",
    b'[{"a":',
    b"((",
    b"|",
    b",",
    b"'",
    b'"',
    b"\n",
    b" ",
    b"#",
)
_NUMBER = re.compile(rb"-?\d[\d.]*(?:e[-+]?\d+)?")
_QUOTED = re.compile(rb'"[^"\n]*"')
_SMALL = re.compile(rb"[\x00-\x40]\x00{3}")
_VALUE = re.compile(rb"(?<=[=:|,(\[ ])[^=:|,()\[\]\n]+")


def piece(dice: random.Random, data: bytes, longest: int = 64) -> slice:
    start = dice.randrange(len(data) + 1)
    return slice(start, start + dice.randrange(longest) + 1)


def flipped(dice: random.Random, data: bytes, _: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 8)) if data else 0):
        changed[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def cut(dice: random.Random, data: bytes, _: bytes) -> bytes:
    return data[: dice.randrange(len(data) + 1)]


def dropped(dice: random.Random, data: bytes, _: bytes) -> bytes:
    where = piece(dice, data, 400)
    return data[: where.start] + data[where.stop :]


def inserted(dice: random.Random, data: bytes, _: bytes) -> bytes:
    where = piece(dice, data)
    return data[: where.start] + dice.choice(HOSTILE) + data[dice.choice((where.start, where.stop)) :]


def repeated(dice: random.Random, data: bytes, _: bytes) -> bytes:
    """A piece of the input, or what nests, many times: where recursion and backtracking would show."""
    where = piece(dice, data)
    what = dice.choice((data[where], dice.choice(NESTED), dice.choice(HOSTILE))) or b"a"
    times = min(dice.choice((2, 20, 100, 3000, 100_000)), LARGEST // len(what))
    return data[: where.start] + what * times + data[dice.choice((where.start, where.stop)) :]


def spliced(dice: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: dice.randrange(len(data) + 1)] + other[dice.randrange(len(other) + 1) :]


def lines(dice: random.Random, data: bytes, other: bytes) -> bytes:
    """Lines that come twice, elsewhere, or from another input."""
    ours = data.split(b"\n")
    source = dice.choice((ours, other.split(b"\n")))
    for _ in range(dice.choice((1, 1, 3, 200))):
        ours.insert(dice.randrange(len(ours) + 1), dice.choice(source))
    if dice.random() < 0.3:  # noqa: PLR2004
        dice.shuffle(ours)
    return b"\n".join(ours)


def replaced(pattern: re.Pattern[bytes], dice: random.Random, data: bytes, _: bytes) -> bytes:
    """One or all of what matches, by something that does not belong there."""
    found = list(pattern.finditer(data))
    if not found:
        return data
    by = dice.choice((dice.choice(HOSTILE), dice.choice(HOSTILE), dice.choice(found)[0]))
    if dice.random() < 0.05:  # noqa: PLR2004
        return pattern.sub(lambda _: by, data)
    match = dice.choice(found)
    return data[: match.start()] + by + data[match.end() :]


def counted(dice: random.Random, data: bytes, _: bytes) -> bytes:
    """Of a binary header: a small number, which is a length or a type, is another."""
    found = list(_SMALL.finditer(data))
    if not found:
        return data
    match = dice.choice(found)
    by = dice.choice((dice.randrange(14), dice.randrange(300), 2**31 - 1, 2**32 - 1)).to_bytes(4, "little")
    return data[: match.start()] + by + data[match.end() :]


def rebuilt(dice: random.Random, data: bytes, _: bytes) -> bytes:
    """A value of the JSON, or of one line of it, replaced, left out or put one level deeper."""
    parts = data.split(b"\n") if data[:1] == b"{" else [data]
    number = dice.randrange(len(parts))
    head, brace, rest = parts[number].partition(b"{")
    try:
        value = json.loads(brace + rest)
    except (ValueError, RecursionError):
        return data
    at: list[tuple[Any, Any]] = []
    while isinstance(value, dict | list) and value and (not at or dice.random() < 0.8):  # noqa: PLR2004
        key = dice.choice(list(value)) if isinstance(value, dict) else dice.randrange(len(value))
        at.append((value, key))
        value = value[key]
    if not at:
        return data
    (holder, key), whole, mark = at[-1], at[0][0], "\x00here"
    if dice.random() < 0.1:  # noqa: PLR2004
        del holder[key]
    else:
        holder[key] = dice.choice((mark, mark, [holder[key]], {"a": holder[key]}))
    by = dice.choice([word for word in HOSTILE if not word[:1] > b"~"])
    parts[number] = head + json.dumps(whole).encode().replace(json.dumps(mark).encode(), by)
    return b"\n".join(parts)


WAYS: tuple[Callable[[random.Random, bytes, bytes], bytes], ...] = (
    *(flipped, cut, dropped, inserted, repeated, spliced, lines, rebuilt, rebuilt, counted),
    *(partial(replaced, pattern) for pattern in (_NUMBER, _QUOTED, _VALUE)),
)


def broken(dice: random.Random, seeds: tuple[bytes, ...]) -> bytes:
    """One of the seeds after one to four changes."""
    data = dice.choice(seeds)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 4))):
        data = dice.choice(WAYS)(dice, data, dice.choice(seeds))[:LARGEST]
    return data
