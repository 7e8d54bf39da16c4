"""OpenAI's protocol: recorded and hand-made answers, a program that answers by the book, and llama-server itself.

chats/llama-server-draft-model is recorded; the first line of the others says how they were made.
"""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from known_answer.models import KnownAnswer
from known_answer.rig import DRAFTERS, contender, find_engine

from specbench.engines import catalog, counters, logs, openai
from specbench.engines.base import Answer, Request, TrialError
from specbench.engines.server import API_KEY
from specbench.engines.wire import Exchange
from specbench.records import Contender, Message
from specbench.structs import replace

CHATS = Path(__file__).with_name("chats")
HELLO = [Message(role="user", content="ba be bi")]


def told(case: str, **more: Any) -> Answer:
    """What our adapter makes of a transcript; event n arrives at second n."""
    events = (CHATS / case / "stream.sse").read_bytes().split(b"\n\n")
    exchange = Exchange(200, 0.0, tuple((float(n), event + b"\n\n") for n, event in enumerate(events)))
    keywords: dict[str, Any] = {"sent": 0.0, "logged": {}, "before": None, "after": None, **more}
    return openai.read_answer(openai.read_chunks(exchange), **keywords)


def test_a_recorded_answer_of_llama_server_has_the_counts_of_its_counters() -> None:
    before, after = (
        counters.parse_metrics((CHATS / "llama-server-draft-model" / name).read_text())
        for name in ("before.txt", "after.txt")
    )
    answer = told("llama-server-draft-model", before=before, after=after)
    c = answer.counts
    assert (c.emitted, c.prefill_tokens, c.drafted, c.accepted) == (64, 1, 96, 38)
    assert (c.verification_steps, c.drafted_steps, c.accepted_by_position) == (25, 25, (19, 9, 5, 5))
    assert (answer.prompt_tokens, answer.cached_tokens, answer.prefilled_tokens) == (154, 0, 154)
    assert (answer.prefill_seconds, answer.decode_seconds) == (pytest.approx(0.258151), pytest.approx(0.989153))
    assert (answer.stop_reason, answer.first_chunk_tokens, answer.output_ids) == ("length", 1, None)


def test_tokens_come_from_usage_and_not_from_chunks() -> None:
    answer = told("vllm")
    assert (answer.output_tokens, answer.text) == (20, "Hm one two three four")
    c = answer.counts
    assert (c.drafted, c.accepted, c.drafted_steps, c.verification_steps) == (24, 11, 8, 8)
    assert c.sources["drafted"] == "metrics.speculative_decoding.num_draft_tokens"
    assert (answer.first_token, answer.last_token) == (2.0, 4.0)  # the empty first chunk is no token


def test_counts_of_another_prefix_and_with_labels_are_read() -> None:
    def samples(drafts: int, drafted: int, accepted: int) -> dict[str, float]:
        labels = 'engine="0",model_name="a b"'
        return counters.parse_metrics(
            f"vllm:spec_decode_num_drafts_total{{{labels}}} {drafts}.0\n"
            f"vllm:spec_decode_num_draft_tokens_total{{{labels}}} {drafted}.0\n"
            f"vllm:spec_decode_num_accepted_tokens_total{{{labels}}} {accepted}.0\n"
            f'vllm:spec_decode_num_accepted_tokens_per_pos_total{{{labels},position="0"}} {accepted}.0\n'
        )

    c = told("plain", before=samples(5, 50, 40), after=samples(6, 53, 41)).counts
    assert (c.drafted, c.accepted, c.drafted_steps, c.accepted_by_position) == (3, 1, 1, (1,))
    assert c.verification_steps == 1


def test_lucebox_gives_times_in_usage_and_counts_in_its_log() -> None:
    line = "[spec-decode] tokens=256 time=9.535 s speed=26.85 tok/s steps=46 accepted=256/736 (34.8%) avg_commit=5.57\n"
    answer = told("lucebox", logged=logs.counts(line))
    assert (answer.prefill_seconds, answer.decode_seconds) == (pytest.approx(0.2345), pytest.approx(9.535))
    assert (answer.counts.accepted, answer.counts.verification_steps) == (210, 46)
    assert answer.observed["accept_rate"] == pytest.approx(0.348)


