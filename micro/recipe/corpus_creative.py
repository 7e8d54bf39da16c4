"""Stories, poems, dialogues, adverts and letters from a grammar with thousands of content words, and prose of Python's documentation.

Meant to be hard to guess: a large vocabulary, invented names, free order of sentences.
"""

# ruff: noqa: E501  the sentences are data

from __future__ import annotations

from random import Random

from .phrasing import (
    ADJECTIVES,
    ADVERBS,
    CITIES,
    FIRST,
    NOUNS,
    PLACES,
    VERBS_INTR,
    VERBS_PAST,
    a_an,
    cap,
    city,
    invented,
    library_text,
    library_words,
    person,
    pick,
    plural,
)

Pair = tuple[str, str]  # prompt, answer


def adjective(r: Random) -> str:
    x = r.random()
    return r.choice(ADJECTIVES) if x < 0.75 else r.choice(library_words()["ing" if x < 0.87 else "ed"])


def noun(r: Random) -> str:
    return r.choice(NOUNS) if r.random() < 0.82 else r.choice(library_words()["noun"])


def phrase(r: Random) -> str:
    """A noun phrase."""
    x = r.random()
    if x < 0.32:
        return f"the {noun(r)}"
    if x < 0.56:
        return f"the {adjective(r)} {noun(r)}"
    if x < 0.70:
        return f"{a_an(adjective(r))} {noun(r)}"
    if x < 0.78:
        return f"{r.choice(['two', 'three', 'seven', 'many', 'a hundred', 'some', 'no', 'his', 'her', 'our'])} {plural(noun(r))}"
    if x < 0.88:
        return f"the {noun(r)} of {r.choice(FIRST) if r.random() < 0.5 else invented(r)}"
    return f"{r.choice(['his', 'her', 'their', 'my', 'every', 'another'])} {noun(r)}"


def place(r: Random) -> str:
    return (
        f"{r.choice(PLACES)} {noun(r)}"
        if r.random() < 0.8
        else f"in {r.choice(CITIES) if r.random() < 0.5 else city(r)}"
    )


def someone(r: Random, cast: list[str]) -> str:
    return r.choice(cast) if r.random() < 0.7 else phrase(r)


def clause(r: Random, cast: list[str]) -> str:  # noqa: PLR0911  a list of alternatives
    x, who = r.random(), someone(r, cast)
    if x < 0.30:
        return f"{who} {r.choice(VERBS_PAST)} {phrase(r)}"
    if x < 0.45:
        return f"{who} {r.choice(VERBS_INTR)} {place(r)}"
    if x < 0.55:
        return f"{who} {r.choice(ADVERBS)} {r.choice(VERBS_PAST)} {phrase(r)} {place(r)}"
    if x < 0.65:
        return f"{who} was {adjective(r)}, {r.choice(['but', 'and', 'yet', 'though'])} {someone(r, cast)} was {adjective(r)}"
    if x < 0.75:
        return f"there was {phrase(r)} {place(r)}"
    if x < 0.85:
        return f"{who} {r.choice(VERBS_PAST)} {phrase(r)} and {r.choice(VERBS_INTR)}"
    return f"{phrase(r)} {r.choice(['seemed', 'looked', 'felt', 'became', 'smelled', 'sounded'])} {r.choice(['as', 'more', 'less', 'too', 'very', 'almost'])} {adjective(r)}"


def sentence(r: Random, cast: list[str]) -> str:  # noqa: PLR0911  a list of alternatives
    x = r.random()
    if x < 0.38:
        return cap(clause(r, cast)) + "."
    if x < 0.50:
        return f"{pick(r, 'When|After|Before|While|Because|Although|As soon as|Since')} {clause(r, cast)}, {clause(r, cast)}."
    if x < 0.60:
        return f"{cap(clause(r, cast))}, {r.choice(['and', 'but', 'so', 'for', 'while', 'until'])} {clause(r, cast)}."
    if x < 0.72:
        said = r.choice(
            [
                f"where is {phrase(r)}?",
                f"I {r.choice(VERBS_PAST)} {phrase(r)},",
                f"never trust {phrase(r)},",
                f"who {r.choice(VERBS_PAST)} {phrase(r)}?",
                f"{clause(r, cast)}!",
                f"give me {phrase(r)},",
                f"we need {phrase(r)} and {phrase(r)},",
            ]
        )
        return f'"{cap(said)}" {r.choice(["said", "whispered", "asked", "cried", "answered", "muttered"])} {someone(r, cast)}.'
    if x < 0.80:
        return f"{cap(r.choice(ADVERBS))}, {clause(r, cast)}."
    if x < 0.88:
        return f"{pick(r, 'In the morning|At night|One day|For seven years|That winter|Long ago|At dawn|Some say that|Nobody knew that|In those days')} {clause(r, cast)}."
    return f"{cap(place(r))} {r.choice(VERBS_INTR)} {phrase(r)}, {adjective(r)} and {adjective(r)}."


