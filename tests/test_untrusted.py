"""Text of others: halves of surrogate pairs, which UTF-8 cannot hold, and the character that no path can."""

import json
import tomllib
from typing import Any

import pytest
from analysis.synthetic import generation, machine
from hypothesis import given
from hypothesis import strategies as st

from specbench.records import Generation, Machine
from specbench.structs import from_json, replace, to_json
from specbench.untrusted import decoded, toml, unicode

TEXT = st.text(st.one_of(st.characters(), st.sampled_from("\ud800\udbff\udc00\udfff\udcff")))
VALUES = st.recursive(
    st.one_of(TEXT, st.none(), st.integers(-9, 9)),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(TEXT, inner)),
    max_leaves=10,
)


@given(VALUES)
def test_whatever_is_decoded_is_utf_8_and_what_was_is_not_changed(value: Any) -> None:
    text = json.dumps(value)  # ASCII: a half is escaped
    for form in (text, text.encode()):
        found = decoded(form)
        json.dumps(found, ensure_ascii=False).encode()
        assert found == unicode(json.loads(form))
    assert unicode(found) == found


def test_a_pair_that_was_cut_into_halves_is_joined() -> None:
    assert decoded('"a\\ud83d\\ude00b"') == "a\U0001f600b"
    assert unicode("\ud83d" + "\ude00") == "\U0001f600"
    assert decoded('["\\ud83d", "\\\\ud83d"]') == ["\ufffd", "\\ud83d"]


def test_bytes_that_are_no_utf_8_are_no_json() -> None:
    for data in (b'"\xed\xa0\x80"', '"\\ud800"'.encode("utf-16")):
        with pytest.raises(ValueError, match="codec can't decode"):
            decoded(data)


def test_records_of_what_is_no_unicode_are_written_with_a_mark_in_its_place() -> None:
    g = generation("base", "code-0", text="a\ud800", observed={"method": "\udcff", "limit": float("inf")})
    assert from_json(Generation, to_json(g)) == replace(
        g, text="a\ufffd", observed={"method": "\ufffd", "limit": "Infinity"}
    )
    m = replace(machine(), environment={"OMP_PROC_BIND": "a\udcff"})
    assert from_json(Machine, to_json(m, indent=1)) == replace(m, environment={"OMP_PROC_BIND": "a\ufffd"})


@pytest.mark.parametrize("text", ["# \\u0000 is no character\n", "key = '\\u0000'\n", 'key = "\\\\u0000"\n'])
def test_what_only_looks_like_the_character_that_no_path_holds_is_text(text: str) -> None:
    assert toml(text) in ({}, {"key": r"\u0000"})


@pytest.mark.parametrize("text", ['key = "\\u0000"', '"\\u0000" = 1', '[[a]]\nb = ["\\U00000000"]'])
def test_the_character_that_no_path_holds_is_for_prompts_only(text: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError, match="no character"):
        toml(text)
    assert "\\x00" in str(toml(text, prompts=True))
