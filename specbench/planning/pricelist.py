"""A price list: machines, electricity, use and an API, each number with its band, its source and its date."""

import tomllib
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from specbench import faults
from specbench.analysis.cost import NOTHING, Band, Paid, Use
from specbench.errors import InputError
from specbench.untrusted import toml

Number = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
_DAY = 24
_MAY_BE_NOTHING = ("price", "idle watts", "resale", "input", "input tokens")


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def quantities(self, name: str = "") -> Iterator[tuple[str, "Quantity"]]:
        """Every number below, with the words that lead to it."""
        for key in type(self).model_fields:
            value = getattr(self, key)
            for part in value if isinstance(value, tuple) else (value,):
                words = f"{name} {key.replace('_', ' ')}".strip() if part is value else part.name
                if isinstance(part, Quantity):
                    yield words, part
                elif isinstance(part, _Table):
                    yield from part.quantities(words)


class Quantity(_Table):
    """A number and the ends between which it lies. `source`: an entry of the list's sources."""

    value: Number
    low: Number | None = None
    high: Number | None = None
    source: str

    @property
    def band(self) -> Band:
        """The ends are the value where they are not given."""
        low, high = (self.value if end is None else end for end in (self.low, self.high))
        return Band(low, self.value, high)


class Listed(_Table):
    """`count` cards of a hardware profile, for a `price` or for `rent` (dollars an hour); `host`: a computer on top.

    Watts are those of the cards, or of the whole machine where there is no host.
    """

    name: str
    device: str
    count: Annotated[int, Field(ge=1)] = 1
    price: Quantity | None = None
    rent: Quantity | None = None
    watts: Quantity | None = None
    idle_watts: Quantity | None = None
    memory_gib: Annotated[float, Field(gt=0)] | None = None
    host: bool = False


class Host(_Table):
    """The computer around cards."""

    price: Quantity
    watts: Quantity
    idle_watts: Quantity


class Api(_Table):
    """Dollars a million tokens that it writes. `name`: the model's, and after a comma who hosts it."""

    name: str
    output: Quantity

    @property
    def model(self) -> str:
        """Whose tokens the price is for."""
        return self.name.partition(",")[0].strip()


class Source(_Table):
    """Where numbers are from, and as of when."""

    text: str
    date: date


class PriceList(_Table):
    """`example`: nobody should decide by it, and every page says so. `electricity`: dollars a kWh."""

    example: bool = False
    sources: dict[str, Source]
    electricity: Quantity
    hours_a_day: Quantity
    years: Annotated[float, Field(gt=0, le=20)]
    resale: Quantity | None = None
    api: Api | None = None
    host: Host | None = None
    machines: Annotated[tuple[Listed, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _numbers(self) -> Self:
        for words, q in self.quantities():
            if not q.band.low <= q.value <= q.band.high:
                raise ValueError(f"{words}: {q.value:g} is not between {q.band.low:g} and {q.band.high:g}")
            if not q.band.low and not words.endswith(_MAY_BE_NOTHING):
                raise ValueError(f"{words} cannot be 0")
            if q.source not in self.sources:
                raise ValueError(f"{words}: no source {q.source!r}: {faults.did_you_mean(q.source, self.sources)}")
        if self.hours_a_day.band.high > _DAY:
            raise ValueError(f"a day has {_DAY} hours_a_day")
        if self.resale is not None and self.resale.band.high > 1:
            raise ValueError("resale is a share of the price")
        return self

    @model_validator(mode="after")
    def _machines(self) -> Self:
        for m in self.machines:
            if (m.price is None) == (m.rent is None):
                raise ValueError(f"{m.name}: give a price or a rent")
            if m.price is not None and (m.watts is None or m.idle_watts is None):
                raise ValueError(f"{m.name}: a machine with a price needs watts and idle_watts")
            if m.watts and m.idle_watts and m.idle_watts.band.high > m.watts.band.low:
                raise ValueError(f"{m.name}: it may draw more while it waits than while it works")
            if m.host and self.host is None:
                raise ValueError(f"{m.name} needs a [host]")
        return self

    @property
    def use(self) -> Use:
        """What all machines have in common."""
        return Use(self.hours_a_day.band, self.years, self.electricity.band, _band(self.resale))

    def paid(self, machine: Listed) -> Paid:
        """With the computer around it, where it has one."""
        bands = [_band(q) for q in (machine.price, machine.watts, machine.idle_watts)]
        if machine.host and self.host is not None:
            around = (self.host.price, self.host.watts, self.host.idle_watts)
            bands = [band.plus(q.band) for band, q in zip(bands, around, strict=True)]
        return Paid(bands[0], _band(machine.rent), bands[1], bands[2])


def price_list(name: str, text: str) -> PriceList:
    """A list in TOML; InputError for anything wrong in it."""
    hint = "docs/buying.md explains the keys, prices/example.toml is a list"
    try:
        return PriceList.model_validate(toml(text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name} is not TOML: {error}", hint=hint) from error
    except ValidationError as error:
        tables = {"": PriceList, "machines": Listed, "host": Host, "api": Api}
        raise InputError(f"{name}: {'; '.join(faults.lines(error, tables))}", hint=hint) from error


def _band(quantity: Quantity | None) -> Band:
    return NOTHING if quantity is None else quantity.band
