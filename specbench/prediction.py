"""From a run to other hardware: what was measured here, and what is published (results/published/)."""

import csv
import io
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from specbench import datafiles, store
from specbench.analysis.comparison import Comparison
from specbench.analysis.pairing import LENGTH
from specbench.analysis.prediction import (
    Guess,
    OnDevice,
    Predicted,
    Prediction,
    Published,
    on_curve,
    plain_speed,
    predicted,
    slopes,
    speedup,
    utilisations,
)
from specbench.analysis.rows import Row
from specbench.analysis.stats import Estimate
from specbench.analysis.verification import Cost, curve, title
from specbench.errors import InputError
from specbench.faults import did_you_mean
from specbench.hardware.profiles import DeviceProfile, match, profiles
from specbench.measurements import HardwareMeasurement
from specbench.models.described import Described, described
from specbench.records import Machine
from specbench.report.beside import published_section
from specbench.report.section import Section
from specbench.units import size

SMALLEST = 2e9  # bytes a token; the published models read 16 to 27 GB
_ALWAYS = 0.9  # share of steps with a draft from which every round is taken to have one
_ENGINES = re.compile(r"llama|Luce|PTI|dflash_server|buun", re.IGNORECASE)  # that read GGUF; others have another MBU
_MANY = re.compile(r"^\d+x (?=[a-z0-9-]+$)")
_DRAFTING = {  # how a row's method says what it is and how much it drafts; with p-min that is less than n-max
    "mtp": re.compile(r"(?!.*(?:streams|p[_-]min|lookup))(?=.*MTP).*?n[_-]max[ =](\d+)"),
    "dflash": re.compile(r"DFlash.* DDTree budget (\d+)$"),
}
_DRAFTED = {"mtp": "draft_tokens_max", "dflash": "tree_budget"}  # the setting of a run that says it
_PROJECT = re.compile(r"https?://github\.com/[^/ ]+/[^/ ]+(?:/pull/\d+)?|(?:https?://)?[^/ ]*")
_QUANT = re.compile(r"(?<![\w-])(UD[-_])?(Q\d_K_(?:M|S|XL)|Q\d_K|Q\d_\d)\b")


def published() -> tuple[list[Published], list[tuple[Published, str]]]:
    """Rows that a roofline can be held against, and those left out because they break a bound, with the bound."""
    table, known, found = names(), profiles(), list[Published]()
    for row in published_rows():
        if row["baseline_tok_s"]:
            found += _published(row, table, known)
    broken = [(row, why) for row in found if (why := row.impossible) is not None]
    return [row for row in found if row.impossible is None], broken


def published_beside(machine: Machine, comparison: Comparison) -> Section:
    """What is published about the machine's card or cards and the run's methods, or why that is not known."""
    known = profiles()
    found = [match(card, known) for card in machine.accelerators]
    cards = Counter(profile.id for profile, _ in found if profile is not None)
    if len(cards) != 1 or cards.total() != len(found):
        why = "; ".join(why for _, why in found if why) or f"it has {' and '.join(cards) or 'no card'}"
        return Section("Published figures", lines=(f"no row is about this machine: {why}",))
    ((name, many),) = cards.items()
    card, table = name if many == 1 else f"{many}x {name}", names()
    named, methods = {**table["cards"], **table["devices"]}, table["methods"]
    about = [row for row in csv_rows() if row["status"] != "retracted" and named.get(row["hardware"]) == card]
    begin = re.compile(f"({'|'.join(map(re.escape, methods))})(?![^ ,])")
    rows = [row | {"ours": methods[m[1]]} for row in about if (m := begin.match(row["method"]))]
    return published_section(card, rows, comparison)


def names() -> dict[str, Any]:
    """What published rows call devices, models and kinds of work (prediction.toml)."""
    return tomllib.loads((datafiles.path("results/published") / "prediction.toml").read_text(encoding="utf-8"))


def csv_rows() -> Iterator[dict[str, str]]:
    """Every published row, also those that are no reference."""
    text = (datafiles.path("results/published") / "results.csv").read_text(encoding="utf-8")
    yield from csv.DictReader(io.StringIO(text))


