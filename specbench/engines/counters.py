"""What llama.cpp says about drafting (timings JSON, Prometheus text, log lines) -> engine-neutral counts.

docs/counters.md says what each count means and where it comes from. A missing key stays None: it never becomes 0.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

from specbench.records import DraftCounts, Step

Metrics = Mapping[str, float]

DECODES = "n_decode_total"
DRAFTED, ACCEPTED = "spec_decode_num_draft_tokens_total", "spec_decode_num_accepted_tokens_total"
DRAFTS, POSITIONS = "spec_decode_num_drafts_total", "spec_decode_num_accepted_tokens_per_pos_total"

_SAMPLE = re.compile(r'^\w+:(\w+)(?:\{position="(\d+)"\})? ([-+.\deE]+)$', re.MULTILINE)
_STATISTICS = re.compile(r"statistics +([\w-]+): .*dur\(b,g,a\) = [\d.]+, ([\d.]+), [\d.]+ ms")


def parse_metrics(text: str) -> dict[str, float]:
    """Samples of a Prometheus text by name without the engine's prefix; a labelled position n is `name[n]`."""
    return {
        f"{name}[{position}]" if position else name: float(value) for name, position, value in _SAMPLE.findall(text)
    }


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

    moved = None if before is None or after is None else {key: round(after[key] - before.get(key, 0)) for key in after}
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
    drafted_steps, positions = None, None
    if moved is not None and DRAFTS in moved:
        drafted_steps = known("drafted_steps", moved[DRAFTS], f"/metrics {DRAFTS}")
        positions = tuple(moved[key] for key in _positions(moved))
        sources["accepted_by_position"] = f"/metrics {POSITIONS}"
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
        sources=sources,
    )


def _positions(moved: Mapping[str, int]) -> list[str]:
    found = [key for key in moved if key.startswith(f"{POSITIONS}[")]
    return sorted(found, key=lambda key: int(key[len(POSITIONS) + 1 : -1]))


def drafting_seconds(log: str) -> float | None:
    """Seconds spent drafting since the engine started: the last `statistics` line of each type. None without one."""
    last = {kind: float(milliseconds) / 1000 for kind, milliseconds in _STATISTICS.findall(log)}
    return sum(last.values()) if last else None


def verification_steps(timings: Iterable[Mapping[str, Any]]) -> tuple[Step, ...]:
    """One Step per verification step, from the timings of every chunk: tokens of one step share `predicted_ms`.

    A step whose only token ends within a UTF-8 character sends no chunk and merges with the next one.
    """
    keys = ("draft_n", "draft_n_accepted", "predicted_n", "predicted_ms")
    groups = [list(group) for _, group in groupby(timings, key=lambda t: t.get("predicted_ms"))]
    totals = [tuple(group[-1].get(key, 0) for key in keys) for group in groups]
    steps = []
    for before, after in pairwise(totals):
        drafted, accepted, emitted, milliseconds = (b - a for a, b in zip(before, after, strict=True))
        if emitted:
            steps.append(Step(drafted=drafted, accepted=accepted, emitted=emitted, seconds=milliseconds / 1000))
    return tuple(steps)


def top_two_gap(probabilities: Sequence[Mapping[str, Any]] | None) -> float | None:
    """Nats between the two likeliest tokens of a chunk's `completion_probabilities`."""
    top = probabilities[0].get("top_logprobs") if probabilities else None
    if not top or len(top) < 2:  # noqa: PLR2004  a gap has two ends
        return None
    first, second = (entry.get("logprob") for entry in top[:2])
    return None if first is None or second is None else first - second
