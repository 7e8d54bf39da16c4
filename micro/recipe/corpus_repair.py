"""Code that starts from code: repair it, test it, complete it; and SQL."""

# ruff: noqa: E501  the sentences are data

from __future__ import annotations

import re
from random import Random

from . import corpus_code, corpus_records
from .phrasing import (
    ADJECTIVES,
    FIELDS,
    NUMERIC,
    THINGS,
    cap,
    pick,
    plural,
    varied,
)

Pair = tuple[str, str]  # prompt, answer

PLAIN = [e for e in corpus_code.ALGORITHMS if not e[3].startswith("is a")]


SWAPS = [
    (" < ", " > "),
    (" > ", " < "),
    (" + 1", " - 1"),
    (" += ", " -= "),
    ("== 0", "== 1"),
    (" <= ", " < "),
    ("return True", "return False"),
    ("return False", "return True"),
    ("range(1, ", "range(0, "),
    (".append(", ".add("),
    (" and ", " or "),
    ("result = []", "result = {}"),
    ("reverse=True", "reverse=False"),
    (" * ", " / "),
    ("[i]", "[j]"),
]


CALLS: dict[str, list[str]] = {  # arguments to call, results are computed
    "factorial": ["0", "1", "5"],
    "fibonacci": ["0", "1", "7"],
    "gcd": ["12, 18", "7, 5", "10, 0"],
    "is_prime": ["2", "9", "13"],
    "reverse_string": ["'abc'", "''", "'a'"],
    "is_palindrome": ["'level'", "'hello'", "''"],
    "count_vowels": ["'banana'", "''", "'xyz'"],
    "is_anagram": ["'listen', 'silent'", "'abc', 'abd'"],
    "celsius_to_fahrenheit": ["0", "100"],
    "sum_of_digits": ["123", "0", "999"],
    "sum_even": ["[1, 2, 3, 4]", "[]"],
    "average": ["[1, 2, 3]", "[]", "[5]"],
    "median": ["[3, 1, 2]", "[4, 1, 2, 3]"],
    "find_max": ["[1, 5, 3]", "[-1, -2]"],
    "remove_duplicates": ["[1, 2, 1]", "[]"],
    "flatten": ["[1, [2, [3]]]", "[]"],
    "chunk": ["[1, 2, 3], 2", "[], 2"],
    "binary_search": ["[1, 3, 5], 3", "[1, 3, 5], 4"],
    "is_leap_year": ["2000", "1900", "2024"],
    "to_binary": ["0", "5", "8"],
    "clamp": ["5, 0, 3", "-1, 0, 3"],
    "slugify": ["'Hello World'", "'A  B'", "''"],
    "camel_to_snake": ["'camelCase'", "'name'"],
    "snake_to_camel": ["'snake_case'", "'name'"],
    "truncate": ["'abcdef', 5", "'abc', 5"],
    "capitalize_words": ["'hello world'", "''"],
    "longest_word": ["'a bcd ef'", "''"],
    "merge_dicts": ["{'a': 1}, {'b': 2}", "{}, {}"],
    "intersection": ["[1, 2], [2, 3]", "[], [1]"],
    "rotate": ["[1, 2, 3], 1", "[1, 2], 2"],
    "balanced": ["'(a)'", "'(]'", "''"],
    "discount": ["100, 25", "80, 0"],
    "all_unique": ["[1, 2]", "[1, 1]"],
    "compress": ["'aaab'", "''"],
    "add": ["1, 2", "-1, 1"],
    "is_even": ["2", "3"],
    "greet": ["'Ana'", "'Bob'"],
    "cumulative_sum": ["[1, 2, 3]", "[]"],
    "two_sum": ["[2, 7, 11], 9", "[1, 2], 9"],
    "fizzbuzz": ["3", "5"],
    "is_sorted": ["[1, 2]", "[2, 1]"],
    "word_count": ["'a b a'", "''"],
    "squares": ["[1, 2, 3]", "[]"],
    "count_occurrences": ["[1, 2, 1], 1", "[], 1"],
}


BY_NAME = {e[0]: e for e in PLAIN}


