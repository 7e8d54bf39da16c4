"""The server of `specbench.engines.children`, with a model that counts, through the session for llama.cpp."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from specbench.engines import server
from specbench.engines.base import EngineInfo, Request, TrialError
from specbench.engines.llamacpp import LlamaCppSession
from specbench.records import Message
from specbench.structs import replace

MODEL = Path(__file__).with_name("counting_model.py")
Opened = Callable[[int], LlamaCppSession]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    with ExitStack() as stack:

        def open_one(draft: int) -> LlamaCppSession:
            running = stack.enter_context(
                server.started(
                    [sys.executable, str(MODEL), "--port=$port", f"--draft={draft}"],
                    environment={},
                    port=None,
                    log=tmp_path / "engine.log",
                    load_timeout=60,
                    foreign=False,
                )
            )
            return LlamaCppSession(running, info=EngineInfo(), sampling_rule="greedy-match")

        yield open_one


def ask(**more: Any) -> Request:
    values = {"prompt": [10, 20, 30], "output_tokens": 12, "temperature": 0.0, "seed": 1, "ignore_eos": True}
    return Request(**{**values, "timeout": 30.0, **more})


def test_it_says_who_it_is_and_renders_and_counts(opened: Opened) -> None:
    session = opened(4)
    assert (session.info.version, session.info.commit, session.info.context_size) == ("1.2", "abc", 64)
    assert session.info.model_type == "F16"
    assert session.tokenize("ab") == [97, 98]
    assert session.apply_template([Message(role="user", content="x")], thinking=False) == "user: x\nthinking False"


@pytest.mark.parametrize("stream", [False, True])
def test_tokens_counts_and_times_of_a_generation_are_those_of_its_steps(opened: Opened, *, stream: bool) -> None:
    session = opened(4)
    for _ in range(2):  # counts of the second request are not those of both
        answer = session.generate(ask(stream=stream, steps=stream))
        assert answer.output_ids == tuple(range(31, 43))
        assert answer.text == "".join(map(chr, range(31, 43)))
        # One token of the prompt pass; then drafts of 4, 4, 4 and 1, of which 2, 2, 2 and 0 are kept, and one more.
        counts = answer.counts
        assert (counts.emitted, counts.prefill_tokens, counts.drafted, counts.accepted) == (12, 1, 13, 6)
        assert (counts.drafted_steps, counts.accepted_by_position) == (4, (3, 3, 0, 0))
        assert counts.verification_steps == 5
        assert (answer.prompt_tokens, answer.prefilled_tokens, answer.stop_reason) == (3, 3, "length")
        assert answer.observed["method"] == "draft-model"
        assert answer.verification_rule == "greedy-match"
        assert answer.decode_seconds is not None
        assert answer.decode_seconds >= 5 * 0.01
        if stream:
            assert answer.steps is not None
            assert [(s.drafted, s.accepted, s.emitted) for s in answer.steps] == [
                (4, 2, 3),
                (4, 2, 3),
                (4, 2, 3),
                (1, 0, 1),
                (0, 0, 1),
            ]
            assert all(step.seconds >= 0.01 for step in answer.steps)
            assert all(step.phases == pytest.approx({"draft": 0.25, "verify": 0.5}) for step in answer.steps)
        assert answer.draft_seconds == pytest.approx(5 * 0.25)


def test_without_a_method_nothing_is_drafted(opened: Opened) -> None:
    answer = opened(0).generate(ask(stream=True))
    assert (answer.counts.drafted, answer.counts.verification_steps) == (0, 11)
    assert answer.observed["method"] == "none"
    assert answer.verification_rule is None


def test_the_two_likeliest_tokens_come_with_each_token(opened: Opened) -> None:
    answer = opened(4).generate(ask(top_two=True))
    assert answer.top_two_gaps == (1.25,) * 12


def test_an_answer_may_end_by_itself(opened: Opened) -> None:
    answer = opened(0).generate(ask(prompt=[995], ignore_eos=False))
    assert (answer.stop_reason, answer.output_ids) == ("eos", (996, 997, 998, 999, 1000))


@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_served_is_refused_and_the_next_request_runs(opened: Opened, *, stream: bool) -> None:
    session = opened(4)
    with pytest.raises(TrialError, match="exceeds the available context size") as caught:
        session.generate(ask(prompt=[1] * 64, stream=stream))
    assert caught.value.reason == "context-exceeded"
    with pytest.raises(TrialError, match="counting has no schema") as caught:
        session.generate(ask(json_schema="{}", stream=stream))
    assert caught.value.reason == "refused"
    assert session.generate(ask(stream=stream)).output_tokens == 12


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_is_given_up_ends_and_is_not_counted_with_the_next(opened: Opened, *, stream: bool) -> None:
    session = opened(4)
    expected = session.generate(ask(stream=stream)).counts
    with pytest.raises(TrialError) as caught:
        session.generate(ask(output_tokens=100_000, timeout=0.1, stream=stream))
    assert caught.value.reason == "timeout"
    assert session.generate(ask(stream=stream)).counts == expected


def test_a_model_that_breaks_ends_the_process_with_its_words(opened: Opened) -> None:
    session = opened(0)
    with pytest.raises(TrialError) as caught:
        session.generate(ask(prompt=[0x10FFFF - 2]))
    assert caught.value.reason == "engine-died"
    assert not session.alive()
    assert "OverflowError: out of numbers" in (session.log_tail() or "")


def test_it_ends_when_standard_input_closes(opened: Opened) -> None:
    process = opened(4)._running.process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(10) == 0


def test_requests_at_the_same_time_wait_for_each_other(opened: Opened) -> None:
    from concurrent.futures import ThreadPoolExecutor

    session = opened(4)
    requests = [replace(ask(), prompt=[start], shared=True) for start in (10, 100, 300)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(session.generate, requests))
    assert [a.output_ids[0] for a in answers if a.output_ids] == [11, 101, 301]
    assert {(a.counts.drafted, a.counts.accepted) for a in answers} == {(13, 6)}
