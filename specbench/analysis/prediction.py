"""What other hardware would do: speed = bandwidth x MBU / bytes a token reads, and speedup = tau / round cost.

tau, the tokens per round, belongs to model, drafter and work and carries over from any machine. The MBU (share of the
peak bandwidth that decoding reaches) and the cost of a round belong to hardware and engine: they are taken from
published measurements, in log space, with prediction intervals that hold what devices and reports differ by. `backtest`
says how well that does on devices that were left out.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, log, sqrt
from statistics import mean, median, variance
from typing import Literal

from specbench.analysis.stats import Estimate, student_quantile
from specbench.analysis.verification import Cost

LEAST = 4  # devices, or degrees of freedom within them, for an interval
Basis = Literal["published for this device", "other devices"]
Kind = Literal["plain speed", "speedup, MTP", "speedup, DFlash with a draft tree"]
KINDS: Mapping[str, Kind] = {"mtp": "speedup, MTP", "dflash": "speedup, DFlash with a draft tree"}  # by method


@dataclass(frozen=True)
class Published:
    """A published row that can be predicted. `read_bytes` and `bandwidth` are None where device or model are unclear.

    `draft_tokens`: the draft length g, or the nodes of a draft tree. `tokens_per_round`: the mean acceptance length, or
    1 + g x the acceptance rate.
    """

    device: str
    source: str
    label: str
    plain: float
    bandwidth: float | None = None
    read_bytes: float | None = None
    method: str | None = None
    draft_tokens: int | None = None
    tokens_per_round: float | None = None
    fast: float | None = None

    @property
    def utilisation(self) -> float | None:
        """The MBU: bytes read per second over the peak bandwidth."""
        if self.bandwidth is None or self.read_bytes is None:
            return None
        return self.plain * self.read_bytes / self.bandwidth

    @property
    def slope(self) -> float | None:
        """Plain steps that each drafted token adds to a round: (C - 1) / g with C = tau / speedup."""
        if self.draft_tokens is None or self.tokens_per_round is None or self.fast is None:
            return None
        return (self.tokens_per_round / (self.fast / self.plain) - 1) / self.draft_tokens

    @property
    def impossible(self) -> str | None:
        """Which bound the row breaks: speedup <= tokens per round <= draft length + 1."""
        if self.tokens_per_round is not None and self.draft_tokens is not None:
            if self.tokens_per_round > self.draft_tokens + 1:
                return f"{self.tokens_per_round:.2f} tokens a round at a draft length of {self.draft_tokens}"
            if self.fast is not None and self.fast / self.plain > self.tokens_per_round:
                return f"{self.fast / self.plain:.2f} times as fast with {self.tokens_per_round:.2f} tokens a round"
        return None


@dataclass(frozen=True)
class Spread:
    """A positive quantity in logs. `means`: by device, over the sources that report on it, with their number.

    Variances: `between` devices (None with too few), between the sources on one device, and between the rows of one
    source. `degrees`: of freedom of that of the sources.
    """

    means: Mapping[str, tuple[float, int]]
    centre: float
    between: float | None
    sources: float
    rows: float
    degrees: int


@dataclass(frozen=True)
class Prediction:
    """Of a value, with a 95 % prediction interval."""

    value: float
    low: float
    high: float
    basis: Basis

    def at_most(self, bound: float) -> "Prediction":
        """Without what lies above a bound that nothing passes."""
        low, value, high = (min(end, bound) for end in (self.low, self.value, self.high))
        return replace(self, low=low, value=value, high=high)

    def over(self, other: "Prediction | Estimate", *, inverse: bool = False) -> "Prediction":
        """The product with (or quotient by) an independent factor; the widths add in quadrature, in logs."""
        sign = -1 if inverse else 1
        low, high = (other.low or other.value), (other.high or other.value)
        value = log(self.value) + sign * log(other.value)
        down, up = log(other.value / low), log(high / other.value)
        if inverse:
            down, up = up, down
        basis: Basis = "other devices" if "other devices" in (self.basis, getattr(other, "basis", "")) else self.basis
        return Prediction(
            exp(value),
            exp(value - sqrt(log(self.value / self.low) ** 2 + down**2)),
            exp(value + sqrt(log(self.high / self.value) ** 2 + up**2)),
            basis,
        )


def spread(values: Iterable[tuple[str, str, float]]) -> Spread:
    """Of (device, source, positive value). A source's rows share engine, build and hands: their median counts once."""
    cells: dict[tuple[str, str], list[float]] = defaultdict(list)
    for device, source, value in values:
        cells[device, source].append(log(value))
    devices: dict[str, list[float]] = defaultdict(list)
    for (device, _), found in cells.items():
        devices[device].append(median(found))
    sources, degrees = _pooled(devices.values())
    means = {device: (mean(found), len(found)) for device, found in devices.items()}
    centres = [centre for centre, _ in means.values()]
    within = sources * mean(1 / n for _, n in means.values()) if means else 0.0
    enough = len(centres) >= LEAST
    return Spread(
        means=means,
        centre=mean(centres) if centres else 0.0,
        between=max(variance(centres) - within, 0.0) if enough else None,
        sources=sources,
        rows=_pooled(cells.values())[0],
        degrees=degrees,
    )


