from collections.abc import Iterator

import numpy as np
from analysis.synthetic import generation

from specbench.analysis import steadiness
from specbench.analysis.checks import Note
from specbench.records import Generation


def _noisy(*, slow_first: float = 1.0, blocks: int = 8) -> Iterator[Generation]:
    """Blocks of six trials, each with 2 % of noise, on starts of the engine that differ by 10 %."""
    dice = np.random.default_rng(5)
    for block in range(blocks):
        start = float(np.exp(dice.normal(0, 0.1)))
        for i in range(6):
            seconds = start * float(np.exp(dice.normal(0, 0.02))) * (slow_first if i == 0 else 1)
            yield generation("base", f"code-{i}", seconds=seconds, block=block, started=100.0 * block + i)


def _codes(notes: Iterator[Note]) -> list[str]:
    return [n.code for n in notes]


def test_steady_trials_have_no_note_although_starts_differ() -> None:
    assert _codes(steadiness.notes("base", _noisy())) == []


def test_a_trial_far_from_its_neighbours_is_named_and_nothing_is_removed() -> None:
    trials = [*_noisy(), generation("base", "code-9", seconds=3.0, block=2, started=250.0)]
    found = list(steadiness.notes("base", trials))
    assert [(n.code, n.prompts) for n in found] == [("OUTLIERS", ("code-9",))]
    assert found[0].message.startswith("1 of 49 trials")


def test_a_slow_first_trial_after_each_start_is_a_cold_start() -> None:
    assert "COLD_START" in _codes(steadiness.notes("base", _noisy(slow_first=1.2)))


def test_few_trials_say_nothing() -> None:
    assert _codes(steadiness.notes("base", list(_noisy())[:6])) == []
