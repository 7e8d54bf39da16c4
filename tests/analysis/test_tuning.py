import random
from math import exp

import pytest
from analysis.synthetic import BASE, DRAFT, counts, drafted, generation
from hypothesis import given
from hypothesis import strategies as st

from specbench.analysis import tuning
from specbench.analysis.tuning import MARGIN, Ratios
from specbench.records import Result

PROMPTS = [f"p{i}" for i in range(22)]
speeds = st.lists(st.floats(0.2, 5), min_size=2, max_size=12)


def eliminated(everything: Ratios) -> tuple[list[str], int, int]:
    """Who is left at the end, the trials that took, and the rounds."""
    alive, trials, look = list(everything), 0, 0
    while len(alive) > 1 and (new := tuning.prompts_in_round(len(PROMPTS), look + 1)):
        look += 1
        trials += len(new) * len(alive)
        seen = {name: {p: everything[name][p] for p in PROMPTS[: new.stop]} for name in alive}
        left = tuning.survivors(tuning.standings(seen, look=look))
        assert left
        assert set(left) <= set(alive)
        alive = left
    return alive, trials, look


@given(speeds, st.lists(st.floats(0.5, 2), min_size=22, max_size=22))
def test_without_noise_the_best_is_never_dropped(candidates: list[float], prompts: list[float]) -> None:
    """Some prompts suit all candidates more than others; between candidates nothing varies."""
    pairs = list(zip(PROMPTS, prompts, strict=True))
    everything = {f"c{i}": {p: speed * ease for p, ease in pairs} for i, speed in enumerate(candidates)}
    left, _, _ = eliminated(everything)
    assert max(candidates) == pytest.approx(candidates[int(left[0][1:])])


@given(st.lists(st.lists(st.floats(0.1, 10), min_size=22, max_size=22), min_size=1, max_size=6))
def test_it_always_ends_with_somebody_whatever_was_measured(rows: list[list[float]]) -> None:
    everything = {f"c{i}": dict(zip(PROMPTS, row, strict=True)) for i, row in enumerate(rows)}
    left, trials, rounds = eliminated(everything)
    assert left
    assert rounds <= 5
    assert trials <= len(rows) * len(PROMPTS)


@given(st.integers(1, 300))
def test_the_rounds_cover_every_prompt_once(total: int) -> None:
    rounds = [tuning.prompts_in_round(total, look) for look in range(1, 12)]
    assert [i for found in rounds for i in found] == list(range(total))


def test_with_noise_it_saves_two_thirds_and_finds_the_same() -> None:
    """Twelve candidates that differ by 25 %; on one prompt 8 % of that is luck, and measuring adds 4 %."""
    dice, share, same = random.Random(1), 0.0, 0  # noqa: S311  invented figures
    for _ in range(50):
        true = [0.0, *(dice.gauss(0, 0.25) for _ in range(11))]
        everything = {
            f"c{i}": {p: exp(speed + (dice.gauss(0, 0.09) if i else 0)) for p in PROMPTS}
            for i, speed in enumerate(true)
        }
        left, trials, _ = eliminated(everything)
        whole = tuning.standings(everything, look=1)
        chosen = next(s.speedup for s in whole if s.contender == left[0])
        same += chosen >= whole[0].speedup / (1 + MARGIN)
        share += trials / (12 * len(PROMPTS)) / 50
    assert same == 50
    assert share < 1 / 3


@given(st.integers(4, 30))
def test_whatever_is_not_tried_first_is_next_to_what_is_but_for_the_last_of_some(n: int) -> None:
    line = [str(i) for i in range(n)]
    first = tuning.coarse(line, prompts=8)
    apart = [min(abs(int(a) - int(b)) for b in first) for a in line]
    assert max(apart[:-1]) <= 1
    assert apart[-1] <= 2
    assert tuning.coarse(line, prompts=7) == line
    assert tuning.coarse(line[:3], prompts=22) == line[:3]


