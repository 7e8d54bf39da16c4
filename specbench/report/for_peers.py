"""A run in the formats of other tools: llama-bench's JSON, AIPerf's acceptance records."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import PurePath
from statistics import fmean, stdev
from typing import Any

from specbench.errors import InputError
from specbench.records import Contender, Generation, Machine, Opening, Plan, Result

# llama-bench's columns in its order. What a run does not know of them is null.
_BENCH = (
    "build_commit", "build_number", "cpu_info", "gpu_info", "backends", "model_filename", "model_type",
    "model_size", "model_n_params", "n_batch", "n_ubatch", "n_threads", "cpu_mask", "cpu_strict", "poll", "type_k",
    "type_v", "n_gpu_layers", "n_cpu_moe", "split_mode", "main_gpu", "no_kv_offload", "flash_attn", "devices",
    "tensor_split", "tensor_buft_overrides", "load_mode", "lazy_mode", "embeddings", "no_op_offload", "no_host",
    "repack", "fit_target", "fit_min_ctx", "n_prompt", "n_gen", "n_depth", "test_time", "avg_ns", "stddev_ns",
    "avg_ts", "stddev_ts", "samples_ns", "samples_ts",
)  # fmt: skip
_SETTINGS = {"n_threads": "threads", "n_gpu_layers": "gpu_layers", "type_k": "cache_type_k", "type_v": "cache_type_v"}


def llama_bench(plan: Plan, machine: Machine, results: Iterable[Result]) -> tuple[str, int]:
    """The engine's times as `llama-bench -o json` has them: prompt tokens alone, then tokens at the prompt's depth.

    Of llama.cpp's contenders without speculation and with one stream, which is what such a file says; and how many
    others there are.
    `model_type` is the contender's name.
    """
    results = [*results]
    plain = {c.name for c in plan.contenders if c.method == "none" and c.protocol == "llama.cpp" and c.kind != "python"}
    commits = {r.contender: r.engine_commit for r in results if isinstance(r, Opening)}
    samples: dict[tuple[str, int, int, int], list[tuple[float, float]]] = defaultdict(list)
    for g in (g for g in _measured(results) if g.trial.contender in plain):
        if g.prefill_seconds and g.prefilled_tokens and g.trial.streams == 1:
            samples[g.trial.contender, g.prefilled_tokens, 0, g.cached_tokens or 0].append(
                (g.prefill_seconds, g.started)
            )
        tokens = (g.output_tokens or 0) - (g.counts.prefill_tokens or 0)
        if g.decode_seconds and tokens > 0 and g.counts.prefill_tokens is not None and g.trial.streams == 1:
            samples[g.trial.contender, 0, tokens, g.prompt_tokens or 0].append((g.decode_seconds, g.started))
    if not samples:
        raise InputError("no plain trial of llama.cpp in this run has the engine's times", hint="export it as csv")
    rows = []
    for (name, n_prompt, n_gen, n_depth), timed in samples.items():
        c = plan.contender(name)
        seconds = [t for t, _ in timed]
        speeds = [(n_prompt + n_gen) / t for t in seconds]
        row: dict[str, Any] = dict.fromkeys(_BENCH) | {
            "build_commit": commits.get(name), "cpu_info": machine.cpu, "model_type": name,
            "gpu_info": ", ".join(card.name or card.vendor for card in machine.accelerators),
            "model_filename": PurePath(c.target_model).name,
            **{column: c.engine_settings.get(key) for column, key in _SETTINGS.items()},
            "n_prompt": n_prompt, "n_gen": n_gen, "n_depth": n_depth,
            "test_time": datetime.fromtimestamp(min(began for _, began in timed), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "avg_ns": round(fmean(seconds) * 1e9), "stddev_ns": round(_spread(seconds) * 1e9),
            "avg_ts": fmean(speeds), "stddev_ts": _spread(speeds),
            "samples_ns": [round(t * 1e9) for t in seconds], "samples_ts": speeds,
        }  # fmt: skip
        rows.append(row)
    return json.dumps(rows, indent=2, allow_nan=False) + "\n", len(plan.contenders) - len(
        {name for name, *_ in samples}
    )


def acceptance_records(plan: Plan, results: Iterable[Result]) -> tuple[str, int]:
    """AIPerf's record of each request that drafted, one line each, and how many lack the counts that it must have.

    The fields and the sums that must agree are those of AIPerf's SpecDecodeAcceptanceRecord.
    """
    lines, lacking = list[str](), 0
    for g in _measured(results):
        c, contender = g.counts, plan.contender(g.trial.contender)
        if not c.drafted:
            continue
        histogram = _histogram(g)
        if (
            not c.drafted_steps
            or c.accepted is None
            or sum(histogram.values()) != c.drafted_steps
            or sum(j * n for j, n in histogram.items()) != c.accepted
        ):
            lacking += 1
            continue
        about = {"session_num": len(lines), "x_request_id": g.trial.id, "benchmark_phase": "profiling"}
        about |= {"source_kind": g.trial.category, "contender": contender.name}
        record = {
            "engine": contender.engine, "mean_acceptance_length": 1 + c.accepted / c.drafted_steps,
            "draft_acceptance_rate": c.accepted / c.drafted, "acceptance_histogram": histogram,
            "num_accepted_draft_tokens": c.accepted, "num_draft_tokens": c.drafted, "num_spec_steps": c.drafted_steps,
            "num_spec_tokens": _length(contender), "completion_tokens": g.output_tokens,
        }  # fmt: skip
        lines.append(json.dumps({"metadata": about, "metrics": {}, "spec_decode_acceptance": record}))
    if not lines:
        raise InputError(
            "no trial of this run has drafts counted by position", hint="docs/counters.md: who counts them"
        )
    return "\n".join(lines) + "\n", lacking


def _measured(results: Iterable[Result]) -> Iterator[Generation]:
    return (r for r in results if isinstance(r, Generation) and r.trial.role == "measured")


def _spread(values: list[float]) -> float:
    """As llama-bench has it: 0 of one sample."""
    return stdev(values) if len(values) > 1 else 0.0


def _histogram(g: Generation) -> Mapping[int, int]:
    """Steps with a draft by how many of its tokens were accepted."""
    if g.steps is not None:
        return Counter(step.accepted for step in g.steps if step.drafted)
    at_least = (g.counts.drafted_steps or 0, *(g.counts.accepted_by_position or ()), 0)
    exactly = (a - b for a, b in pairwise(at_least))
    return {accepted: steps for accepted, steps in enumerate(exactly) if steps}


def _length(contender: Contender) -> int | None:
    lengths = contender.values_of("draft_tokens_max")
    return lengths[0] if len(lengths) == 1 and isinstance(lengths[0], int) else None
