import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specbench.engines import counters, logs
from specbench.engines.base import Answer, Request
from specbench.engines.llamacpp import read_answer, read_chunks
from specbench.engines.wire import Exchange

TRANSCRIPTS = Path(__file__).with_name("transcripts")


def recorded(case: str) -> Answer:
    """What our adapter makes of a recorded exchange; byte n arrives at second n, 50 at a time."""
    folder = TRANSCRIPTS / case
    stream = (folder / "stream.sse").exists()
    body = (folder / ("stream.sse" if stream else "answer.json")).read_bytes()
    exchange = Exchange(200, 0.0, tuple((float(n), body[n : n + 50]) for n in range(0, len(body), 50)))
    return read_answer(
        read_chunks(exchange, stream=stream),
        sent=0.0,
        request=Request(
            prompt="",
            output_tokens=64,
            temperature=0,
            seed=1,
            ignore_eos=True,
            timeout=1,
            top_two=case.endswith("none"),
            steps=case.endswith("draft-model"),
            stream=stream,
        ),
        before=counters.parse_metrics((folder / "before.txt").read_text()),
        after=counters.parse_metrics((folder / "after.txt").read_text()),
    )


@pytest.mark.parametrize(
    ("case", "drafted", "accepted", "steps", "drafted_steps", "positions"),
    [
        ("llama-server-none", 0, 0, 63, 0, ()),
        ("llama-server-draft-model", 185, 15, 48, 47, (10, 5, 0, 0)),
        ("llama-server-ngram-simple", 12, 4, 59, 2, (1, 1, 1, 1, 0, 0, 0, 0)),
        ("llama-server-ngram-cache", 56, 0, 63, 7, (0,) * 8),
        ("xllamacpp-none", 0, 0, 63, 0, ()),
        ("xllamacpp-draft-model", 160, 23, 40, 40, (13, 6, 2, 2)),
        ("xllamacpp-ngram-simple", 16, 1, 62, 2, (1, 0, 0, 0, 0, 0, 0, 0)),
        ("xllamacpp-ngram-cache", 83, 2, 61, 11, (2, 0, 0, 0, 0, 0, 0, 0)),
    ],
)
def test_the_counts_of_a_recorded_answer_reconcile(
    case: str, *, drafted: int, accepted: int, steps: int, drafted_steps: int, positions: tuple[int, ...]
) -> None:
    counts = recorded(case).counts
    assert (counts.emitted, counts.prefill_tokens) == (64, 1)
    assert (counts.drafted, counts.accepted) == (drafted, accepted)
    assert (counts.verification_steps, counts.drafted_steps) == (steps, drafted_steps)
    assert counts.accepted_by_position == positions
    assert counts.emitted == counts.prefill_tokens + steps + accepted
    assert sum(positions) == accepted
    streamed = (TRANSCRIPTS / case / "stream.sse").exists()
    assert counts.sources["verification_steps"].startswith("observed" if streamed else "derived")


@pytest.mark.parametrize("case", ["llama-server-none", "xllamacpp-none"])
def test_an_answer_without_drafts_says_what_the_stream_shows(case: str) -> None:
    answer = recorded(case)
    assert answer.output_ids is not None
    assert len(answer.output_ids) == answer.output_tokens == 64
    assert (answer.prompt_tokens, answer.cached_tokens, answer.prefilled_tokens) == (156, 0, 156)
    assert answer.stop_reason == "length"
    assert answer.observed["method"] == answer.observed["speculative.types"] == "none"
    assert answer.top_two_gaps is not None
    assert len(answer.top_two_gaps) == 64
    assert all(gap is not None and gap >= 0 for gap in answer.top_two_gaps)
    assert answer.first_chunk_tokens == 1
    assert answer.first_token is not None
    assert answer.total is not None
    assert 0 < answer.first_token < answer.total == answer.last_token