def _pooled(groups: Iterable[Sequence[float]]) -> tuple[float, int]:
    """The variance within groups and its degrees of freedom; 0 without any."""
    several = [found for found in groups if len(found) > 1]
    degrees = sum(len(found) - 1 for found in several)
    return (sum(variance(found) * (len(found) - 1) for found in several) / degrees if degrees else 0.0), degrees


def predicted(known: Spread, device: str) -> Prediction | None:
    """For one new row about the device; None where too little is published for an interval.

    The sources on a device are drawn towards the mean of all devices by as much as they differ among themselves
    (the random-effects predictor; Robinson, Statistical Science 6, 1991).
    """
    if known.between is None:
        return None
    everyone = known.between / len(known.means)
    mine, n = known.means.get(device, (0.0, 0))
    noise = known.sources + known.rows
    if n == 0 or known.degrees < LEAST:
        squared = known.between + everyone + noise
        return _interval(known.centre, squared, len(known.means) - 1, "other devices")
    weight = known.between / (known.between + known.sources / n) if known.between else 0.0
    centre = known.centre + weight * (mine - known.centre)
    squared = known.between * (1 - weight) + everyone * (1 - weight) ** 2 + noise
    return _interval(centre, squared, min(known.degrees, len(known.means) - 1), "published for this device")


def reported(known: Spread, key: str) -> Prediction | None:
    """For one more report on what `key` names, from those on it and what the sources on one thing differ by."""
    if key not in known.means or known.degrees < LEAST:
        return None
    centre, n = known.means[key]
    squared = known.sources * (1 + 1 / n) + known.rows
    return _interval(centre, squared, known.degrees, "published for this device")


def _interval(centre: float, squared: float, degrees: int, basis: Basis) -> Prediction:
    half = student_quantile(0.975, degrees) * sqrt(squared)
    return Prediction(exp(centre), exp(centre - half), exp(centre + half), basis)


def plain_speed(utilisation: Prediction, *, bandwidth: float, read_bytes: float) -> Prediction:
    """Tok/s of plain decoding, at most with an MBU of 1.

    `read_bytes`: weights and KV cache that one token reads; `bandwidth`: peak, bytes/s, of what is read from at once.
    """
    ceiling = bandwidth / read_bytes
    return utilisation.over(Estimate(ceiling, None, None, 1)).at_most(ceiling)


def speedup(slope: Prediction, *, tokens_per_round: Estimate, draft_tokens: int) -> Prediction:
    """Tau / (1 + slope x g). Never above tau: a round costs at least a plain step."""
    value, low, high = (1 + s * draft_tokens for s in (slope.value, slope.low, slope.high))
    cost = Prediction(value, low, high, slope.basis)
    tau = tokens_per_round
    own = Prediction(tau.value, tau.low or tau.value, tau.high or tau.value, slope.basis)
    return own.over(cost, inverse=True)


def on_curve(
    costs: Sequence[Cost], *, drafting: float, tokens_per_round: float, draft_tokens: float
) -> Estimate | None:
    """The speedup on a machine whose verification-cost curve was measured: tau / (drafting + cost of g + 1 positions).

    `drafting`: plain steps that drafting takes in a round, as in the run. Between two measured lengths the cost lies on
    the straight line between them; None beyond the longest. No interval: the noise of the curve is not all of it.
    """
    positions = draft_tokens + 1
    above = next((c for c in costs if c.positions >= positions), None)
    below = next((c for c in reversed(costs) if c.positions <= positions), None)
    if above is None or below is None:
        return None
    share = (positions - below.positions) / (above.positions - below.positions) if above is not below else 0.0
    value = tokens_per_round / (drafting + (1 - share) * below.cost.value + share * above.cost.value)
    return Estimate(value, None, None, above.requests, "the noise of the curve is not all of it")