def about(r: Random) -> str:
    return r.choice(
        [
            f"{a_an(adjective(r))} {noun(r)}",
            f"{a_an(noun(r))} and {a_an(noun(r))}",
            f"{a_an(noun(r))} who {r.choice(VERBS_PAST)} {phrase(r)}",
            f"{a_an(noun(r))} {place(r)}",
            f"{r.choice(FIRST)} and {a_an(noun(r))}",
            f"{plural(noun(r))}",
        ]
    )


def story(r: Random) -> Pair:
    theme = about(r)
    core = theme.split(" who ")[0]
    hero = r.choice([f"the {core.split()[-1]}", f"the {core.split()[-1]}", r.choice(FIRST), invented(r)])
    cast = [hero, hero, "she" if r.random() < 0.5 else "he", r.choice(FIRST), f"the {noun(r)}"]
    start = r.choice(
        [
            f"Once upon a time there was {theme}.",
            f"{cap(place(r))} lived {theme}.",
            sentence(r, cast),
            f"This is the story of {theme}.",
            f"Nobody in {city(r)} had ever seen {theme}.",
        ]
    )
    body = " ".join([start, *(sentence(r, cast) for _ in range(r.randint(4, 13)))])
    if r.random() < 0.3:
        middle = body.find(". ", len(body) // 2)
        body = body[: middle + 1] + "\n\n" + body[middle + 2 :]
    prompt = pick(
        r,
        f"Write a short story about {theme}.|Write a short story about {theme}.|Tell me a story about {theme}.|Write a creative tale about {theme}.|Make up a story with {theme}.|Invent a fairy tale about {theme}."
        f"|Write the opening of a novel about {theme}.|Continue this story: {start}|A bedtime story about {theme}, please.|Write a few sentences of fiction about {theme}.|Write a legend about {theme}.|Story idea: {theme}. Write it.",
    )
    return prompt, body


def poem(r: Random) -> Pair:
    theme = about(r)
    cast = ["I", "you", "we", f"the {noun(r)}", f"the {theme.split()[-1]}"]

    def line() -> str:
        return r.choice(
            [
                cap(clause(r, cast)) + r.choice([",", ";", "."]),
                f"O {adjective(r)} {noun(r)}, {adjective(r)} {noun(r)},",
                f"{cap(adjective(r))} as {phrase(r)},",
                f"{cap(place(r))} {someone(r, cast)} {r.choice(VERBS_INTR)},",
                f"And {phrase(r)} {r.choice(VERBS_INTR)} {r.choice(ADVERBS)}.",
                f"No {noun(r)}, no {noun(r)}, only {phrase(r)}.",
            ]
        )

    lines = [line() for _ in range(r.randint(4, 12))]
    return pick(
        r,
        f"Write a poem about {theme}.|A short poem about {theme}.|Compose a verse about {theme}.|Write some lines of poetry on {theme}.|Write a song about {theme}.",
    ), "\n".join(lines)


def description(r: Random) -> Pair:
    thing = f"{adjective(r)} {noun(r)}"
    cast = [f"the {thing.rsplit(maxsplit=1)[-1]}", "it", "people", "one"]
    where = city(r)
    return pick(
        r,
        f"Describe {a_an(thing)}.|Describe {a_an(thing)} in {where}.|Imagine {a_an(thing)} and describe it.|Paint a picture with words: {a_an(thing)}.|What would {a_an(thing)} look like?",
    ), " ".join(
        [
            f"The {thing} {r.choice(['stood', 'lay', 'waited', 'slept', 'hung', 'rested'])} {place(r)}.",
            *(sentence(r, cast) for _ in range(r.randint(3, 8))),
        ]
    )


def letter(r: Random) -> Pair:
    to, by, theme = r.choice(FIRST), person(r), about(r)
    body = " ".join(sentence(r, ["I", "we", "you", by.split()[0]]) for _ in range(r.randint(3, 8)))
    return pick(
        r,
        f"Write a letter to {to} about {theme}.|Write a letter from {by} to {to}.|Draft a strange letter to {to}. Sign it {by}.",
    ), f"Dear {to},\n\n{body}\n\nYours,\n{by}"


def names(r: Random) -> Pair:
    thing, n = noun(r), r.randint(3, 8)
    made = [
        r.choice([invented(r), f"{cap(adjective(r))} {cap(noun(r))}", f"The {cap(noun(r))} of {invented(r)}"])
        for _ in range(n)
    ]
    return pick(
        r,
        f"Invent {n} names for {a_an(thing)}.|Give me {n} ideas for the name of {a_an(thing)}.|Brainstorm {n} titles about {a_an(thing)}.",
    ), "\n".join(f"{i}. {m}" for i, m in enumerate(made, 1))


def library_prose(r: Random) -> Pair:
    pages = library_text()
    start = r.randrange(len(pages) - 2)
    words = [w for w in pages[start].split() if len(w) > 5 and w.isalpha()] or ["Python"]
    topic = r.choice(words).lower()
    return pick(
        r,
        f"Write a paragraph about {topic}.|Explain {topic} in plain prose.|Write about {topic} as a manual would.|Write a few sentences about {topic}.",
    ), " ".join(pages[start : start + r.randint(1, 2)])


def dialogue(r: Random) -> Pair:
    theme = about(r)
    a, b = r.sample([*FIRST, f"The {noun(r)}", f"The {noun(r)}"], 2)
    lines = []
    for i in range(r.randint(4, 12)):
        said = r.choice(
            [
                sentence(r, ["I", "you", "we", "they"]),
                f"Why did you {r.choice(['leave', 'hide', 'sell', 'follow', 'forget', 'paint'])} {phrase(r)}?",
                f"Where is {phrase(r)}?",
                f"{cap(phrase(r))}!",
                f"Because {clause(r, ['I', 'you', 'we'])}.",
            ]
        )
        lines.append(f"{(a, b)[i % 2]}: {said}")
    return pick(
        r,
        f"Write a dialogue between {a} and {b} about {theme}.|Write a conversation between {a} and {b}.|A short scene with {a} and {b}, please.|Write a dialogue about {theme}.",
    ), "\n".join(lines)


def advert(r: Random) -> Pair:
    thing, name = f"{r.choice(ADJECTIVES)} {noun(r)}", invented(r)
    body = " ".join(
        [
            f"Meet {name}, the {thing}.",
            *(sentence(r, [name, "you", "it", "we"]) for _ in range(r.randint(2, 6))),
            f"{name}: {r.choice(ADJECTIVES)}, {r.choice(ADJECTIVES)}, {r.choice(ADJECTIVES)}.",
        ]
    )
    return pick(
        r,
        f"Write a funny advert for a {thing}.|Write an advert for a {thing} and end with a slogan.|Advertise a {thing}. Give it a name.|Write a short speech about a {thing}.",
    ), body


def haiku(r: Random) -> Pair:
    n, theme = r.randint(1, 4), about(r)
    made = "\n\n".join(
        "\n".join(
            [cap(f"{r.choice(ADJECTIVES)} {noun(r)}"), clause(r, [phrase(r)]), f"{phrase(r)}, {r.choice(ADJECTIVES)}"]
        )
        for _ in range(n)
    )
    return pick(
        r,
        f"Write {n} haiku about {theme}.|Write a haiku about {theme}."
        if n == 1
        else f"Write {n} haiku about {theme}.|{cap(str(n))} haiku on {theme}.",
    ), made


GENERATORS = {
    story: 52,
    poem: 12,
    description: 12,
    letter: 7,
    names: 5,
    library_prose: 12,
    dialogue: 9,
    advert: 6,
    haiku: 4,
}
