"""Files of other tools -> figures. What a file is and what its numbers mean is data: formats.toml."""

import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path, PureWindowsPath
from statistics import median
from typing import Any

from specbench.errors import InputError
from specbench.faults import did_you_mean
from specbench.peers.documents import decode
from specbench.peers.figure import Figure

FORMATS: Mapping[str, Any] = tomllib.loads(Path(__file__).with_name("formats.toml").read_text(encoding="utf-8"))
_WORDS = 200  # characters of a name that are kept
_MOST_ROWS = 10_000
_SHARES = ("fraction", "%")  # units in which 0 is a value; a time or a rate of 0 is how tools write none

_GROUPED = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d*)?")

Row = Mapping[str, Any]


def figures(data: bytes, *, name: str | None = None) -> tuple[str, list[Figure]]:
    """The format of a file's bytes (`name` when it is said) and its figures; InputError when there are none."""
    if name is not None and name not in FORMATS:
        raise InputError(f"there is no format {name!r}", hint=did_you_mean(name, FORMATS))
    document = decode(data)
    for kind, form in FORMATS.items():
        if name in (None, kind) and (rows := _rows(document, form, _PREPARED.get(kind, list))):
            if len(rows) > _MOST_ROWS:
                raise InputError(f"this {kind} file has more than {_MOST_ROWS} rows", hint="give a part of it")
            found = [figure for row in rows for figure in _figures(row, document, form)]
            if not found:
                raise InputError(f"this {kind} file has no figure", hint="give the file of a run that finished")
            return kind, found
    what = "no format that is known" if name is None else f"not a file of {name}"
    raise InputError(f"its content is {what}", hint=f"known: {', '.join(FORMATS)}")


def number(value: Any) -> float | None:
    """A finite number, also as text or as the mean of `{mean: ...}`; None for anything else."""
    if isinstance(value, Mapping):
        value = value.get("mean", value.get("avg"))
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(_plain(value) if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None
    return found if isfinite(found) else None


def _plain(text: str) -> str:
    """Without marks, and without commas between groups of three digits: 1,234 is a number, 27,5 is not."""
    bare = text.strip(" *\\")
    return bare.replace(",", "") if _GROUPED.fullmatch(bare) else bare


def _rows(document: Any, form: Mapping[str, Any], prepared: Callable[[Sequence[Row]], Sequence[Row]]) -> Sequence[Row]:
    """The rows of a file of this format; none when it is another."""
    if isinstance(document, str):
        if not form.get("says") or not all(word in document.lower() for word in form["says"]):
            return []
        begin = re.search(form["table"], document, re.MULTILINE) if "table" in form else None
        text = re.split(r"\n[ \r]*\n", document[begin.start() :], maxsplit=1)[0] if begin else document
        found = [m.groupdict() for m in re.finditer(form["line"], text, re.MULTILINE)] if "line" in form else []
        matches = (m for once in form.get("once", ()) for m in re.finditer(once, document, re.MULTILINE))
        total = {key: value for match in matches for key, value in match.groupdict().items()}
        return prepared([*found, *([total] if total else [])])
    places = (_at(document, place) for place in form.get("rows", ()))
    listed = (place if isinstance(place, list) else [place] for place in places)
    rows = prepared([row for place in listed for row in place if isinstance(row, Mapping)])
    known_by = form.get("known_by", ())
    return rows if any(all(_at(row, key) is not None for key in known_by) for row in rows) else []


def _at(value: Any, place: str) -> Any:
    """What stands at a dotted place; None when there is nothing."""
    for key in place.split(".") if place else ():
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value


def _figures(row: Row, document: Any, form: Mapping[str, Any]) -> Iterator[Figure]:
    def named(places: str | Sequence[str]) -> str | None:
        if isinstance(places, str):
            return places
        return next((text for v in (row, document) for place in places if (text := _word(_at(v, place)))), None)

    where = {key: named(places) for key, places in form.get("where", {}).items()}
    given = {key.rpartition(".")[2]: named([key]) for key in form.get("conditions", ())}
    conditions = {key: value for key, value in given.items() if value is not None}
    for metric, term in form["terms"].items():
        found = _at(row, term.get("at", metric))
        if isinstance(found, Mapping) and found.get("unit", term["unit"]) != term["unit"]:
            continue
        about = where | {key: term[key] for key in ("definition", "unit", "same_as", "scale", "method") if key in term}
        for i, each in enumerate(found if isinstance(found, list) else [found]):
            value = number(each)
            if (
                value is not None
                and not (term["unit"] == "fraction" and value > 1)
                and (value > 0 or (value == 0 and term["unit"] in _SHARES))
            ):
                name = f"{metric}[{i}]" if isinstance(found, list) else metric
                yield Figure(tool=form["tool"], metric=name, value=value, conditions=conditions, **about)


def _word(value: Any) -> str | None:
    """A name as the tool gives it, on one line and not endless; of a model's file its name."""
    text = " ".join(str(value).split())[:_WORDS] if isinstance(value, str | int | float) else ""
    text = PureWindowsPath(text).name if text.endswith(".gguf") else text  # splits at both kinds of slash
    return "".join(c for c in text if c.isprintable()).strip(" *\\") or None


def _with_median(rows: Sequence[Row]) -> Sequence[Row]:
    """llama-bench: the speed by the samples, where they are kept."""

    def speed(row: Row) -> float | None:
        samples = row.get("samples_ns")
        times = [t for s in samples if (t := number(s))] if isinstance(samples, list) else []
        tokens = (number(row.get("n_prompt")) or 0) + (number(row.get("n_gen")) or 0)
        return tokens / median(times) * 1e9 if times and median(times) > 0 else None

    return [{**row, "n / median(samples_ns)": speed(row)} for row in rows]


def _medians(rows: Sequence[Row]) -> Sequence[Row]:
    """The log of SGLang: one row for each number of requests that ran at once."""
    groups = defaultdict[str, list[Row]](list)
    for row in rows:
        groups[row["requests"]].append(row)
    return [
        {"requests": requests, "lines": len(group)}
        | {key: median(n) for key in ("accept_len", "throughput") if (n := [x for r in group if (x := number(r[key]))])}
        for requests, group in groups.items()
    ]


def _sums(rows: Sequence[Row]) -> Sequence[Row]:
    """AIPerf's acceptance records: the counts of each engine, model and category, without warm-ups."""
    sums: dict[tuple[str | None, ...], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for row in rows:
        counts = [number(_at(row, f"spec_decode_acceptance.{key}")) or 0 for key in _COUNTS]
        if any(counts) and "warmup" not in (_at(row, "metadata.benchmark_phase"), _at(row, "metadata.phase_kind")):
            where = tuple(_word(_at(row, place)) for place in _PLACES)
            sums[where] = [a + b for a, b in zip(sums[where], counts, strict=True)]
    return [
        dict(zip(("engine", "model", "category", "accepted", "drafted"), (*where, accepted, drafted), strict=True))
        | {"draft_acceptance_rate": accepted / drafted if drafted > 0 else None}
        | {"mean_acceptance_length": 1 + accepted / steps if steps > 0 else None}
        for where, (accepted, drafted, steps) in sums.items()
    ]


_COUNTS = ("num_accepted_draft_tokens", "num_draft_tokens", "num_spec_steps")
_PLACES = ("spec_decode_acceptance.engine", "metadata.contender", "metadata.source_kind")
_PREPARED: Mapping[str, Callable[[Sequence[Row]], Sequence[Row]]] = {
    "llama-bench": _with_median,
    "aiperf-records": _sums,
    "sglang-log": _medians,
}
