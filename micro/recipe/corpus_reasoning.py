"""Small word problems and programs to trace, solved step by step."""

# ruff: noqa: E501  the sentences are data

from __future__ import annotations

import contextlib
import io
from random import Random

from .phrasing import (
    FIRST,
    PRODUCTS,
    cap,
    pick,
    plural,
    varied,
)

Pair = tuple[str, str]  # prompt, answer


def word_problem(r: Random) -> Pair:
    who, thing = r.choice(FIRST), plural(r.choice([*PRODUCTS, "apple", "coin", "marble", "egg", "card", "stamp"]))
    a, b, c = r.randint(2, 60), r.randint(2, 40), r.randint(2, 12)
    kind = r.randrange(9)
    if kind == 0:
        text = f"{who} has {a} {thing} and buys {b} more. How many {thing} does {who} have now?"
        steps, answer = (
            [f"{who} starts with {a} {thing}.", f"{who} buys {b} more.", f"{a} + {b} = {a + b}."],
            f"{a + b}",
        )
    elif kind == 1:
        a += b
        text = f"{who} has {a} {thing} and gives away {b}. How many {thing} are left?"
        steps, answer = (
            [f"{who} starts with {a} {thing}.", f"{who} gives away {b}.", f"{a} - {b} = {a - b}."],
            f"{a - b}",
        )
    elif kind == 2:
        text = f"There are {c} boxes with {b} {thing} each. How many {thing} are there in total?"
        steps, answer = [f"There are {c} boxes.", f"Each box has {b} {thing}.", f"{c} * {b} = {c * b}."], f"{c * b}"
    elif kind == 3:
        text = f"{who} shares {b * c} {thing} equally among {c} friends. How many {thing} does each friend get?"
        steps, answer = [f"There are {b * c} {thing} and {c} friends.", f"{b * c} / {c} = {b}."], f"{b}"
    elif kind == 4:
        text = f"A train travels {b} kilometers per hour for {c} hours. How far does it go?"
        steps, answer = (
            [f"The speed is {b} kilometers per hour.", f"The time is {c} hours.", f"{b} * {c} = {b * c}."],
            f"{b * c} kilometers",
        )
    elif kind == 5:
        text = f"{who} buys {c} {thing} for {b} euros each and pays with {b * c + a} euros. How much change does {who} get?"
        steps, answer = (
            [
                f"The {thing} cost {c} * {b} = {b * c} euros.",
                f"{who} pays {b * c + a} euros.",
                f"{b * c + a} - {b * c} = {a}.",
            ],
            f"{a} euros",
        )
    elif kind == 6:
        other = r.choice([n for n in FIRST if n != who])
        text = f"{who} is {a} years old. {other} is {b} years older. How old is {other}?"
        steps, answer = [f"{who} is {a}.", f"{other} is {b} years older.", f"{a} + {b} = {a + b}."], f"{a + b} years"
    elif kind == 7:
        x, y, z = r.sample(FIRST, 3)
        text = f"{x} is taller than {y}. {y} is taller than {z}. Who is the tallest?"
        steps, answer = [f"{x} is taller than {y}.", f"{y} is taller than {z}.", f"So {x} is taller than both."], x
    else:
        text = (
            f"A shop has {a + b} {thing}. It sells {b} and then gets {c} new ones. How many {thing} does the shop have?"
        )
        steps, answer = (
            [
                f"The shop starts with {a + b} {thing}.",
                f"It sells {b}: {a + b} - {b} = {a}.",
                f"It gets {c} new ones: {a} + {c} = {a + c}.",
            ],
            f"{a + c}",
        )
    prompt = pick(
        r,
        f"{text}|{text}|{text} Think step by step.|Solve step by step: {text}|{text} Show your work.|Answer with steps. {text}|Question: {text}|Solve this problem. {text}|{text} Explain your reasoning.",
    )
    return prompt, "\n".join(f"Step {i}: {s}" for i, s in enumerate(steps, 1)) + f"\nAnswer: {answer}"


def sums(r: Random) -> Pair:
    terms = [r.randint(1, 50) for _ in range(r.randint(2, 4))]
    total, steps = terms[0], []
    for t in terms[1:]:
        steps.append(f"{total} + {t} = {total + t}.")
        total += t
    shown = " + ".join(map(str, terms))
    return pick(
        r,
        f"What is {shown}?|Calculate {shown}.|Compute {shown} step by step.|Add the numbers {', '.join(map(str, terms))}.",
    ), "\n".join(f"Step {i}: {s}" for i, s in enumerate(steps, 1)) + f"\nAnswer: {total}"


def ordering(r: Random) -> Pair:
    numbers = r.sample(range(1, 100), r.randint(3, 5))
    return varied(
        r,
        pick(
            r,
            f"Which number is the largest: {', '.join(map(str, numbers))}?|Find the largest of these numbers: {', '.join(map(str, numbers))}.",
        ),
    ), (
        f"Step 1: The numbers are {', '.join(map(str, numbers))}.\nStep 2: In order: {', '.join(map(str, sorted(numbers)))}.\nAnswer: {max(numbers)}"
    )


def clock(minutes: int) -> str:
    return f"{minutes // 60 % 24}:{minutes % 60:02d}"


