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
    Published,
    on_curve,
    plain_speed,
    predicted,
    slopes,
    speedup,
    utilisations,
)
from specbench.analysis.rows import Row
from specbench.analysis.verification import Cost, curve, title
from specbench.errors import InputError
from specbench.faults import did_you_mean
from specbench.hardware.profiles import DeviceProfile, match, profiles
from specbench.measurements import HardwareMeasurement
from specbench.models import gguf
from specbench.models.facts import KV_BYTES, ModelFacts
from specbench.records import Machine
from specbench.report.beside import published_section
from specbench.report.section import Section
from specbench.units import size

SMALLEST = 2e9  # bytes a token; the published models read 16 to 27 GB
_ALWAYS = 0.9  # share of steps with a draft from which every round is taken to have one
_ENGINES = re.compile(r"llama|Luce|PTI|dflash_server|buun", re.IGNORECASE)  # that read GGUF; others have another MBU
_MANY = re.compile(r"^\d+x (?=[a-z0-9-]+$)")
_LENGTH = re.compile(r"n[_-]max[ =](\d+)")
_PROJECT = re.compile(r"https?://github\.com/[^/ ]+/[^/ ]+(?:/pull/\d+)?|(?:https?://)?[^/ ]*")
_QUANT = re.compile(r"\b(UD[-_])?(Q\d_K_(?:M|S|XL)|Q\d_K|Q\d_\d)\b")


def published() -> tuple[list[Published], list[tuple[Published, str]]]:
    """Rows that a roofline can be held against, and those left out because they break a bound, with the bound."""
    table, known, found = _table(), profiles(), list[Published]()
    for row in _rows():
        if row["status"] == "ok" and row["baseline_tok_s"] and _ENGINES.search(row["engine"]):
            found += _published(row, table, known)
    broken = [(row, why) for row in found if (why := row.impossible) is not None]
    return [row for row in found if row.impossible is None], broken


def published_beside(machine: Machine, comparison: Comparison) -> Section:
    """What is published about the machine's card or cards and the run's methods, or why that is not known."""
    known = profiles()
    found = [match(card, known) for card in machine.accelerators]
    names = Counter(profile.id for profile, _ in found if profile is not None)
    if len(names) != 1 or names.total() != len(found):
        why = "; ".join(why for _, why in found if why) or f"it has {' and '.join(names) or 'no card'}"
        return Section("Published figures", lines=(f"no row is about this machine: {why}",))
    ((name, many),) = names.items()
    card, table = name if many == 1 else f"{many}x {name}", _table()
    named, methods = {**table["cards"], **table["devices"]}, table["methods"]
    about = [row for row in _rows() if row["status"] != "retracted" and named.get(row["hardware"]) == card]
    begin = re.compile(f"({'|'.join(map(re.escape, methods))})(?![^ ,])")
    rows = [row | {"ours": methods[m[1]]} for row in about if (m := begin.match(row["method"]))]
    return published_section(card, rows, comparison)


def _table() -> dict[str, Any]:
    return tomllib.loads((datafiles.path("results/published") / "prediction.toml").read_text(encoding="utf-8"))


def _rows() -> Iterator[dict[str, str]]:
    text = (datafiles.path("results/published") / "results.csv").read_text(encoding="utf-8")
    yield from csv.DictReader(io.StringIO(text))


def _published(row: Mapping[str, str], table: Mapping[str, Any], known: Mapping[str, DeviceProfile]) -> list[Published]:
    """One row, or none where it has nothing that can be predicted."""
    device = table["devices"].get(row["hardware"])
    quant = _QUANT.search(f"{row['quant']} {row['hardware']}")
    sizes = table["bytes"] if row["model"] in table["bytes"]["models"] else {}
    bytes_read = sizes.get(quant[0].replace("UD_", "UD-")) if quant else None
    drafting = _LENGTH.search(row["method"]) if "MTP" in row["method"] and "streams" not in row["method"] else None
    length = int(drafting[1]) if drafting and "p_min" not in row["method"] and "lookup" not in row["method"] else None
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
            source=_PROJECT.match(row["source"])[0],  # type: ignore[index]  # matches everything
            label=f"{row['model']} {quant[0] if quant else ''}".strip(),
            plain=float(row["baseline_tok_s"]),
            bandwidth=known[device].figure("bandwidth") if roofline else None,
            read_bytes=bytes_read if roofline else None,
            draft_tokens=length if fast is not None else None,
            tokens_per_round=tau if fast is not None else None,
            fast=fast,
        )
    ]


