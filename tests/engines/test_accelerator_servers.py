"""SGLang and vLLM on TPUs: nothing of them ran here. The transcripts in chats/ are hand-made, and say so in line 1."""

from pathlib import Path
from typing import Any

import pytest

from specbench import listings
from specbench.engines import catalog, counters, openai
from specbench.engines.base import Answer, Request
from specbench.engines.profile import command
from specbench.engines.wire import Exchange
from specbench.errors import InputError

CHATS = Path(__file__).with_name("chats")


def told(case: str, *, without: str = "", **more: Any) -> Answer:
    """What our adapter makes of a transcript, less the event with `without`; event n arrives at second n."""
    events = (CHATS / case / "stream.sse").read_bytes().split(b"\n\n")
    kept = [event for event in events if not without or without.encode() not in event]
    exchange = Exchange(200, 0.0, tuple((float(n), event + b"\n\n") for n, event in enumerate(kept)))
    keywords: dict[str, Any] = {"sent": 0.0, "logged": {}, "before": None, "after": None, **more}
    return openai.read_answer(openai.read_chunks(exchange), **keywords)


def test_every_transcript_of_this_file_says_that_it_is_hand_made() -> None:
    for file in (*(CHATS / "sglang").iterdir(), *(CHATS / "tpu").iterdir()):
        assert "hand-made" in file.read_text().splitlines()[0]


def test_sglang_tells_the_counts_of_a_request_in_its_extension() -> None:
    c = told("sglang").counts
    assert (c.emitted, c.drafted, c.accepted) == (19, 24, 10)
    assert (c.verification_steps, c.drafted_steps, c.beyond_end) == (8, 8, None)
    assert c.accepted_by_position == (6, 3, 1)
    assert c.sources["verification_steps"] == "sglext.spec_tokens_details.spec_verify_ct"
    assert c.emitted == 1 + 8 + 10


def test_what_sglang_accepted_beyond_the_end_is_known() -> None:
    text = (CHATS / "sglang" / "stream.sse").read_text().replace('"completion_tokens":19', '"completion_tokens":18')
    exchange = Exchange(200, 0.0, ((0.0, text.encode()),))
    answer = openai.read_answer(openai.read_chunks(exchange), sent=0.0, logged={}, before=None, after=None)
    assert (answer.counts.accepted, answer.counts.beyond_end) == (10, 1)


def test_an_older_sglang_shows_its_steps_in_its_metrics() -> None:
    before, after = (
        counters.parse_metrics(f'sglang:spec_verify_calls_total{{engine_type="unified"}} {calls}.0\n')
        for calls in (7, 15)
    )
    c = told("sglang", without="sglext", before=before, after=after).counts
    assert (c.emitted, c.verification_steps, c.accepted) == (19, 8, 10)
    assert (c.drafted, c.accepted_by_position) == (None, None)  # a mean length is shown, and nothing drafted
    assert c.sources["accepted"] == "derived: E - R - F"


def test_sglang_without_speculation_has_no_counts_of_drafts() -> None:
    idle = counters.parse_metrics("sglang:spec_verify_calls_total 0.0\n")
    for metrics in (idle, {}):
        c = told("sglang", without="sglext", before=metrics, after=metrics).counts
        assert (c.drafted, c.accepted, c.drafted_steps, c.verification_steps) == (None, None, None, None)


def test_sglang_is_asked_for_the_counts() -> None:
    request = Request(prompt='{"messages": []}', output_tokens=8, temperature=0, seed=1, ignore_eos=True, timeout=1)
    assert openai.body(request, model="m")["return_spec_tokens_details"] is True


def test_vllm_on_a_tpu_is_read_from_its_metrics_where_the_answer_tells_nothing() -> None:
    after = counters.parse_metrics((CHATS / "tpu" / "metrics.txt").read_text())
    before = {name: value * 0.9 for name, value in after.items()}
    c = told("tpu", before=before, after=after).counts
    assert (c.emitted, c.drafted, c.accepted, c.drafted_steps) == (5, 18, 3, 2)
    assert c.accepted_by_position == (2, 1, 0)
    assert (c.verification_steps, c.beyond_end) == (2, 1)  # one chunk for each step; one token had no place any more
    assert c.sources["drafted"] == "/metrics spec_decode_num_draft_tokens_total"


@pytest.mark.parametrize(
    ("engine", "words", "environment"),
    [
        ("sglang", ["--speculative-algorithm", "DFLASH", "--speculative-draft-model-path", "d"], {}),
        (
            "tpu",
            ["--speculative-config.method", "dflash", "--speculative-config.model", "d"],
            {"MODEL_IMPL_TYPE": "flax_nnx"},
        ),
    ],
)
def test_dflash_is_switched_on_in_the_words_of_the_engine(
    engine: str, words: list[str], environment: dict[str, str]
) -> None:
    profile = catalog.profiles(None)[engine]
    argv, given = command(
        profile, target_model="t", draft_model="d", method="dflash", settings={}, engine_settings={}, engine_args=()
    )
    assert words == [word for word in argv if word in words]
    assert environment.items() <= given.items()
    assert "--trust-remote-code" not in argv
    assert profile.reads == "safetensors"


def test_code_from_a_models_folder_needs_the_users_word_and_an_engine_that_runs_it() -> None:
    def words(engine: str) -> tuple[str, ...]:
        profile = catalog.profiles(None)[engine]
        return command(
            profile,
            target_model="t",
            draft_model=None,
            method="none",
            settings={},
            engine_settings={},
            engine_args=(),
            trust_remote_code=True,
        )[0]

    for engine in ("sglang", "tpu", "vllm", "transformers"):
        assert "--trust-remote-code" in words(engine)
    with pytest.raises(InputError, match="llama-server runs no code from a model's folder"):
        words("llama-server")


def test_the_doctor_says_how_each_of_them_is_got(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    rows = {row["what"]: row for row in listings.doctor_rows()}
    for engine, package in (("sglang", "pip install sglang"), ("tpu", "pip install vllm-tpu")):
        assert (rows[engine]["state"], package in rows[engine]["fix"]) == ("missing", True)
