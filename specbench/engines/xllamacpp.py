"""A program of its own: llama.cpp's server from the xllamacpp wheel. A failed assertion in the engine ends only it.

usage: xllamacpp.py ATTRIBUTE=VALUE ...     attributes of xllamacpp.CommonParams, e.g. model.path=T.gguf n_ctx=2048

Serves on the attribute `port`, logs to standard error, and ends when standard input closes.
"""

import os
import sys
from enum import Enum
from typing import Any


def assign(params: Any, pair: str) -> None:
    """Set one attribute; the value takes the type that the attribute has. ValueError says what is wrong."""
    path, equals, text = pair.partition("=")
    if not equals:
        raise ValueError(f"{pair!r} is not ATTRIBUTE=VALUE")
    *owners, name = path.split(".")
    holder = params
    try:
        for owner in owners:
            holder = getattr(holder, owner)
        present = getattr(holder, name)
    except AttributeError as error:
        raise ValueError(f"this version of xllamacpp has no {path}") from error
    value = _coerced(present, text, path)
    try:
        setattr(holder, name, value)
    except TypeError:  # an empty list does not show that it holds numbers
        setattr(holder, name, [float(word) for word in value])


def _coerced(present: Any, text: str, path: str) -> Any:
    if isinstance(present, list):
        words = text.split(",") if text else []
        items = [_coerced(present[0], word, path) if present else word for word in words]
        fixed_length = isinstance(present[0], float) if present else False  # tensor_split: one number for each device
        return items + present[len(items) :] if fixed_length else items
    if isinstance(present, Enum):
        wanted = text.upper().replace("-", "_")
        named = type(present).__members__
        found = [key for key in named if f"_{key.upper()}".endswith(f"_{wanted}")]
        found = [key for key in found if len(key) == min(map(len, found))]  # MLOCK, not MMAP_MLOCK
        if len(found) != 1:
            raise ValueError(f"{path} cannot be {text!r}: known are {', '.join(named)}")
        return named[found[0]]
    if isinstance(present, bool):
        if text not in {"true", "false"}:
            raise ValueError(f"{path} is true or false, not {text!r}")
        return text == "true"
    try:
        return type(present)(text)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be {text!r}") from error


def main(pairs: list[str]) -> None:
    """Serve until standard input closes."""
    import xllamacpp  # noqa: PLC0415  its absence must be a sentence, not a traceback

    params = xllamacpp.CommonParams()
    try:
        for pair in pairs:
            assign(params, pair)
    except ValueError as error:
        sys.exit(f"error: {error}")
    if key := os.environ.get("SPECBENCH_ENGINE_KEY"):
        params.api_keys = [key]
    try:
        _serving = xllamacpp.Server(params)
    except RuntimeError as error:
        sys.exit(f"error: {error}")
    sys.stdin.read()
    os._exit(0)  # unloading in order could hang, and nobody would be left to end it


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ImportError as error:
        sys.exit(f"error: {error}; install it with: pip install xllamacpp")
