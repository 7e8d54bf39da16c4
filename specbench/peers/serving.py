"""Clients of any server: vLLM's `bench serve`, AIPerf, GuideLLM."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from specbench.peers.figure import Figure, Term, number, rows, table, told

_VLLM = {
    "output_throughput": Term("output tokens / duration of the run", "tok/s", "output_throughput"),
    "mean_ttft_ms": Term("mean time to the first chunk", "ms", "first_token", 1e-3),
    "median_ttft_ms": Term("median time to the first chunk", "ms"),
    "mean_tpot_ms": Term("mean over requests of (latency - TTFT) / (tokens - 1)", "ms"),
    "median_tpot_ms": Term("median over requests of (latency - TTFT) / (tokens - 1)", "ms"),
    "mean_itl_ms": Term("mean gap between chunks, which may hold several tokens", "ms"),
    "mean_e2el_ms": Term("mean time of a request", "ms"),
    "spec_decode_acceptance_rate": Term("accepted / drafted tokens (A/D)", "%", "draft_acceptance_rate", 0.01),
    "spec_decode_acceptance_length": Term("1 + A/S, steps without a draft left out", "tokens", "accepted_per_draft"),
}
_VLLM_CONDITIONS = ("num_prompts", "completed", "failed", "max_concurrency", "request_rate", "total_output_tokens")


def vllm_serve(document: Any) -> Iterator[Figure]:
    """The result file; with --append-result several in one."""
    for row in rows(document if isinstance(document, list) else [document]):
        places = row.get("spec_decode_per_position_acceptance_rates")
        places = dict(enumerate(places)) if isinstance(places, list) else {}
        each = {
            f"acceptance_at_{i}": Term(f"drafts accepted at position {i} / drafts (A_i/S)", "fraction") for i in places
        }
        yield from told(
            "vllm bench serve", {**row, **{f"acceptance_at_{i}": share for i, share in places.items()}},
            _VLLM | each, engine=row.get("backend"), model=row.get("model_id"),
            conditions={key: row.get(key) for key in _VLLM_CONDITIONS},
        )  # fmt: skip


_AIPERF = {
    "output_token_throughput": Term("output tokens / duration of the run", "tokens/sec", "output_throughput"),
    "output_token_throughput_per_user": Term("mean over requests of 1 / inter_token_latency", "tokens/sec/user"),
    "time_to_first_token": Term("mean time to the first chunk of output", "ms", "first_token", 1e-3),
    "inter_token_latency": Term("mean over requests of (latency - TTFT) / (tokens - 1)", "ms"),
    "request_latency": Term("mean time of a request", "ms"),
    "spec_decode_acceptance_length": Term("mean over requests of 1 + A/S", "ratio"),
    "spec_decode_token_weighted_acceptance_length": Term("1 + A/S over all requests", "ratio", "accepted_per_draft"),
    "spec_decode_draft_acceptance_rate": Term("mean over requests of accepted / drafted tokens", "%"),
    "spec_decode_overall_draft_acceptance_rate": Term(
        "accepted / drafted tokens of all requests", "%", "draft_acceptance_rate", 0.01
    ),
    "spec_decode_accepted_per_verified": Term("(A + S) / (D + S)", "ratio"),
}


def aiperf(document: Any) -> Iterator[Figure]:
    """profile_export_aiperf.json. A metric whose unit is not the one that is known is left out."""
    known = {k: t for k, t in _AIPERF.items() if table(document, k).get("unit") in (t.unit, None)}
    config = table(document, "input_config")
    models = table(config, "endpoint").get("model_names")
    yield from told(
        "AIPerf", document, known, model=models[0] if isinstance(models, list) and models else None,
        conditions={"concurrency": table(config, "loadgen").get("concurrency")},
    )  # fmt: skip


_RECORDS = {
    "draft_acceptance_rate": Term("accepted / drafted tokens", "fraction", "draft_acceptance_rate"),
    "mean_acceptance_length": Term("1 + accepted / steps with a draft", "tokens", "accepted_per_draft"),
}


def aiperf_records(document: Any) -> Iterator[Figure]:
    """The acceptance records in AIPerf's profile_export.jsonl, summed by engine, model and category; no warm-ups."""
    sums: dict[tuple[Any, ...], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for row in rows(document):
        record, about = table(row, "spec_decode_acceptance"), table(row, "metadata")
        keys = ("num_accepted_draft_tokens", "num_draft_tokens", "num_spec_steps")
        counts = [n for key in keys if (n := number(record.get(key))) is not None]
        if len(counts) == len(keys) and "warmup" not in (about.get("benchmark_phase"), about.get("phase_kind")):
            where = tuple(
                map(str, (record.get("engine") or "", about.get("model") or "", about.get("source_kind") or ""))
            )
            sums[where] = [a + b for a, b in zip(sums[where], counts, strict=True)]
    for (engine, model, category), (accepted, drafted, steps) in sums.items():
        values = {
            "draft_acceptance_rate": accepted / drafted if drafted > 0 else None,
            "mean_acceptance_length": 1 + accepted / steps if steps > 0 else None,
        }
        yield from told("AIPerf records", values, _RECORDS, engine=engine, model=model, category=category)


_GUIDELLM = {
    "time_to_first_token_ms": Term("mean time to the first token", "ms", "first_token", 1e-3),
    "inter_token_latency_ms": Term("mean over requests of (last - first token) / (tokens - 1)", "ms"),
    "time_per_output_token_ms": Term("mean of request time / tokens: the time to the first token is in it", "ms"),
    "request_latency": Term("mean time of a request", "s"),
    "output_tokens_per_second": Term("mean of the rate of output tokens over the run", "tok/s"),
    "requests_per_second": Term("mean of the rate of finished requests", "1/s"),
}


def guidellm(document: Any) -> Iterator[Figure]:
    """Each benchmark of the file, of its successful requests."""
    for row in rows(document["benchmarks"]):
        metrics, config = table(row, "metrics"), table(row, "config")
        values: Mapping[str, Any] = {key: table(metrics.get(key), "successful") for key in _GUIDELLM}
        strategy = table(config, "strategy")
        backend = table(config, "backend") or table(table(document, "config"), "backend")
        yield from told(
            "GuideLLM", values, _GUIDELLM, model=backend.get("model"),
            conditions={"strategy": strategy.get("type_") or strategy.get("kind"), "streams": strategy.get("streams")},
        )  # fmt: skip
