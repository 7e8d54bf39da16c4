"""Documents with questions whose answers quote a sentence, restating the question's entity so that copying finds the way."""

# ruff: noqa: E501  the sentences are data

from __future__ import annotations

import re
from random import Random

from .phrasing import (
    ADJECTIVES,
    DEVICES,
    NOUNS,
    TRAITS,
    a_an,
    cap,
    city,
    code_id,
    date,
    invented,
    library_text,
    long_date,
    person,
    pick,
)

Pair = tuple[str, str]  # prompt, answer
Fact = tuple[str, str]  # sentence, question


def device_facts(r: Random) -> list[Fact]:
    subject = f"{r.choice(DEVICES)} {code_id(r) if r.random() < 0.7 else invented(r)}"
    e, year = f"The {subject}", r.randint(1900, 2029)
    return [
        (
            f"{e} was installed in {city(r)} in {year}.",
            pick(
                r,
                f"Where was the {subject} installed?|When and where was the {subject} installed?|In which year was the {subject} installed?",
            ),
        ),
        (
            f"{e} is maintained by {person(r)}.",
            pick(r, f"Who maintains the {subject}?|Who is responsible for the maintenance of the {subject}?"),
        ),
        (
            f"{e} weighs {r.randint(2, 900)} kilograms and is painted {r.choice(TRAITS)}.",
            pick(
                r,
                f"How much does the {subject} weigh?|What color is the {subject}?|What is the weight of the {subject}?",
            ),
        ),
        (
            f"{e} was last inspected on {date(r)} by {person(r)}.",
            pick(r, f"When was the {subject} last inspected?|Who inspected the {subject}?"),
        ),
        (
            f"{e} runs at {r.randint(10, 999)} degrees and uses {r.randint(2, 99)} kilowatts.",
            pick(r, f"How hot does the {subject} run?|How much power does the {subject} use?"),
        ),
        (
            f"{e} was built by {invented(r)} and costs {r.randint(100, 9999)} euros.",
            pick(r, f"Who built the {subject}?|How much does the {subject} cost?|What is the price of the {subject}?"),
        ),
        (
            f"{e} is stored in room {code_id(r)}.",
            pick(r, f"Where is the {subject} stored?|In which room is the {subject}?"),
        ),
    ]


def person_facts(r: Random) -> list[Fact]:
    n = person(r)
    return [
        (f"{n} was born in {city(r)} in {r.randint(1900, 2005)}.", pick(r, f"Where was {n} born?|When was {n} born?")),
        (
            f"{n} works as {a_an(r.choice(NOUNS[30:60]))} in {city(r)}.",
            pick(r, f"Where does {n} work?|What does {n} work as?|What is the job of {n}?"),
        ),
        (
            f"{n} owns {a_an(r.choice(ADJECTIVES))} {r.choice(NOUNS)} called {invented(r)}.",
            pick(r, f"What does {n} own?|What is the name of the thing {n} owns?"),
        ),
        (
            f"{n} can be reached at extension {r.randint(100, 9999)}.",
            pick(r, f"What is the extension of {n}?|How can {n} be reached?"),
        ),
        (
            f"{n} won the {invented(r)} prize on {long_date(r)}.",
            pick(r, f"Which prize did {n} win?|When did {n} win the prize?"),
        ),
        (f"{n} leads the project {invented(r)}.", pick(r, f"Which project does {n} lead?|What does {n} lead?")),
    ]


def company_facts(r: Random) -> list[Fact]:
    n = invented(r) + r.choice([" Ltd", " Group", " Labs", "", " Systems", " Foods"])
    return [
        (
            f"{n} was founded in {r.randint(1850, 2025)} by {person(r)}.",
            pick(r, f"Who founded {n}?|When was {n} founded?"),
        ),
        (
            f"{n} has its headquarters in {city(r)}.",
            pick(r, f"Where are the headquarters of {n}?|In which city is {n}?"),
        ),
        (
            f"{n} has {r.randint(10, 90000)} employees.",
            pick(r, f"How many employees does {n} have?|How many people work for {n}?"),
        ),
        (
            f"{n} sells {r.choice(ADJECTIVES)} {r.choice(NOUNS)}s under the name {invented(r)}.",
            pick(r, f"What does {n} sell?|Under which name does {n} sell its goods?"),
        ),
        (
            f"{n} made a profit of {r.randint(2, 999)} million in {r.randint(1990, 2029)}.",
            pick(r, f"What was the profit of {n}?|How much profit did {n} make?"),
        ),
    ]


