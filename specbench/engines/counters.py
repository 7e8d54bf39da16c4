"""What engines answer about drafting (timings JSON, Prometheus text) -> engine-neutral counts.

docs/counters.md says what each count means and where it comes from. A missing key stays None: it never becomes 0.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

from specbench.records import DraftCounts, Step
from specbench.structs import replace

Metrics = Mapping[str, float]

DECODES = "n_decode_total"
DRAFTED, ACCEPTED = "spec_decode_num_draft_tokens_total", "spec_decode_num_accepted_tokens_total"
VERIFICATIONS = "spec_verify_calls_total"  # SGLang's
DRAFTS, POSITIONS = "spec_decode_num_drafts_total", "spec_decode_num_accepted_tokens_per_pos_total"

_PHASES = ("draft", "verify", "catch_up")  # of a step, which our own loops tell apart
_SAMPLE = re.compile(r"^\w+:(\w+)(?:\{(.*)\})? ([-+.\deE]+)$", re.MULTILINE)
_POSITION = re.compile(r'\bposition="(\d+)"')

# Where servers with OpenAI's protocol report, by the field of DraftCounts: llama.cpp and mlx-vlm, vLLM, SGLang.
_VLLM = "metrics.speculative_decoding"
_SGLANG = "sglext.spec_tokens_details"  # of its meta_info
_OPENAI = {
    "emitted": ("usage.completion_tokens",),
    "drafted": ("timings.draft_n", f"{_VLLM}.num_draft_tokens", f"{_SGLANG}.spec_num_proposed_drafts"),
    "accepted": (
        "timings.draft_n_accepted",
        f"{_VLLM}.num_accepted_draft_tokens",
        f"{_SGLANG}.spec_num_correct_drafts",
    ),
    "drafted_steps": ("timings.draft_rounds", f"{_VLLM}.num_spec_steps", f"{_SGLANG}.spec_verify_ct"),
    "verification_steps": (f"{_SGLANG}.spec_verify_ct",),
}


def parse_metrics(text: str) -> dict[str, float]:
    """Samples of a Prometheus text by name without the engine's prefix; those of position n are `name[n]`.

    Samples that other labels tell apart are added up.
    """
    found: dict[str, float] = {}
    for name, labels, value in _SAMPLE.findall(text):
        try:
            number = float(value)
        except ValueError:
            continue
        position = _POSITION.search(labels)
        key = f"{name}[{position[1]}]" if position else name
        if math.isfinite(number):
            found[key] = found.get(key, 0.0) + number
    return found


def draft_counts(
    timings: Mapping[str, Any],
    *,
    types: str | None,
    prompt_passes: int | None,
    before: Metrics | None,
    after: Metrics | None,
) -> DraftCounts:
    """Counts of one request.

    `types`: the speculative types that the engine says it used; `prompt_passes`: target passes over the prompt, as seen
    in the stream; `before` and `after`: the engine's counters around the request.
    """
    sources: dict[str, str] = {}

    def known(name: str, value: int | None, source: str) -> int | None:
        if value is not None:
            sources[name] = source
        return value

    moved = _moved(before, after)
    emitted = known("emitted", timings.get("predicted_n"), "timings.predicted_n")
    prefill = known("prefill_tokens", 1 if emitted else None, "llama.cpp samples one token from the prompt pass")
    drafted = known("drafted", timings.get("draft_n"), "timings.draft_n")
    accepted = known("accepted", timings.get("draft_n_accepted"), "timings.draft_n_accepted")
    if drafted is None and accepted is None:
        # The keys are absent when nothing was drafted, and also when the engine has no such counters.
        if moved is not None and moved.get(DRAFTED) == 0 and moved.get(ACCEPTED) == 0:
            why = "absent from timings, and the counters of /metrics did not move"
        else:
            why = "the engine shows no speculative type" if types == "none" else ""
        drafted = known("drafted", 0 if why else None, why)
        accepted = known("accepted", 0 if why else None, why)
    draft_passes = known("draft_passes", timings.get("draft_passes"), "timings.draft_passes")
    drafted_steps, positions = None, None
    if moved is not None and DRAFTS in moved:
        drafted_steps = known("drafted_steps", moved[DRAFTS], f"/metrics {DRAFTS}")
        positions = tuple(moved[key] for key in _positions(moved))
        if accepted and not positions:
            positions = None  # not shown, which is not the same as none
        else:
            sources["accepted_by_position"] = f"/metrics {POSITIONS}"
    elif depths := timings.get("draft_by_depth"):  # ik_llama.cpp
        drafted_steps = known("drafted_steps", depths[0]["draft_n"], "timings.draft_by_depth")
        positions = tuple(depth["draft_n_accepted"] for depth in depths)
        sources["accepted_by_position"] = "timings.draft_by_depth"
    steps = None
    if drafted_steps is not None and moved is not None and DECODES in moved and prompt_passes is not None:
        # Engines without the drafts counter verified outside of this counter, so it is trusted only together with it.
        steps = known(
            "verification_steps", moved[DECODES] - prompt_passes, "observed: n_decode_total less prompt passes"
        )
    elif emitted and prefill is not None and accepted is not None:
        steps = known("verification_steps", emitted - prefill - accepted, "derived: E - R - A")
    return DraftCounts(
        emitted=emitted,
        prefill_tokens=prefill,
        drafted=drafted,
        accepted=accepted,
        verification_steps=steps,
        drafted_steps=drafted_steps,
        accepted_by_position=positions,
        draft_passes=draft_passes,
        sources=sources,
    )


def openai_counts(
    answer: Mapping[str, Any],
    *,
    logged: Mapping[str, int],
    before: Metrics | None,
    after: Metrics | None,
    chunk_tokens: Sequence[int] = (),
) -> DraftCounts:
    """Counts of one chat completion, from the first place that reports each: the answer, the log, `/metrics`.

    `chunk_tokens`: tokens of each chunk where the server tells them; such servers send one chunk for each engine step.
    """
    found: dict[str, Any] = {}
    sources: dict[str, str] = {}

    def take(name: str, value: int | None, source: str) -> None:
        if value is not None and name not in found:
            found[name], sources[name] = value, source

    answered = [(name, _at(answer, path), path) for name, paths in _OPENAI.items() for path in paths]
    for name, value, source in (*answered, *((name, value, "the engine's log") for name, value in logged.items())):
        take(name, value, source)
    moved = _moved(before, after) or {}
    if DRAFTED in moved and moved[DRAFTED] == found.get("drafted", moved[DRAFTED]):
        for name, key in (("drafted", DRAFTED), ("accepted", ACCEPTED), ("drafted_steps", DRAFTS)):
            take(name, moved.get(key), f"/metrics {key}")
    if (by_position := _by_position(answer, moved, found)) is not None:
        found["accepted_by_position"], sources["accepted_by_position"] = by_position
    take("verification_steps", moved.get(VERIFICATIONS) or None, f"/metrics {VERIFICATIONS}")
    take("prefill_tokens", 1 if found.get("emitted") else None, "assumed: the prompt pass yields one token")
    if sources.get("verification_steps", "").endswith(("spec_verify_ct", VERIFICATIONS)) and "prefill_tokens" in found:
        beyond = found["prefill_tokens"] + found["verification_steps"] + found.get("accepted", 0) - found["emitted"]
        take("accepted", -beyond if beyond <= 0 else None, "derived: E - R - F")
        take("beyond_end", beyond if beyond > 0 else None, "derived: R + F + A - E")
    if (beyond := _beyond_end(found, chunk_tokens)) is not None:
        take("verification_steps", len(chunk_tokens) - 1, "observed: one chunk for each step")
        take("beyond_end", beyond or None, "derived: R + F + A - E")
    if {"emitted", "prefill_tokens", "accepted"} <= found.keys():
        steps = found["emitted"] - found["prefill_tokens"] - found["accepted"]
        take("verification_steps", steps, "derived: E - R - A")
    return DraftCounts(**found, sources=sources)


def _by_position(
    answer: Mapping[str, Any], moved: Mapping[str, int], found: Mapping[str, Any]
) -> tuple[tuple[int, ...], str] | None:
    """Accepted at each position, and where that stands."""
    for path in (f"{_VLLM}.acceptance_histogram", f"{_SGLANG}.spec_correct_drafts_histogram"):
        if histogram := _at(answer, path, list):  # steps by their number of accepted tokens
            return tuple(sum(histogram[place:]) for place in range(1, len(histogram))), path
    positions = tuple(moved[key] for key in _positions(moved))
    counted = DRAFTED in moved and moved[DRAFTED] == found.get("drafted")
    return (positions, f"/metrics {POSITIONS}") if counted and (positions or not found.get("accepted")) else None


def _beyond_end(found: Mapping[str, Any], chunk_tokens: Sequence[int]) -> int | None:
    """Accepted tokens of the last step that were not sent; None where the chunks do not count the steps.

    That is so when chunks were merged on the way: a number that no single step can have, or below 0, shows it.
    """
    if not chunk_tokens or sum(chunk_tokens) != found.get("emitted") or chunk_tokens[0] != found.get("prefill_tokens"):
        return None
    beyond: int = len(chunk_tokens) + found.get("accepted", 0) - found["emitted"]  # R is 1, and F all other chunks
    most = len(found.get("accepted_by_position", ()))
    return beyond if 0 <= beyond <= most and max(chunk_tokens) <= most + 1 else None


def completed(counts: DraftCounts, logged: Mapping[str, int]) -> DraftCounts:
    """`counts`, with drafted and accepted from the log of an engine whose answer does not have them."""
    if counts.drafted is not None or counts.accepted is not None or not logged:
        return counts
    sources = {**counts.sources, **dict.fromkeys(logged, "the engine's log")}
    update: dict[str, Any] = {**logged}
    if counts.verification_steps is None and counts.emitted and counts.prefill_tokens is not None:
        update["verification_steps"] = counts.emitted - counts.prefill_tokens - logged["accepted"]
        sources["verification_steps"] = "derived: E - R - A"
    return replace(counts, **update, sources=sources)


def _at(answer: Mapping[str, Any], path: str, kind: type = int) -> Any:
    value: Any = answer
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, kind) else None


def _moved(before: Metrics | None, after: Metrics | None) -> dict[str, int] | None:
    return None if before is None or after is None else {key: round(after[key] - before.get(key, 0)) for key in after}


def _positions(moved: Mapping[str, int]) -> list[str]:
    found = [key for key in moved if key.startswith(f"{POSITIONS}[")]
    return sorted(found, key=lambda key: int(key[len(POSITIONS) + 1 : -1]))


def verification_steps(timings: Iterable[Mapping[str, Any]]) -> tuple[Step, ...]:
    """One Step per verification step, from the timings of every chunk: tokens of one step share `predicted_ms`.

    A step whose only token ends within a UTF-8 character sends no chunk and merges with the next one.
    """
    keys = ("draft_n", "draft_n_accepted", "predicted_n", "predicted_ms")
    groups = [list(group) for _, group in groupby(timings, key=lambda t: t.get("predicted_ms"))]
    steps = []
    for before, after in pairwise(group[-1] for group in groups):
        drafted, accepted, emitted, milliseconds = (after.get(key, 0) - before.get(key, 0) for key in keys)
        keyed = {phase: f"{phase}_ms" for phase in _PHASES if f"{phase}_ms" in after}
        phases = {phase: (after[key] - before.get(key, 0)) / 1000 for phase, key in keyed.items()} or None
        if emitted:
            seconds = milliseconds / 1000
            steps.append(Step(drafted=drafted, accepted=accepted, emitted=emitted, seconds=seconds, phases=phases))
    return tuple(steps)


_MOST_NATS = 1e18  # a token without any probability has the least float as its logarithm


def top_two_gap(probabilities: Sequence[Mapping[str, Any]] | None) -> float | None:
    """Nats between the two likeliest tokens of a chunk's `completion_probabilities`."""
    top = probabilities[0].get("top_logprobs") if probabilities else None
    if not top or len(top) < 2:  # noqa: PLR2004  a gap has two ends
        return None
    first, second = (entry.get("logprob") for entry in top[:2])
    return None if first is None or second is None else min(first - second, _MOST_NATS)