def test_lines_of_draft_lengths_are_refined_towards_their_peak_for_less_than_a_third_of_the_grid() -> None:
    """Four lines of eight lengths with a peak each; the same noise as above."""
    dice, share, losses = random.Random(2), 0.0, []  # noqa: S311  invented figures
    for _ in range(40):
        speeds = {"none": 0.0}
        lines = [["none"]]
        for m in range(4):
            peak, top, slope = dice.randrange(8), dice.gauss(0.2, 0.2), dice.uniform(0.03, 0.12)
            lines.append([f"m{m}-{k}" for k in range(8)])
            speeds |= {name: top - slope * abs(k - peak) for k, name in enumerate(lines[-1])}
        everything = {n: {p: exp(s + dice.gauss(0, 0.09) * (n != "none")) for p in PROMPTS} for n, s in speeds.items()}
        alive = tried = [name for line in lines for name in tuning.coarse(line, prompts=len(PROMPTS))]
        seen: dict[str, dict[str, float]] = {}
        look = trials = 0
        while len(alive) > 1 and (new := tuning.prompts_in_round(len(PROMPTS), look + 1)):
            look += 1
            trials += len(new) * len({*alive, "none"})
            for name in {*alive, "none"}:
                seen.setdefault(name, {}).update({PROMPTS[i]: everything[name][PROMPTS[i]] for i in new})
            last = not tuning.prompts_in_round(len(PROMPTS), look + 1)
            decided = tuning.decide(seen, alive, lines=lines, look=look, last=last)
            added = [name for name in decided.beside if name not in tried]
            tried, alive = tried + added, decided.left + added
        (winner,) = tuning.winners({"code": seen}, {"code": [name for name in alive if name in seen]}, {}, plain="none")
        losses.append(1 - exp(speeds[winner.contender] - max(speeds.values())))
        share += trials / (len(speeds) * len(PROMPTS)) / 40
    assert share < 0.3
    assert sum(losses) / 40 < MARGIN
    assert sorted(losses)[36] < 0.05


def test_a_candidate_on_fewer_prompts_is_set_right_by_what_the_others_had_on_them() -> None:
    """The second half of the prompts suits everybody twice as much; the late one was measured only there."""
    ease = {p: 1.0 if i < 11 else 2.0 for i, p in enumerate(PROMPTS)}
    everything = {"none": dict.fromkeys(PROMPTS, 1.0), "whole": {p: 3 * e for p, e in ease.items()}}
    late = {p: 2 * ease[p] for p in PROMPTS[11:]}
    found = {s.contender: s.speedup for s in tuning.standings({**everything, "late": late}, look=1)}
    assert found["late"] == pytest.approx(found["whole"] * 2 / 3)
    assert found["late"] < 4  # its own mean


def test_the_slower_half_goes_no_further_and_is_named_where_an_interval_would_have_kept_it() -> None:
    """Five candidates that two prompts cannot tell apart, and one that they can."""
    near = {f"c{i}": {"p0": 1.0 + i / 10, "p1": 1.2 + i / 20} for i in range(5)}
    found = tuning.decide({**near, "slow": {"p0": 0.01, "p1": 0.01}}, [*near, "slow"], lines=[[*near]], look=1)
    assert found.left == ["c4", "c3", "c2"]
    assert found.halved == ["c1", "c0"]
    assert found.beside == ["c3"]
    assert tuning.decide(near, ["c0", "c1"], lines=[], look=1).left == ["c1", "c0"]


def test_few_measurements_drop_nobody() -> None:
    two = {"none": {"p0": 1.0, "p1": 1.0}, "draft": {"p0": 3.0, "p1": 2.9}}
    assert tuning.survivors(tuning.standings(two, look=1)) == ["draft", "none"]


