"""JSON from text: extraction, tables and key-value pairs. The answer is always the JSON alone."""

# ruff: noqa: E501  the sentences are data

from __future__ import annotations

import json
from random import Random

from .corpus_json import cell, dumped, listed
from .phrasing import (
    FIELDS,
    PRODUCTS,
    THINGS,
    city,
    code_id,
    date,
    invented,
    person,
    pick,
    plural,
    varied,
)

Pair = tuple[str, str]  # prompt, answer


def extraction(r: Random) -> Pair:
    name, place, day, product, number, code, price = (
        person(r),
        city(r),
        date(r),
        r.choice(PRODUCTS),
        r.randint(2, 40),
        code_id(r),
        r.randint(5, 999),
    )
    company, mail = invented(r), f"{invented(r).lower()}@{invented(r).lower()}.com"
    kinds: list[tuple[str, str, dict[str, object]]] = [
        (
            "order",
            f"{name} from {place} ordered {number} {plural(product)} on {day}.",
            {"name": name, "city": place, "product": product, "quantity": number, "date": day},
        ),
        (
            "order",
            f"Order {code}: {number} {plural(product)} for {name}, to be shipped to {place}.",
            {"order": code, "quantity": number, "product": product, "name": name, "city": place},
        ),
        (
            "person",
            f"{name} is {number + 18} years old, lives in {place} and works for {company}.",
            {"name": name, "age": number + 18, "city": place, "company": company},
        ),
        (
            "meeting",
            f"The meeting with {name} is on {day} at {number % 12 + 8}:00 in {place}.",
            {"name": name, "date": day, "time": f"{number % 12 + 8}:00", "place": place},
        ),
        (
            "invoice",
            f"Invoice {code} from {company}, dated {day}, total {price} EUR.",
            {"invoice": code, "company": company, "date": day, "total": price, "currency": "EUR"},
        ),
        ("contact", f"You can reach {name} of {company} at {mail}.", {"name": name, "company": company, "email": mail}),
        (
            "device",
            f"Device {code} in {place} reported a temperature of {number} degrees on {day}.",
            {"device": code, "place": place, "temperature": number, "date": day},
        ),
        ("product", f"The {product} {invented(r)} costs {price} euros and weighs {number} kg.", {}),
        (
            "flight",
            f"Flight {code} leaves {place} for {(to := city(r))} on {day}.",
            {"flight": code, "from": place, "to": to, "date": day},
        ),
        (
            "ticket",
            f"{name} reported on {day} that the {product} {code} is broken.",
            {"name": name, "date": day, "product": product, "code": code},
        ),
    ]
    kind, text, value = r.choice(kinds)
    if not value:
        value = {"product": text.split()[2], "price": price, "weight": number}
    if len(value) > 3 and r.random() < 0.4:
        kept = r.sample(list(value), len(value) - 1)
        value = {k: value[k] for k in value if k in kept}
    fields = listed(r, list(value))
    if r.random() < 0.3:
        extra = pick(
            r,
            "Thank you for your message.|Have a nice day.|It was raining.|The office was closed in the morning.|Nobody else was there.|We look forward to hearing from you.",
        )
        text = f"{text} {extra}" if r.random() < 0.5 else f"{extra} {text}"
    prompt = pick(
        r,
        f"Extract the {kind} as JSON with the fields {fields}. Text: {text}|Extract {fields} as JSON from this text: {text}|Return only JSON with {fields}. {text}"
        f"|Read the text and return JSON with the keys {fields}.\n\n{text}|Turn this into JSON ({fields}): {text}|Parse the following {kind} into JSON with {fields}:\n{text}"
        f"|Convert the text to JSON.\nFields: {fields}\nText: {text}|Text: {text}\nExtract {fields} as JSON.",
    )
    return varied(r, prompt), dumped(r, value)


def extraction_list(r: Random) -> Pair:
    people = [(person(r), r.randint(18, 90), city(r)) for _ in range(r.randint(2, 4))]
    text = " ".join(f"{n} is {a} years old and lives in {c}." for n, a, c in people)
    value = [{"name": n, "age": a, "city": c} for n, a, c in people]
    prompt = pick(
        r,
        f"Extract all people as a JSON array with name, age and city. Text: {text}|List the people in this text as JSON with name, age, city.\n\n{text}|Return only JSON: an array of people with name, age and city. {text}",
    )
    return varied(r, prompt), dumped(r, value)


def table(r: Random) -> Pair:
    columns = ["id", *r.sample(["name", "city", "age", "price", "product", "status", "score"], r.randint(2, 3))]
    rows = [
        {
            "id": i,
            **{c: (invented(r) if c in {"name", "city"} and r.random() < 0.6 else cell(r, c)) for c in columns[1:]},
        }
        for i in range(1, r.randint(3, 5))
    ]
    sep = r.choice([",", ",", ";"])
    text = "\n".join([sep.join(columns), *(sep.join(str(v) for v in row.values()) for row in rows)])
    prompt = pick(
        r,
        f"Convert this CSV to JSON.\n{text}|Turn the table into a JSON array.\n\n{text}|Return the following CSV as JSON:\n{text}|CSV to JSON, only the JSON please:\n{text}",
    )
    return prompt, dumped(r, rows)


def pairs(r: Random) -> Pair:
    keys = r.sample([*FIELDS, *THINGS], r.randint(3, 6))
    value: dict[str, object] = {
        k: r.choice([r.randint(1, 9999), invented(r), code_id(r), r.random() < 0.5]) for k in keys
    }
    shown = "\n".join(f"{k}{r.choice([': '])}{str(v).lower() if isinstance(v, bool) else v}" for k, v in value.items())
    if r.random() < 0.5:
        shown = shown.replace("\n", ", ")
    return varied(
        r,
        pick(
            r,
            f"Convert these key value pairs to JSON: {shown}|Write this as a JSON object.\n{shown}|Make JSON from the following settings.\n{shown}|Return only JSON for: {shown}",
        ),
    ), dumped(r, value)


def order(r: Random) -> Pair:
    """Extraction where the fields are not named."""
    rows = [
        {"product": p, "quantity": r.randint(1, 9), "price": r.randint(2, 400)}
        for p in r.sample(PRODUCTS, r.randint(1, 3))
    ]
    number, who, where = r.randint(100, 9999), person(r), city(r)
    bought = " and ".join(
        f"{x['quantity']} {plural(x['product']) if x['quantity'] > 1 else x['product']} at {x['price']} euros{' each' if x['quantity'] > 1 else ''}"
        for x in rows
    )  # type: ignore[arg-type, operator]
    text = f"Order {number} was placed by {who}. {pick(r, 'She|He|The customer')} bought {bought}. The order was {pick(r, 'shipped|sent')} to {where}."
    return varied(
        r,
        pick(
            r,
            f"Extract the order as JSON: {text}|Turn this order into JSON. {text}|Return the order as JSON.\n\n{text}|Read the order and return only JSON.\n{text}",
        ),
    ), json.dumps({"order_id": number, "customer": who, "city": where, "items": rows}, indent=2)


GENERATORS = {extraction: 26, extraction_list: 6, table: 8, pairs: 8, order: 10}
