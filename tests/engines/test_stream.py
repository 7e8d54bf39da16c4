from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from specbench.engines.stream import Event, Part, events


def cut(body: bytes, places: list[int]) -> list[Part]:
    """The body in parts that end at `places`; part n arrives at second n."""
    ends = sorted({place % (len(body) + 1) for place in places} | {0, len(body)})
    return [(float(n), body[a:b]) for n, (a, b) in enumerate(pairwise(ends))]


places = st.lists(st.integers(min_value=0, max_value=10_000), max_size=12)


@given(
    texts=st.lists(st.text(alphabet=st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), max_size=8),
    newline=st.sampled_from([b"\n", b"\r\n"]),
    where=places,
)
def test_events_are_the_same_wherever_the_network_cuts(texts: list[str], newline: bytes, where: list[int]) -> None:
    body = b"".join(b"data: " + text.encode() + newline * 2 for text in texts)
    found = list(events(cut(body, where)))
    assert [event.data for event in found] == [text for text in texts if text != "[DONE]"]


def test_an_event_has_the_time_at_which_its_last_byte_came() -> None:
    parts = [(1.0, b"data: a\n"), (2.0, b"\ndata: b\n\nda"), (3.0, b"ta: c\n\n")]
    assert [(e.at, e.data) for e in events(parts)] == [(2.0, "a"), (2.0, "b"), (3.0, "c")]


def test_comments_and_the_closing_word_are_no_events() -> None:
    assert list(events([(0.0, b": ping\n\nid: 7\ndata: x\n\ndata: [DONE]\n\n")])) == [Event(0.0, "message", "x")]


def test_both_spellings_of_an_error_are_error_events() -> None:
    body = b'error: {"code":500}\n\nevent: error\ndata: {"code":400}\n\ndata: {}\n\n'
    assert [event.name for event in events([(0.0, body)])] == ["error", "error", "message"]


def test_an_event_that_is_cut_short_is_left_out() -> None:
    assert [e.data for e in events([(0.0, b"data: a\n\ndata: b\n")])] == ["a"]
