"""What a machine costs and gives for its price. Every input is a band from low to high, and so is every result.

How far each input alone moves a result adds in quadrature, in logs, as for independent errors.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Literal

_DAYS, _HOUR, _KILO, _MILLION = 365, 3600.0, 1e3, 1e6

Basis = Literal["measured", "published", "predicted"]
SPLIT = ", tensor split"  # ends the method of figures where several cards compute each layer together
BASES: tuple[Basis, ...] = ("measured", "published", "predicted")  # the first that there is counts


@dataclass(frozen=True)
class Band:
    """A positive value and the ends between which it lies."""

    low: float
    value: float
    high: float

    def plus(self, other: "Band") -> "Band":
        return Band(self.low + other.low, self.value + other.value, self.high + other.high)

    def times(self, factor: float) -> "Band":
        return Band(self.low * factor, self.value * factor, self.high * factor)


NOTHING = Band(0.0, 0.0, 0.0)


def between(of: Callable[..., float], **bands: Band) -> Band:
    """The band of a positive function of named inputs."""
    middle = {name: band.value for name, band in bands.items()}
    value, down, up = of(**middle), 0.0, 0.0
    for name, band in bands.items():
        moved = [log(of(**{**middle, name: end}) / value) for end in (band.low, band.high)]
        down, up = down + min(0.0, *moved) ** 2, up + max(0.0, *moved) ** 2
    return Band(value * exp(-sqrt(down)), value, value * exp(sqrt(up)))


@dataclass(frozen=True)
class Use:
    """How a machine is used: hours a day that it generates, years, dollars a kWh, share of the price got back."""

    hours: Band
    years: float
    tariff: Band
    resale: Band


@dataclass(frozen=True)
class Paid:
    """Dollars once, dollars an hour of work, and watts of the whole machine while it works and while it waits."""

    price: Band
    rent: Band
    watts: Band
    idle: Band


@dataclass(frozen=True)
class Costs:
    """`outlay`: the price, or the rent of all years; `total`: with electricity, less what is got back, in dollars.

    The rest needs a speed: dollars a million tokens, tok/s a dollar of the outlay, tokens a joule (tok/s a watt).
    """

    outlay: Band
    total: Band
    per_million: Band | None
    per_dollar: Band | None
    per_joule: Band | None
    per_kwh: Band | None


def costs(paid: Paid, use: Use, speed: Band | None) -> Costs:
    """Of a machine that yields `speed` tok/s in the hours that it works."""
    days = _DAYS * use.years

    def total_of(
        *, price: float, rent: float, watts: float, idle: float, tariff: float, hours: float, resale: float
    ) -> float:
        energy = (hours * watts + (24 - hours) * idle) / _KILO * tariff
        return price * (1 - resale) + (rent * hours + energy) * days

    def each_of(*, hours: float, speed: float, **rest: float) -> float:
        return total_of(hours=hours, **rest) / (speed * _HOUR * hours * days) * _MILLION

    inputs = {
        "price": paid.price, "rent": paid.rent, "watts": paid.watts, "idle": paid.idle, "tariff": use.tariff,
        "hours": use.hours, "resale": use.resale,
    }  # fmt: skip
    total = between(total_of, **inputs)
    outlay = total if paid.rent.high else paid.price
    joule = None if speed is None or not paid.watts.low else _ratio(speed, paid.watts)
    return Costs(
        outlay=outlay,
        total=total,
        per_million=None if speed is None else between(each_of, speed=speed, **inputs),
        per_dollar=None if speed is None or not outlay.low else _ratio(speed, outlay),
        per_joule=joule,
        per_kwh=None if joule is None else joule.times(_KILO * _HOUR),
    )


def _ratio(over: Band, under: Band) -> Band:
    return between(lambda over, under: over / under, over=over, under=under)


@dataclass(frozen=True)
class Figure:
    """Tok/s in a category (None: any kind of work) with a method, as it is shown. `plain`: without speculation."""

    category: str | None
    method: str
    speed: Band
    basis: Basis
    plain: bool


def best(figures: Sequence[Figure], category: str) -> Figure | None:
    """The fastest method of those measured on the machine; without one, of what is published, or else predicted."""
    mine = [f for f in figures if f.category in (None, category)]
    if measured := [f for f in mine if f.basis == "measured"]:
        return max(measured, key=lambda f: f.speed.value)
    first: dict[str, Figure] = {}
    for figure in sorted(mine, key=lambda f: BASES.index(f.basis)):
        first.setdefault(figure.method, figure)
    return max(first.values(), key=lambda f: f.speed.value, default=None)


def on_mix(figures: Mapping[str, Figure | None], mix: Mapping[str, float]) -> Band | None:
    """Tok/s over a mix of work, in shares of tokens; None where a kind of work has no figure.

    The ends have all kinds of work at their ends: what is wrong about a machine is wrong in all of them.
    """
    found = [(share, figure.speed) for name, share in mix.items() if (figure := figures.get(name)) is not None]
    if len(found) < len(mix):
        return None
    low, value, high = (
        1 / sum(share / getattr(speed, end) for share, speed in found) for end in ("low", "value", "high")
    )
    return Band(low, value, high)


@dataclass(frozen=True)
class Offer:
    """A machine of the price list. `lacking`: bytes that the model needs beyond its memory, negative where it fits.

    `figures`: the best of each category in the mix, and `speed` on the mix with them; `plain`: without speculation.
    `split`: some of it was reported with tensors split over the cards. `unknown`: why there is no speed.
    """

    name: str
    rented: bool
    paid: Paid
    lacking: float | None
    figures: Mapping[str, Figure | None]
    speed: Band | None
    plain: Band | None
    costs: Costs
    split: bool
    unknown: str | None


@dataclass(frozen=True)
class Buying:
    """What a budget buys, the fastest first. `beyond` it: names. `api`: dollars a million tokens of the same work.

    `inputs`: what a number is, its band, its source and date. `example`: they are of nobody's market.
    """

    model: str
    context: int
    mix: Mapping[str, float]
    budget: float | None
    years: float
    example: bool
    offers: tuple[Offer, ...]
    beyond: tuple[str, ...]
    api_name: str | None
    api: Band | None
    inputs: tuple[tuple[str, Band, str, str], ...]
    assumed: tuple[str, ...]
    notes: tuple[str, ...]
