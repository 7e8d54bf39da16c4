"""What the counters of one trial must satisfy, however the engine counts: the self-test of every trial.

The letters are those of docs/counters.md. An identity holds when a count that it needs was not recorded.
"""

from itertools import pairwise

from specbench.records import Generation


def overcounted(g: Generation) -> bool:
    """Accepted draft tokens behind a stop: the engine counted what it did not emit."""
    c = g.counts
    if g.stop_reason not in {"word", "eos"} or c.accepted is None or c.emitted is None:
        return False
    steps = max(c.verification_steps or 0, c.drafted_steps or 0)
    return c.accepted + steps + (c.prefill_tokens or 0) - (c.beyond_end or 0) > c.emitted


def violations(g: Generation) -> tuple[str, ...]:  # noqa: C901  a list of eight rules, read one after the other
    """The identities that do not hold, by name. Counts behind a stop are `overcounted`, not violations.

    One straight function: it runs on every trial of every report, 100,000 of them within a second.
    """
    c = g.counts
    e, r, f, s, d, a = c.emitted, c.prefill_tokens, c.verification_steps, c.drafted_steps, c.drafted, c.accepted
    found = []
    if e is not None and g.output_tokens is not None and g.output_tokens != e:
        found.append("E = output tokens")
    whole = e is not None and r is not None and f is not None and a is not None
    if whole and e != r + f + a - (c.beyond_end or 0) and not overcounted(g):  # type: ignore[operator]  # `whole` says that none is None
        found.append("E = R + F + A")
    if d is not None and a is not None and a > d:
        found.append("A <= D")
    if s == 0 and a:
        found.append("A = 0 when S = 0")
    if s is not None and f is not None and s > f and not overcounted(g):
        found.append("S <= F")
    if (p := c.accepted_by_position) is not None:
        if a is not None and sum(p) != a:
            found.append("the positions sum to A")
        if p and ((s is not None and p[0] > s) or any(later > earlier for earlier, later in pairwise(p))):
            found.append("acceptance falls with the position, from at most S")
    if g.steps and not overcounted(g):
        drafted, accepted = sum(x.drafted for x in g.steps), sum(x.accepted for x in g.steps)
        if d not in {None, drafted} or a not in {None, accepted}:
            found.append("the steps sum to D and A")
    return tuple(found)