def test_what_a_server_does_not_report_stays_unknown() -> None:
    answer = told("plain")
    c = answer.counts
    assert (c.emitted, c.drafted, c.accepted, c.verification_steps) == (3, None, None, None)
    assert answer.cached_tokens is answer.prefilled_tokens is answer.decode_seconds is None
    assert answer.stop_reason == "eos"


class ByTheBook(BaseHTTPRequestHandler):
    """It wants a key, has no /health and no /metrics, and repeats a wrong key in its error."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, status: int, text: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            self.answer(404, b"{}")
        else:
            self.answer(200, b'{"data": [{"id": "only-model"}]}')

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        said = self.headers.get("Authorization", "")
        if said != "Bearer right" or asked["model"] != "only-model":
            self.answer(401, f"Incorrect API key provided: {said}".encode())
        else:
            self.answer(200, (CHATS / "plain" / "stream.sse").read_bytes())


@pytest.fixture
def by_the_book() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), ByTheBook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1/"
    server.shutdown()
    server.server_close()


def attached(url: str) -> Contender:
    names = {"name": "none", "engine": "openai", "target_model": url, "target_label": "server", "method": "none"}
    return Contender(**names, kind="attach", protocol="openai", url=url)


def ask(session: Any, tokens: int = 9) -> Answer:
    prompt = session.apply_template(HELLO, thinking=None)
    request = Request(prompt=prompt, output_tokens=tokens, temperature=0, seed=1, ignore_eos=True, timeout=30)
    found: Answer = session.generate(request)
    return found


def test_the_key_comes_from_the_environment_and_is_written_nowhere(
    by_the_book: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(API_KEY, "right")
    with catalog.open_session(attached(by_the_book), log=tmp_path / "log", load_timeout=5) as session:
        answer = ask(session)
        assert answer.output_tokens == 3
        assert session.count_tokens(session.apply_template(HELLO, thinking=None)) == 5
        assert "right" not in repr((session.info, answer))
    monkeypatch.setenv(API_KEY, "wrong-and-secret")
    with catalog.open_session(attached(by_the_book), log=tmp_path / "log", load_timeout=5) as session:
        with pytest.raises(TrialError, match=r"refused \(401\)") as caught:
            ask(session)
        assert "wrong-and-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "answer", "reason"),
    [
        (400, b'{"error": {"message": "This model\'s maximum context length is 8 tokens"}}', "context-exceeded"),
        (500, b"oops", "refused"),
        (200, b"data: {oops\n\n", "bad-answer"),
        (200, b'data: {"error": {"message": "overloaded"}}\n\n', "refused"),
        (200, b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n', "bad-answer"),
    ],
)
def test_an_answer_that_is_none_has_a_reason(status: int, answer: bytes, reason: str) -> None:
    with pytest.raises(TrialError) as caught:
        openai.read_chunks(Exchange(status, 0.0, ((0.0, answer),)))
    assert caught.value.reason == reason


@pytest.mark.engine
def test_llama_server_counts_the_same_in_both_protocols(known_answer_models: KnownAnswer, tmp_path: Path) -> None:
    native = contender(find_engine("llama-server"), known_answer_models, DRAFTERS["draft-model"])
    native = replace(native, environment={})  # without a key
    with catalog.open_session(native, log=tmp_path / "engine.log", load_timeout=60) as session:
        prompt = session.apply_template(HELLO, thinking=None)
        request = Request(prompt=prompt, output_tokens=100, temperature=0, seed=1, ignore_eos=True, timeout=60)
        want = session.generate(request)
        url = session._running.wire.url  # type: ignore[attr-defined]
        with catalog.open_session(attached(url), log=tmp_path / "log", load_timeout=60) as chat:
            got = ask(chat, 100)
            tokens = chat.count_tokens(chat.apply_template(HELLO, thinking=None))
    assert (got.text, got.output_tokens, got.prompt_tokens) == (want.text, 100, want.prompt_tokens)
    assert tokens == want.prompt_tokens
    for name in ("emitted", "drafted", "accepted", "verification_steps", "drafted_steps", "accepted_by_position"):
        assert getattr(got.counts, name) == getattr(want.counts, name), name
    assert got.first_token is not None
    assert got.decode_seconds is not None
