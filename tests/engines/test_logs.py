"""Log lines of all generations and forks.

Recorded: what lies in transcripts/ and starts/. Hand-made: every line below, in the form that its source prints.
"""

from pathlib import Path

import pytest

from specbench.engines import counters, logs
from specbench.records import DraftCounts
from specbench.structs import replace

TRANSCRIPTS = Path(__file__).with_name("transcripts")
LLAMA_CPP = {
    "2025": "slot print_timing: draft acceptance rate = 0.57576 (  171 accepted /   297 generated)\n",
    "early 2026": "draft acceptance = 0.66237 (171 accepted / 297 generated), mean acceptance length = 3.65, "
    "acceptance rate per position = (0.804, 0.6, 0.5)\n",
    "now": "slot print_timing: id 0 | draft acceptance = 0.63158 (171 accepted / 297 generated), mean len = 2\n",
}


@pytest.mark.parametrize("generation", LLAMA_CPP)
def test_each_generation_of_llama_cpp_says_what_was_accepted(generation: str) -> None:
    assert logs.counts(LLAMA_CPP[generation]) == {"drafted": 297, "accepted": 171}


@pytest.mark.parametrize("case", [p.name for p in TRANSCRIPTS.iterdir() if not p.name.endswith(("none", "cache"))])
def test_a_recorded_log_agrees_with_the_recorded_counters(case: str) -> None:
    folder = TRANSCRIPTS / case
    before, after = (counters.parse_metrics((folder / name).read_text()) for name in ("before.txt", "after.txt"))
    moved = {key: after[key] - before.get(key, 0) for key in (counters.DRAFTED, counters.ACCEPTED)}
    found = logs.counts((folder / "engine.log").read_text())
    assert found == {"drafted": moved[counters.DRAFTED], "accepted": moved[counters.ACCEPTED]}


def test_lucebox_counts_the_token_that_a_draft_starts_from_and_we_do_not() -> None:
    line = "[spec-decode] tokens=256 time=9.535 s speed=26.85 tok/s steps=46 accepted=256/736 (34.8%) avg_commit=5.57\n"
    found = logs.counts(line)
    assert (found["drafted"], found["accepted"]) == (46 * 15, 210)
    assert found["prefill_tokens"] + found["verification_steps"] + found["accepted"] == 256


@pytest.mark.parametrize(
    ("tail", "drafted", "accepted"),
    [("  lookup 30/40  mtp 9/12 (75%)", 52, 39), ("  mtp 9/12 (75%)  vetoed 3", 12, 9), ("", 0, 0)],
)
def test_packed_twin_inference_adds_look_up_and_head(tail: str, drafted: int, accepted: int) -> None:
    steps = 99 - accepted
    line = f"  → [pti] 100 tok in {steps} steps (1.75 tok/step)  39.9 tok/s  (prefill 0.4s){tail}\n"
    assert logs.counts(line) == {"drafted": drafted, "accepted": accepted, "verification_steps": steps}


def test_the_last_request_of_a_log_counts() -> None:
    line = "draft acceptance rate = 0.5 (    1 accepted /     2 generated)\n"
    assert logs.counts(line + LLAMA_CPP["now"])["drafted"] == 297
    assert logs.counts("srv update_slots: all slots are idle\n") == {}


def test_counts_of_the_log_fill_an_answer_that_has_none_and_replace_nothing() -> None:
    bare = DraftCounts(emitted=200, prefill_tokens=1, sources={"emitted": "timings.predicted_n"})
    filled = counters.completed(bare, {"drafted": 261, "accepted": 132})
    assert (filled.drafted, filled.accepted, filled.verification_steps) == (261, 132, 67)
    assert filled.sources["drafted"] == "the engine's log"
    known = replace(bare, drafted=5, accepted=1)
    assert counters.completed(known, {"drafted": 261, "accepted": 132}) is known
    assert counters.completed(bare, {}) is bare


def test_ik_llama_counts_by_depth() -> None:
    depths = [{"depth": 1, "draft_n": 40, "draft_n_accepted": 30}, {"depth": 2, "draft_n": 38, "draft_n_accepted": 20}]
    timings = {"predicted_n": 91, "draft_n": 78, "draft_n_accepted": 50, "draft_by_depth": depths}
    found = counters.draft_counts(timings, types=None, prompt_passes=1, before=None, after=None)
    assert (found.drafted_steps, found.accepted_by_position, found.verification_steps) == (40, (30, 20), 40)


def test_the_settings_in_force_are_read_from_a_recorded_start() -> None:
    log = (Path(__file__).with_name("starts") / "llama-server-draft-model.log").read_text()
    assert logs.settings_shown(log) == {
        "threads": 1,
        "batch_size": 64,
        "ubatch_size": 32,
        "flash_attention": "on",
        "cache_type_k": "q8_0",
        "cache_type_v": "q4_0",
        "load_mode": "none",
        "parallel_slots": 1,
        "draft_tokens_max": 4,
        "draft_tokens_min": 0,
        "p_min": 0.0,
        "draft_cache_type_k": "q4_0",
        "draft_cache_type_v": "f16",
    }
    assert logs.settings_shown("warning: no usable GPU found, --gpu-layers option will be ignored\n") == {
        "gpu_layers": "ignored"
    }


def test_the_drafting_time_is_found_behind_the_rates_of_many_positions() -> None:
    line = next(
        line
        for line in (TRANSCRIPTS / "llama-server-draft-model" / "engine.log").read_text().splitlines()
        if "statistics" in line and "dur(b,g,a)" in line
    )
    short, _, after = line.partition("rate/pos = (")
    long = f"{short}rate/pos = ({', '.join(['0.123'] * 64)}{after[after.index(')') :]}"
    assert logs.drafting_seconds(long) == logs.drafting_seconds(line) is not None
