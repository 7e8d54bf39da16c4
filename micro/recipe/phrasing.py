"""Words, random entities and phrasing shared by the corpus generators. Everything takes the dice as an argument."""

# ruff: noqa: E501  the sentences are data

from __future__ import annotations

import functools
import os
import pydoc_data.topics
import re
import tomllib
from collections import Counter
from pathlib import Path
from random import Random

_WORDS = tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))
STDLIB = Path(os.__file__).parent

FIRST: list[str] = _WORDS["first"].split()
LAST: list[str] = _WORDS["last"].split()
CITIES: list[str] = _WORDS["cities"].split()
PRODUCTS: list[str] = _WORDS["products"].split()
ADJECTIVES: list[str] = _WORDS["adjectives"].split()
NOUNS: list[str] = _WORDS["nouns"].split()
VERBS_PAST: list[str] = _WORDS["verbs_past"].split()
VERBS_INTR: list[str] = _WORDS["verbs_intr"].split()
ADVERBS: list[str] = _WORDS["adverbs"].split()
PLACES: list[str] = _WORDS["places"]
THINGS: list[str] = _WORDS["things"].split()
FIELDS: list[str] = _WORDS["fields"].split()
NUMERIC = frozenset(_WORDS["numeric"].split())
DEVICES: list[str] = _WORDS["devices"].split()
TRAITS: list[str] = _WORDS["traits"].split()
ONSETS: list[str] = _WORDS["onsets"].split()
VOWELS: list[str] = _WORDS["vowels"].split()
CODAS = ["", "", "", "l", "m", "n", "r", "s", "t", "x", "nd", "rk", "ss", "th", "ck", "ld"]
MONTHS: list[str] = _WORDS["months"].split()


def cap(word: str) -> str:
    return word[:1].upper() + word[1:]


def a_an(word: str) -> str:
    return ("an " if word[:1].lower() in "aeiou" else "a ") + word


def plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def syllables(r: Random) -> str:
    """A made-up word of two or three syllables such as `krevandol`."""
    return "".join(r.choice(ONSETS) + r.choice(VOWELS) + r.choice(CODAS) for _ in range(r.choice([2, 2, 2, 3])))


def invented(r: Random) -> str:
    return cap(syllables(r))


def code_id(r: Random) -> str:
    """An identifier such as QX-417, K9-20-B or TRV8812."""
    letters = "".join(r.choice("BCDFGHJKLMNPQRSTVWXZ") for _ in range(r.randint(1, 3)))
    number = str(r.randint(10, 9999))
    return r.choice(
        [
            f"{letters}-{number}",
            f"{letters}-{number}",
            f"{letters}{number}",
            f"{letters}-{r.randint(1, 99)}-{r.choice('ABCDEFX')}",
        ]
    )


def person(r: Random) -> str:
    first = r.choice(FIRST) if r.random() < 0.6 else invented(r)
    return f"{first} {r.choice(LAST) if r.random() < 0.5 else invented(r)}"


def city(r: Random) -> str:
    return r.choice(CITIES) if r.random() < 0.4 else invented(r)


def date(r: Random) -> str:
    return f"20{r.randint(10, 29):02d}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}"


def long_date(r: Random) -> str:
    return f"{r.randint(1, 28)} {r.choice(MONTHS)} {r.randint(1950, 2029)}"


def pick(r: Random, alternatives: str) -> str:
    """One of the |-separated alternatives."""
    return r.choice(alternatives.split("|")).strip()


REQUESTS = frozenset(_WORDS["requests"].split())


def varied(r: Random, request: str) -> str:
    """The same request, now and then more polite, lower case or without its full stop."""
    x = r.random() if request.split(" ", maxsplit=1)[0] in REQUESTS else 1.0
    lowered = request[:1].lower() + request[1:] if not request[:2].isupper() else request
    if x < 0.10:
        return "Please " + lowered
    if x < 0.16 and request.endswith(".") and "\n" not in request:
        return r.choice(["Can you ", "Could you ", "Could you please ", "Would you "]) + lowered[:-1] + "?"
    if x < 0.20:
        return lowered
    if x < 0.26 and request.endswith("."):
        return request[:-1]
    if x < 0.30:
        return r.choice(["I need help: ", "Help me with this. ", "Hi! ", "Hello, ", "Quick task: ", "Task: "]) + request
    return request


@functools.cache
def library_text() -> tuple[str, ...]:
    """Paragraphs of prose from this Python's help topics and module docstrings (PSF licence), white space folded."""
    texts = [text for _, text in sorted(pydoc_data.topics.topics.items())]
    for path in sorted(STDLIB.glob("*.py")):
        texts += re.findall(r'"""(.*?)"""', path.read_text(encoding="utf-8", errors="ignore"), re.DOTALL)
    found: dict[str, None] = {}
    for text in texts:
        for raw in re.split(r"\n\s*\n", text):
            paragraph = re.sub(r"\s+", " ", raw).strip()
            letters = sum(c.isalpha() or c == " " for c in paragraph)
            if (
                80 < len(paragraph) < 900
                and letters > 0.86 * len(paragraph)
                and paragraph.isascii()
                and "|" not in paragraph
                and paragraph[0].isupper()
            ):
                found[paragraph] = None
    return tuple(found)


@functools.cache
def library_words() -> dict[str, tuple[str, ...]]:
    """Content words of the library's prose by ending: ing, ed, ly, noun (-tion, -ness, -ment, -ity, -er), other (five letters or more)."""
    counts = Counter(w for p in library_text() for w in re.findall(r"(?<![\w.'])[a-z]{5,14}(?![\w.(=])", p))
    kept = sorted(w for w, n in counts.items() if n >= 2)
    endings = {
        "ing": ("ing",),
        "ed": ("ed",),
        "ly": ("ly",),
        "noun": ("tion", "ness", "ment", "ity", "er", "or", "ance", "ence", "age"),
    }
    groups: dict[str, list[str]] = {name: [] for name in (*endings, "other")}
    for word in kept:
        name = next((k for k, tails in endings.items() if word.endswith(tails)), "other")
        groups[name].append(word)
    return {name: tuple(words) for name, words in groups.items()}
