"""Small classic functions from algorithms.txt; `corpus_code.py` renames, annotates and phrases them."""

from __future__ import annotations

from pathlib import Path

# An entry is `name(parameters) -> type | what it does, in the third person | import or empty`, then the body;
# a blank line ends it.
TABLE = Path(__file__).with_name("algorithms.txt").read_text(encoding="utf-8")
RENAMES = {  # consistently applied to prompt and answer
    "items": ["items", "values", "numbers", "data", "elements", "xs", "entries"],
    "result": ["result", "output", "out", "answer", "found"],
    "text": ["text", "s", "string", "sentence", "line"],
    "item": ["item", "x", "element", "entry"],
    "total": ["total", "count", "amount", "acc"],
    "n": ["n", "number", "num"],
    "path": ["path", "filename", "file_path"],
    "word": ["word", "w", "token"],
}


def entries() -> list[tuple[str, str, str, str, str, list[str]]]:
    """(name, parameters, return type or "", description, import or "", body lines) of every function."""
    parsed = []
    for block in TABLE.strip().split("\n\n"):
        head, *body = block.split("\n")
        signature, description, imports = (part.strip() for part in head.split("|"))
        call, _, returns = signature.partition(" -> ")
        name, _, parameters = call.partition("(")
        parsed.append((name, parameters.rstrip()[:-1], returns, description, imports, body))
    return parsed
