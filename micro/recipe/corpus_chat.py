"""Chat of one or several turns."""

# ruff: noqa: E501  the sentences are data

from __future__ import annotations

import tomllib
from pathlib import Path
from random import Random

from .phrasing import (
    CITIES,
    FIRST,
    NOUNS,
    PRODUCTS,
    a_an,
    cap,
    city,
    invented,
    person,
    pick,
)

Turns = list[tuple[str, str]]  # (user, assistant), at least one


_TALK = tomllib.loads(Path(__file__).with_name("chat.toml").read_text(encoding="utf-8"))
Pair = tuple[str, str]  # prompt, answer

COLORS: list[str] = _TALK["colors"].split()


FOODS: list[str] = _TALK["foods"].split()


HOBBIES: list[str] = _TALK["hobbies"].split()


CAPITALS: dict[str, str] = _TALK["capitals"]


OPPOSITES: list[str] = _TALK["opposites"]


SOUNDS: list[str] = _TALK["sounds"]


ADVICE: dict[str, str] = _TALK["advice"]


DEFINITIONS: dict[str, str] = _TALK["definitions"]


def one_turn(r: Random) -> tuple[str, str]:  # noqa: PLR0911  a list of alternatives
    x = r.random()
    if x < 0.10:
        return pick(
            r, "Hello!|Hi|Hi there!|Good morning|Hey|Good evening!|Hello, how are you?|Hi, how are you today?"
        ), pick(
            r,
            "Hello! How can I help you today?|Hi! What can I do for you?|Hello! I am fine, thank you. What would you like to talk about?",
        )
    if x < 0.16:
        return pick(r, "Thanks!|Thank you|Thanks, that helps.|Great, thank you!|Perfect."), pick(
            r, "You are welcome!|You are welcome. Is there anything else?|I am glad that I could help."
        )
    if x < 0.28:
        country, town = r.choice(list(CAPITALS.items()))
        return pick(
            r,
            f"What is the capital of {country}?|Which city is the capital of {country}?|Do you know the capital of {country}?",
        ), f"The capital of {country} is {town}."
    if x < 0.36:
        a, b = r.sample(r.choice(OPPOSITES).split(), 2)
        return pick(r, f"What is the opposite of {a}?|Give me the opposite of {a}."), f"The opposite of {a} is {b}."
    if x < 0.42:
        animal, sound = r.choice(SOUNDS).split()
        return pick(
            r, f"What does {a_an(animal)} do?|What sound does {a_an(animal)} make?"
        ), f"{cap(a_an(animal))} {sound}."
    if x < 0.58:
        topic, answer = r.choice(list(ADVICE.items()))
        return pick(
            r,
            f"How can I {topic}?|How do I {topic}?|Do you have tips to {topic}?|Give me advice on how to {topic}.|I want to {topic}. Any ideas?|What is the best way to {topic}?",
        ), answer
    if x < 0.74:
        topic, answer = r.choice(list(DEFINITIONS.items()))
        return pick(
            r,
            f"What is {topic}?|Explain {topic}.|Can you explain what {topic} is?|Tell me what {topic} is.|Define {topic}.",
        ), answer
    if x < 0.82:
        thing = r.choice([r.choice(COLORS), r.choice(FOODS), r.choice(HOBBIES)])
        return pick(
            r,
            f"I like {thing}. What about you?|Do you like {thing}?|What do you think about {thing}?|Tell me something about {thing}.",
        ), pick(
            r,
            f"I think {thing} is wonderful. What do you like about {thing}?|Many people like {thing}. I would like to hear more about it.|{cap(thing)} is a good choice.",
        )
    if x < 0.90:
        a, b = r.sample([*FOODS, *HOBBIES, *CITIES], 2)
        c = r.choice([a, b])
        return pick(
            r, f"Should I choose {a} or {b}?|{a} or {b}?|What is better, {a} or {b}?"
        ), f"I would choose {c}, but both {a} and {b} are good."
    n = r.randint(3, 5)
    kind, pool = r.choice(
        [
            ("colors", COLORS),
            ("foods", FOODS),
            ("hobbies", HOBBIES),
            ("cities", CITIES),
            ("objects", NOUNS),
            ("names", FIRST),
        ]
    )
    return pick(r, f"Name {n} {kind}.|List {n} {kind}.|Tell me {n} {kind}.|Give me a list of {n} {kind}."), "\n".join(
        f"{i}. {cap(w)}" for i, w in enumerate(r.sample(pool, n), 1)
    )