def tests_for(r: Random) -> Pair:
    name = r.choice(list(CALLS))
    _, signature, imports, body = corpus_code.algorithm_parts(r, BY_NAME[name])
    code = (imports + "\n\n\n" if imports else "") + signature + "\n" + body
    scope: dict[str, object] = {}
    exec(code, scope)  # noqa: S102  our own table of functions
    call = CALLS[name]
    results = [repr(eval(f"{name}({arguments})", scope)).replace("'", '"') for arguments in call]  # noqa: S307
    shown = [f"{name}({arguments})".replace("'", '"') for arguments in call]
    labels = r.sample(["simple", "empty", "normal", "edge_case", "example", "other", "small", "large"], len(call))
    if r.random() < 0.7:
        answer = "\n\n\n".join(
            f"def test_{name}_{label}():\n    assert {s} == {v}"
            for label, s, v in zip(labels, shown, results, strict=True)
        )
        prompt = pick(
            r,
            f"Write pytest tests for this function.\n\n{code}|{code}\n\nWrite tests for this function with pytest.|Write unit tests for the following function:\n{code}",
        )
    else:
        rows = "\n".join(f"    assert {s} == {v}" for s, v in zip(shown, results, strict=True))
        answer = f"def test_{name}():\n{rows}"
        prompt = pick(r, f"Write a pytest test for {name}.\n\n{code}|Write one test function for this code.\n\n{code}")
    return varied(r, prompt), answer


def some_function(r: Random) -> str:
    for _ in range(30):
        if r.random() < 0.6:
            _, signature, imports, body = corpus_code.algorithm_parts(r, r.choice(PLAIN))
            code = (imports + "\n\n\n" if imports else "") + signature + "\n" + body
        else:
            code = corpus_records.over_records(r)[1]
        if len(code) < 700:
            break
    return code


def repair(r: Random) -> Pair:
    """One operator or constant is wrong."""
    for _ in range(30):
        code = some_function(r)
        wrong_ways = [(a, b) for a, b in SWAPS if a in code]
        if wrong_ways:
            break
    else:
        return guard(r)
    right, wrong = r.choice(wrong_ways)
    broken = code.replace(right, wrong, 1)
    return varied(
        r,
        pick(
            r,
            f"Fix the bug in this function.\n\n{broken}|This function has a bug. Find and fix it.\n\n{broken}|{broken}\n\nThis does not work. Correct it.|Debug this code:\n{broken}"
            f"|Why does this return the wrong result? Return the fixed code.\n\n{broken}",
        ),
    ), code


def guard(r: Random) -> Pair:
    """A check of the first parameter at the beginning."""
    for _ in range(30):
        code = some_function(r)
        found = re.search(r"^def \w+\((\w+)[^\n]*:\n", code, re.MULTILINE)
        if found and '"""' not in code:
            break
    else:
        return tests_for(r)
    name, at = found[1], found.end()
    value, said = r.choice(
        [("None", "returns None"), ("[]", "returns an empty list"), ("0", "returns 0"), ("False", "returns False")]
    )
    if r.random() < 0.3:
        fixed = f'{code[:at]}    if not {name}:\n        raise ValueError("{name} must not be empty")\n{code[at:]}'
        said = "raises a ValueError"
    else:
        fixed = f"{code[:at]}    if not {name}:\n        return {value}\n{code[at:]}"
    return varied(
        r,
        pick(
            r,
            f"This function crashes when {name} is empty. Fix it so that it {said} in that case.\n\n{code}|Change this function so that it {said} when {name} is empty.\n\n{code}"
            f"|{code}\n\nHandle the case that {name} is empty: it {said}.|Fix this function: for an empty {name} it {said}.\n{code}",
        ),
    ), fixed


METHODS = {
    "push": ("item", "self.{f}.append(item)"),
    "pop": ("", "return self.{f}.pop()"),
    "peek": ("", "return self.{f}[-1]"),
    "is_empty": ("", "return not self.{f}"),
    "size": ("", "return len(self.{f})"),
    "clear": ("", "self.{f}.clear()"),
    "add": ("item", "self.{f}.append(item)"),
    "remove": ("item", "self.{f}.remove(item)"),
    "contains": ("item", "return item in self.{f}"),
    "first": ("", "return self.{f}[0]"),
    "last": ("", "return self.{f}[-1]"),
    "count": ("item", "return self.{f}.count(item)"),
    "reverse": ("", "self.{f}.reverse()"),
    "sort": ("", "self.{f}.sort()"),
    "to_list": ("", "return list(self.{f})"),
    "get": ("index", "return self.{f}[index]"),
    "insert": ("index, item", "self.{f}.insert(index, item)"),
    "extend": ("items", "self.{f}.extend(items)"),
}


