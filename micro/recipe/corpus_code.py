"""Code: classic functions in many phrasings, modules of several, and functions of the standard library."""

# ruff: noqa: E501  the sentences are data

from __future__ import annotations

import ast
import functools
import re
from random import Random

from .algorithms import RENAMES, entries
from .phrasing import STDLIB, cap, pick, varied

Pair = tuple[str, str]  # prompt, answer

ALGORITHMS = entries()


def imperative(description: str) -> str:
    """`returns the factorial` -> `return the factorial`."""
    first, _, rest = description.partition(" ")
    stem = first[:-2] if first.endswith(("shes", "sses", "ches")) else first.removesuffix("s")
    return f"{'be' if first == 'is' else stem} {rest}"


def indented(lines: list[str], by: int = 4) -> str:
    return "\n".join(" " * by + line if line else "" for line in lines)


def algorithm_parts(r: Random, entry: tuple[str, str, str, str, str, list[str]]) -> tuple[str, str, str, str]:
    """-> name, signature line, import, body; names changed, annotations and docstring there or not."""
    name, parameters, returns, description, imports, body = entry
    if r.random() < 0.5:
        parameters = re.sub(r": [\w\[\], ]+?(?=(, \w+:|, \w+$| =|$))", "", parameters)
        parameters = re.sub(r" = ", "=", parameters)
        returns = ""
    text = "\n".join(body)
    for old, choices in RENAMES.items():
        new = r.choice(choices) if r.random() < 0.5 else old
        if new != old and not re.search(rf"\b{new}\b", text + parameters):
            text = re.sub(rf"\b{old}\b(?!\()", new, text)
            parameters = re.sub(rf"\b{old}\b", new, parameters)
    signature = f"def {name}({parameters}){' -> ' + returns if returns else ''}:"
    docstring = (
        f'    """{cap(imperative(description))}."""\n'
        if r.random() < 0.4 and not description.startswith("is a")
        else ""
    )
    return name, signature, imports, docstring + indented(text.split("\n"))


def algorithm(r: Random) -> Pair:
    entry = r.choice(ALGORITHMS)
    description = entry[3]
    name, signature, imports, body = algorithm_parts(r, entry)
    answer = (imports + "\n\n\n" if imports else "") + signature + "\n" + body
    if description.startswith("is a"):
        kind = "decorator" if "decorator" in description else "generator"
        rest = re.sub(r"^is a (decorator|generator) that ", "", description)
        prompt = pick(
            r,
            f"Write a Python {kind} that {rest}.|Implement a {kind} named {name} that {rest}.|Create a {kind} in Python that {rest}.",
        )
        return varied(r, prompt), answer
    do = imperative(description)
    prompt = r.choice(
        [
            f"Write a Python function that {description}.",
            f"Write a Python function that {description}.",
            f"Write a function that {description}.",
            f"Write a function called {name} that {description}.",
            f"Write a Python function `{name}` that {description}.",
            f"Implement {name} in Python. It {description}.",
            f"Implement a function {name} that {description}.",
            f"Create a Python function to {do}.",
            f"Give me Python code to {do}.",
            f"How do I {do} in Python? Answer with a function.",
            f"I need a Python function which {description}. Return only the code.",
            f"Code a function to {do}.",
            f"Complete this function.\n{signature}",
            f"Complete the following Python function so that it {description}:\n\n{signature}",
            f"{signature}\n\nComplete the function. It {description}.",
            f"Show a Python program with a function that {description}.",
        ]
    )
    return varied(r, prompt), answer


def module_of(r: Random) -> Pair:
    chosen = r.sample(ALGORITHMS, r.randint(2, 3))
    parts = [algorithm_parts(r, e) for e in chosen]
    imports = sorted({p[2] for p in parts if p[2]})
    functions = "\n\n\n".join(p[1] + "\n" + p[3] for p in parts)
    tasks = " ".join(
        f"{cap(p[0])}: {imperative(e[3])}." if r.random() < 0.3 else f"`{p[0]}` {e[3]}."
        for p, e in zip(parts, chosen, strict=True)
    )
    return varied(
        r,
        pick(
            r,
            "Write a Python module with these functions.|Implement the following functions.|Write several functions in Python.",
        )
        + " "
        + tasks,
    ), ("\n".join(imports) + "\n\n\n" if imports else "") + functions


@functools.cache
def library_functions() -> tuple[Pair, ...]:
    """Functions of 6 to 40 lines of the standard library (PSF licence), to be completed from their first lines."""
    skipped = re.compile(
        r"site-packages|dist-packages|/test|lib2to3|idlelib|turtledemo|encodings|pydoc_data|ensurepip|_vendor"
    )
    found: list[Pair] = []
    for path in sorted(STDLIB.rglob("*.py")):
        if skipped.search(str(path.relative_to(STDLIB.parent))):
            continue
        try:
            source = path.read_text(encoding="utf-8")
            tree = ast.parse(source)
        except (UnicodeDecodeError, SyntaxError):
            continue
        lines = source.split("\n")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and 5 <= node.end_lineno - node.lineno < 40:  # type: ignore[operator]  # parsed nodes have positions
                cut = [
                    line[node.col_offset :] if not line[: node.col_offset].strip() else line
                    for line in lines[node.lineno - 1 : node.end_lineno]
                ]
                text = "\n".join(cut)
                if text.isascii() and len(text) < 1600:
                    found.append(
                        (f"Complete this Python function from the module {path.stem}.\n" + "\n".join(cut[:2]), text)
                    )
    Random(1).shuffle(found)
    return tuple(found)


def library_function(r: Random) -> Pair:
    return r.choice(library_functions())


GENERATORS = {algorithm: 34, module_of: 4, library_function: 17}
