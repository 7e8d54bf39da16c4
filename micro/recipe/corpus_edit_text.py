"""Edits of text and JSON: the answer is the text of the prompt with a change."""

# ruff: noqa: E501  the sentences are data

from __future__ import annotations

import json
import re
from random import Random

from .phrasing import (
    ADJECTIVES,
    FIELDS,
    NOUNS,
    PRODUCTS,
    THINGS,
    VERBS_PAST,
    cap,
    city,
    code_id,
    date,
    invented,
    person,
    pick,
    plural,
)

Pair = tuple[str, str]  # prompt, answer


def sentence(r: Random) -> str:
    return r.choice(
        [
            f"The {r.choice(ADJECTIVES)} {r.choice(NOUNS)} {r.choice(VERBS_PAST)} the {r.choice(NOUNS)}.",
            f"{person(r)} lives in {city(r)} and likes the {r.choice(ADJECTIVES)} {r.choice(NOUNS)}.",
            f"The order {code_id(r)} was sent on {date(r)}.",
            f"{invented(r)} is a {r.choice(ADJECTIVES)} {r.choice(NOUNS)}.",
            f"We met {person(r)} near the {r.choice(NOUNS)}.",
        ]
    )


def sentences(r: Random, low: int, high: int) -> str:
    return " ".join(sentence(r) for _ in range(r.randint(low, high)))


def replace_word(r: Random) -> Pair:
    text = sentences(r, 2, 5)
    candidates = [w.strip(".") for w in text.split() if len(w) > 4]
    old = r.choice(candidates)
    new = r.choice([invented(r), r.choice(NOUNS), code_id(r)])
    return pick(
        r,
        f"Replace {old} with {new} in the text.\n\n{text}|Rewrite the text with {old} changed to {new}.\n{text}|Change {old} to {new}: {text}|{text}\n\nUse {new} instead of {old}.",
    ), re.sub(rf"\b{re.escape(old)}\b", new, text)


TENSES = [
    ("walks", "walked"),
    ("opens", "opened"),
    ("finds", "found"),
    ("sees", "saw"),
    ("buys", "bought"),
    ("writes", "wrote"),
    ("reads", "read"),
    ("takes", "took"),
    ("makes", "made"),
    ("calls", "called"),
    ("loves", "loved"),
    ("paints", "painted"),
    ("cleans", "cleaned"),
    ("carries", "carried"),
    ("sells", "sold"),
    ("brings", "brought"),
    ("repairs", "repaired"),
    ("closes", "closed"),
    ("watches", "watched"),
    ("loses", "lost"),
]


def past_tense(r: Random) -> Pair:
    made = [
        (
            r.choice([person(r), f"The {r.choice(NOUNS)}", "She", "He"]),
            r.choice(TENSES),
            f"the {r.choice(ADJECTIVES)} {r.choice(NOUNS)} {r.choice(['in the morning', 'near the river', 'at home', 'every day', 'in ' + city(r)])}",
        )
        for _ in range(r.randint(1, 4))
    ]
    now, then = (" ".join(f"{who} {verb[k]} {what}." for who, verb, what in made) for k in (0, 1))
    if r.random() < 0.25:
        return pick(r, f"Change to present tense: {then}|Rewrite in the present tense.\n\n{then}"), now
    return pick(
        r,
        f"Change to past tense: {now}|Rewrite the text in the past tense.\n\n{now}|Put this into the past tense: {now}|{now}\n\nRewrite this in past tense.",
    ), then


def change_json(r: Random) -> Pair:
    keys = r.sample(FIELDS, r.randint(3, 6))
    value: dict[str, object] = {k: r.choice([r.randint(1, 999), invented(r), code_id(r)]) for k in keys}
    key, new = r.choice(keys), r.choice([r.randint(1, 999), invented(r)])
    text = json.dumps(value, indent=2)
    kind = r.choice(["set", "remove", "add", "rename"])
    if kind == "set":
        return pick(r, f"Set {key} to {new} in this JSON.\n{text}|Change the {key} to {new}:\n\n{text}"), json.dumps(
            value | {key: new}, indent=2
        )
    if kind == "remove":
        return pick(r, f"Remove the key {key} from this JSON.\n{text}|Delete {key}.\n\n{text}"), json.dumps(
            {k: v for k, v in value.items() if k != key}, indent=2
        )
    other = r.choice([f for f in FIELDS if f not in keys])
    if kind == "add":
        return pick(
            r, f"Add {other} with the value {new} to this JSON.\n{text}|Add a key {other}: {new}\n\n{text}"
        ), json.dumps(value | {other: new}, indent=2)
    return pick(
        r, f"Rename the key {key} to {other} in this JSON.\n{text}|Change the key {key} into {other}.\n\n{text}"
    ), json.dumps({other if k == key else k: v for k, v in value.items()}, indent=2)