@pytest.mark.parametrize("case", ["llama-server-draft-model", "xllamacpp-draft-model"])
def test_the_steps_of_the_stream_add_up_to_the_totals(case: str) -> None:
    answer = recorded(case)
    assert answer.observed["method"] == "draft-model"
    assert answer.steps is not None
    assert len(answer.steps) == answer.counts.verification_steps
    assert sum(step.drafted for step in answer.steps) == answer.counts.drafted
    assert sum(step.accepted for step in answer.steps) == answer.counts.accepted
    assert sum(step.emitted for step in answer.steps) == 63
    assert answer.decode_seconds == pytest.approx(sum(step.seconds for step in answer.steps), abs=1e-3)


def test_tokens_that_arrive_with_the_first_one_are_counted_with_it() -> None:
    body = (TRANSCRIPTS / "xllamacpp-none" / "stream.sse").read_bytes()
    chunks = read_chunks(Exchange(200, 0.0, ((1.0, body[:-1]), (2.0, body[-1:]))), stream=True)
    request = Request(prompt="", output_tokens=64, temperature=0, seed=1, ignore_eos=True, timeout=1, stream=True)
    answer = read_answer(chunks, sent=0.5, request=request, before=None, after=None)
    assert (answer.first_token, answer.last_token, answer.first_chunk_tokens) == (0.5, 0.5, 64)


@pytest.mark.parametrize("case", [path.name for path in TRANSCRIPTS.iterdir()])
def test_the_log_shows_the_drafting_time_of_every_method_that_drafts(case: str) -> None:
    log = (TRANSCRIPTS / case / "engine.log").read_text()
    seconds = logs.drafting_seconds(log)
    if case.endswith("none"):
        assert seconds is None
    else:
        found = re.search(r"dur\(b,g,a\) = \S+, ([\d.]+),", log)
        assert found is not None
        assert seconds == pytest.approx(float(found[1]) / 1000)


def test_drafting_time_is_the_last_of_each_type_summed() -> None:
    line = "I spec common_specu: statistics {}: #calls(b,g,a) = 1 2 3, dur(b,g,a) = 0.5, {}, 0.1 ms\n"
    log = line.format("ngram-mod", "1.000") + line.format("draft-simple", "7.0") + line.format("ngram-mod", "3.000")
    assert logs.drafting_seconds(log) == pytest.approx(0.010)
    assert logs.drafting_seconds("") is None


def counts(timings: dict[str, Any], **more: Any) -> Any:
    keywords = {"types": "draft-simple", "prompt_passes": 1, "before": None, "after": None, **more}
    return counters.draft_counts(timings, **keywords)


def test_draft_counts_that_the_engine_does_not_show_stay_unknown() -> None:
    found = counts({"predicted_n": 10})
    assert found.drafted is found.accepted is found.verification_steps is found.drafted_steps is None
    assert found.accepted_by_position is None
    assert set(found.sources) == {"emitted", "prefill_tokens"}


def test_missing_draft_counts_are_zero_only_when_the_counters_stood_still() -> None:
    still = {counters.DRAFTED: 5.0, counters.ACCEPTED: 2.0, counters.DRAFTS: 3.0}
    assert counts({"predicted_n": 10}, before=still, after=still).drafted == 0
    assert counts({"predicted_n": 10}, before=still, after={**still, counters.DRAFTED: 6.0}).drafted is None
    assert counts({"predicted_n": 10}, types="none").drafted == 0


def test_without_the_step_counters_the_steps_are_derived_and_say_so() -> None:
    found = counts({"predicted_n": 200, "draft_n": 261, "draft_n_accepted": 132})
    assert found.verification_steps == 67
    assert found.sources["verification_steps"].startswith("derived")
    old_engine = {counters.DECODES: 9.0}
    found = counts(
        {"predicted_n": 9, "draft_n": 4, "draft_n_accepted": 2}, before={counters.DECODES: 0.0}, after=old_engine
    )
    assert found.sources["verification_steps"].startswith("derived")


