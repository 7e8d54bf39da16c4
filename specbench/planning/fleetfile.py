"""Which machines of a fleet measure (`--on`), and where engines and models lie on each (fleet.toml)."""

import operator
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from specbench import faults
from specbench.errors import InputError
from specbench.records import Machine, Setting

Facts = Mapping[str, tuple[Setting | None, ...]]

_CONDITION = re.compile(r"\s*([\w.-]+)\s*(~|>=|<=|=|>|<)\s*(.*\S)\s*")
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "=": operator.eq}
)
_OF_MACHINE = ("system", "cpu", "cores_logical", "memory")
_OF_CARD = ("vendor", "name", "target", "memory")
_TEXTS = ("system", "cpu", "gpu.vendor", "gpu.name", "node", "engine")
_KEYS = (*_OF_MACHINE, *(f"gpu.{key}" for key in _OF_CARD), "gpus", "node", "engine", "resource.NAME")


class Condition(NamedTuple):
    """`gpu.name~3090`: `~` is part of, in any case; an amount may have a unit of memory, as 24GiB."""

    key: str
    sign: str
    value: str

    def holds(self, fact: Setting | None) -> bool:
        """Whether a fact of a machine is so; one that nobody knows is not."""
        mine, asked = str(fact).lower(), self.value.lower()
        if fact is None or self.sign == "~":
            return fact is not None and asked in mine
        number, amount = fact if isinstance(fact, int | float) else _amount(mine), _amount(asked)
        known = number is not None and amount is not None
        return _SIGNS[self.sign](number, amount) if known else self.sign == "=" and mine == asked


def _amount(text: str) -> float | None:
    found = _AMOUNT.fullmatch(text)
    return found and float(found[1]) * (1024 if found[3] else 1000) ** " kmgt".index(found[2].lower() or " ")


def conditions(text: str | None) -> tuple[Condition, ...]:
    """Those of a comma list; all must hold. InputError for what is none."""
    found = []
    for word in () if text is None else text.split(","):
        match = _CONDITION.fullmatch(word)
        if match is None:
            raise InputError(f"{word.strip()!r} is no requirement", hint="write it as gpu.name~3090 or memory>=64GiB")
        key, sign, value = condition = Condition(*match.groups())
        if key not in _KEYS and not key.startswith("resource."):
            raise InputError(f"a machine has no {key!r}", hint=faults.did_you_mean(key, _KEYS))
        if sign not in ("~", "=") and key in _TEXTS:
            raise InputError(f"{key} is a text, which `{sign}` cannot compare", hint=f"use ~ or =: {key}~{value}")
        if sign not in ("~", "=") and _amount(value) is None:
            raise InputError(f"{value!r} is not a number", hint=f"write it as {key}>=24GiB")
        found.append(condition)
    return tuple(found)


def unmet(asked: tuple[Condition, ...], facts: Facts) -> str | None:
    """Which condition does not hold, and what the machine has instead; None when all do."""
    for c in asked:
        has = [str(fact) for fact in facts.get(c.key, ()) if fact is not None]
        if not any(map(c.holds, facts.get(c.key, ()))):
            return f"{''.join(c)} does not hold, it has {', '.join(has) or 'nothing known'}"
    return None


def facts(machine: Machine, **others: Setting) -> dict[str, tuple[Setting | None, ...]]:
    """What conditions can ask of a machine."""
    cards = machine.accelerators
    return {
        **{key: (getattr(machine, key),) for key in _OF_MACHINE},
        **{f"gpu.{key}": tuple(getattr(card, key) for card in cards) for key in _OF_CARD},
        **{key: (value,) for key, value in {"gpus": len(cards), **others}.items()},
    }


class Place(BaseModel):
    """What holds on machines that meet `on` (on all, without it): engine -> program, model of the plan -> its place."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    on: str | None = None
    engines: dict[str, str] = {}
    models: dict[str, str] = {}


class FleetFile(BaseModel):
    """`[[node]]` tables; where several hold, the later one counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    node: tuple[Place, ...] = ()

    def at(self, found: Facts) -> Place:
        """All that holds on a machine."""
        whole = Place()
        for place in (place for place in self.node if unmet(conditions(place.on), found) is None):
            whole = Place(engines=whole.engines | place.engines, models=whole.models | place.models)
        return whole


def validate_fleetfile(values: dict[str, Any]) -> FleetFile:
    """The values of a fleet.toml, checked. InputError says what is wrong."""
    try:
        file = FleetFile.model_validate(values)
    except ValidationError as error:
        wrong = ["the fleet's file cannot be used:", *faults.lines(error, {"": FleetFile, "node": Place})]
        raise InputError("\n  ".join(wrong), hint="docs/fleet.md explains every key") from error
    if any(c.key == "engine" for place in file.node for c in conditions(place.on)):
        hint = "ask for what the machine has, or for its name: node=desk"
        raise InputError("the fleet's file cannot ask for 'engine': it says where engines are", hint=hint)
    return file
