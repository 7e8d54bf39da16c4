"""The bytes of a file -> JSON, a list of records (JSON lines, CSV, SQL), or text. Broken JSON is refused."""

import csv
import io
import re
from typing import Any, NoReturn

from specbench.errors import InputError
from specbench.untrusted import decoded

_INSERT = re.compile(r"INSERT INTO \w+ \(([^()]*)\) VALUES \(((?:[^'()]|'[^']{0,4000}')*+)\);")
_VALUE = re.compile(r"'((?:[^']|'')*)'|([^',\s]+)")
_SHOWN = 80


def decode(data: bytes) -> Any:
    """What the file holds. InputError when it is no text, or was meant to be JSON and is not."""
    if data.startswith(b"PAR1"):
        raise InputError("this is a Parquet file", hint="write it as JSON lines, e.g. with pandas or DuckDB")
    try:  # a redirection of PowerShell writes UTF-16
        text = data.decode("utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig").strip()
    except UnicodeDecodeError:
        raise InputError("this is no text file", hint="give the JSON, CSV, SQL or log that the tool wrote") from None
    if text.startswith(("{", "[{", "[\n", "[\r", "[ ", "[]")):
        return _json(text)
    if _INSERT.search(text):
        return [dict(zip(_names(m[1]), _values(m[2]), strict=False)) for m in _INSERT.finditer(text)]
    first, _, rest = text.partition("\n")
    if rest and first.count(",") > 1 and all(name.strip('"\r ').isidentifier() for name in first.split(",")):
        try:
            return [*csv.DictReader(io.StringIO(text))]
        except csv.Error as error:
            raise InputError(f"broken CSV: {error}", hint="give the file as the tool wrote it") from None
    records = [line for line in text.split("\n") if line.startswith('{"')]  # between the lines of a log
    return [_json(line) for line in records] if records else text


def _json(text: str) -> Any:
    try:
        return decoded(text, constant=lambda _: None)
    except ValueError as error:
        lines = [line for line in text.split("\n") if line.strip()]
        if len(lines) > 1 and lines[0].rstrip().endswith("}") and lines[0] != text:
            return [_json(line) for line in lines]
        _refuse(error)


def _refuse(error: Exception) -> NoReturn:
    raise InputError(
        f"broken JSON, cut off perhaps: {str(error)[:_SHOWN]}", hint="give the whole file as the tool wrote it"
    ) from None


def _names(text: str) -> list[str]:
    return [name.strip(" \"'`") for name in text.split(",")]


def _values(text: str) -> list[str]:
    return [quoted.replace("''", "'") or bare for quoted, bare in _VALUE.findall(text)]
