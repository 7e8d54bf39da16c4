from hypothesis import given
from hypothesis import strategies as st
from known_answer.simulator import Counts, Maps, generate, make_maps, simulate

VOCABULARY_SIZE = 100


@st.composite
def walks(draw: st.DrawFn) -> Maps:
    cycle = draw(st.integers(3, 80))
    wrong = draw(st.integers(0, cycle))
    return make_maps(range(90), VOCABULARY_SIZE, cycle=cycle, wrong=wrong, seed=draw(st.integers(0, 99)))


output_lengths = st.integers(1, 300)
draft_lengths = st.integers(1, 16)


def counts(maps: Maps, output_tokens: int, draft_tokens_max: int) -> Counts:
    return simulate(
        maps.walk[0],
        output_tokens=output_tokens,
        draft_tokens_max=draft_tokens_max,
        target=maps.target,
        drafter=maps.drafter,
    )


@given(walks(), output_lengths, draft_lengths)
def test_the_counts_reconcile(maps: Maps, output_tokens: int, draft_tokens_max: int) -> None:
    c = counts(maps, output_tokens, draft_tokens_max)
    assert c.emitted == output_tokens == 1 + c.verification_steps + c.accepted
    assert c.accepted == sum(c.accepted_by_position) <= c.drafted <= draft_tokens_max * c.drafted_steps
    assert c.drafted_steps <= c.verification_steps <= c.drafted_steps + 1


@given(walks(), output_lengths, draft_lengths)
def test_a_later_position_is_never_accepted_more_often(maps: Maps, output_tokens: int, draft_tokens_max: int) -> None:
    by_position = counts(maps, output_tokens, draft_tokens_max).accepted_by_position
    assert len(by_position) == draft_tokens_max
    assert list(by_position) == sorted(by_position, reverse=True)


@given(st.integers(3, 80), output_lengths, draft_lengths)
def test_a_perfect_drafter_is_always_accepted(cycle: int, output_tokens: int, draft_tokens_max: int) -> None:
    c = counts(make_maps(range(90), VOCABULARY_SIZE, cycle=cycle, wrong=0), output_tokens, draft_tokens_max)
    assert c.accepted == c.drafted
    assert c.verification_steps == -(-(output_tokens - 1) // (draft_tokens_max + 1))


@given(st.integers(3, 80), output_lengths, draft_lengths)
def test_a_drafter_that_is_always_wrong_costs_a_step_a_token(
    cycle: int, output_tokens: int, draft_tokens_max: int
) -> None:
    c = counts(make_maps(range(90), VOCABULARY_SIZE, cycle=cycle, wrong=cycle), output_tokens, draft_tokens_max)
    assert c.accepted == 0
    assert c.verification_steps == output_tokens - 1
    assert c.accepted_by_position == (0,) * draft_tokens_max


@given(walks())
def test_the_drafter_is_wrong_on_the_chosen_share_of_the_walk(maps: Maps) -> None:
    cycle = len(maps.walk)
    assert generate(maps.walk[-1], output_tokens=cycle, target=maps.target) == maps.walk
    wrong = [token for token in range(VOCABULARY_SIZE) if maps.drafter[token] != maps.target[token]]
    assert set(wrong) <= set(maps.walk)


def test_the_walk_and_the_mistakes_follow_the_seed_and_the_sizes() -> None:
    maps = make_maps(range(90), VOCABULARY_SIZE, cycle=64, wrong=16)
    assert maps == make_maps(range(90), VOCABULARY_SIZE, cycle=64, wrong=16)
    assert maps.walk != make_maps(range(90), VOCABULARY_SIZE, cycle=64, wrong=16, seed=6).walk
    assert sum(a != b for a, b in zip(maps.target, maps.drafter, strict=True)) == 16


def test_a_small_case_counted_by_hand() -> None:
    """Walk 0 1 2 3 4, and the drafter says 4 after 2. Emitted: 1 | 2 3 (one accepted) | 4 0 1 (two) | 2."""
    target, drafter = (1, 2, 3, 4, 0), (1, 2, 4, 4, 0)
    assert simulate(0, output_tokens=7, draft_tokens_max=2, target=target, drafter=drafter) == Counts(
        emitted=7,
        drafted=4,
        accepted=3,
        verification_steps=3,
        drafted_steps=2,
        accepted_by_position=(2, 1),
    )
    assert generate(0, output_tokens=7, target=target) == (1, 2, 3, 4, 0, 1, 2)