@dataclass(frozen=True)
class Backtest:
    """Predictions of published rows from all others (of the device itself where `basis` says so).

    `error`: the median of |predicted / published - 1|. `covered`: rows within their 95 % interval, of `rows`.
    """

    quantity: Kind
    basis: Basis
    devices: int
    rows: int
    error: float
    covered: int
    width: float


def backtest(rows: Sequence[Published]) -> list[Backtest]:
    """Each quantity twice: with all rows of the device left out, and with those of this source about it alone.

    Of a sweep over one model the plain speed counts once.
    """
    seen = set()
    found: dict[tuple[Kind, Basis], list[tuple[str, float, Prediction]]] = defaultdict(list)
    for row in rows:
        for basis, others in (
            ("other devices", [r for r in rows if r.device != row.device]),
            ("published for this device", [r for r in rows if (r.device, r.source) != (row.device, row.source)]),
        ):
            for kind, value, guess in _guesses(row, others):
                key = (basis, row.device, row.source, row.label)
                if guess.basis == basis and not (kind == "plain speed" and key in seen):
                    seen |= {key} if kind == "plain speed" else set()
                    found[kind, guess.basis].append((row.device, value, guess))
    return [
        Backtest(
            quantity=kind,
            basis=basis,
            devices=len({device for device, _, _ in guesses}),
            rows=len(guesses),
            error=median(abs(guess.value / value - 1) for _, value, guess in guesses),
            covered=sum(guess.low <= value <= guess.high for _, value, guess in guesses),
            width=median(guess.high / guess.low for _, _, guess in guesses),
        )
        for (kind, basis), guesses in sorted(found.items())
    ]


def _guesses(row: Published, others: Sequence[Published]) -> Iterable[tuple[Kind, float, Prediction]]:
    used = predicted(utilisations(others), row.device)
    if used is not None and row.bandwidth is not None and row.read_bytes is not None:
        yield "plain speed", row.plain, plain_speed(used, bandwidth=row.bandwidth, read_bytes=row.read_bytes)
    if row.method is None or row.tokens_per_round is None or row.draft_tokens is None or row.fast is None:
        return
    if (slope := predicted(slopes(others, row.method), row.device)) is not None:
        tau = Estimate(row.tokens_per_round, None, None, 1)
        gain = speedup(slope, tokens_per_round=tau, draft_tokens=row.draft_tokens)
        yield KINDS[row.method], row.fast / row.plain, gain


def utilisations(rows: Iterable[Published]) -> Spread:
    """The MBU."""
    return spread((r.device, r.source, u) for r in rows if (u := r.utilisation) is not None)


def slopes(rows: Iterable[Published], method: str) -> Spread:
    """What a token drafted by a method costs; rows whose round is no dearer than a plain step say nothing of it."""
    return spread((r.device, r.source, s) for r in rows if r.method == method and (s := r.slope) and s > 0)


@dataclass(frozen=True)
class Guess:
    """One kind of work (None: all) on a device. `tokens_per_round` was measured in the run, at `fill`.

    `categories`: drafted in, and all of the row; None for plain decoding, which is of any work. A speedup
    without an interval is from the device's own curve.
    """

    category: str | None
    temperature: float | None
    method: str
    tokens_per_round: float | None
    speedup: Prediction | Estimate | None
    speed: Prediction | None
    fill: int | None = None
    categories: tuple[int, int] | None = None


@dataclass(frozen=True)
class OnDevice:
    """A target on one device, plain decoding first; no guesses where it does not fit or the bandwidth is not known.

    `lacking`: bytes by which weights and KV cache exceed the memory, negative where they fit.
    """

    device: str
    name: str
    lacking: float | None
    guesses: tuple[Guess, ...]


@dataclass(frozen=True)
class Predicted:
    """One target on several devices. `read_bytes`: weights, and the KV cache of `context` tokens in F16 if known.

    Both are None where machines are known by their own curve, and only speedups are predicted.
    """

    target: str
    context: int | None
    read_bytes: float | None
    kv_known: bool
    devices: tuple[OnDevice, ...]
