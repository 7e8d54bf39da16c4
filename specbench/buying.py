"""The buyer's report: what machines of a price list do with a model, and what that costs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

from specbench import datafiles, faults, prediction, store
from specbench.analysis.axes import quant_of
from specbench.analysis.comparison import Comparison
from specbench.analysis.cost import SPLIT, Band, Buying, Figure, Offer, best, costs, on_mix
from specbench.analysis.prediction import Prediction, Published, reported, spread
from specbench.analysis.rows import Row
from specbench.analysis.stats import Estimate
from specbench.errors import InputError
from specbench.hardware.profiles import DeviceProfile, match, profiles
from specbench.models.described import Described, described
from specbench.planning.pricelist import Api, Listed, PriceList, price_list
from specbench.planning.tuning import shares
from specbench.records import Machine

SHORT, LONG = 4096, "rag-long"  # tokens of context in all kinds of work but the one that fills it
_METHOD = re.compile(r"(?:stock )?(none|MTP|DFlash)\b(?!.*(?:stream|replica|PFlash|stagger))", re.IGNORECASE)
_CACHE = re.compile(r"TurboQuant|\b(?:TB?Q|turbo)\d", re.IGNORECASE)  # formats of the KV cache that only forks have
_NEAR = 2.0  # times the context that is asked for: speculation at another fill says nothing of it
_NO_CATEGORIES = {"suite.toml", "passages.toml"}
_Place = tuple[tuple[str, int], str | None, str]  # machine and number of cards, kind of work, method
Found = tuple[store.Run, Comparison]


def prices(path: Path | None) -> PriceList:
    """A price list; without one, the example that comes with specbench."""
    path = path or datafiles.path("prices/example.toml")
    try:
        return price_list(str(path), path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}", hint="name a TOML: --prices FILE") from error


def buy(
    model: str,
    asked: PriceList,
    *,
    budget: float | None,
    mix: Mapping[str, float] | None,
    context: int,
    runs: Sequence[Found],
    tau_from: Found | None,
) -> Buying:
    """Every machine within the budget (None: all), with the best that is known of its speed."""
    if budget is not None and not (isfinite(budget) and budget > 0):
        raise InputError(f"a budget of {budget:g} dollars buys nothing", hint="--budget 2500")
    wanted, known, facts = shares(mix, _categories()), profiles(), described(model)
    notes, assumed = [], list(facts.assumed)
    measured: dict[tuple[str, int], list[Row]] = {}
    for run, comparison in runs:
        found = _rows_of(facts, comparison)
        where = machine_of(run.machine, known)
        if not found or where is None:
            what = f"has no target {facts.name}" if not found else "is of no machine with a hardware profile"
            notes.append(f"{run.path.name} {what}: it is not used as a measurement")
            continue
        measured.setdefault(where, []).extend(found)
        if few := dict.fromkeys(
            r.category or "" for r in found if r.category in wanted and r.decode and not r.decode.low
        ):
            notes.append(
                f"{run.path.name}: no interval in {', '.join(few)}, so not used there: measure 5 prompts or more"
            )
    work = _tau(facts, tau_from, [c for _, c in runs], assumed)
    why = prediction.refused(facts)
    if why is not None:
        notes.append(f"nothing is predicted: {why}")
    given = _Known(facts, context, wanted, measured, _published(facts, context), work, why)
    rows, _ = prediction.published()
    offers, beyond = [], []
    for listed in asked.machines:
        if listed.device not in known:
            raise InputError(
                f"{listed.name}: there is no hardware profile {listed.device!r}",
                hint=faults.did_you_mean(listed.device, known),
            )
        offer = _offer(listed, known[listed.device], asked, given, rows)
        if budget is not None and offer.costs.outlay.value > budget:
            beyond.append(offer.name)
        else:
            offers.append(offer)
    api = asked.api
    if api is not None and (reason := _incomparable(api, facts, wanted)) is not None:
        notes.append(reason)
        api = None
    return Buying(
        model=facts.name, context=context, mix=wanted, budget=budget, example=asked.example,
        offers=tuple(sorted(offers, key=lambda o: o.speed.value if o.speed else 0.0, reverse=True)),
        beyond=tuple(beyond), api_name=api.name if api else None, api=api.output.band if api else None,
        assumed=tuple(assumed),
        notes=tuple(notes), years=asked.years,
        inputs=tuple(
            (words, q.band, asked.sources[q.source].text, str(asked.sources[q.source].date))
            for words, q in asked.quantities()
        ),
    )  # fmt: skip


def _categories() -> list[str]:
    return [file[:-5] for file in datafiles.texts(datafiles.path("suites/core")) if file not in _NO_CATEGORIES]


def _incomparable(api: Api, model: Described, mix: Mapping[str, float]) -> str | None:
    """Why the price of a hosted model says nothing here; None where it does."""
    if not _goes_by(model, api.model):
        return f"API: {api.name} is a price for {api.model}, not for {model.name}: no verdict"
    if LONG in mix:
        return f"{api.name} is not compared: {LONG} reads far more than it writes, and no figure holds reading"
    return None


def _goes_by(model: Described, name: str) -> bool:
    """Whether this is the model of that name; quantisation, MTP layers, case and what joins words do not matter."""
    mine = model.published[0] if model.published else model.name.removesuffix(quant_of(model.name, None) or "")
    bare = ["".join(c for c in text.lower() if c.isalnum()).removesuffix("mtp") for text in (mine, name)]
    return bare[0] == bare[1]


def machine_of(machine: Machine, known: Mapping[str, DeviceProfile]) -> tuple[str, int] | None:
    """The hardware profile of a machine's cards and their number; None unless all are of one known kind."""
    found = [match(card, known)[0] for card in machine.accelerators]
    first = found[0] if found else None
    return (
        (first.id, len(found)) if first is not None and all(f is not None and f.id == first.id for f in found) else None
    )


