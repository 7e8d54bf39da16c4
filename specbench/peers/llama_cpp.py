"""Tools of llama.cpp: llama-bench, llama-batched-bench, the SPEED-Bench client, mtp-bench, llama-benchy."""

import re
from collections.abc import Iterator
from pathlib import PureWindowsPath
from statistics import median
from typing import Any

from specbench.peers.figure import Figure, Term, number, rows, table, told

_SAMPLES = "n / median(samples_ns)"
_BENCH = {
    "avg_ts": Term("mean of the repetitions' speeds; random tokens, no sampling, no speculation", "tok/s"),
    _SAMPLES: Term("tokens / median time of the repetitions, computed from the samples", "tok/s"),
}
_BENCH_CONDITIONS = (
    "n_prompt", "n_gen", "n_depth", "n_threads", "n_gpu_layers", "type_k", "type_v", "flash_attn", "n_batch",
)  # fmt: skip


def llama_bench(document: Any) -> Iterator[Figure]:
    """JSON, JSON lines, CSV or SQL; the latter two have no samples."""
    for row in rows(document):
        tokens = (number(row.get("n_prompt")) or 0) + (number(row.get("n_gen")) or 0)
        samples = row.get("samples_ns")
        seconds = [t / 1e9 for s in samples if (t := number(s))] if isinstance(samples, list) else []
        half = median(seconds) if seconds else 0
        yield from told(
            "llama-bench",
            {"avg_ts": row.get("avg_ts"), _SAMPLES: tokens / half if half > 0 else None},
            _BENCH,
            machine=row.get("gpu_info") or row.get("cpu_info"),
            engine=f"llama.cpp {row.get('build_commit') or ''}".strip(),
            model=_file(row.get("model_filename")) or row.get("model_type"),
            category="decode"
            if not number(row.get("n_prompt"))
            else "prefill"
            if not number(row.get("n_gen"))
            else "both",
            conditions={key: row.get(key) for key in _BENCH_CONDITIONS},
        )


def _file(path: Any) -> str | None:
    return PureWindowsPath(path).name if isinstance(path, str) else None  # splits at both kinds of slash


_BATCHED = {
    "speed_pp": Term("prompt tokens of all sequences / time of the prompts", "tok/s"),
    "speed_tg": Term("generated tokens of all sequences / time of generating", "tok/s"),
    "speed": Term("all tokens, of prompts and generated, / total time", "tok/s"),
}
_BATCHED_COLUMNS = ("pp", "tg", "pl", "n_kv", "t_pp", "speed_pp", "t_tg", "speed_tg", "t", "speed")


def batched_bench(document: Any) -> Iterator[Figure]:
    """JSON lines, or the table with its columns PP, TG, B, N_KV, T_PP s, S_PP t/s, T_TG s, S_TG t/s, T s, S t/s."""
    if isinstance(document, str):
        cells = [[cell.strip() for cell in line.strip("| \r").split("|")] for line in document.splitlines()]
        document = [dict(zip(_BATCHED_COLUMNS, row, strict=False)) for row in cells if number(row[0]) is not None]
    for row in rows(document):
        conditions = {"prompt": row.get("pp"), "generated": row.get("tg"), "sequences": row.get("pl")}
        yield from told("llama-batched-bench", row, _BATCHED, engine="llama.cpp", conditions=conditions)


_CLIENT = {
    "avg_pred_t_s": Term("mean over requests of the server's predicted_per_second", "tok/s"),
    "avg_prompt_t_s": Term("mean over requests of prompt tokens per second; cached tokens may be counted", "tok/s"),
    "avg_latency": Term("mean time of a request at the client", "s"),
    "accept_rate": Term("accepted / drafted tokens", "fraction", "draft_acceptance_rate"),
}


def speed_bench(document: Any) -> Iterator[Figure]:
    """The SPEED-Bench client for llama-server; a line for each category, and `overall`."""
    config = table(document, "config")
    for row in rows(document["summary"]):
        yield from told(
            "speed_bench.py", row, _CLIENT, engine="llama-server", model=config.get("model"),
            category=row.get("category"),
            conditions={key: config.get(key) for key in ("bench", "osl", "concurrency")},
        )  # fmt: skip


_MTP = {
    "accept_rate": Term("accepted / drafted tokens", "fraction", "draft_acceptance_rate"),
    "predicted_per_second": Term("llama-server's generated tokens / its time of generating", "tok/s"),
    "aggregate_accept_rate": Term("accepted / drafted tokens of all requests", "fraction", "draft_acceptance_rate"),
    "wall_s_total": Term("sum of the requests' times at the client", "s"),
}
_MTP_LINE = re.compile(
    r"^ *(?P<name>\S.{0,99}?) +pred= *\d+ +draft= *\d+ +acc= *\d+ +rate=(?P<accept_rate>[\d.]+|n/a|None)"
    r" +tok/s=(?P<predicted_per_second>[\d.]+)",
    re.MULTILINE,
)
_MTP_TOTAL = re.compile(r'"(aggregate_accept_rate|wall_s_total)": *([\d.]+)')


def mtp_bench(document: Any) -> Iterator[Figure]:
    """What mtp-bench.py prints, or its JSON. The method is not in it."""
    lines: list[Any] = []
    if isinstance(document, str):
        lines = [match.groupdict() for match in _MTP_LINE.finditer(document)]
        total = dict(_MTP_TOTAL.findall(document))
    else:
        lines, total = [*rows(document["results"])], dict(table(document, "aggregate"))
    for line in [*(x for x in lines if not x.get("error")), {**total, "name": "all"}]:
        yield from told("mtp-bench.py", line, _MTP, engine="llama-server", category=line.get("name"))


_BENCHY = {
    "pp_throughput": Term("mean over runs of prompt tokens / (time to the first response - latency)", "tok/s"),
    "tg_throughput": Term("mean over runs of tokens after the first chunk / time from first to last", "tok/s"),
    "peak_throughput": Term("mean over runs of the most tokens in a second", "tok/s"),
    "ttfr": Term("mean time to the first response, of whatever kind", "ms"),
    "e2e_ttft": Term("mean time to the first token at the client", "ms", "first_token", 1e-3),
    "accept_per_draft": Term("accepted / drafted tokens, counters of the server", "fraction", "draft_acceptance_rate"),
}


def llama_benchy(document: Any) -> Iterator[Figure]:
    """Each point of the grid of prompt and response sizes, depth and concurrency."""
    for row in rows(document["benchmarks"]):
        phase = "context prefill" if row.get("is_context_prefill_phase") else None
        keys = ("prompt_size", "response_size", "context_size", "concurrency")
        conditions = {**{key: row.get(key) for key in keys}, "phase": phase}
        yield from told("llama-benchy", row, _BENCHY, model=document.get("model"), conditions=conditions)
