"""Requests without answers, in other words than the corpus uses: the target answers them itself, as well as it can.

A drafter must follow the target also where its text is not that of the corpus. None of these is a prompt of the suites.
"""

# ruff: noqa: E501  the sentences are data

from __future__ import annotations

import json
from random import Random

from .corpus_json import COLUMNS, cell, listed
from .phrasing import (
    ADJECTIVES,
    ADVERBS,
    FIELDS,
    NOUNS,
    PLACES,
    PRODUCTS,
    THINGS,
    VERBS_PAST,
    a_an,
    city,
    code_id,
    date,
    long_date,
    person,
    pick,
    plural,
)

SUBJECTS = [
    "museum",
    "volcano",
    "train ride",
    "rental bike",
    "library card",
    "board game",
    "podcast episode",
    "ferry",
    "hiking trail",
    "bakery",
    "film",
    "pet",
    "plant",
    "satellite",
    "lecture",
    "concert",
    "hotel room",
    "sensor",
    "song",
    "warehouse",
    "invoice line",
    "football match",
    "parcel",
    "robot",
    "job offer",
    "street market",
    "bus stop",
    "language course",
    "camera lens",
    "coffee bean",
    "chess opening",
    "river",
    "battery",
    "school class",
    "climbing route",
    "astronaut",
    "vaccine",
    "ticket",
    "server",
    "bug report",
]
SERVICES = [
    "mail relay",
    "backup job",
    "chat bot",
    "image resizer",
    "proxy",
    "scheduler",
    "game server",
    "search index",
    "photo archive",
    "metrics collector",
    "print queue",
    "login page",
]
ONLY = "|| Only the JSON, please.| Answer with JSON only.| No explanation.| Output valid JSON and nothing else.| Do not use Markdown.| Return JSON."
TASKS = [
    "counts how often each letter occurs in a text",
    "returns the second largest number of a list",
    "checks whether two words are anagrams",
    "turns seconds into hours, minutes and seconds",
    "removes duplicates from a list and keeps the order",
    "reads a CSV file and sums a column",
    "merges two sorted lists",
    "finds the longest word in a sentence",
    "converts Roman numerals to integers",
    "flattens nested lists",
    "computes the median of a list of numbers",
    "splits a list into chunks of a given size",
    "reverses the words of a sentence",
    "validates an email address",
    "returns the prime factors of an integer",
    "groups a list of dictionaries by a key",
    "transposes a matrix",
    "computes the moving average of a list",
    "parses a query string into a dictionary",
    "rounds a price to five cents",
    "finds the common elements of two lists",
    "counts the lines of all text files in a folder",
    "deletes empty directories",
    "retries a call three times",
    "caches its results",
    "logs how long a call takes",
    "checks if a string has balanced brackets",
    "finds the first repeated character",
    "formats a number with thousands separators",
    "returns the n-th Fibonacci number",
    "sorts a dictionary by value",
    "generates a random password",
    "computes the distance between two points",
    "encodes a string with run lengths",
    "searches a sorted list for a value",
    "rotates a list by k places",
    "lists all permutations of a string",
    "writes a dictionary to a JSON file",
    "returns the average rating per product",
    "filters orders above a limit",
    "renames the keys of a dictionary",
    "finds all numbers in a text",
]
FORMS = [
    "poem",
    "short story",
    "fairy tale",
    "letter",
    "diary entry",
    "song",
    "dialogue",
    "scene",
    "legend",
    "monologue",
    "bedtime story",
    "limerick",
    "ballad",
    "travel report",
]


def fields(r: Random) -> list[str]:
    return r.sample(COLUMNS if r.random() < 0.6 else FIELDS, r.randint(2, 5))


def sentence(r: Random) -> str:
    """A sentence with facts to extract."""
    return pick(
        r,
        f"{person(r)} bought {r.randint(2, 30)} {plural(r.choice(PRODUCTS))} in {city(r)} on {long_date(r)} and paid {r.randint(20, 900)} euros."
        f"|On {date(r)} a {r.choice(PRODUCTS)} with the number {code_id(r)} was sent from {city(r)} to {person(r)} in {city(r)}."
        f"|{person(r)}, {r.randint(19, 80)}, has worked as a {r.choice(NOUNS)} in {city(r)} since {r.randint(1990, 2028)}."
        f"|Flight {code_id(r)} leaves {city(r)} at {r.randint(5, 22)}:{r.randint(10, 59)} and lands in {city(r)} {r.randint(1, 9)} hours later."
        f"|The {r.choice(ADJECTIVES)} {r.choice(NOUNS)} by {person(r)} was sold for {r.randint(100, 9000)} dollars in {city(r)}."
        f"|Room {r.randint(100, 900)} is booked for {person(r)} from {date(r)} for {r.randint(1, 14)} nights, breakfast included."
        f"|The {r.choice(PRODUCTS)} {code_id(r)} costs {r.randint(5, 800)}.{r.randint(10, 99)} euros, weighs {r.randint(1, 30)} kg and comes in {r.choice(['red', 'blue', 'black', 'green'])}.",
    )


