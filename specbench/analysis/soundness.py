"""Sampled text cannot be compared token by token. Whether it is of the baseline's kind at all: how well it compresses.

An engine that verifies drafts wrongly writes noise, which compresses worse than text, or loops, which compress better;
or accepts nothing at all. Milder faults are not seen here.
"""

import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from math import exp, log

from specbench.analysis import stats
from specbench.analysis.checks import Note, note
from specbench.records import Generation

_SHORTEST = 64  # bytes: below it a share means nothing
_MANY = 100  # drafted tokens
_APART = 1.1  # sound engines on 50 prompts: intervals within 0.966 and 1.018


def notes(contender: str, pairs: Iterable[tuple[Generation, Generation]]) -> Iterator[Note]:
    """`pairs` are trials with the baseline's on the same prompt; those at temperature 0 are judged elsewhere."""
    apart: dict[str, list[float]] = defaultdict(list)
    cold, hot = [0, 0], [0, 0]
    for g, plain in pairs:
        tally = hot if g.trial.temperature > 0 else cold
        tally[0] += g.counts.drafted or 0
        tally[1] += g.counts.accepted or 0
        if g.trial.temperature > 0 and (own := _packed(g.text)) and (other := _packed(plain.text)):
            apart[g.trial.prompt].append(log(own / other))
    if hot[0] >= _MANY and hot[1] == 0 and cold[1] > cold[0] / _MANY:
        text = f"above temperature 0 none of {hot[0]} drafted tokens was accepted, at 0 {cold[1]} of {cold[0]} were"
        yield note("UNSOUND_OUTPUT", text, contender=contender, prompts=apart)
    e = stats.geometric_mean([exp(sum(logs) / len(logs)) for logs in apart.values()])
    if e is None or e.low is None or e.high is None or (e.low <= _APART and e.high >= 1 / _APART):
        return
    what = "noise" if e.value > 1 else "loops"
    text = f"above temperature 0 its answers compress to {e.value:.2f} times the baseline's: {what} instead of text"
    yield note("UNSOUND_OUTPUT", text, contender=contender, prompts=apart)


def _packed(text: str) -> float | None:
    """Bytes of the compressed text over bytes of the text."""
    data = text.encode()
    return len(zlib.compress(data, wbits=-15)) / len(data) if len(data) >= _SHORTEST else None