def time_or_money(r: Random) -> Pair:
    kind, who = r.randrange(5), r.choice(FIRST)
    if kind == 0:
        start, hours, extra = r.randint(6 * 12, 18 * 12) * 5, r.randint(1, 4), r.randint(1, 11) * 5
        vehicle = r.choice(["train", "bus", "ferry", "flight"])
        text = f"A {vehicle} leaves at {clock(start)}. The trip takes {hours} hours and {extra} minutes. When does it arrive?"
        steps, answer = (
            [
                f"The {vehicle} leaves at {clock(start)}.",
                f"{hours} hours later it is {clock(start + 60 * hours)}.",
                f"{extra} minutes later it is {clock(start + 60 * hours + extra)}.",
            ],
            clock(start + 60 * hours + extra),
        )
    elif kind == 1:
        price, percent = r.randint(1, 20) * 20, r.choice([5, 10, 20, 25, 50])
        thing = r.choice(PRODUCTS)
        off = price * percent // 100
        text = f"A {thing} costs {price} euros. The shop takes {percent} percent off. What does the {thing} cost now?"
        steps, answer = (
            [
                f"The price is {price} euros.",
                f"{percent} percent of {price} is {off}.",
                f"{price} - {off} = {price - off}.",
            ],
            f"{price - off} euros",
        )
    elif kind == 2:
        part, n = r.choice([(2, "half"), (3, "a third"), (4, "a quarter")])
        total, more = part * r.randint(2, 20), r.randint(1, 9)
        things = plural(r.choice(["apple", "coin", "egg", "card", *PRODUCTS]))
        left = total - total // part
        text = f"{who} has {total} {things}. {who} gives {n} of them away and then buys {more} more. How many {things} does {who} have?"
        steps, answer = (
            [
                f"{cap(n)} of {total} is {total // part}.",
                f"{total} - {total // part} = {left}.",
                f"{left} + {more} = {left + more}.",
            ],
            str(left + more),
        )
    elif kind == 3:
        names = r.sample(FIRST, 4)
        text = f"{names[0]} is taller than {names[1]}. {names[1]} is taller than {names[2]}. {names[2]} is taller than {names[3]}. Who is the {r.choice(['shortest', 'smallest'])}?"
        steps, answer = (
            [
                f"{names[0]} is taller than {names[1]}.",
                f"{names[1]} is taller than {names[2]}.",
                f"{names[2]} is taller than {names[3]}.",
                f"So {names[3]} is the last.",
            ],
            names[3],
        )
    else:
        wide, long = r.randint(2, 30), r.randint(2, 30)
        text = f"A garden is {wide} meters wide and {long} meters long. What is its area?"
        steps, answer = (
            ["The area is the width times the length.", f"{wide} * {long} = {wide * long}."],
            f"{wide * long} square meters",
        )
    return varied(
        r,
        pick(
            r,
            f'{text}|{text} Think step by step.|{text} Explain how you know.|Solve step by step: {text}|{text} End with a line that starts with "Answer:".',
        ),
    ), "\n".join(f"Step {i}: {s}" for i, s in enumerate(steps, 1)) + f"\nAnswer: {answer}"


def trace(r: Random) -> Pair:
    """What a program prints: found out by running it."""
    a, b, c, n = r.randint(1, 20), r.randint(1, 20), r.randint(2, 9), r.randint(2, 4)
    x, y = r.sample(["x", "y", "a", "b", "n", "total", "value"], 2)
    code, steps = r.choice(
        [
            (
                f"{x} = {a}\n{y} = {b}\n{x} = {x} + {y}\nprint({x})",
                [f"{x} is {a} and {y} is {b}.", f"{x} + {y} = {a} + {b} = {a + b}."],
            ),
            (
                f"{x} = [{a}, {b}]\n{x}.append({c})\nprint(len({x}))",
                [f"{x} starts with 2 elements.", f"append adds {c}, so there are 3."],
            ),
            (
                f"{x} = 0\nfor i in range({n}):\n    {x} += {c}\nprint({x})",
                [f"The loop runs {n} times.", f"{n} * {c} = {n * c}."],
            ),
            (
                f"{x} = [{a}, {b}, {c}]\n{y} = {x}\n{y}.append({n})\nprint(len({x}))",
                [f"{y} is the same list as {x}.", f"append adds {n}, so {x} has 4 elements."],
            ),
            (
                f"{x} = {a}\nif {x} > {b}:\n    print({c})\nelse:\n    print({n})",
                [f"{x} is {a}.", f"{a} > {b} is {a > b}."],
            ),
            (
                f"def f({x}):\n    return {x} * {c}\n\nprint(f({a}))",
                [f"f is called with {a}.", f"{a} * {c} = {a * c}."],
            ),
        ]
    )
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})  # noqa: S102  the line above
    return varied(
        r,
        pick(
            r,
            f"What does this program print?\n\n{code}|What is the output of this code? Go through it line by line.\n\n{code}|{code}\n\nWhat is printed?",
        ),
    ), "\n".join(f"Step {i}: {s}" for i, s in enumerate(steps, 1)) + f"\nAnswer: {out.getvalue().strip()}"


GENERATORS = {word_problem: 80, sums: 14, ordering: 6, time_or_money: 50, trace: 20}