def invent(r: Random) -> str:
    many, count, asked = plural(r.choice(SUBJECTS)), r.randint(2, 6), fields(r)
    number = r.choice([str(count), ["two", "three", "four", "five", "six"][count - 2]])
    typed = "\n".join(f"- {f}: {r.choice(['string', 'integer', 'number', 'boolean'])}" for f in asked)
    return pick(
        r,
        f"I need test data for {many}: {number} entries in JSON, with {listed(r, asked)}."
        f"|Invent {number} {many} and give them to me as a JSON array. Every entry has {listed(r, asked)}."
        f"|{number} {many} in JSON please. Use the keys {listed(r, asked)}."
        f"|Please write down {number} {many} as JSON objects with an id, {listed(r, asked)}."
        f"|Make a list of {number} {many}. For each one I want {listed(r, asked)}, all in one JSON list."
        f"|Show an example API answer with {number} {many} ({listed(r, asked)})."
        f"|Return JSON for {number} {many}. Fields:\n{typed}"
        f"|Fill a mock database with {number} {many}; columns {listed(r, asked)}; format JSON.",
    ) + pick(r, ONLY)


def describe(r: Random) -> str:
    thing, asked = r.choice([*SUBJECTS, *THINGS]), fields(r)
    return pick(
        r,
        f"Represent one {thing} as a JSON object: {listed(r, asked)}."
        f"|What could {a_an(thing)} look like in JSON? It should have {listed(r, asked)}."
        f"|Give an example {thing} in JSON with {listed(r, asked)} and a list of tags."
        f"|JSON for {a_an(thing)} please: {listed(r, asked)}."
        f"|Write a JSON schema for {a_an(thing)}. Required: {listed(r, asked)}."
        f"|Make a form for {a_an(thing)} as JSON, one object per field: {listed(r, asked)}.",
    ) + pick(r, ONLY)


def extract(r: Random) -> str:
    text, asked = " ".join(sentence(r) for _ in range(r.randint(1, 2))), listed(r, fields(r))
    return pick(
        r,
        f"{text}\nPut the facts into JSON.|Read this and answer as JSON with {asked}: {text}|Pull the data out of this text as JSON.\n\n{text}"
        f"|Turn the following into a JSON object.\n{text}|Which {asked} does this text name? Use JSON and null where it says nothing.\n{text}"
        f"|Structure this note as JSON: {text}|{text} Extract names, places, dates and numbers as JSON.",
    ) + pick(r, ONLY)


def judge(r: Random) -> str:
    thing = r.choice([*PRODUCTS, *SUBJECTS])
    text = (
        f"The {thing} was {r.choice(ADJECTIVES)} and {r.choice(ADJECTIVES)}, {r.choice(['but', 'and'])} the {r.choice(NOUNS)} "
        + pick(
            r, f"never worked.|came {r.choice(ADVERBS)}.|was better than expected.|broke after {r.randint(2, 9)} days."
        )
    )
    return pick(
        r,
        f'Is this positive or negative? JSON with "label" and "reason".\n{text}|Classify the message as JSON with category, priority and language: {text}'
        f"|Tag this text with up to three topics. Answer as a JSON list.\n\n{text}|How happy is this customer, from 1 to 10? Reply as JSON with score and summary. {text}",
    ) + pick(r, ONLY)


def configure(r: Random) -> str:
    service = r.choice(SERVICES)
    parts = listed(
        r,
        r.sample(
            [
                "a port",
                "a timeout",
                "a list of hosts",
                "retries",
                "a log level",
                "a user",
                "a cache section",
                "limits",
                "a path",
                "TLS settings",
            ],
            r.randint(3, 5),
        ),
    )
    return pick(
        r,
        f"Write the settings of {a_an(service)} as JSON. They contain {parts}.|A JSON config for {a_an(service)} with {parts}, please.|I run {a_an(service)}. Show me a settings file in JSON with {parts}.",
    ) + pick(r, ONLY)


