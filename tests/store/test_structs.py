"""Records hold what they say: checked where they are made and where they are read, and the same after a way to disk."""

import copy
import math
import pickle
from typing import Any

import pytest
from analysis.synthetic import BASE, counts, generation, plan
from hypothesis import given
from hypothesis import strategies as st

from specbench.records import DraftCounts, Generation, Machine, Message, Result, Step, Trial
from specbench.sharing import Shared
from specbench.structs import from_json, reader, replace, to_json

WHOLE = st.integers(-(2**53), 2**53)
REAL = st.floats(-1e18, 1e18)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
COUNTS = st.builds(
    DraftCounts,
    emitted=st.none() | WHOLE,
    accepted_by_position=st.none() | st.lists(WHOLE, max_size=4).map(tuple),
    sources=st.dictionaries(TEXT, TEXT, max_size=2),
)
GENERATIONS = st.builds(
    lambda **changes: replace(generation("base", "code-0"), **changes),
    text=TEXT,
    output_ids=st.none() | st.lists(st.integers(), max_size=5).map(tuple),
    counts=COUNTS,
    decode_seconds=st.none() | REAL,
    started=REAL,
    steps=st.none() | st.lists(st.builds(Step, drafted=WHOLE, accepted=WHOLE, emitted=WHOLE, seconds=REAL)).map(tuple),
    observed=st.dictionaries(TEXT, st.booleans() | st.integers() | REAL | TEXT, max_size=3),
)


@given(GENERATIONS)
def test_a_record_comes_back_as_it_was(made: Generation) -> None:
    back = from_json(Generation, to_json(made))
    assert back == made
    assert repr(back) == repr(made)  # 1, 1.0 and True are equal
    assert reader(Result)(to_json(made, indent=1)) == copy.deepcopy(made) == pickle.loads(pickle.dumps(made))  # noqa: S301


@pytest.mark.parametrize(
    "wrong",
    [
        {"started": math.nan},
        {"started": math.inf},
        {"started": "0"},
        {"block": 1.5},
        {"block": True},
        {"block": 2**53 + 1},
        {"output_tokens": -(2**60)},
        {"decode_seconds": 1e19},
        {"text": b"bytes"},
        {"output_ids": (1, "2")},
        {"counts": None},
        {"trial": {"id": "x"}},
        {"stop_reason": "other"},
        {"observed": {"key": None}},
        {"observed": {"key": [1]}},
        {"extra": 1},
    ],
    ids=str,
)
def test_what_a_record_cannot_hold_is_refused_where_it_is_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(generation("base", "code-0"), **wrong)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"block":0', b'"block":"0"'),
        (b'"block":0', b'"block":1e400'),
        (b'"block":0', b'"block":NaN'),
        (b'"block":0', b'"other":0'),
        (b'"kind":"generation"', b'"kind":"guess"'),
        (b'"schema_version":2', b'"schema_version":3'),
        (b'"text":"', b'"text":"\\ud800'),
        (b'"text":"', b'"text":"\xff'),
        (b'"observed":{', b'"observed":{"a":null,'),
        (b'"observed":{}', b'"observed":' + b"[" * 100_000),
        (b'{"kind"', b'{"a":' + b"[" * 100_000),
    ],
    ids=str,
)
def test_what_is_no_record_is_refused_where_it_is_read(old: bytes, new: bytes) -> None:
    data = to_json(generation("base", "code-0"))
    assert old in data
    with pytest.raises(ValueError, match=r"\w"):
        reader(Result)(data.replace(old, new, 1))


def test_a_value_that_json_does_not_know_is_written_as_a_word() -> None:
    made = replace(generation("base", "code-0"), observed={"a": math.inf, "b": 1.0})
    assert from_json(Generation, to_json(made)).observed == {"a": "Infinity", "b": 1.0}
    devices: dict[str, tuple[dict[str, Any], ...]] = {"x": ({"memory": -math.inf, "free": math.nan},)}
    found = from_json(Machine, to_json(Machine(system="Linux", engine_devices=devices)))
    assert found.engine_devices == {"x": ({"memory": "-Infinity", "free": "NaN"},)}


def test_a_count_that_another_program_tells_as_a_float_is_a_count() -> None:
    made = replace(generation("base", "code-0"), output_tokens=5.0, decode_seconds=2)
    assert (repr(made.output_tokens), repr(made.decode_seconds)) == ("5", "2.0")


def test_an_answer_that_looks_like_a_table_is_none() -> None:
    one = replace(generation("base", "code-0"), text="{'method': 'none'}", observed={"method": "none"})
    two = replace(one, trial=replace(one.trial, id="other"))
    shared = Shared(plan([one], [BASE]))
    for read in (copy.deepcopy(one), copy.deepcopy(two)):
        shared.within(read)
        assert (read.text, read.observed) == (one.text, one.observed)


def test_half_a_surrogate_pair_becomes_a_replacement_character() -> None:
    assert from_json(Message, to_json(Message(role="user", content="a\ud800"))).content == "a\ufffd"


def test_a_record_cannot_be_changed_and_values_have_names() -> None:
    made = counts(4, 2)
    with pytest.raises(AttributeError):
        made.drafted = 5  # type: ignore[misc]
    with pytest.raises(ValueError, match="missing required field"):
        Trial(id="x")  # type: ignore[call-arg]
