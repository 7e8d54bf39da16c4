"""Code over lists of records: filters, sums, groups; their tests; command lines."""

# ruff: noqa: E501  the sentences are data

from __future__ import annotations

from random import Random

from .corpus_classes import typed_fields
from .corpus_code import imperative, indented
from .phrasing import ADJECTIVES, FIELDS, THINGS, a_an, cap, pick, plural, varied

Pair = tuple[str, str]  # prompt, answer


def over_records(r: Random) -> Pair:
    """Filters, sums, groups, sorting over a list of records."""
    t, f = r.choice(THINGS), r.choice(FIELDS)
    ts = plural(t)
    get = r.choice([f"{t}.{f}", f'{t}["{f}"]'])
    limit = r.choice(["limit", "threshold", "minimum"])
    table: list[tuple[str, str, str, list[str]]] = [
        (
            f"filter_{ts}_by_{f}",
            f"{ts}, {limit}",
            f"returns the {ts} whose {f} is greater than a {limit}",
            [
                "result = []",
                f"for {t} in {ts}:",
                f"    if {get} > {limit}:",
                f"        result.append({t})",
                "return result",
            ],
        ),
        (
            f"filter_{ts}",
            f"{ts}, {limit}",
            f"filters {ts} by {f}",
            [f"return [{t} for {t} in {ts} if {get} >= {limit}]"],
        ),
        (
            f"sum_{f}",
            ts,
            f"computes the sum of the {f} of all {ts}",
            ["total = 0", f"for {t} in {ts}:", f"    total += {get}", "return total"],
        ),
        (f"total_{f}", ts, f"adds up the {f} of a list of {ts}", [f"return sum({get} for {t} in {ts})"]),
        (
            f"average_{f}",
            ts,
            f"computes the average {f} of the {ts}",
            [f"if not {ts}:", "    return 0", f"return sum({get} for {t} in {ts}) / len({ts})"],
        ),
        (
            f"group_{ts}_by_{f}",
            ts,
            f"groups {ts} by {f}",
            [
                "groups = {}",
                f"for {t} in {ts}:",
                f"    key = {get}",
                "    if key not in groups:",
                "        groups[key] = []",
                f"    groups[key].append({t})",
                "return groups",
            ],
        ),
        (
            f"max_{t}_by_{f}",
            ts,
            f"finds the {t} with the largest {f}",
            [
                "best = None",
                f"for {t} in {ts}:",
                f"    if best is None or {get} > {get.replace(t, 'best', 1)}:",
                f"        best = {t}",
                "return best",
            ],
        ),
        (
            f"sort_{ts}_by_{f}",
            f"{ts}, reverse=False",
            f"sorts {ts} by {f}",
            [f"return sorted({ts}, key=lambda {t}: {get}, reverse=reverse)"],
        ),
        (
            f"count_{ts}_with_{f}",
            f"{ts}, value",
            f"counts the {ts} with a given {f}",
            ["count = 0", f"for {t} in {ts}:", f"    if {get} == value:", "        count += 1", "return count"],
        ),
        (
            f"unique_{f}s",
            ts,
            f"returns the distinct {f} values of the {ts}",
            [f"return sorted({{{get} for {t} in {ts}}})"],
        ),
        (f"index_{ts}_by_{f}", ts, f"builds a dictionary from {f} to {t}", [f"return {{{get}: {t} for {t} in {ts}}}"]),
        (
            f"validate_{f}",
            t,
            f"validates the {f} of {a_an(t)}",
            [
                f"if {get} is None:",
                f'    raise ValueError("{t} has no {f}")',
                f"if {get} < {(k := r.randint(0, 9))}:",
                f'    raise ValueError("{f} must be at least {k}")',
                "return True",
            ],
        ),
        (
            f"load_{ts}",
            "path",
            f"loads {ts} from a JSON file",
            [
                'with open(path, encoding="utf-8") as f:',
                "    data = json.load(f)",
                f"return [{cap(t)}(**item) for item in data]",
            ],
        ),
        (
            f"save_{ts}",
            f"{ts}, path",
            f"saves {ts} to a JSON file",
            ['with open(path, "w", encoding="utf-8") as f:', f"    json.dump({ts}, f, indent=2)"],
        ),
        (f"print_{ts}", ts, f"prints the {f} of every {t}", [f"for {t} in {ts}:", f"    print({get})"]),
        (
            f"update_{f}",
            f"{ts}, name, value",
            f"changes the {f} of the {t} with a given name",
            [
                f"for {t} in {ts}:",
                f"    if {t}.name == name:",
                f"        {t}.{f} = value",
                "        return True",
                "return False",
            ],
        ),
        (
            f"remove_{t}",
            f"{ts}, name",
            f"removes the {t} with a given name",
            [f"return [{t} for {t} in {ts} if {t}.name != name]"],
        ),
        (
            f"find_{t}",
            f"{ts}, {f}",
            f"finds the first {t} with a given {f}",
            [f"for {t} in {ts}:", f"    if {get} == {f}:", f"        return {t}", "return None"],
        ),
        (
            f"top_{ts}",
            f"{ts}, n={(k := r.randint(2, 10))}",
            f"returns the {k} {ts} with the highest {f}",
            [f"ordered = sorted({ts}, key=lambda {t}: {get}, reverse=True)", "return ordered[:n]"],
        ),
    ]
    name, parameters, description, body = r.choice(table)
    lead = (
        "import json\n\n\n"
        if "json" in body[-1] + body[0] + "".join(body) and name.startswith(("load", "save"))
        else ""
    )
    docstring = [f'"""{cap(imperative(description))}."""'] if r.random() < 0.5 else []
    prompt = pick(
        r,
        f"Write a function that {description}.|Write a Python function that {description}.|Implement a function {name} that {description}."
        f"|Create a Python function {name}({parameters}) that {description}.|Give me a function to {imperative(description)}."
        f"|Complete this: def {name}({parameters}):|Write Python code that {description}.",
    )
    return varied(r, prompt), f"{lead}def {name}({parameters}):\n{indented(docstring + body)}"


