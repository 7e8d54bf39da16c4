"""Answers that are JSON, but not as agreed: an answer or the error that fails this trial, no traceback."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specbench.engines import counters, llamacpp, openai
from specbench.engines.base import Answer, Request, TrialError, understood
from specbench.engines.wire import Exchange
from specbench.records import DraftCounts
from specbench.untrusted import decoded

HERE = Path(__file__).parent
LLAMA = ("llama-server-draft-model", "xllamacpp-draft-model", "llama-server-ngram-simple", "llama-server-none")
CHATS = ("llama-server-draft-model", "lucebox", "plain", "vllm")
ODD = st.one_of(
    st.sampled_from(["NaN", "Infinity", "1e999", "-1", "null", "true", '""', '"7"', "[]", "{}", "[[]]", "[null]"]),
    st.sampled_from([str(2**80), "0.5", '"\\ud800"', "[" * 3000, '{"choices": 7}', '[{"logprob": "x"}, 1]']),
)
SHARED = Request(
    prompt="{}",
    output_tokens=64,
    temperature=0,
    seed=1,
    ignore_eos=True,
    timeout=1,
    top_two=True,
    steps=True,
    stream=True,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value within the value."""
    yield at
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from places(inner, (*at, key))


def replaced(value: Any, at: tuple[Any, ...], by: str) -> str:
    """The value as JSON with the text `by` at that path."""
    mark = "\x00mark"
    if not at:
        return by
    holder = value
    for key in at[:-1]:
        holder = holder[key]
    before, holder[at[-1]] = holder[at[-1]], mark
    text = json.dumps(value).replace(json.dumps(mark), by)
    holder[at[-1]] = before
    return text


def twisted(data: st.DataObject, parts: list[bytes]) -> list[bytes]:
    """One to three values of the events replaced by something that does not belong there."""
    parts, objects = list(parts), [n for n, part in enumerate(parts) if b"{" in part]
    for _ in range(data.draw(st.integers(1, 3))):
        n = data.draw(st.sampled_from(objects))
        head, brace, rest = parts[n].partition(b"{")
        try:
            value = json.loads(brace + rest)
        except (ValueError, RecursionError):  # twisted already
            continue
        at = data.draw(st.sampled_from(list(places(value))))
        parts[n] = head + replaced(value, at, data.draw(ODD)).encode()
    return parts


def exchange(parts: list[bytes]) -> Exchange:
    return Exchange(200, 0.0, tuple((float(n), part + b"\n\n") for n, part in enumerate(parts)))


def kept(answer: Answer) -> None:
    """What is recorded of it."""
    with understood():
        made = DraftCounts(**{name: getattr(answer.counts, name) for name in DraftCounts.__struct_fields__})
        assert made == answer.counts


@settings(max_examples=300, deadline=None)
@given(case=st.sampled_from(LLAMA), data=st.data())
def test_a_twisted_answer_of_llama_cpp_is_an_answer_or_a_failed_trial(case: str, data: st.DataObject) -> None:
    folder = HERE / "transcripts" / case
    stream = (folder / "stream.sse").exists()
    whole = (folder / ("stream.sse" if stream else "answer.json")).read_bytes()
    parts = twisted(data, [part for part in whole.split(b"\n\n") if part.strip()] if stream else [whole])
    before, after = (counters.parse_metrics((folder / name).read_text()) for name in ("before.txt", "after.txt"))
    with suppress(TrialError):
        chunks = llamacpp.read_chunks(exchange(parts), stream=stream)
        kept(llamacpp.read_answer(chunks, sent=0.0, request=SHARED, before=before, after=after))


@settings(max_examples=300, deadline=None)
@given(case=st.sampled_from(CHATS), data=st.data())
def test_a_twisted_answer_of_a_chat_server_is_an_answer_or_a_failed_trial(case: str, data: st.DataObject) -> None:
    whole = (HERE / "chats" / case / "stream.sse").read_bytes()
    parts = twisted(data, [part for part in whole.split(b"\n\n") if part.strip()])
    with suppress(TrialError):
        chunks = openai.read_chunks(exchange(parts))
        kept(openai.read_answer(chunks, sent=0.0, logged={}, before={"n": 1.0}, after={"n": 2.0}))


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999", "[" * 100_000, b"\xff"])
def test_what_is_no_number_is_no_json(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decoded(text)


@given(st.text(alphabet='abc:_{}"=.0123456789eE+-NaInf \n', max_size=200) | st.text())
def test_any_text_of_counters_is_read(text: str) -> None:
    for value in counters.parse_metrics(text).values():
        assert abs(value) < float("inf")
