"""What `specbench inspect` shows: plain data for a terminal, or JSON."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from specbench.models.compatibility import KINDS
from specbench.models.facts import KV_BYTES, KvCache, ModelFacts
from specbench.models.findings import Finding
from specbench.report.section import MISSING, Column, Section
from specbench.units import percent, significant, size

_SHOWN_TYPES = 6
_BILLION, _MILLION = 1e9, 1e6


@dataclass(frozen=True)
class Drafting:
    """What one engine can do with the file: method -> its drafter (None: it needs none), and method -> why not."""

    engine: str
    possible: dict[str, str | None]
    impossible: dict[str, str]


@dataclass(frozen=True)
class Inspection:
    """`drafters`: file -> what became of it."""

    facts: ModelFacts
    findings: tuple[Finding, ...] = ()
    drafters: dict[str, str] | None = None
    engines: tuple[Drafting, ...] = ()


def as_json(found: Inspection) -> str:
    """Everything, in base units; bytes of the KV cache are those of one more token."""
    kv = found.facts.kv
    return json.dumps(
        {
            **asdict(found),
            "kv_bytes_per_token": None if kv is None else {k: kv.elements * b for k, b in KV_BYTES.items()},
        },
        indent=2,
    )


def sections(found: Inspection) -> list[Section]:
    """The file, the drafters around it, the methods of each engine."""
    facts = found.facts
    columns = (Column(""), Column(""))
    notes = tuple(f"{f.code} {f.message}. {f.hint[:1].upper()}{f.hint[1:]}." for f in found.findings if not f.severe)
    alarms = tuple(f"{f.code} {f.message}. {f.hint[:1].upper()}{f.hint[1:]}." for f in found.findings if f.severe)
    shown = [Section(facts.path, columns, tuple(_rows(facts)), alarms=alarms, footnotes=notes)]
    if found.drafters:
        names = (Column("file", wraps=True), Column("what became of it", wraps=True))
        shown.append(Section("Drafters", names, tuple(found.drafters.items())))
    if found.engines:
        shown.append(_methods(found.engines))
    return shown


def _methods(engines: tuple[Drafting, ...]) -> Section:
    reasons: dict[str, list[str]] = defaultdict(list)
    for engine in engines:
        for method, reason in engine.impossible.items():
            if method not in reasons[reason]:
                reasons[reason].append(method)
    return Section(
        "Methods",
        (Column("engine"), Column("can", wraps=True), Column("cannot", wraps=True)),
        tuple(
            (
                e.engine,
                ", ".join(f"{m} ({drafter})" if drafter else m for m, drafter in e.possible.items()) or MISSING,
                ", ".join(e.impossible) or MISSING,
            )
            for e in engines
        ),
        footnotes=tuple(f"not {', '.join(methods)}: {reason}" for reason, methods in reasons.items()),
    )


def _rows(facts: ModelFacts) -> Iterator[tuple[str, str]]:
    experts = f", {facts.experts_used or '?'} of {facts.experts} experts" if facts.experts else ""
    yield "architecture", facts.architecture + (f" ({facts.name})" if facts.name else "") + experts
    if facts.drafter:
        yield (
            "drafter",
            f"{KINDS[facts.drafter]} for a target of hidden size {_known(facts.target_hidden_size)}"
            + (f", reads its layers {', '.join(map(str, facts.target_taps))}" if facts.target_taps else ""),
        )
    yield "parameters", MISSING if facts.parameters is None else _count(facts.parameters)
    yield "layers, width", f"{_known(facts.layers)}, {_known(facts.hidden_size)}"
    yield "quant", f"{_known(facts.quant)}: {_mix(facts)}"
    yield "file", size(facts.file_bytes) + (f" in {facts.files} files" if facts.files > 1 else "")
    if facts.drafter is None:
        yield "read per token", MISSING if facts.read_bytes is None else size(facts.read_bytes)
        yield "KV per token", f"not known: {facts.kv_unknown}" if facts.kv is None else _cache(facts.kv)
    yield "context length", _known(facts.context_length)
    fingerprint = f", sha256 {facts.vocabulary_sha256[:12]}" if facts.vocabulary_sha256 else ""
    yield "vocabulary", f"{_known(facts.vocabulary_size)} tokens {facts.tokenizer_model or ''}".rstrip() + fingerprint
    yield "chat template", "yes" if facts.has_chat_template else "no"
    if facts.drafter is None:
        heads = f"{facts.nextn_layers} of {facts.nextn_declared} declared" if facts.nextn_declared else "none declared"
        yield "MTP heads", heads + (f", {', '.join(facts.head_types)}" if facts.nextn_layers else "")


def _cache(kv: KvCache) -> str:
    def both(elements: int) -> str:
        return ", ".join(f"{size(elements * one)} {kind}" for kind, one in KV_BYTES.items())

    text = f"{both(kv.elements)}; {kv.layers} layers"
    if kv.windowed_layers:
        text = f"{both(kv.elements)}; beyond {kv.window} tokens {both(kv.elements - kv.windowed_elements)}; "
        text += f"{kv.windowed_layers} of {kv.layers} layers have a window"
    return text + (f", {kv.recurrent_layers} recurrent with a fixed state" if kv.recurrent_layers else "")


def _mix(facts: ModelFacts) -> str:
    total = sum(count for _, count in facts.types) or 1
    shown = [f"{kind} {percent(count / total) if count / total >= 0.01 else '< 1 %'}" for kind, count in facts.types]  # noqa: PLR2004  one per cent
    return ", ".join(shown[:_SHOWN_TYPES])


def _count(number: int) -> str:
    if number >= _BILLION:
        return f"{significant(number / _BILLION)} billion"
    return f"{significant(number / _MILLION)} million" if number >= _MILLION else str(number)


def _known(value: object) -> str:
    return MISSING if value is None else str(value)
