"""What an engine must report for a known-answer target and its drafter. No engine, no model file, only maps.

A map holds, for each token, the token that follows it. Decoding is greedy with a fixed number of tokens; the prompt
pass yields the first of them; every draft has `draft_tokens_max` tokens, fewer near the end or where the drafter is
unsure.
"""

import random
from collections.abc import Container, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Maps:
    """A walk round `cycle` tokens, and a drafter that skips one on `wrong` of them."""

    walk: tuple[int, ...]
    target: tuple[int, ...]
    drafter: tuple[int, ...]

    @property
    def mistakes(self) -> frozenset[int]:
        """The tokens after which the drafter is wrong."""
        return frozenset(i for i, (a, b) in enumerate(zip(self.target, self.drafter, strict=True)) if a != b)


@dataclass(frozen=True)
class Counts:
    """Counters of one request, named as in GLOSSARY.md."""

    emitted: int
    drafted: int
    accepted: int
    verification_steps: int
    drafted_steps: int
    accepted_by_position: tuple[int, ...]


def make_maps(tokens: Sequence[int], vocabulary_size: int, *, cycle: int, wrong: int, seed: int = 5) -> Maps:
    """Walk over `cycle` of `tokens` in a shuffled order. A token that is not on the walk leads to its start."""
    dice = random.Random(seed)  # noqa: S311  a seeded shuffle, not a secret
    walk = dice.sample(list(tokens), cycle)
    target = [walk[0]] * vocabulary_size
    for here, following in zip(walk, [*walk[1:], walk[0]], strict=True):
        target[here] = following
    drafter = list(target)
    for here in dice.sample(walk, wrong):
        drafter[here] = target[target[here]]
    return Maps(tuple(walk), tuple(target), tuple(drafter))


def simulate(
    last: int,
    *,
    output_tokens: int,
    draft_tokens_max: int,
    target: Sequence[int],
    drafter: Sequence[int],
    draft_tokens_min: int = 0,
    unsure: Container[int] = (),
) -> Counts:
    """The counts after `output_tokens` tokens; `last` is the last token of the prompt.

    A draft ends at a token of `unsure`, and is dropped when it is shorter than `draft_tokens_min`.
    """
    drafted = accepted = verification_steps = drafted_steps = 0
    by_position = [0] * draft_tokens_max
    token, emitted = target[last], 1
    while emitted < output_tokens:
        room = output_tokens - emitted - 1  # one token is what the target adds
        draft: list[int] = []
        while len(draft) < min(draft_tokens_max, room) and (before := draft[-1] if draft else token) not in unsure:
            draft.append(drafter[before])
        if len(draft) < draft_tokens_min:
            draft = []
        run = 0
        while run < len(draft) and draft[run] == target[token]:
            by_position[run] += 1
            token, run = draft[run], run + 1
        token = target[token]
        emitted += run + 1
        drafted += len(draft)
        accepted += run
        verification_steps += 1
        drafted_steps += bool(draft)
    return Counts(emitted, drafted, accepted, verification_steps, drafted_steps, tuple(by_position))


def generate(last: int, *, output_tokens: int, target: Sequence[int]) -> tuple[int, ...]:
    """The tokens that every lossless method must emit."""
    tokens = []
    for _ in range(output_tokens):
        last = target[last]
        tokens.append(last)
    return tuple(tokens)
