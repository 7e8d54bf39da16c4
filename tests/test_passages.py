import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specbench import datafiles, passages
from specbench.planning.suites import parse_suite
from specbench.records import Passages

FRAMES = {
    "slots": {"person": ["Ann Lee", "Bo Park"], "thing": ["lamp", "kite", "drum"]},
    "document": [
        {"title": "Report of {year}", "frames": ["{person} sold a {thing} for {int:5:9} coins.", "it was {time}."]},
        {"title": "{thing} list {id}", "frames": ["On day {day} a {thing} was lost.", "About {percent} agreed."]},
    ],
}
hidden = st.builds(
    Passages,
    needles=st.lists(
        st.from_regex(r"Needle [0-9]{1,4} is blue\.", fullmatch=True), min_size=1, max_size=3, unique=True
    ),
    question=st.just("Which needle is blue?"),
    instruction=st.sampled_from([None, "Answer briefly."]),
    seed=st.integers(0, 2**32 - 1),
)
unhurried = settings(deadline=None)
sizes = st.integers(0, 20_000)


@unhurried
@given(hidden, sizes)
def test_a_text_holds_every_needle_in_order_and_ends_with_the_question(asked: Passages, size: int) -> None:
    text = passages.render(FRAMES, asked, characters=size)
    places = [text.index(needle) for needle in asked.needles]
    assert places == sorted(places)
    assert text.endswith("\n\n".join(filter(None, (asked.question, asked.instruction))))


@unhurried
@given(hidden, sizes)
def test_the_same_seed_and_size_give_the_same_text(asked: Passages, size: int) -> None:
    assert passages.render(FRAMES, asked, characters=size) == passages.render(FRAMES, asked, characters=size)


@unhurried
@given(hidden, sizes, sizes)
def test_a_wish_for_more_characters_never_gives_fewer(asked: Passages, one: int, other: int) -> None:
    few, many = sorted((one, other))
    assert len(passages.render(FRAMES, asked, characters=few)) <= len(passages.render(FRAMES, asked, characters=many))


@unhurried
@given(hidden, st.integers(500, 20_000))
def test_a_text_has_about_the_wanted_length(asked: Passages, size: int) -> None:
    length = len(passages.render(FRAMES, asked, characters=size))
    assert size - 120 < length <= size


@unhurried
@given(hidden, st.integers(2_000, 20_000), st.integers(2_000, 20_000))
def test_two_sizes_share_the_text_before_the_first_needle(asked: Passages, one: int, other: int) -> None:
    texts = [passages.render(FRAMES, asked, characters=size) for size in (one, other)]
    shared = min(text.index(asked.needles[0]) for text in texts)
    assert texts[0][:shared] == texts[1][:shared]


def test_needles_are_spread_over_a_long_text() -> None:
    asked = Passages(needles=("First fact.", "Second fact.", "Third fact."), question="What?", seed=11)
    text = passages.render(FRAMES, asked, characters=30_000)
    thirds = [int(text.index(needle) / len(text) * 3) for needle in asked.needles]
    assert thirds == [0, 1, 2]


def test_no_needle_stands_before_a_title() -> None:
    for seed in range(50):
        asked = Passages(needles=("The fact is here.",), question="What?", seed=seed)
        assert "here. #" not in passages.render(FRAMES, asked, characters=4_000)


def test_placeholders_of_the_packaged_suite_are_all_filled() -> None:
    suite = parse_suite(datafiles.texts(datafiles.path("suites/core")))
    assert suite.passages is not None
    asked = Passages(needles=("A fact.",), question="What?", seed=1)
    text = passages.render(suite.passages, asked, characters=200_000)
    assert "{" not in text
    assert "}" not in text


@pytest.mark.parametrize("name", ["int:9:5", "int:a:b", "nothing"])
def test_a_placeholder_that_is_no_slot_and_not_built_in_is_named(name: str) -> None:
    assert passages.placeholders(f"A {{{name}}} and {{int:1:5}} at {{time}}") == [name]


def test_half_a_megabyte_takes_well_under_a_second_of_processor_time() -> None:
    asked = Passages(needles=("A fact.",), question="What?", seed=1)
    started = time.process_time()
    passages.render(FRAMES, asked, characters=500_000)
    assert time.process_time() - started < 1