def complete_class(r: Random) -> Pair:
    name = r.choice(
        ["Stack", "Queue", "Bag", "History", "Playlist", "Basket", "Inventory", cap(r.choice(THINGS)) + "List"]
    )
    field = r.choice(["items", "values", "elements", plural(r.choice(THINGS))])
    chosen = r.sample(list(METHODS), r.randint(2, 5))
    start = f"class {name}:\n    def __init__(self):\n        self.{field} = []"
    lines = [start]
    for method in chosen:
        arguments, body = METHODS[method]
        lines.append(f"    def {method}(self{', ' + arguments if arguments else ''}):\n        {body.format(f=field)}")
    listed = ", ".join(chosen[:-1]) + " and " + chosen[-1]
    answer = "\n\n".join(lines)
    if r.random() < 0.3:
        return varied(
            r,
            pick(r, f"Write a class {name} with the methods {listed}.|Implement a Python class {name} with {listed}."),
        ), answer
    return varied(
        r,
        pick(
            r,
            f"Complete this class. Add the methods {listed}.\n\n{start}|Add the methods {listed} to this class.\n\n{start}|{start}\n\nComplete the class with {listed}.|Extend the class {name} with {listed}.\n{start}",
        ),
    ), answer


def sql(r: Random) -> Pair:
    t, other = (plural(w) for w in r.sample(THINGS, 2))
    f, g = r.sample(FIELDS, 2)
    number = r.choice([f for f in FIELDS if f in NUMERIC])
    k = r.choice([3, 5, 10, 20, 100])
    word = r.choice(ADJECTIVES)
    choices = [
        (f"returns the {k} {t} with the highest {number}", f"SELECT *\nFROM {t}\nORDER BY {number} DESC\nLIMIT {k};"),
        (f"counts the {t} for each {f}", f"SELECT {f}, COUNT(*)\nFROM {t}\nGROUP BY {f};"),
        (
            f"selects {f} and {g} of all {t} whose {number} is greater than {k}",
            f"SELECT {f}, {g}\nFROM {t}\nWHERE {number} > {k};",
        ),
        (f"computes the average {number} of the {t} by {f}", f"SELECT {f}, AVG({number})\nFROM {t}\nGROUP BY {f};"),
        (f"returns all {t} with the {f} '{word}'", f"SELECT *\nFROM {t}\nWHERE {f} = '{word}';"),
        (f"deletes all {t} with a {number} below {k}", f"DELETE FROM {t}\nWHERE {number} < {k};"),  # noqa: S608  text, not a query
        (f"sets the {number} of all {t} to {k}", f"UPDATE {t}\nSET {number} = {k};"),
        (
            f"joins {t} and {other} and returns the {f} with the total {number}",
            f"SELECT {t}.{f}, SUM({other}.{number})\nFROM {t}\nJOIN {other} ON {other}.{t[:-1]}_id = {t}.id\nGROUP BY {t}.{f};",
        ),
        (
            f"returns the five {t} with the highest total {number} of their {other}",
            f"SELECT {t}.{f}, SUM({other}.{number}) AS total\nFROM {t}\nJOIN {other} ON {other}.{t[:-1]}_id = {t}.id\nGROUP BY {t}.{f}\nORDER BY total DESC\nLIMIT 5;",
        ),
    ]
    said, query = r.choice(choices)
    tables = r.choice(
        ["", f" Tables: {t}(id, {f}, {number}), {other}(id, {t[:-1]}_id, {number}).", f" The table is called {t}."]
    )
    return varied(
        r,
        pick(
            r,
            f"Write a SQL query that {said}.|Write SQL that {said}.|Give me an SQL query which {said}.|SQL: a query that {said}.",
        )
        + tables,
    ), query


GENERATORS = {tests_for: 5, repair: 5, guard: 3, complete_class: 5, sql: 4}