def test_case(r: Random) -> Pair:
    t, f, k = r.choice(THINGS), r.choice(FIELDS), r.randint(0, 20)
    if r.random() < 0.5:
        lines = [
            "import unittest",
            "",
            "",
            f"class Test{cap(t)}(unittest.TestCase):",
            "    def setUp(self):",
            f"        self.{t} = {cap(t)}({f}={k})",
            "",
            f"    def test_{f}(self):",
            f"        self.assertEqual(self.{t}.{f}, {k})",
            "",
            f"    def test_change_{f}(self):",
            f"        self.{t}.{f} = {k + 1}",
            f"        self.assertEqual(self.{t}.{f}, {k + 1})",
            "",
            "",
            'if __name__ == "__main__":',
            "    unittest.main()",
        ]
        return varied(
            r,
            pick(
                r,
                f"Write a unit test for the {f} of {a_an(t)}.|Write unittest tests for the class {cap(t)} with a {f}.|Test the {f} of a {cap(t)} with unittest.",
            ),
        ), "\n".join(lines)
    lines = [
        "import pytest",
        "",
        "",
        "@pytest.fixture",
        f"def {t}():",
        f"    return {cap(t)}({f}={k})",
        "",
        "",
        f"def test_{f}({t}):",
        f"    assert {t}.{f} == {k}",
        "",
        "",
        f"def test_invalid_{f}():",
        "    with pytest.raises(ValueError):",
        f"        {cap(t)}({f}=None)",
    ]
    return varied(
        r,
        pick(
            r,
            f"Write a pytest test for the {f} of {a_an(t)}.|Write tests with pytest for a {cap(t)} class that has a {f}.|Write pytest tests for {cap(t)}.{f}.",
        ),
    ), "\n".join(lines)


def script(r: Random) -> Pair:
    options = typed_fields(r, 1, 4)
    positional = r.choice(["path", "name", "url", "folder", "text"])
    verb = r.choice(["prints", "checks", "copies", "counts", "lists", "removes"])
    t = plural(r.choice(THINGS))
    lines = [
        "import argparse",
        "",
        "",
        "def main():",
        f'    parser = argparse.ArgumentParser(description="{cap(imperative(verb + " x").split()[0])} {t}.")',
        f'    parser.add_argument("{positional}")',
    ]
    for f, kind in options.items():
        if kind == "bool":
            lines.append(f'    parser.add_argument("--{f}", action="store_true")')
        else:
            default = {
                "int": str(r.randint(0, 100)),
                "float": f"{r.randint(0, 9)}.5",
                "str": f'"{r.choice(ADJECTIVES)}"',
            }[kind]
            lines.append(f'    parser.add_argument("--{f}", type={kind}, default={default})')
    lines += [
        "    args = parser.parse_args()",
        *(f"    print(args.{f})" for f in (positional, *options)),
        "",
        "",
        'if __name__ == "__main__":',
        "    main()",
    ]
    shown = ", ".join(f"--{f}" for f in options)
    return varied(
        r,
        pick(
            r,
            f"Write a command line script that {verb} {t}, with the argument {positional} and the options {shown}.|Write a Python CLI with argparse that takes {positional} and {shown}."
            f"|Create an argparse program that {verb} {t}. Options: {shown}. Argument: {positional}.",
        ),
    ), "\n".join(lines)


GENERATORS = {over_records: 16, test_case: 4, script: 5}
