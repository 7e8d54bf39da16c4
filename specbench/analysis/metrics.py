"""Each number, defined once, as the two recorded sums whose ratio it is. None where a part was not recorded.

Over several trials the parts are summed first and divided once; a mean of ratios is formed nowhere. The letters are
those of docs/counters.md: E emitted tokens, R tokens of the prompt pass, F decode passes of the target, S passes with a
draft, D drafted, A accepted.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest

from specbench.analysis import telemetry
from specbench.records import Generation

Parts = tuple[float, float]
_KWH = 3.6e6  # joules


@dataclass(frozen=True)
class Metric:
    """A ratio and its unit in the program; `interval` when an interval over prompts is worth its time.

    `share`: a count out of a count.
    """

    title: str
    unit: str
    parts: Callable[[Generation], Parts | None]
    interval: bool = False
    share: bool = False


def decode_engine(g: Generation) -> Parts | None:
    """Tokens after the prompt pass and the engine's decode seconds: the first token belongs to the prompt pass."""
    if g.output_tokens is None or not g.decode_seconds or g.counts.prefill_tokens is None:
        return None
    tokens = g.output_tokens - g.counts.prefill_tokens
    return (tokens, g.decode_seconds) if tokens > 0 else None


def decode_client(g: Generation) -> Parts | None:
    """The inverse of TPOT: tokens after the first chunk, and the client's seconds from first to last token."""
    if g.output_tokens is None or g.first_chunk_tokens is None or g.first_token is None or g.last_token is None:
        return None
    tokens, seconds = g.output_tokens - g.first_chunk_tokens, g.last_token - g.first_token
    return (tokens, seconds) if tokens > 0 and seconds > 0 else None


def end_to_end(g: Generation) -> Parts | None:
    """All output tokens and the seconds from the request to the last token."""
    return (g.output_tokens, g.total) if g.output_tokens and g.total else None


def output_throughput(g: Generation) -> Parts | None:
    """All output tokens of all streams and their wall time, prefill included; once for each group of streams."""
    if g.trial.streams == 1:
        return end_to_end(g)
    return (g.group_tokens, g.group_seconds) if g.stream == 0 and g.group_tokens and g.group_seconds else None


def first_token(g: Generation) -> Parts | None:
    """Seconds to the first output, and 1: the ratio of the sums is the mean.

    Where the answer was not streamed: the whole time less the engine's decode time, which begins at the first token.
    """
    if g.first_token is not None:
        return g.first_token, 1
    return None if g.total is None or g.decode_seconds is None else (g.total - g.decode_seconds, 1)


def prefill(g: Generation) -> Parts | None:
    """Prompt tokens that were processed (cached ones excluded) and the seconds that took."""
    return (g.prefilled_tokens, g.prefill_seconds) if g.prefilled_tokens and g.prefill_seconds else None


def draft_acceptance_rate(g: Generation) -> Parts | None:
    """A and D. This is what engines print; it is not alpha, and it falls with the draft length by itself."""
    c = g.counts
    return None if c.accepted is None or not c.drafted else (c.accepted, c.drafted)


def mean_acceptance_length(g: Generation) -> Parts | None:
    """E - R and F, passes without a draft included: tokens per forward, tau of Leviathan et al. (arXiv 2211.17192).

    It bounds the decode speedup.
    """
    c = g.counts
    if c.emitted is None or c.prefill_tokens is None or c.verification_steps is None or c.verification_steps <= 0:
        return None
    return c.emitted - c.prefill_tokens, c.verification_steps


def accepted_per_draft(g: Generation) -> Parts | None:
    """A + S and S: 1 + A/S. Passes without a draft do not count, so it can be far above the mean acceptance length."""
    c = g.counts
    return None if c.accepted is None or not c.drafted_steps else (c.accepted + c.drafted_steps, c.drafted_steps)


def tokens_per_pass(g: Generation) -> Parts | None:
    """E - R and F with the target's own drafting passes: Orthrus' tokens per forward where those count as forwards."""
    c, plain = g.counts, mean_acceptance_length(g)
    return None if c.draft_passes is None or plain is None else (plain[0], plain[1] + c.draft_passes)


def drafting_share(g: Generation) -> Parts | None:
    """Seconds spent proposing, as a part of the decode seconds."""
    return None if g.draft_seconds is None or not g.decode_seconds else (g.draft_seconds, g.decode_seconds)


def step_seconds(g: Generation) -> Parts | None:
    """The engine's decode seconds and F: what a round costs, or without a draft a plain step."""
    return (g.decode_seconds, g.counts.verification_steps) if g.decode_seconds and g.counts.verification_steps else None


def drafted_share(g: Generation) -> Parts | None:
    """S and F: how many rounds had a draft."""
    c = g.counts
    return None if c.drafted_steps is None or not c.verification_steps else (c.drafted_steps, c.verification_steps)


def energy_per_token(g: Generation) -> Parts | None:
    """Joules while decoding and the tokens decoded, by the engine's times or else the client's."""
    if g.telemetry is None or (decoded := decode_engine(g) or decode_client(g)) is None:
        return None
    joules = telemetry.of_decode(g, decoded[1])
    return None if isinstance(joules, str) else (joules, decoded[0])


def tokens_per_kwh(g: Generation) -> Parts | None:
    """The same turned round, in kilowatt-hours."""
    found = None if g.telemetry is None else energy_per_token(g)
    return None if found is None or not found[0] else (found[1], found[0] / _KWH)


METRICS: dict[str, Metric] = {
    "decode_engine": Metric("decode (engine time)", "tok/s", decode_engine, interval=True),
    "decode_client": Metric("decode (client time)", "tok/s", decode_client),
    "output_throughput": Metric("output of all streams", "tok/s", output_throughput),
    "end_to_end": Metric("end to end", "tok/s", end_to_end),
    "first_token": Metric("first token", "s", first_token),
    "prefill": Metric("prefill", "tok/s", prefill),
    "draft_acceptance_rate": Metric("accepted", "fraction", draft_acceptance_rate, interval=True, share=True),
    "mean_acceptance_length": Metric("tokens per step", "tokens", mean_acceptance_length, interval=True),
    "accepted_per_draft": Metric("per draft", "tokens", accepted_per_draft),
    "tokens_per_pass": Metric("tokens per pass, drafting passes too", "tokens", tokens_per_pass),
    "drafting_share": Metric("drafting share", "fraction", drafting_share),
    "drafted_share": Metric("rounds with a draft", "fraction", drafted_share),
    "step_seconds": Metric("seconds per step", "s", step_seconds),
    "energy_per_token": Metric("energy", "J/token", energy_per_token),
    "tokens_per_kwh": Metric("tokens per kWh", "tok/kWh", tokens_per_kwh),
}


def acceptance_by_position(generations: Iterable[Generation]) -> tuple[float, ...] | None:
    """Accepted at draft position 0, 1, … over passes with a draft; unconditional, so it cannot rise."""
    counted = [g.counts for g in generations if g.counts.accepted_by_position is not None and g.counts.drafted_steps]
    steps = sum(c.drafted_steps or 0 for c in counted)
    sums = map(sum, zip_longest(*(c.accepted_by_position or () for c in counted), fillvalue=0))
    return tuple(accepted / steps for accepted in sums) if steps else None
