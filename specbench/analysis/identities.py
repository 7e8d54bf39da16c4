"""What the counters of one trial must satisfy, however the engine counts: the self-test of every trial.

The letters are those of docs/counters.md. An identity holds when a count that it needs was not recorded.
"""

from collections.abc import Callable
from itertools import pairwise

from specbench.records import Generation


def overcounted(g: Generation) -> bool:
    """Accepted draft tokens behind a stop: the engine counted what it did not emit."""
    c = g.counts
    if g.stop_reason not in {"word", "eos"} or c.accepted is None or c.emitted is None:
        return False
    steps = max(c.verification_steps or 0, c.drafted_steps or 0)
    return c.accepted + steps + (c.prefill_tokens or 0) > c.emitted


def _tokens_add_up(g: Generation) -> bool:
    c = g.counts
    if c.emitted is None or c.prefill_tokens is None or c.verification_steps is None or c.accepted is None:
        return True
    return c.emitted == c.prefill_tokens + c.verification_steps + c.accepted or overcounted(g)


def _positions_add_up(g: Generation) -> bool:
    c = g.counts
    return c.accepted_by_position is None or c.accepted is None or sum(c.accepted_by_position) == c.accepted


def _positions_fall(g: Generation) -> bool:
    c = g.counts
    if not c.accepted_by_position:
        return True
    if c.drafted_steps is not None and c.accepted_by_position[0] > c.drafted_steps:
        return False
    return all(later <= earlier for earlier, later in pairwise(c.accepted_by_position))


def _steps_add_up(g: Generation) -> bool:
    if not g.steps or overcounted(g):
        return True
    c = g.counts
    return c.drafted in {None, sum(s.drafted for s in g.steps)} and c.accepted in {
        None,
        sum(s.accepted for s in g.steps),
    }


def _at_most(smaller: int | None, larger: int | None) -> bool:
    return smaller is None or larger is None or smaller <= larger


IDENTITIES: dict[str, Callable[[Generation], bool]] = {
    "E = output tokens": lambda g: g.counts.emitted is None or g.output_tokens in {None, g.counts.emitted},
    "E = R + F + A": _tokens_add_up,
    "A <= D": lambda g: _at_most(g.counts.accepted, g.counts.drafted),
    "A = 0 when S = 0": lambda g: g.counts.drafted_steps != 0 or not g.counts.accepted,
    "S <= F": lambda g: _at_most(g.counts.drafted_steps, g.counts.verification_steps) or overcounted(g),
    "the positions sum to A": _positions_add_up,
    "acceptance falls with the position, from at most S": _positions_fall,
    "the steps sum to D and A": _steps_add_up,
}


def violations(g: Generation) -> tuple[str, ...]:
    """The identities that do not hold. Counts behind a stop are `overcounted`, not violations."""
    return tuple([name for name, holds in IDENTITIES.items() if not holds(g)])
