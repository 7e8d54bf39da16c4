"""Tables and logs that people publish: qwen38-mtp, the benchmark of DFlash, SGLang's log."""

import re
from collections.abc import Iterator
from statistics import median
from typing import Any

from specbench.peers.figure import Figure, Term, number, told

_NUMBER = r"(\d+(?:[.,]\d+)*)"
_QWEN = {
    "baseline": Term("median over prompts of decode speed without speculation, by the table's rules", "tok/s"),
    "with flag": Term("median over prompts of decode speed with draft-mtp, by the table's rules", "tok/s"),
    "acceptance": Term("accepted / drafted tokens as the contributor gives it", "fraction"),
}


def qwen38_mtp(document: Any) -> Iterator[Figure]:
    """The table `Card | Baseline | With flag | n-max | Acceptance | Contributor`. A range is no figure."""
    header: list[str] = []
    for line in document.splitlines():
        cells = [cell.strip(" *\\") for cell in line.strip().strip("|").split("|")]
        if {"card", "baseline", "with flag"} <= {cell.lower() for cell in cells}:
            header = [cell.lower() for cell in cells]
        elif header and len(cells) == len(header) and cells[0].strip("-: "):
            row = dict(zip(header, cells, strict=True))
            about = {"n_max": row.get("n-max", ""), "contributor": re.sub(r"\[(.*?)\]\(.*?\)", r"\1", cells[-1])}
            for metric, method in (("baseline", "none"), ("with flag", "mtp"), ("acceptance", "mtp")):
                only = {metric: _QWEN[metric]}
                yield from told(
                    "qwen38-mtp", row, only, machine=row["card"], engine="llama.cpp", model="Qwen3.8-27B",
                    method=method, conditions=about,
                )  # fmt: skip


_DFLASH = {
    "Baseline throughput": Term("1 / mean over answers of time per token, block size 1", "tok/s"),
    "DFlash throughput": Term("1 / mean over answers of time per token", "tok/s"),
    "Decoding speedup": Term("ratio of the two mean times per token", "x"),
    "Average Acceptance length": Term("mean over answers of tokens per step, the target's own counted", "tokens"),
    "Throughput": Term("output tokens / duration of the run, prefill in it", "tok/s", "output_throughput"),
    "Accept length": Term("mean over requests of tokens per verification, the first token counted (E/F)", "tokens"),
}
_LINE = re.compile(rf"^ *({'|'.join(map(re.escape, _DFLASH))}): *{_NUMBER}", re.MULTILINE)
_ABOUT = re.compile(r"^ *(Backend|Dataset|Num prompts|Concurrency): *(\S+)", re.MULTILINE)


def dflash(document: Any) -> Iterator[Figure]:
    """What `python -m dflash.benchmark` prints, with any of its backends."""
    values = {name: text.replace(",", "") for name, text in _LINE.findall(document)}
    about = dict(_ABOUT.findall(document))
    for metric in values:
        yield from told(
            "dflash.benchmark", values, {metric: _DFLASH[metric]}, engine=about.get("Backend"),
            method="none" if metric.startswith("Baseline") else "dflash" if "DFlash throughput" in values else None,
            category=about.get("Dataset"),
            conditions={"prompts": about.get("Num prompts"), "concurrency": about.get("Concurrency")},
        )  # fmt: skip


_SGLANG = {
    "accept len": Term("median over log lines of tokens per verification since the line before", "tokens"),
    "gen throughput (token/s)": Term(
        "median over log lines of tokens / time since the line before, all requests", "tok/s"
    ),
}
_RUNNING = re.compile(r"#running-req: *(\d+)")


def sglang_log(document: Any) -> Iterator[Figure]:
    """The `Decode batch` lines of a server's log, by the number of requests that ran."""
    found: dict[str, dict[str, list[float]]] = {}
    for line in document.splitlines():
        if "Decode batch" in line and (running := _RUNNING.search(line)):
            lists = found.setdefault(running[1], {name: [] for name in _SGLANG})
            for name, values in lists.items():
                _, seen, rest = line.partition(f"{name}: ")
                if seen and (value := number(re.split(r"[,\s]", rest, maxsplit=1)[0])) is not None:
                    values.append(value)
    for running_, lists in found.items():
        values_ = {name: median(values) for name, values in lists.items() if values}
        lines = max(map(len, lists.values()))
        about = {"requests": int(running_[:9]), "lines": lines}
        yield from told("SGLang log", values_, _SGLANG, engine="sglang", conditions=about)