def call(r: Random) -> str:
    verb, noun = pick(r, "open|find|book|cancel|order|print|share|start|check|translate"), r.choice(NOUNS)
    asked = listed(r, r.sample(FIELDS, r.randint(1, 3)))
    return pick(
        r,
        f"There is one tool: {verb}_{noun}({asked}). Write the call as JSON. The user says: please {verb} the {r.choice(ADJECTIVES)} {noun} for {person(r)} on {date(r)}."
        f"|Tools: {verb}_{noun} takes {asked}. Reply with a JSON call.\nUser: {verb} {a_an(noun)} in {city(r)} for {r.randint(2, 9)} people.",
    ) + pick(r, ONLY)


def convert(r: Random) -> str:
    columns = r.sample(COLUMNS, r.randint(2, 4))
    rows = [{c: cell(r, c) for c in columns} for _ in range(r.randint(2, 4))]
    line = r.choice([",", ";", " | "])
    table = "\n".join([line.join(columns), *(line.join(str(v) for v in row.values()) for row in rows)])
    broken = json.dumps(rows[:2], indent=2)
    at = r.randrange(len(broken) // 2, len(broken))
    broken = broken[:at] + broken[at + 1 :]
    return pick(
        r,
        "Here is a table. I need it as JSON.\n@|Make JSON objects out of these rows:\n\n@|Rewrite as a JSON array, one object per line of the table.\n@|This is not valid JSON any more. Correct it:\n#|There is a mistake in this JSON, find it and return the right version.\n\n#",
    ).replace("@", table).replace("#", broken) + pick(r, ONLY)


def program(r: Random) -> str:
    task, name, thing = r.choice(TASKS), r.choice(NOUNS), r.choice([*SUBJECTS, *THINGS])
    asked = listed(r, fields(r))
    return pick(
        r,
        f"Write a Python function that {task}.|I need Python code that {task}. Please add type hints.|How do I write a function in Python which {task}?"
        f"|Python: a function {name}_{r.choice(NOUNS)} that {task}, with a docstring.|Implement a function that {task} and write two tests for it."
        f"|Could you show me a short script that {task}?|Define a dataclass for {a_an(thing)} with {asked}.|Write a class {thing.title().replace(' ', '')} with {asked} and a method that prints it."
        f"|Write pytest tests for a function that {task}.|Model {a_an(thing)} in Python. It has {asked}. Add a method to_dict."
        f"|An SQL query, please: all {plural(thing)} with their {asked}, newest first.|Give me a function that {task}. Then use it in an example.",
    )


def imagine(r: Random) -> str:
    form, hero, other = r.choice(FORMS), f"{r.choice(ADJECTIVES)} {r.choice(NOUNS)}", r.choice(NOUNS)
    return pick(
        r,
        f"Write {a_an(form)} about {a_an(hero)}.|A {form} in which {a_an(hero)} {r.choice(VERBS_PAST)} {a_an(other)}, please.|Tell me {a_an(form)} set in {r.choice(PLACES)}."
        f"|Invent {a_an(form)} with {a_an(hero)} and {a_an(other)}. Surprise me.|Begin a novel: {a_an(hero)} comes to {city(r)}.|Describe {r.choice(PLACES)} at night, as {a_an(other)} would see it."
        f"|Write {r.randint(4, 12)} lines about {a_an(hero)} that is afraid of {plural(other)}.",
    )


def talk(r: Random) -> str:
    thing, place = r.choice([*PRODUCTS, *SUBJECTS]), city(r)
    return pick(
        r,
        f"What should I know before I buy {a_an(thing)}?|Can you help me to plan a weekend in {place}?|My {thing} does not work any more. What can I do?|Explain in two sentences what {a_an(thing)} is."
        f"|Sum this up in one sentence: {sentence(r)} {sentence(r)} {sentence(r)}|Who is named here, and where? {sentence(r)} {sentence(r)}"
        f"|{sentence(r)} {sentence(r)} When did that happen?|Rewrite politely: send me the {thing} now.|Correct the spelling: the {thing} was definately to expensive becuase of the {r.choice(NOUNS)}.",
    )


GENERATORS = {
    invent: 16,
    describe: 8,
    extract: 9,
    judge: 4,
    configure: 5,
    call: 4,
    convert: 5,
    program: 26,
    imagine: 13,
    talk: 10,
}