@dataclass(frozen=True)
class _Known:
    """All that is known of the model: `measured` and `published` by device and count."""

    model: Described
    context: int
    mix: Mapping[str, float]
    measured: Mapping[tuple[str, int], Sequence[Row]]
    published: Mapping[tuple[str, int], Sequence[Figure]]
    work: Sequence[Row]
    refused: str | None

    def fill(self, category: str | None) -> int:
        """Tokens in the context while work of this kind is done."""
        return self.context if category == LONG else min(self.context, SHORT)

    def carried(self, speed: Band, category: str, at: float) -> Band | None:
        """A plain speed at one fill as it is at that of a category: by the bytes that a token reads."""
        there = self.fill(category)
        if self.model.read_bytes is None or self.model.kv_bytes is None:
            return speed if there <= SHORT else None
        return speed.times((self.model.read_bytes + self.model.kv(at)) / (self.model.read_bytes + self.model.kv(there)))


def _offer(listed: Listed, profile: DeviceProfile, asked: PriceList, given: _Known, rows: Sequence[Published]) -> Offer:
    where, memory = (listed.device, listed.count), profile.figure("memory")
    room = listed.memory_gib * 2**30 if listed.memory_gib else None if memory is None else memory * listed.count
    lacking = None if room is None else given.model.file_bytes + given.model.kv(given.context) - room
    figures, plain = (dict[str, Figure | None](dict.fromkeys(given.mix)) for _ in range(2))
    if lacking is None or lacking <= 0:
        for category in given.mix:
            found = [*_measured(given, where, category), *_of_reports(given, where, category)]
            if given.refused is None:
                found += _guessed(given, profile, category, rows, room)
            figures[category] = best(found, category)
            plain[category] = best([f for f in found if f.plain], category)
    speed = on_mix(figures, given.mix)
    unknown = None if speed is not None else "does not fit" if lacking is not None and lacking > 0 else "no basis"
    paid, shown = asked.paid(listed), (*figures.values(), *plain.values())
    return Offer(
        name=listed.name, rented=listed.rent is not None, paid=paid, lacking=lacking, figures=figures, speed=speed,
        plain=on_mix(plain, given.mix), costs=costs(paid, asked.use, speed),
        split=any(figure is not None and figure.method.endswith(SPLIT) for figure in shown), unknown=unknown,
    )  # fmt: skip


def _measured(given: _Known, where: tuple[str, int], category: str) -> Iterator[Figure]:
    """Of the runs on this machine, sampled rows where there are any; plain decoding is carried to the fill."""
    rows = [r for r in given.measured.get(where, ()) if r.category == category and r.decode and r.right]
    hottest = max((r.temperature for r in rows), default=0.0)
    for row in rows:
        if row.synthetic or row.temperature != hottest or not row.speculating or row.decode is None:
            continue
        if row.decode.low is None or row.decode_source == "output_throughput":
            continue  # too few prompts for an interval (a note says so), or several streams at once
        band: Band | None = _band(row.decode)
        if row.fill is not None and row.method == "none":
            band = given.carried(_band(row.decode), category, row.fill)
        elif category == LONG and not _near(row.fill, given.context):
            continue
        if band is not None:
            yield Figure(category, row.label, band, "measured", row.method == "none")


def _of_reports(given: _Known, where: tuple[str, int], category: str) -> Iterator[Figure]:
    for figure in given.published.get(where, ()):
        if figure.category == category:
            yield figure
        elif figure.category is None and (band := given.carried(figure.speed, category, 0)) is not None:
            yield replace(figure, category=category, speed=band)