def published_rows() -> Iterator[dict[str, str]]:
    """Published rows of engines that read GGUF; withdrawn, doubtful and unconfirmed ones are left out."""
    yield from (row for row in csv_rows() if row["status"] == "ok" and _ENGINES.search(row["engine"]))


def quant_of(row: Mapping[str, str]) -> str | None:
    """The quantisation, which some sources write beside the device."""
    found = _QUANT.search(f"{row['quant']} {row['hardware']}")
    return found[0].replace("UD_", "UD-") if found else None


def project(row: Mapping[str, str]) -> str:
    """Who reports: the repository, or the site."""
    return _PROJECT.match(row["source"])[0]  # type: ignore[index]  # matches everything


def _published(row: Mapping[str, str], table: Mapping[str, Any], known: Mapping[str, DeviceProfile]) -> list[Published]:
    """One row, or none where it has nothing that can be predicted."""
    device = table["devices"].get(row["hardware"])
    quant = quant_of(row)
    sizes = table["bytes"] if row["model"] in table["sizes"]["models"] else {}
    bytes_read = sizes.get(quant) if quant else None
    drafting = {name: int(found[1]) for name, pattern in _DRAFTING.items() if (found := pattern.match(row["method"]))}
    method, length = next(iter(drafting.items()), (None, None))
    tau = float(row["mean_accept_len"]) if row["mean_accept_len"] else None
    if tau is None and length is not None and row["acceptance_rate"]:
        tau = 1 + length * float(row["acceptance_rate"])
    fast = float(row["tok_s"]) if row["tok_s"] and length is not None and tau is not None else None
    if row["context"].isdigit() and int(row["context"]) > 4096:  # noqa: PLR2004  what the KV cache adds is not known there
        bytes_read = None
    roofline = device is not None and bytes_read is not None
    if not roofline and fast is None:
        return []
    return [
        Published(
            device=device or _MANY.sub("", table["cards"].get(row["hardware"], row["hardware"])),
            source=project(row),
            label=f"{row['model']} {quant or ''}".strip(),
            plain=float(row["baseline_tok_s"]),
            bandwidth=known[device].figure("bandwidth") if roofline else None,
            read_bytes=bytes_read if roofline else None,
            method=method if fast is not None else None,
            draft_tokens=length if fast is not None else None,
            tokens_per_round=tau if fast is not None else None,
            fast=fast,
        )
    ]


def predict(
    models: Mapping[str, str], comparison: Comparison | None, *, on: Sequence[str] | None, context: int
) -> tuple[list[Predicted], list[str]]:
    """What the devices (None: all but CPUs) do with targets, and with what a run found out about each.

    Also why targets were left out; InputError when none can be predicted.
    """
    known = profiles()
    for name in on or ():
        if name not in known:
            raise InputError(f"there is no hardware profile {name!r}", hint=did_you_mean(name, known))
    chosen = [known[name] for name in on] if on else [p for p in known.values() if p.kind != "cpu"]
    facts = {target: described(model) for target, model in models.items()}
    left_out = [f"{target}: {why}" for target, model in facts.items() if (why := refused(model)) is not None]
    if len(left_out) == len(facts):
        raise InputError("; ".join(left_out), hint=f"predict a dense GGUF that reads {size(SMALLEST)} a token or more")
    rows, _ = published()
    measured = (*comparison.rows, *comparison.overall) if comparison else ()
    return [
        Predicted(
            target=target,
            context=context,
            read_bytes=(model.read_bytes or 0) + model.kv(context),
            kv_known=model.kv_bytes is not None,
            devices=tuple(
                on_device(device, [r for r in measured if r.target == target], model, context=context, rows=rows)
                for device in chosen
            ),
        )
        for target, model in facts.items()
        if refused(model) is None
    ], left_out


def refused(model: Described) -> str | None:
    """Why nothing that is published says how fast a model is elsewhere; None where something does."""
    if model.format != "gguf":
        return f"{model.name} is a folder of safetensors: what is published is about GGUF"
    if model.read_bytes is None or not model.dense:
        return f"{model.name}: nothing that could be tested is published for mixtures of experts"
    if model.read_bytes < SMALLEST:
        return f"{model.name} reads {size(model.read_bytes)} a token: so small a model is not bound by memory"
    return None


