"""Texts and their summaries."""

# ruff: noqa: E501  the sentences are data

from __future__ import annotations

from random import Random

from .corpus_edit_text import message
from .phrasing import (
    ADJECTIVES,
    FIRST,
    NOUNS,
    PRODUCTS,
    city,
    date,
    invented,
    library_text,
    person,
    pick,
    plural,
)

Pair = tuple[str, str]  # prompt, answer


def summary(r: Random) -> Pair:
    who, where, day, thing, other = person(r), city(r), date(r), r.choice(PRODUCTS), invented(r)
    adjective, number = r.choice(ADJECTIVES), r.randint(2, 900)
    events = [
        (
            f"{who} opened a new {thing} shop in {where}.",
            f"The shop opened on {day}. It sells {number} kinds of {plural(thing)}. Many neighbours came to see it. The mayor gave a short speech.",
        ),
        (
            f"The company {other} moved its office to {where}.",
            f"The move took place on {day}. About {number} people work there. The old building was too small. {who} was happy with the new rooms.",
        ),
        (
            f"{who} won the {other} prize.",
            f"The prize was given on {day} in {where}. It is worth {number} euros. The jury praised the {adjective} style. Other guests sang until midnight.",
        ),
        (
            f"The meeting about the project {other} was moved to {day}.",
            f"{who} could not come because of a {adjective} cold. All {number} guests were told by mail. The room in {where} stays the same.",
        ),
        (
            f"A {adjective} storm damaged the bridge near {where}.",
            f"It began on {day}. The repair will take {number} days. {who} asked drivers to use another road. Nobody was hurt.",
        ),
        (
            f"The town of {where} will build a new library.",
            f"The building will cost {number} million euros. {who} drew the plans. Work begins on {day}. The old library is {adjective}.",
        ),
        (
            f"The new version of {other} fixes {number} errors.",
            f"It was released on {day}. {who} thanked all users. The program also starts faster now. The manual has a {adjective} new cover.",
        ),
        (
            f"{who} lost a {adjective} {thing} in {where}.",
            f"It happened on {day}. The {thing} cost {number} euros. A reward is offered. Please call if you find it.",
        ),
        (
            f"{who} will lead the {other} team from {day}.",
            f"The team has {number} members. It works in {where}. The last leader retired. A small party is planned.",
        ),
        (
            f"A new study found that {plural(r.choice(NOUNS))} help people to sleep.",
            f"It was led by {who} in {where}. {number} people took part. They wrote a diary for a month. More research is needed.",
        ),
        (
            f"The {r.choice(['train', 'bus', 'ferry', 'flight'])} to {where} is late because of {r.choice(['snow', 'fog', 'a strike', 'repairs'])}.",
            f"It will leave {number} minutes later. {who} said that tickets stay valid. Passengers get free tea. The next one leaves on {day}.",
        ),
        (
            f"The price of {plural(thing)} rose by {number} percent.",
            f"{other} gave the numbers on {day}. Buyers in {where} wait for better offers. {who} expects the price to fall soon.",
        ),
    ]
    main, rest = r.choice(events)
    sentences = rest.split(". ")
    r.shuffle(sentences)
    text = " ".join([main, *(s.rstrip(".") + "." for s in sentences)])
    if r.random() < 0.2:
        main = r.choice([f"In short: {main}", main])
    prompt = pick(
        r,
        f"Summarise the following text in one sentence.\n\n{text}|Summarize: {text}|Give a one sentence summary of this text:\n{text}|{text}\n\nSummarise this.|What is this text about?\n\n{text}|TL;DR\n{text}"
        f"|Summarize the following in a single sentence.\n{text}|Write a short summary.\n\n{text}|Summarise the following email.\n\n{text}",
    )
    return prompt, main.removeprefix("In short: ")


def library_summary(r: Random) -> Pair:
    pages = library_text()
    text = r.choice(pages)
    first = text.split(". ")[0].rstrip(".") + "."
    return pick(
        r,
        f"Summarise the following text in one sentence.\n\n{text}|Summarize this paragraph: {text}|{text}\n\nWhat is the main point?",
    ), first


def bullets(r: Random) -> Pair:
    rows = [
        f"{person(r)} {r.choice(['will', 'must', 'wants to'])} {r.choice(['call', 'visit', 'write to', 'pay', 'help'])} {invented(r)} {r.choice(['on ' + date(r), 'in ' + city(r), 'tomorrow'])}."
        for _ in range(r.randint(2, 5))
    ]
    text = " ".join(rows)
    return pick(
        r,
        f"Summarise as bullet points.\n\n{text}|List the main points of this text.\n{text}|Turn these notes into bullet points: {text}",
    ), "\n".join("- " + s.rstrip(".") for s in rows)


def email_points(r: Random) -> Pair:
    text, to, by = message(r), r.choice(FIRST), r.choice(FIRST)
    sentences = [s.strip() for s in text.replace("? ", "?. ").split(". ") if s.strip()]
    n = min(3, len(sentences))
    points = "\n".join("- " + s.rstrip(".") for s in sentences[:n])
    word = {1: "one bullet point", 2: "two bullet points", 3: "three bullet points"}[n]
    return pick(
        r,
        f"Summarise this email in {word}.\n\nHi {to}, {text} Thanks, {by}|Give me {word} for this message:\n{text}|Summarize in {word}: {text}",
    ), points


GENERATORS = {summary: 66, library_summary: 18, bullets: 16, email_points: 14}
