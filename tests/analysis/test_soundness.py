"""Sampled text of the baseline's kind, and noise and loops instead of it."""

import random

import pytest
from analysis.synthetic import counts, generation
from hypothesis import given
from hypothesis import strategies as st

from specbench.analysis import soundness
from specbench.records import Generation

PROSE = (
    "the order was sent to a warehouse in the north where somebody counted boxes and wrote the number down "
    "on paper that nobody read again until the winter came and all of it had to be moved before the snow"
)


def text(seed: int, *, words: int = 40) -> str:
    dice = random.Random(seed)  # noqa: S311  invented text
    return " ".join(dice.choices(PROSE.split(), k=words))


def noise(seed: int) -> str:
    dice = random.Random(seed)  # noqa: S311  invented text
    return "".join(chr(dice.randrange(33, 126)) for _ in range(200))


def pairs(own: list[str], *, temperature: float = 0.8) -> list[tuple[Generation, Generation]]:
    return [
        (
            generation("draft", f"p{i}", text=mine, temperature=temperature),
            generation("base", f"p{i}", text=text(1000 + i), temperature=temperature),
        )
        for i, mine in enumerate(own)
    ]


def test_other_draws_of_the_same_kind_of_text_have_no_note() -> None:
    assert not list(soundness.notes("draft", pairs([text(i) for i in range(20)])))


@pytest.mark.parametrize(
    ("own", "says"),
    [([noise(i) for i in range(6)], "noise"), (["again and again " * 12 for _ in range(6)], "loops")],
)
def test_noise_and_loops_are_told(own: list[str], says: str) -> None:
    (found,) = soundness.notes("draft", pairs(own))
    assert found.code == "UNSOUND_OUTPUT"
    assert says in found.message
    assert found.prompts == ("p0", "p1", "p2", "p3", "p4", "p5")


def test_few_prompts_short_texts_and_greedy_answers_are_not_judged() -> None:
    broken = [noise(i) for i in range(6)]
    assert not list(soundness.notes("draft", pairs(broken[:4])))
    assert not list(soundness.notes("draft", pairs(["short"] * 6)))
    assert not list(soundness.notes("draft", pairs(broken, temperature=0.0)))


def test_a_drafter_that_is_never_right_once_the_dice_are_thrown_is_told() -> None:
    def answered(accepted: int, temperature: float) -> list[tuple[Generation, Generation]]:
        one = generation("draft", "p", counts=counts(200, accepted), temperature=temperature)
        return [(one, generation("base", "p", temperature=temperature))]

    (found,) = soundness.notes("draft", [*answered(90, 0.0), *answered(0, 0.8)])
    assert found.message == "above temperature 0 none of 200 drafted tokens was accepted, at 0 90 of 200 were"
    assert not list(soundness.notes("draft", [*answered(90, 0.0), *answered(1, 0.8)]))
    assert not list(soundness.notes("draft", [*answered(0, 0.0), *answered(0, 0.8)]))


@given(st.lists(st.text(), max_size=8))
def test_any_text_can_be_judged(texts: list[str]) -> None:
    list(soundness.notes("draft", pairs(texts)))