def targets(run: store.Run) -> dict[str, str]:
    """The model files of a run by target."""
    found = {c.group: c.target_model for c in run.plan.contenders if c.kind != "attach"}
    if not found:
        raise InputError("this run has no model file", hint="name one: --model MODEL.gguf")
    return found


def on_device(
    device: DeviceProfile,
    work: Sequence[Row],
    model: Described,
    *,
    context: int,
    rows: Sequence[Published],
    memory: float | None = None,
) -> OnDevice:
    """Plain decoding, and the run's rows of methods that are known, on a device. `memory`: bytes, not the profile's."""
    memory, bandwidth = memory or device.figure("memory"), device.figure("bandwidth")
    lacking = None if memory is None else model.file_bytes + model.kv(context) - memory
    used = predicted(utilisations(rows), device.id)
    costs = {method: predicted(slopes(rows, method), device.id) for method in _DRAFTED}
    if device.kind == "tpu" or (lacking is not None and lacking > 0):  # what is published is about llama.cpp
        return OnDevice(device.id, device.name, lacking, ())
    if bandwidth is None or used is None or model.read_bytes is None:
        return OnDevice(device.id, device.name, lacking, ())
    plain = plain_speed(used, bandwidth=bandwidth, read_bytes=model.read_bytes + model.kv(context))
    guesses = [Guess(None, None, "none", None, None, plain)]
    for row in work:
        tau, slope = row.metrics[LENGTH], costs.get(row.method)
        length = row.axes.get(_DRAFTED.get(row.method, ""))
        if slope and row.right and not row.synthetic and tau and isinstance(length, int):
            gain = speedup(slope, tokens_per_round=tau, draft_tokens=length)
            guesses.append(_of_row(row, tau, gain, plain.over(gain)))
    return OnDevice(device.id, device.name, lacking, tuple(guesses))


def by_curve(curves: Sequence[Path], comparison: Comparison) -> list[Predicted]:
    """The run's kinds of work on machines whose verification-cost curve was measured (`specbench hardware profile`).

    For the targets that a curve is of, and methods that draft in every step and tell how long that takes; what drafting
    costs in plain steps is taken to be as in the run.
    """
    devices: dict[str, list[OnDevice]] = {target.label: [] for target in comparison.targets}
    for path in curves:
        if not path.is_file():
            raise InputError(f"{path} is not there", hint="name a record that `specbench hardware profile` wrote")
        measured = store.document(path, HardwareMeasurement)
        if measured.contender.target_label not in devices:
            raise InputError(
                f"{path} is the curve of {measured.contender.target_label}",
                hint=f"measure it with a target of the run: {', '.join(devices)}",
            )
        target, costs = measured.contender.target_label, curve(measured)
        rows = [row for row in (*comparison.rows, *comparison.overall) if row.target == target]
        guesses = tuple(guess for row in rows if (guess := _guess(row, costs)) is not None)
        devices[target].append(OnDevice(path.stem, title(measured), None, guesses))
    return [
        Predicted(target=target, context=None, read_bytes=None, kv_known=False, devices=tuple(found))
        for target, found in devices.items()
        if found
    ]


def _guess(row: Row, costs: Sequence[Cost]) -> Guess | None:
    tau, drafted, rate = (row.metrics[name] for name in (LENGTH, "drafted_share", "draft_acceptance_rate"))
    if row.baseline is None or not row.right or row.synthetic or tau is None or rate is None:
        return None
    if row.drafting_cost is None or drafted is None or drafted.value < _ALWAYS:
        return None
    # Drafted in a round, which can be less than was asked for; a whole number stays one.
    length = round((tau.value - 1) / rate.value, 6) if rate.value else row.axes.get("draft_tokens_max")
    if not isinstance(length, int | float):
        return None
    gain = on_curve(costs, drafting=row.drafting_cost, tokens_per_round=tau.value, draft_tokens=length)
    return None if gain is None else _of_row(row, tau, gain, None)


def _of_row(row: Row, tau: Estimate, gain: Prediction | Estimate, speed: Prediction | None) -> Guess:
    return Guess(row.category, row.temperature, row.label, tau.value, gain, speed, row.fill, row.categories)
