"""JSON to invent: records, objects, schemas, configuration, tool calls. The answer is always the JSON alone."""

# ruff: noqa: E501  the sentences are data

from __future__ import annotations

import json
from random import Random

from .phrasing import (
    ADJECTIVES,
    CITIES,
    FIELDS,
    NOUNS,
    PRODUCTS,
    THINGS,
    a_an,
    cap,
    city,
    date,
    invented,
    person,
    pick,
    plural,
    varied,
)

Pair = tuple[str, str]  # prompt, answer

COLUMNS = [
    "name",
    "email",
    "city",
    "age",
    "active",
    "created",
    "price",
    "quantity",
    "product",
    "status",
    "tags",
    "score",
    "country",
    "phone",
    "role",
    "title",
    "rating",
    "color",
    "amount",
    "currency",
    "level",
    "address",
]


def dumped(r: Random, value: object) -> str:
    return json.dumps(value, indent=2) if r.random() < 0.85 else json.dumps(value)


def cell(r: Random, column: str) -> object:
    choices = {
        "name": lambda: person(r),
        "email": lambda: f"{r.choice(NOUNS)}{r.randint(1, 99)}@example.com",
        "city": lambda: r.choice(CITIES),
        "age": lambda: r.randint(18, 80),
        "active": lambda: r.random() < 0.6,
        "created": lambda: date(r),
        "price": lambda: r.randint(1, 999) + r.choice([0, 0.5, 0.99]),
        "quantity": lambda: r.randint(1, 40),
        "product": lambda: r.choice(PRODUCTS),
        "status": lambda: r.choice(["open", "closed", "pending"]),
        "tags": lambda: r.sample(ADJECTIVES, 2),
        "score": lambda: r.randint(0, 100),
        "country": lambda: r.choice(
            [
                "Norway",
                "Spain",
                "Italy",
                "France",
                "Poland",
                "Ireland",
                "Japan",
                "Canada",
                "Brazil",
                "Kenya",
                "Chile",
                "Germany",
            ]
        ),
        "phone": lambda: f"555-{r.randint(1000, 9999)}",
        "role": lambda: r.choice(["admin", "user", "editor", "guest"]),
        "title": lambda: f"{cap(r.choice(ADJECTIVES))} {r.choice(NOUNS)}",
        "rating": lambda: r.randint(1, 5),
        "color": lambda: r.choice(["red", "green", "blue", "black", "white", "yellow"]),
        "amount": lambda: r.randint(10, 5000),
        "currency": lambda: r.choice(["EUR", "USD", "GBP"]),
        "level": lambda: r.choice(["low", "medium", "high"]),
        "address": lambda: f"{r.randint(1, 200)} {cap(r.choice(NOUNS))} Street",
    }
    return choices[column]()


def listed(r: Random, names: list[str]) -> str:
    if len(names) > 1 and r.random() < 0.5:
        return ", ".join(names[:-1]) + " and " + names[-1]
    return ", ".join(names)


def records(r: Random) -> Pair:
    thing = r.choice(["user", "order", "product", "ticket", "device", "customer", "employee", "student", *THINGS])
    many = plural(thing)
    columns = r.sample(COLUMNS, r.randint(2, 4))
    count = r.randint(2, 5)
    start = r.choice([1, 1, r.randint(1, 900)])
    with_id = r.random() < 0.7
    rows = []
    for i in range(count):
        row: dict[str, object] = {"id": start + i} if with_id else {}
        row |= {c: cell(r, c) for c in columns}
        if "name" in row and "email" in row:
            row["email"] = str(row["name"]).lower().replace(" ", ".") + "@example.com"
        rows.append(row)
    fields = listed(r, (["id"] if with_id else []) + columns)
    first = f" Start at id {start}." if with_id and start > 1 else ""
    number = r.choice([str(count), ["two", "three", "four", "five"][count - 2]])
    prompt = pick(
        r,
        f"Generate {number} {many} as JSON with the fields {fields}.{first}|Return {number} {many} as JSON. Fields: {fields}.{first}|Give me JSON for {number} {many} with {fields}.{first}"
        f"|Create a JSON array of {number} {many} with {fields}.{first} Return only JSON.|Make up {number} {many} with {fields} and return them as JSON.{first}"
        f"|Write a JSON list with {number} {many}. Each has {fields}.{first}|Produce sample data: {number} {many} in JSON, fields {fields}.{first}|Return only JSON: {number} {many} with {fields}.{first}",
    )
    wrapped = r.random() < 0.2
    if wrapped:
        prompt += f' Use the key "{many}".'
    return varied(r, prompt), dumped(r, {many: rows} if wrapped else rows)


