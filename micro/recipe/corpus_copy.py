"""Induction documents: repeated sequences, look-up lists, copies with one substitution. Pure practice in copying."""

# ruff: noqa: E501  the sentences are data

from __future__ import annotations

from random import Random

from .phrasing import ADJECTIVES, NOUNS, VERBS_PAST, code_id, date, invented, library_words, person, pick

Pair = tuple[str, str]  # prompt, answer


def word(r: Random) -> str:
    return r.choice(
        [
            invented,
            code_id,
            lambda r: r.choice(NOUNS),
            lambda r: r.choice(ADJECTIVES),
            lambda r: r.choice(VERBS_PAST),
            lambda r: str(r.randint(0, 9999)),
            lambda r: invented(r).lower(),
            person,
            lambda r: r.choice(library_words()["other"]),
        ]
    )(r)


def sequence(r: Random, low: int, high: int) -> list[str]:
    return [word(r) for _ in range(r.randint(low, high))]


def repeat_after_me(r: Random) -> Pair:
    text = r.choice([" ", " ", ", ", "\n"]).join(sequence(r, 4, 24))
    return pick(
        r,
        f"Repeat after me: {text}|Copy this text exactly: {text}|Repeat the following.\n{text}|Say exactly this: {text}|Write the text again.\n\n{text}",
    ), text


def repeated(r: Random) -> Pair:
    text = " ".join(sequence(r, 5, 16))
    return f"{text} {text}", f"{text} {text}"


def recall(r: Random) -> Pair:
    keys, values = sequence(r, 4, 12), []
    values = [word(r) for _ in keys]
    link = r.choice([": ", " = ", " -> "])
    rows = [k + link + v for k, v in zip(keys, values, strict=True)]
    asked = r.sample(rows, r.randint(1, len(rows)))
    return "\n".join(rows) + "\n\nRecall: " + ", ".join(row.split(link)[0] for row in asked), "\n".join(asked)


def substituted(r: Random) -> Pair:
    words = sequence(r, 6, 18)
    old = r.choice(words)
    new = word(r)
    text = " ".join(words)
    return pick(
        r, f"Replace {old} with {new}: {text}|Copy the text but write {new} instead of {old}.\n{text}"
    ), " ".join(new if w == old else w for w in words)


def quote_from(r: Random) -> Pair:
    lines = [" ".join(sequence(r, 4, 7)) + "." for _ in range(r.randint(3, 6))]
    chosen = r.choice(lines)
    return " ".join(
        lines
    ) + f"\n\nQuote the sentence that starts with {chosen.split()[0]} {chosen.split()[1]}", f'"{chosen}"'


def dates(r: Random) -> Pair:
    rows = [f"{date(r)} {person(r)}" for _ in range(r.randint(3, 8))]
    return "List these again:\n" + "\n".join(rows), "\n".join(rows)


GENERATORS = {repeat_after_me: 30, repeated: 25, recall: 20, substituted: 10, quote_from: 10, dates: 5}