def place_facts(r: Random) -> list[Fact]:
    n = invented(r)
    return [
        (
            f"The {r.choice(['river', 'mountain', 'lake', 'island', 'village'])} {n} lies {r.randint(2, 900)} kilometres from {city(r)}.",
            pick(r, f"How far is {n} from the city?|Where does {n} lie?"),
        ),
        (
            f"{n} has {r.randint(100, 99999)} inhabitants.",
            pick(r, f"How many inhabitants does {n} have?|How many people live in {n}?"),
        ),
        (f"{n} is famous for its {r.choice(ADJECTIVES)} {r.choice(NOUNS)}.", pick(r, f"What is {n} famous for?")),
        (f"The mayor of {n} is {person(r)}.", pick(r, f"Who is the mayor of {n}?")),
        (f"{n} was founded in {r.randint(900, 1950)}.", pick(r, f"When was {n} founded?")),
    ]


def rule_facts(r: Random) -> list[Fact]:
    n = f"{r.choice(['plan', 'policy', 'form', 'model', 'route', 'package', 'version', 'licence'])} {code_id(r)}"
    return [
        (f"The {n} is valid until {date(r)}.", pick(r, f"Until when is the {n} valid?|When does the {n} expire?")),
        (f"The {n} was approved by {person(r)}.", pick(r, f"Who approved the {n}?")),
        (
            f"The {n} costs {r.randint(5, 999)} dollars per month.",
            pick(r, f"How much is the {n}?|What does the {n} cost?"),
        ),
        (
            f"The {n} allows up to {r.randint(2, 500)} {r.choice(NOUNS)}s.",
            pick(r, f"How many does the {n} allow?|What does the {n} allow?"),
        ),
    ]


def everyday_facts(r: Random) -> list[Fact]:
    """Notices, manuals and policies in ordinary words."""
    place = pick(
        r,
        "museum|library|swimming pool|cafe|post office|bakery|office|town hall|garden|cinema|gym|clinic|school|station",
    )
    thing = pick(
        r,
        "coffee machine|washing machine|router|camera|printer|dishwasher|heater|bicycle|phone|vacuum cleaner|oven|lamp",
    )
    who = pick(r, "Employees|Students|Members|Visitors|Guests|Customers|Managers|Teachers|Drivers|Residents")
    day = pick(r, "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday")
    return [
        (
            f"The {place} opens at {r.randint(6, 11)}:00 and closes at {r.randint(4, 10) + 12}:{r.choice(['00', '30'])}.",
            pick(
                r,
                f"When does the {place} open?|At what time does the {place} close?|What are the opening hours of the {place}?",
            ),
        ),
        (
            f"The {place} is closed on {day}.",
            pick(r, f"On which day is the {place} closed?|When is the {place} closed?"),
        ),
        (
            f"A ticket for the {place} costs {r.randint(2, 99)} euros.",
            pick(r, f"How much is a ticket for the {place}?|What does a ticket for the {place} cost?"),
        ),
        (
            f"The {place} was built in {r.randint(1700, 2020)} by the architect {person(r)}.",
            pick(r, f"Who built the {place}?|When was the {place} built?|Who was the architect of the {place}?"),
        ),
        (
            f"The {thing} must be cleaned every {r.randint(2, 99)} days.",
            pick(r, f"How often must the {thing} be cleaned?"),
        ),
        (
            f"The warranty of the {thing} lasts {r.randint(2, 99)} months.",
            pick(r, f"How long is the warranty of the {thing}?|How long does the warranty last?"),
        ),
        (
            f"To reset the {thing}, hold the {r.choice(TRAITS)} button for {r.randint(2, 99)} seconds.",
            pick(r, f"How do I reset the {thing}?|How can the {thing} be reset?|Which button resets the {thing}?"),
        ),
        (
            f"The battery of the {thing} lasts {r.randint(2, 99)} hours.",
            pick(r, f"How long does the battery of the {thing} last?"),
        ),
        (
            f"{who} may take {r.randint(2, 99)} days of leave per year.",
            pick(r, f"How many days of leave may {who.lower()} take?"),
        ),
        (
            f"{who} must report a problem within {r.randint(2, 99)} days to {person(r)}.",
            pick(
                r,
                f"To whom must {who.lower()} report a problem?|Within how many days must {who.lower()} report a problem?",
            ),
        ),
        (
            f"{who} can borrow up to {r.randint(2, 500)} books for {r.randint(2, 99)} weeks.",
            pick(r, f"How many books can {who.lower()} borrow?|For how long can {who.lower()} borrow books?"),
        ),
        (
            f"{who} need a password with at least {r.randint(2, 99)} characters.",
            pick(r, f"How long must the password of {who.lower()} be?"),
        ),
        (
            f"The next meeting takes place on {day} at {r.randint(6, 11)}:{r.choice(['00', '15', '30'])} in room {r.randint(2, 500)}.",
            pick(r, "When does the next meeting take place?|In which room is the next meeting?|Where is the meeting?"),
        ),
        (
            f"The order can be returned within {r.randint(2, 99)} days.",
            pick(
                r,
                "Within how many days can the order be returned?|How long can the order be returned?|What is the return policy?",
            ),
        ),
        (
            f"In {r.randint(1200, 2020)}, {person(r)} discovered the {r.choice(ADJECTIVES)} {r.choice(NOUNS)} of {city(r)}.",
            pick(r, "What was discovered?|Who made the discovery?|When was the discovery?"),
        ),
    ]


