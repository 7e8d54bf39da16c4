import pytest
from analysis.synthetic import counts, drafted, generation

from specbench.analysis.metrics import METRICS, acceptance_by_position


def value(name: str, **changes: object) -> float | None:
    parts = METRICS[name].parts(drafted("code-0", **changes))
    return None if parts is None else parts[0] / parts[1]


def test_the_first_token_belongs_to_the_prompt_pass() -> None:
    assert value("decode_engine", seconds=0.5) == 200
    assert value("decode_client", seconds=0.5) == pytest.approx(200)
    assert value("end_to_end", seconds=0.5) == pytest.approx(101 / 0.601)


def test_ratios_are_those_of_the_glossary() -> None:
    assert value("draft_acceptance_rate") == 0.75
    assert value("mean_acceptance_length") == 2.5
    assert value("accepted_per_draft") == pytest.approx(1 + 60 / 39)
    assert value("drafting_share", seconds=0.5, draft_seconds=0.1) == 0.2
    assert value("drafted_share") == 39 / 40
    assert value("step_seconds", seconds=0.5) == 0.0125
    assert value("prefill") == 500
    assert value("first_token") == 0.1


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("decode_engine", {"decode_seconds": None}),
        ("decode_engine", {"counts": counts(80, 60, prefill_tokens=None)}),
        ("decode_engine", {"output_tokens": 1}),
        ("decode_client", {"first_chunk_tokens": None}),
        ("end_to_end", {"total": None}),
        ("first_token", {"first_token": None, "total": None}),
        ("first_token", {"first_token": None, "decode_seconds": None}),
        ("prefill", {"prefilled_tokens": 0}),
        ("draft_acceptance_rate", {"counts": counts(0, 0)}),
        ("draft_acceptance_rate", {"counts": counts(None, None)}),
        ("mean_acceptance_length", {"counts": counts(80, 60, verification_steps=None)}),
        ("mean_acceptance_length", {"counts": counts(80, 60, verification_steps=-3)}),
        ("accepted_per_draft", {"counts": counts(80, 60, drafted_steps=0)}),
        ("drafting_share", {}),
        ("drafted_share", {"counts": counts(80, 60, drafted_steps=None)}),
        ("step_seconds", {"decode_seconds": None}),
    ],
)
def test_a_missing_part_makes_the_metric_missing_and_not_zero(name: str, missing: dict[str, object]) -> None:
    assert value(name, **missing) is None


def test_without_a_stream_the_first_token_is_the_whole_time_less_the_decode_time() -> None:
    assert value("first_token", first_token=None, total=2.0, decode_seconds=1.5) == 0.5


def test_acceptance_by_position_is_over_steps_with_a_draft() -> None:
    three = counts(80, 60, drafted_steps=40, accepted_by_position=(30, 20, 10))
    two = counts(80, 60, drafted_steps=20, accepted_by_position=(20, 10))
    shares = acceptance_by_position([drafted("code-0", counts=three), drafted("code-1", counts=two)])
    assert shares == (50 / 60, 30 / 60, 10 / 60)
    assert acceptance_by_position([generation("base", "code-0")]) is None