def predict(
    model: Path, comparison: Comparison | None, target: str, *, on: Sequence[str] | None, context: int
) -> Predicted:
    """What the devices (None: all but CPUs) do with a model file, and with what a run found out about the target."""
    known = profiles()
    for name in on or ():
        if name not in known:
            raise InputError(f"there is no hardware profile {name!r}", hint=did_you_mean(name, known))
    if not model.is_file():
        raise InputError(f"{model} is not there", hint="predictions need the header of a GGUF model")
    facts = gguf.read_facts(model)
    if facts.read_bytes is None or facts.experts:
        raise InputError(
            "nothing that could be tested is published for mixtures of experts", hint="predict a dense model"
        )
    if facts.read_bytes < SMALLEST:
        raise InputError(
            f"{target} reads {size(facts.read_bytes)} a token: so small a model is not bound by memory",
            hint=f"predict a model of {size(SMALLEST)} or more",
        )
    kv = 0.0 if facts.kv is None else facts.kv.elements * KV_BYTES["f16"] * context
    rows, _ = published()
    chosen = [known[name] for name in on] if on else [p for p in known.values() if p.kind != "cpu"]
    work = [row for row in (*comparison.rows, *comparison.overall) if row.target == target] if comparison else []
    return Predicted(
        target=target,
        context=context,
        read_bytes=facts.read_bytes + kv,
        kv_known=facts.kv is not None,
        devices=tuple(_on(device, work, facts, kv=kv, rows=rows) for device in chosen),
    )


def targets(run: store.Run) -> dict[str, Path]:
    """The model files of a run by target."""
    found = {c.group: Path(c.target_model) for c in run.plan.contenders if c.kind != "attach"}
    if not found:
        raise InputError("this run has no model file", hint="name one: --model MODEL.gguf")
    return found


def _on(
    device: DeviceProfile, work: Sequence[Row], facts: ModelFacts, *, kv: float, rows: Sequence[Published]
) -> OnDevice:
    memory, bandwidth = device.figure("memory"), device.figure("bandwidth")
    lacking = None if memory is None else facts.file_bytes + kv - memory
    used, slope = predicted(utilisations(rows), device.id), predicted(slopes(rows), device.id)
    if bandwidth is None or used is None or facts.read_bytes is None or (lacking is not None and lacking > 0):
        return OnDevice(device.id, device.name, lacking, ())
    plain = plain_speed(used, bandwidth=bandwidth, read_bytes=facts.read_bytes + kv)
    guesses = [Guess(None, None, "none", None, None, plain)]
    for row in work:
        tau, length = row.metrics["mean_acceptance_length"], row.axes.get("draft_tokens_max")
        if row.method == "mtp" and row.right and not row.synthetic and tau and slope and isinstance(length, int):
            gain = speedup(slope, tokens_per_round=tau, draft_tokens=length)
            guesses.append(Guess(row.category, row.temperature, row.label, tau.value, gain, plain.over(gain)))
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
    tau, length, drafted = (row.metrics[LENGTH], row.axes.get("draft_tokens_max"), row.metrics["drafted_share"])
    if row.baseline is None or not row.right or row.synthetic or tau is None or not isinstance(length, int):
        return None
    if row.drafting_cost is None or drafted is None or drafted.value < _ALWAYS:
        return None
    gain = on_curve(costs, drafting=row.drafting_cost, tokens_per_round=tau.value, draft_tokens=length)
    return None if gain is None else Guess(row.category, row.temperature, row.label, tau.value, gain, None)