def everyday(r: Random) -> list[Fact]:
    return r.sample(everyday_facts(r), 4)


KINDS = [everyday, everyday, device_facts, device_facts, person_facts, company_facts, place_facts, rule_facts]


def asked(r: Random, document: str, question: str) -> str:
    return r.choice(
        [
            f"Use the document to answer the question and quote it.\nDocument:\n{document}\nQuestion: {question}",
            f"Document: {document}\n\nQuestion: {question}",
            f"Answer the question with a quote from the text.\n\n{document}\n\n{question}",
            f"{document}\n\n{question} Quote the sentence.",
            f"Read the following text.\n\n{document}\n\nQuestion: {question}\nAnswer with a quote.",
            f"Context:\n{document}\n\nUsing only the context, answer: {question}",
            f"{question} Use the document and quote the relevant sentence.\n\nDocument:\n{document}",
            f"Based on the document below, answer the question and quote the sentence you used.\n\n{document}\n\nQuestion: {question}",
            f"Here is a note:\n{document}\n\nAccording to the note, {question[:1].lower() + question[1:]}",
            f"Text:\n{document}\n\nQ: {question}",
        ]
    )


def quoted(sentences: list[str]) -> str:
    return " ".join(f'According to the document: "{s}"' for s in sentences)


def facts(r: Random, entities: int) -> Pair:
    found: list[Fact] = []
    for _ in range(entities):
        kind = r.choice(KINDS)(r)
        found += r.sample(kind, min(len(kind), r.randint(1, 3)))
    if r.random() < 0.5:
        r.shuffle(found)
    separator = r.choice([" ", " ", "\n", "\n- "])
    document = separator.join(f[0] for f in found)
    chosen = r.sample(found, 1 if r.random() < 0.85 or len(found) < 2 else 2)
    return asked(r, document, " ".join(f[1] for f in chosen)), quoted([f[0] for f in chosen])


def short_facts(r: Random) -> Pair:
    return facts(r, r.randint(1, 4))


def long_facts(r: Random) -> Pair:
    """500 to 900 tokens."""
    return facts(r, r.randint(9, 15))


def sentences_of(text: str) -> list[str]:
    return [s for s in re.split(r"(?<=[.!?]) +", text) if 30 < len(s) < 220]


def library_pages(r: Random, paragraphs: int) -> Pair:
    pages = library_text()
    start = r.randrange(len(pages) - paragraphs)
    chosen = pages[start : start + paragraphs]
    sentences = [s for p in chosen for s in sentences_of(p)]
    if not sentences:
        return short_facts(r)
    i = r.randrange(len(sentences))
    words = " ".join(sentences[i].split()[: r.randint(3, 6)])
    question = pick(
        r,
        f'What does the document say about "{words}"?|Which sentence begins with "{words}"?|Quote the sentence that starts with "{words}".|What follows after "{words}"?',
    )
    return asked(r, "\n\n".join(chosen), question), quoted([sentences[i]])


def short_pages(r: Random) -> Pair:
    return library_pages(r, 1)


def long_pages(r: Random) -> Pair:
    return library_pages(r, r.randint(5, 8))


def hidden_fact(r: Random) -> Pair:
    """One invented fact among the library's prose."""
    pages = library_text()
    start = r.randrange(len(pages) - 3)
    chosen = list(pages[start : start + r.randint(1, 3)])
    sentence, question = r.choice(r.choice(KINDS)(r))
    chosen.insert(r.randrange(len(chosen) + 1), sentence)
    return asked(r, "\n".join(chosen), question), quoted([sentence])


def lookup(r: Random) -> Pair:
    """A list of keys and values; the answer restates the key."""
    keys = [r.choice([invented, code_id, person])(r) for _ in range(r.randint(3, 9))]
    values = [r.choice([str(r.randint(10, 99999)), invented(r), code_id(r), cap(r.choice(NOUNS))]) for _ in keys]
    link = r.choice([": ", " = ", " -> ", " is "])
    i = r.randrange(len(keys))
    document = "\n".join(k + link + v for k, v in zip(keys, values, strict=True))
    return asked(
        r,
        document,
        pick(r, f"What is the value of {keys[i]}?|What belongs to {keys[i]}?|Which entry does {keys[i]} have?"),
    ), quoted([keys[i] + link + values[i]])


SHORT = {short_facts: 60, short_pages: 14, hidden_fact: 12, lookup: 14}
LONG = {long_facts: 55, long_pages: 25, hidden_fact: 20}