def _guessed(
    given: _Known, profile: DeviceProfile, category: str, rows: Sequence[Published], room: float | None
) -> Iterator[Figure]:
    """Several cards hold a layer each: a token goes through one after another, at the speed of one card."""
    work = [r for r in given.work if r.category == category and (category != LONG or _near(r.fill, given.context))]
    hottest = max((r.temperature for r in work), default=0.0)
    there = prediction.on_device(
        profile, [r for r in work if r.temperature == hottest], given.model, context=given.fill(category), rows=rows,
        memory=room,
    )  # fmt: skip
    for guess in there.guesses:
        if guess.speed is not None:
            yield Figure(category, guess.method, _band(guess.speed), "predicted", guess.method == "none")


def _near(fill: int | None, context: int) -> bool:
    return fill is not None and 1 / _NEAR <= fill / max(context, 1) <= _NEAR


def _band(found: Prediction | Estimate) -> Band:
    low, high = found.low, found.high
    return Band(found.value if low is None else low, found.value, found.value if high is None else high)


def _rows_of(model: Described, comparison: Comparison) -> list[Row]:
    return [row for row in comparison.rows if row.target in {model.name, model.name.replace(" ", "-")}]


def _tau(model: Described, given: Found | None, runs: Sequence[Comparison], assumed: list[str]) -> list[Row]:
    """Rows whose tokens per round carry over: of the given run, or else of all that have the target."""
    if given is None:
        return [row for comparison in runs for row in _rows_of(model, comparison)]
    run, comparison = given
    if rows := _rows_of(model, comparison):
        return rows
    if len(comparison.targets) != 1:
        raise InputError(
            f"{run.path.name} has several targets, and none is {model.name}",
            hint="name a run of this model: --tau-from RUN",
        )
    assumed.append(f"{model.name} accepts drafts as {comparison.targets[0].label} did in {run.path.name}")
    return list(comparison.rows)


def published_reports(context: int) -> Iterator[tuple[str, str, float, tuple[str, str], _Place]]:
    """What is reported on, by whom, tok/s, the model and its quantisation, and (machine, kind of work, method).

    Plain decoding is of any kind of work. Speculation counts at about the context that is asked for. SPLIT ends the
    method of cards that compute each layer together.
    """
    table = prediction.names()
    machines = {name: (device, 1) for name, device in table["devices"].items()}
    several = {name: table["cards"][name].split("x ") for name in table["pairs"]}
    machines |= {name: (device, int(count)) for name, (count, device) in several.items()}
    for row in prediction.published_rows():
        quant, where, method = prediction.quant_of(row), machines.get(row["hardware"]), _METHOD.match(row["method"])
        if quant is None or where is None or _CACHE.search(row["method"]):
            continue
        category = kind_of(row["category"], table["categories"])
        fill, how = int(row["context"]) if row["context"].isdigit() else 0, f"{row['engine']} {row['method']}"
        fits = _near(fill, context) if category == LONG else fill <= SHORT
        places: list[tuple[_Place, str]] = []
        if row["baseline_tok_s"] and fill <= SHORT:
            both = "-sm tensor" in how  # "MTP + tensor parallel" is of the speculative run alone
            places.append(((where, None, "none" + SPLIT * both), row["baseline_tok_s"]))
        if method and method[1].lower() != "none" and category and fits and row["tok_s"]:
            places.append(((where, category, method[1].lower() + SPLIT * ("tensor" in how)), row["tok_s"]))
        for place, speed in places:
            key = repr((place, row["model"], quant))
            yield key, prediction.project(row), float(speed), (row["model"], quant), place


def kind_of(text: str, kinds: Mapping[str, Sequence[str]]) -> str | None:
    """The kind of work that a row is about, by the longest of its texts: "code edits" is no code."""
    found = [(len(begin), kind) for kind, begins in kinds.items() for begin in begins if text.startswith(begin)]
    return max(found)[1] if found else None


def _published(model: Described, context: int) -> dict[tuple[str, int], list[Figure]]:
    """Reports on the model by machine; the interval is what projects that report on one thing differ by.

    Of plain decoding it ends at what the cards can read: all of them at once where tensors are split, else one.
    """
    reports, devices = list(published_reports(context)), profiles()
    known, found = spread(report[:3] for report in reports), dict[tuple[str, int], list[Figure]]()
    for key, (where, kind, method) in {r[0]: r[4] for r in reports if r[3] == model.published}.items():
        guess, plain, bandwidth = reported(known, key), kind is None, devices[where[0]].figure("bandwidth")
        if guess is not None and plain and bandwidth and model.read_bytes:
            ceiling = bandwidth * (where[1] if method.endswith(SPLIT) else 1) / model.read_bytes
            guess = guess.at_most(max(ceiling, guess.value))  # what was reported stays as it is
        if guess is not None:
            found.setdefault(where, []).append(Figure(kind, method, _band(guess), "published", plain))
    return found