@given(
    before=st.dictionaries(
        st.sampled_from([counters.DRAFTED, counters.DRAFTS, counters.DECODES]), st.integers(0, 10**6)
    ),
    moved=st.integers(0, 10**6),
    positions=st.lists(st.integers(0, 1000), max_size=70),
)
def test_counters_are_differences_and_positions_keep_their_order(
    before: dict[str, int], moved: int, positions: list[int]
) -> None:
    lines = [f"llamacpp:{name} {before.get(name, 0) + moved}" for name in (counters.DRAFTED, counters.DRAFTS)]
    lines += [f'llamacpp:{counters.POSITIONS}{{position="{n}"}} {value}' for n, value in enumerate(positions)]
    after = counters.parse_metrics("# HELP x y\n" + "\n".join(lines[::-1]) + "\n")
    found = counts({"predicted_n": 1, "draft_n": moved}, before={k: float(v) for k, v in before.items()}, after=after)
    assert found.drafted_steps == moved
    assert found.accepted_by_position == tuple(positions)


@given(st.text(max_size=200))
def test_any_text_can_be_read_as_metrics_or_log(text: str) -> None:
    assert all(isinstance(value, float) for value in counters.parse_metrics(text).values())
    assert logs.drafting_seconds(text) is None


def test_the_gap_needs_two_known_logarithms() -> None:
    top = [{"logprob": -0.5}, {"logprob": -2.0}]
    assert counters.top_two_gap([{"top_logprobs": top}]) == pytest.approx(1.5)
    assert counters.top_two_gap([{"top_logprobs": [top[0], {"logprob": None}]}]) is None
    assert counters.top_two_gap([{"top_logprobs": top[:1]}]) is None
    assert counters.top_two_gap(None) is None
    assert counters.top_two_gap([{"top_logprobs": [top[0], {"logprob": -3.4028e38}]}]) == 1e18  # as llama.cpp has it


@given(
    st.lists(st.none() | st.integers(0, 4), min_size=1, max_size=30),  # accepted of each step; None: it had no draft
    st.integers(0, 4),
)
def test_vllm_answers_reconcile_whatever_the_steps_and_wherever_the_answer_ends(
    steps: list[int | None], cut: int
) -> None:
    beyond = min(cut, steps[-1] or 0)
    chunks = [1, *((accepted or 0) + 1 for accepted in steps)]
    chunks[-1] -= beyond
    drafted = [accepted for accepted in steps if accepted is not None]
    told = {
        "num_draft_tokens": 4 * len(drafted),
        "num_accepted_draft_tokens": sum(drafted),
        "num_spec_steps": len(drafted),
        "acceptance_histogram": [drafted.count(accepted) for accepted in range(5)],
    }
    answer = {"usage": {"completion_tokens": sum(chunks)}, "metrics": {"speculative_decoding": told}}
    c = counters.openai_counts(answer, logged={}, before=None, after=None, chunk_tokens=chunks)
    assert (c.emitted, c.prefill_tokens, c.accepted, c.drafted_steps) == (sum(chunks), 1, sum(drafted), len(drafted))
    assert (c.verification_steps, c.beyond_end) == (len(steps), beyond or None)
    assert c.accepted_by_position == tuple(sum(a >= place for a in drafted) for place in range(1, 5))


def test_chunks_that_were_merged_on_the_way_do_not_count_steps() -> None:
    told = {"num_accepted_draft_tokens": 3, "acceptance_histogram": [2, 0, 0, 1], "num_draft_tokens": 9}
    answer = {"usage": {"completion_tokens": 7}, "metrics": {"speculative_decoding": told}}
    for chunk_tokens in ([1, 6], [7], [1, 4], []):
        c = counters.openai_counts(answer, logged={}, before=None, after=None, chunk_tokens=chunk_tokens)
        assert (c.verification_steps, c.beyond_end) == (3, None)
        assert c.sources["verification_steps"] == "derived: E - R - A"