def letter_case(r: Random) -> Pair:
    text = sentences(r, 1, 2)
    if r.random() < 0.5:
        return pick(r, f"Write this in lower case: {text}|Convert the text to lowercase.\n{text}"), text.lower()
    rows = [cap(r.choice(NOUNS)) for _ in range(r.randint(3, 7))]
    return pick(
        r,
        "Turn this into a bullet list: |Make a bullet list from these words: |Write each of these on its own line with a dash: ",
    ) + ", ".join(rows), "\n".join("- " + x for x in rows)


def plural_text(r: Random) -> Pair:
    words = r.sample(NOUNS, r.randint(3, 8))
    return "Write the plural of each word: " + ", ".join(words), ", ".join(plural(w) for w in words)


def corrected(r: Random) -> Pair:
    """Typing errors: one word has two letters swapped."""
    text = sentences(r, 1, 3)
    words = text.split(" ")
    i = r.choice([i for i, w in enumerate(words) if len(w) > 4 and w.isalpha() and w.islower()] or [0])
    j = r.randrange(1, max(2, len(words[i]) - 2))
    swapped = words[i][:j] + words[i][j + 1 : j + 2] + words[i][j : j + 1] + words[i][j + 2 :]
    wrong = " ".join([*words[:i], swapped, *words[i + 1 :]])
    return pick(
        r,
        f"Correct the spelling: {wrong}|Fix the typing error in this text.\n\n{wrong}|Proofread this text.\n{wrong}|Fix the typos: {wrong}",
    ), text


def misspelled(r: Random, word: str) -> str:
    i = r.randrange(1, len(word) - 1)
    return r.choice(
        [word[:i] + word[i + 1 :], word[:i] + word[i] + word[i:], word[:i] + word[i + 1] + word[i] + word[i + 2 :]]
    )


def message(r: Random) -> str:
    who, thing, where = person(r), r.choice(PRODUCTS), city(r)
    return " ".join(
        r.sample(
            [
                f"Thank you for your message about the {thing}.",
                f"I am sorry that the {thing} arrived with a broken {r.choice(NOUNS)}.",
                f"We will send you a new one on {pick(r, 'Monday|Tuesday|Friday')}.",
                f"Please send us a photo of the {thing}.",
                f"The meeting in {where} starts at {r.randint(8, 18)} o'clock.",
                f"My brother bought the {thing} in {where} and gave it to {who}.",
                f"Every morning {who} opens the window and looks at the {r.choice(NOUNS)}.",
                f"The people on the second floor have to use the {thing} next to the kitchen.",
                f"Nobody knows where the {r.choice(ADJECTIVES)} {r.choice(NOUNS)} came from.",
                f"Can you tell the team that {who} is ill?",
                f"The weather was beautiful and the children played in the {r.choice(NOUNS)}.",
                "We hope to see you again soon.",
                "Because of the strike, all trains were late yesterday.",
                f"The {thing} costs {r.randint(3, 900)} euros and comes with a warranty.",
            ],
            r.randint(2, 5),
        )
    )


def typos(r: Random) -> Pair:
    right = message(r)
    words = right.split(" ")
    for i in r.sample(range(len(words)), len(words)):
        if r.random() < 0.2 and len(words[i]) > 4 and words[i].isalpha() and words[i].islower():
            words[i] = misspelled(r, words[i])
    wrong = " ".join(words)
    return pick(
        r,
        f"Fix the spelling mistakes in this message. Do not change anything else.\n\n{wrong}|Correct the spelling.\n\n{wrong}|Fix the typos: {wrong}|{wrong}\n\nCorrect all mistakes.",
    ), right


def change_keys(r: Random) -> Pair:
    old = r.sample(FIELDS, 3)
    new = r.sample([f for f in [*FIELDS, *THINGS] if f not in old], 2)
    rows = [
        {k: r.choice([r.randint(1, 999), invented(r), r.choice(NOUNS)]) for k in old} for _ in range(r.randint(1, 4))
    ]
    table = dict(zip(old, new, strict=False))
    changed = [{table.get(k, k): v for k, v in row.items()} for row in rows]
    text = json.dumps(rows, indent=2)
    return pick(
        r,
        f'Change the key "{old[0]}" to "{new[0]}" and the key "{old[1]}" to "{new[1]}" in this JSON. Keep all values.\n\n{text}|Rename the keys {old[0]} to {new[0]} and {old[1]} to {new[1]}.\n{text}',
    ), json.dumps(changed, indent=2)


GENERATORS = {
    replace_word: 16,
    past_tense: 12,
    change_json: 12,
    letter_case: 3,
    plural_text: 2,
    corrected: 4,
    typos: 10,
    change_keys: 7,
}