def told(r: Random) -> tuple[Turns, tuple[str, str]]:
    """A turn that tells something and a later question about it."""
    kind = r.choice(["name", "city", "pet", "color", "number", "code", "project", "friend"])
    value = {
        "name": r.choice(FIRST) if r.random() < 0.4 else invented(r),
        "city": city(r),
        "pet": invented(r),
        "color": r.choice(COLORS),
        "number": str(r.randint(2, 9999)),
        "code": f"{invented(r)}-{r.randint(1, 99)}",
        "project": invented(r),
        "friend": person(r),
    }[kind]
    said = {
        "name": f"My name is {value}.",
        "city": f"I live in {value}.",
        "pet": f"My cat is called {value}.",
        "color": f"My favorite color is {value}.",
        "number": f"My lucky number is {value}.",
        "code": f"The code is {value}.",
        "project": f"I work on a project called {value}.",
        "friend": f"My best friend is {value}.",
    }[kind]
    reply = {
        "name": f"Nice to meet you, {value}!",
        "city": f"{value} sounds like a nice place.",
        "pet": f"{value} is a lovely name for a cat.",
        "color": f"{cap(value)} is a beautiful color.",
    }.get(kind, f"I will remember that: {value}.")
    question = {
        "name": "What is my name?",
        "city": "Where do I live?",
        "pet": "What is my cat called?",
        "color": "What is my favorite color?",
        "number": "What is my lucky number?",
        "code": "What is the code?",
        "project": "What is my project called?",
        "friend": "Who is my best friend?",
    }[kind]
    answer = {
        "name": f"Your name is {value}.",
        "city": f"You live in {value}.",
        "pet": f"Your cat is called {value}.",
        "color": f"Your favorite color is {value}.",
        "number": f"Your lucky number is {value}.",
        "code": f"The code is {value}.",
        "project": f"Your project is called {value}.",
        "friend": f"Your best friend is {value}.",
    }[kind]
    return [(r.choice(["", "Hi! ", "Hello. "]) + said, reply)], (
        pick(r, f"{question}|Do you remember? {question}|{question} I forgot."),
        answer,
    )


def chat(r: Random) -> Turns:
    turns: Turns = []
    if r.random() < 0.4:
        first, last = told(r)
        turns = first + [one_turn(r) for _ in range(r.randint(0, 2))] + [last]
    else:
        turns = [one_turn(r) for _ in range(r.choice([1, 1, 1, 2, 3, 4]))]
    return turns


def support(r: Random) -> Turns:
    number, thing, day = (
        str(r.randint(1000, 99999)),
        r.choice(PRODUCTS),
        pick(r, "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday"),
    )
    turns = [
        (
            pick(
                r,
                f"Where is my parcel? I ordered a {thing}.|Hi, my {thing} has not arrived.|Hello, I am waiting for a {thing}.",
            ),
            "I am sorry that you have to wait. Could you please tell me your order number?",
        ),
        (
            pick(r, f"It is {number}.|{number}|The order number is {number}."),
            f"Thank you. I found order {number}. The {thing} will arrive on {day}.",
        ),
        (pick(r, "Great, thank you!|Can you send it faster?|What was the order number?|When will it arrive?"), ""),
    ]
    last = turns[-1][0]
    replies = {
        "Great": "You are welcome! Is there anything else that I can do?",
        "Can": f"I am sorry, the {thing} is already on its way. It will arrive on {day}.",
        "What": f"The order number is {number}.",
        "When": f"The {thing} will arrive on {day}.",
    }
    turns[-1] = (last, replies[last.split(",")[0].split()[0]])
    return turns[: r.choice([1, 2, 3, 3])]


MEALS: list[str] = _TALK["meals"]


INGREDIENTS: list[str] = _TALK["ingredients"].split()


def cooking(r: Random) -> Turns:
    have, meal = r.sample(INGREDIENTS, 3), r.choice(MEALS)
    turns = [
        (
            pick(
                r,
                f"I have {have[0]}, {have[1]} and {have[2]}. What can I cook?|What can I make with {have[0]}, {have[1]} and {have[2]}?|Hi! I have {have[0]}, {have[1]} and some {have[2]}. What can I cook for dinner?",
            ),
            f"You can make {meal}: cut the {have[0]}, add the {have[1]} and the {have[2]}, and cook everything for {(m := r.randint(5, 40))} minutes.",
        )
    ]
    if r.random() < 0.6:
        turns.append(
            r.choice(
                [
                    (f"I do not like {have[1]}.", f"Then leave out the {have[1]} and use more {have[0]}."),
                    ("How long does it take?", f"It takes about {m} minutes."),
                    ("What else do I need?", f"You need salt, pepper and a pan for {meal}."),
                    ("Can children eat it?", f"Yes, children usually like {meal}. Use less salt."),
                ]
            )
        )
    return turns


PLACES_TO_SEE: list[str] = _TALK["places_to_see"]


def travel(r: Random) -> Turns:
    to, days = (r.choice(CITIES) if r.random() < 0.6 else invented(r)), r.randint(2, 6)
    see = r.sample(PLACES_TO_SEE, 3)
    turns = [
        (
            pick(
                r,
                f"I am going to {to} for {days} days. What should I see?|Plan {days} days in {to} for me.|What can I do in {to}?|I want to visit {to}.",
            ),
            f"In {to} you can see {see[0]}, {see[1]} and {see[2]}.",
        )
    ]
    if r.random() < 0.5:
        turns.append(
            r.choice(
                [
                    ("What should I do first?", f"Start with {see[0]}, because it is quiet in the morning."),
                    ("And if it rains?", f"If it rains, visit {see[2]} and drink a cup of tea."),
                    ("Where am I going?", f"You are going to {to}."),
                ]
            )
        )
    return turns


GENERATORS = {chat: 100, support: 25, cooking: 20, travel: 15}
