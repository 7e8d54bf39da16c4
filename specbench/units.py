"""Numbers and text for display. Inside the program everything is in seconds, bytes, tokens, joules and fractions."""

import unicodedata

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB")
_SECOND, _MINUTE, _HOUR = 1.0, 60.0, 3600.0


def significant(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits and no exponent: 5123 -> 5120, 0.01234 -> 0.0123."""
    if value == 0:
        return "0"
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if "e+" in text else text


def printable(text: str) -> str:
    """Without control and format characters: on a terminal they act, and SVG and XML forbid them."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c == "\n" or not unicodedata.category(c).startswith("C") else "\ufffd" for c in text)


def duration(seconds: float) -> str:
    """Seconds as a person says them: 0.0042 -> 4.2 ms, 95 -> 1 min 35 s."""
    if seconds < _SECOND:
        return f"{significant(seconds * 1000)} ms"
    if seconds < _MINUTE:
        return f"{significant(seconds)} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE)} s"
    return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE)} min"


def size(count: float) -> str:
    """Bytes with a binary unit: 3973600 -> 3.79 MiB."""
    for unit in _BINARY:
        if count < 1024 or unit == _BINARY[-1]:  # noqa: PLR2004  1024 is the unit's definition
            return f"{significant(count)} {unit}"
        count /= 1024
    raise AssertionError(count)


def decimal(value: float, unit: str) -> str:
    """A rate with a decimal prefix: 936.2e9, B/s -> 936.2 GB/s."""
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if value >= factor and (prefix != "T" or unit != "B/s"):  # bandwidths are compared in GB/s
            return f"{significant(value / factor, 4)} {prefix}{unit}"
    return f"{significant(value, 4)} {unit}".strip()


def percent(fraction: float) -> str:
    """A fraction as a percentage with no needless digits: 0.5934 -> 59 %."""
    return f"{fraction * 100:.0f} %"


def parse_duration(text: str) -> float:
    """Seconds of `90`, `90s`, `5m`, `2h`, `1h30m`. Raises ValueError for anything else."""
    seconds, number, seen = 0.0, "", False
    for character in text.strip().lower():
        if character.isdigit() or character == ".":
            number += character
        elif character in "smh" and number:
            seconds += float(number) * {"s": _SECOND, "m": _MINUTE, "h": _HOUR}[character]
            number, seen = "", True
        else:
            message = f"{text!r} is not a duration"
            raise ValueError(message)
    if number and seen:
        message = f"{text!r} mixes a unit with a bare number"
        raise ValueError(message)
    seconds += float(number) if number else 0.0
    if seconds <= 0:
        message = f"{text!r} is not a positive duration"
        raise ValueError(message)
    return seconds