def single(r: Random) -> Pair:
    thing = r.choice(
        [
            "user profile",
            "product",
            "book",
            "recipe",
            "movie",
            "car",
            "city",
            "event",
            "invoice",
            "order",
            "company",
            "song",
            *THINGS,
        ]
    )
    columns = r.sample(COLUMNS, r.randint(3, 6))
    value = {c: cell(r, c) for c in columns}
    fields = listed(r, columns)
    if r.random() < 0.25:
        inner = r.sample(COLUMNS, 2)
        key = r.choice(["details", "owner", "metadata", "location"])
        value[key] = {c: cell(r, c) for c in inner}
        fields += f" and a nested object {key} with {inner[0]} and {inner[1]}"
    prompt = pick(
        r,
        f"Give me JSON for {a_an(thing)} with {fields}.|Describe {a_an(thing)} as JSON with the fields {fields}.|Return a JSON object for {a_an(thing)}. Fields: {fields}."
        f"|Write {a_an(thing)} in JSON: {fields}.|Create a JSON object that describes {a_an(thing)} with {fields}. Return only JSON.|JSON for {a_an(thing)}, with {fields}",
    )
    return varied(r, prompt), dumped(r, value)


def schema(r: Random) -> Pair:
    thing, fields = r.choice(THINGS), r.sample(FIELDS, r.randint(2, 5))
    kinds = {f: r.choice(["string", "integer", "number", "boolean"]) for f in fields}
    value = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": cap(thing),
        "type": "object",
        "properties": {f: {"type": kinds[f], "description": f"The {f} of the {thing}."} for f in fields},
        "required": fields,
        "additionalProperties": False,
    }
    shown = ", ".join(f"{f} ({kinds[f]})" for f in fields)
    return varied(
        r,
        pick(
            r,
            f"Write a JSON schema for {a_an(thing)} with the properties {shown}.|Create a JSON schema that describes {a_an(thing)}: {shown}.|JSON schema for {a_an(thing)} with {shown}",
        ),
    ), json.dumps(value, indent=2)


def config(r: Random) -> Pair:
    parts = r.sample(["server", "database", "logging", "cache", "queue", "mail", "storage", "auth"], r.randint(2, 3))
    options = {
        "host": lambda: r.choice(["localhost", "127.0.0.1", "example.com"]),
        "port": lambda: r.choice([80, 443, 3000, 5432, 6379, 8080, 8000]),
        "enabled": lambda: r.random() < 0.7,
        "timeout": lambda: r.randint(1, 60),
        "level": lambda: r.choice(["debug", "info", "warning", "error"]),
        "user": lambda: r.choice(["admin", "root", "guest"]),
        "path": lambda: f"/var/{r.choice(NOUNS)}",
        "retries": lambda: r.randint(1, 9),
        "size": lambda: r.choice([64, 128, 256, 512, 1024]),
    }
    value = {}
    told = []
    for part in parts:
        keys = r.sample(list(options), r.randint(2, 4))
        value[part] = {k: options[k]() for k in keys}
        told.append(f"{part} ({', '.join(keys)})")
    return varied(
        r,
        pick(
            r,
            f"Write a JSON configuration file with {', '.join(told)}.|Give me a config in JSON with the sections {', '.join(told)}.|Create a JSON config: {'; '.join(told)}.",
        ),
    ), json.dumps(value, indent=2)


TOOLS = {
    "get_weather": ["city", "unit"],
    "send_email": ["to", "subject"],
    "create_event": ["title", "date", "time"],
    "book_table": ["restaurant", "people", "time"],
    "search_flights": ["from", "to", "date"],
    "set_timer": ["minutes"],
    "play_song": ["title", "artist"],
    "add_task": ["title", "priority"],
    "convert_currency": ["amount", "from", "to"],
    "find_hotel": ["city", "nights"],
    "order_item": ["product", "quantity"],
}


def argument(r: Random, name: str) -> object:
    choices = {
        "city": city,
        "from": city,
        "to": city,
        "unit": lambda r: r.choice(["celsius", "fahrenheit"]),
        "date": date,
        "time": lambda r: f"{r.randint(8, 21)}:{r.choice(['00', '15', '30', '45'])}",
        "people": lambda r: r.randint(1, 12),
        "minutes": lambda r: r.randint(1, 90),
        "amount": lambda r: r.randint(5, 900),
        "nights": lambda r: r.randint(1, 14),
        "quantity": lambda r: r.randint(1, 30),
        "priority": lambda r: r.choice(["low", "medium", "high"]),
        "product": lambda r: r.choice(PRODUCTS),
        "artist": person,
        "restaurant": invented,
    }
    return choices.get(name, lambda r: f"{cap(r.choice(ADJECTIVES))} {r.choice(NOUNS)}")(r)


def tool_call(r: Random) -> Pair:
    name = r.choice(list(TOOLS))
    values = {k: argument(r, k) for k in TOOLS[name]}
    told = ", ".join(f"{k} {v}" for k, v in values.items())
    shown = ", ".join(TOOLS[name])
    answer = json.dumps({"name": name, "arguments": values}, indent=2)
    return varied(
        r,
        pick(
            r,
            f"Call the function {name}({shown}) as JSON with name and arguments: {told}|You can call {name}({shown}). Return the call as JSON. Request: {told}|Tool: {name}({shown}). {cap(name.replace('_', ' '))} with {told}. Answer with JSON.",
        ),
    ), answer


GENERATORS = {records: 26, single: 16, schema: 6, config: 4, tool_call: 8}