def test_ratios_are_paired_with_the_baseline_and_a_method_that_drafted_nothing_is_no_candidate() -> None:
    results: list[Result] = [
        generation("base", "code-0", seconds=2),
        generation("base", "code-0", role="warm-up", seconds=9),
        drafted("code-0", seconds=0.5),
        generation("base", "json-0"),
        drafted("json-0", counts=counts(0, 0)),
        drafted("json-1"),
    ]
    found = tuning.ratios((DRAFT, BASE), results)
    assert found["code"] == {"base": {"code-0": 1.0}, "draft": {"code-0": pytest.approx(4.0)}}
    assert found["json"]["draft"] == {"json-0": pytest.approx(2.0)}  # it drafted on another prompt of the category
    assert tuning.ratios((BASE, DRAFT), results[:5])["json"] == {"base": {"json-0": 1.0}}
    assert tuning.plain_seconds((BASE, DRAFT), results) == {"code": pytest.approx(0.02), "json": pytest.approx(0.01)}


def test_one_setting_for_all_is_the_fastest_on_the_mix() -> None:
    """Code: a is 2 times as fast, b 1; chat: a 0.5, b 1.25. With half the tokens each, b takes 0.9, the best 0.65."""
    speedups = {"code": {"none": 1.0, "a": 2.0, "b": 1.0}, "chat": {"none": 1.0, "a": 0.5, "b": 1.25}}
    best = {"code": "a", "chat": "b"}
    found = tuning.single(speedups, best, seconds={"code": 1.0, "chat": 1.0}, mix={"code": 0.5, "chat": 0.5})
    assert found is not None
    assert (found.contender, found.speedup, found.per_category) == (
        "b",
        pytest.approx(1 / 0.9),
        pytest.approx(1 / 0.65),
    )
    assert found.cost == pytest.approx(0.9 / 0.65 - 1)
    code = tuning.single(speedups, best, seconds={"code": 1.0, "chat": 1.0}, mix={"code": 1.0})
    assert code is not None
    assert (code.contender, code.cost) == ("a", pytest.approx(0))
    assert tuning.single({"code": {"a": 1.0}}, {}, seconds={}, mix={"code": 0.5, "chat": 0.5}) is None


def test_the_winner_is_the_fastest_of_those_that_are_left() -> None:
    measured = {"code": {"none": {"p0": 1.0}, "a": {"p0": 3.0}, "b": {"p0": 2.0}}}
    (found,) = tuning.winners(measured, {"code": ["none", "b"]}, {"code": ["a"]}, plain="none")
    assert (found.contender, found.speedup.value) == ("b", pytest.approx(2.0))
    assert (found.others, found.halved) == (("none",), ("a",))


def test_what_is_slower_than_plain_decoding_is_no_winner() -> None:
    """Plain decoding was left out after two prompts on which drafts did well; it is measured on all four."""
    lucky = {"p0": 1.2, "p1": 1.2, "p2": 0.6, "p3": 0.6}
    measured = {
        "chat": {"none": dict.fromkeys(lucky, 1.0), "draft": lucky, "other": {p: r - 0.1 for p, r in lucky.items()}}
    }
    (found,) = tuning.winners(measured, {"chat": ["draft", "other"]}, {"chat": ["none"]}, plain="none")
    assert (found.contender, found.speedup.value, found.others, found.halved) == ("none", 1.0, ("draft", "other"), ())
    apart = {p: 0.5 + i / 100 for i, p in enumerate(f"p{i}" for i in range(8))}
    measured = {"chat": {"none": dict.fromkeys(apart, 1.0), "draft": apart}}
    (found,) = tuning.winners(measured, {"chat": ["draft"]}, {"chat": ["none"]}, plain="none")
    assert (found.contender, found.others) == ("none", ())  # half as fast is told apart
    speedups = {"chat": {"none": 1.0, "draft": 0.85, "other": 0.75}}
    one = tuning.single(speedups, {"chat": "none"}, seconds={"chat": 1.0}, mix={"chat": 1.0})
    assert one is not None
    assert (one.contender, one.cost) == ("none", 0)


def test_the_last_round_leaves_out_no_half() -> None:
    near = {f"c{i}": {"p0": 1.0 + i / 10, "p1": 1.2 + i / 20} for i in range(5)}
    found = tuning.decide(near, [*near], lines=[], look=1, last=True)
    assert (found.left, found.halved) == (["c4", "c3", "c2", "c1", "c0"], [])
