"""Is an answer right? Judged only when the model was allowed to finish it."""

import ast
import json
import re
import warnings
from contextlib import suppress

from specbench.records import Generation, Prompt

_LIMIT = 0.2  # seconds for a pattern on an answer: some never end
_LITERAL = re.compile(r"(\\N\{[^}]*\}|\\.|\{(?:\d+|\d*,\d*)\})|\{", re.DOTALL)  # but for these, a brace is a brace
_FENCE = re.compile(r"```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)


def cut(g: Generation) -> bool:
    """The answer was ended by its length, or ran on past its own end: neither can be judged fairly."""
    if g.trial.ignore_eos or g.stop_reason == "length":
        return True
    return g.stop_reason is None and (g.output_tokens is None or g.output_tokens >= g.trial.output_tokens)


def judge(text: str, prompt: Prompt) -> bool | None:
    """Whether a finished answer passes the prompt's check; None without a check, or when its pattern takes too long."""
    check = prompt.check
    if check is None:
        return None
    if check.kind == "python":
        return parses_as_python(fenced(text, "python", "py"))
    if check.kind == "json":
        return is_json(fenced(text, "json"), prompt.json_schema)
    if check.kind == "regex":
        import regex  # noqa: PLC0415  only runs with finished answers need it

        with suppress(TimeoutError):
            return check.pattern is not None and regex.search(plain(check.pattern), text, timeout=_LIMIT) is not None
        return None
    folded = text.casefold()
    wanted = all(part.casefold() in folded for part in check.all)
    return wanted and (not check.any or any(part.casefold() in folded for part in check.any))


def plain(pattern: str) -> str:
    """Python's pattern for the module regex, to which `{i}` and others are not text but likeness."""
    return _LITERAL.sub(lambda found: found[1] or r"\{", pattern)


def fenced(text: str, *languages: str) -> str:
    """The first fenced block in one of the languages, or without one named; the whole text when there is none."""
    for language, body in _FENCE.findall(text):
        if language.lower() in {"", *languages}:
            return str(body)
    return text


def parses_as_python(text: str) -> bool:
    """It parses and has a statement that is more than a bare name or literal, which a word of prose would be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the answer's own escape sequences are its business
        try:
            body = ast.parse(text.strip("\n")).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return any(not isinstance(s, ast.Expr) or not isinstance(s.value, ast.Name | ast.Constant) for s in body)


def is_json(text: str, schema: str | None) -> bool:
    """It is JSON (NaN and Infinity are not) and satisfies the schema, if there is one."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    if schema is None:
        return True
    from jsonschema import validators  # noqa: PLC0415  only runs with finished JSON answers need it

    rules = json.loads(schema)
    return bool(validators.validator_for(rules)(rules).is_valid(value))


def _refuse(name: str) -> None:
    raise ValueError(name)
