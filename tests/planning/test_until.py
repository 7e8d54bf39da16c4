from collections import Counter, defaultdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import test_plan as small

from specbench.errors import InputError
from specbench.planning.plan import make_plan
from specbench.planning.runfile import RunFile, validate_runfile
from specbench.records import Plan

SUITES = {count: small.own_suite(count) for count in (9, 12, 22)}
KNOWN = {"big.gguf": small.facts("big.gguf"), "small.gguf": small.facts("small.gguf")}


def asked(**changes: object) -> RunFile:
    targets = [{"model": "big.gguf", "drafters": "small.gguf"}]
    return validate_runfile({"engine": "own", "targets": targets, "until": "ci=3%", **changes})


def plan(prompts: int, **changes: object) -> Plan:
    return make_plan(asked(**changes), suite=SUITES[prompts], profiles=small.PROFILES, facts=KNOWN, version="0")


def parts(made: Plan, contender: str) -> list[set[str]]:
    """The prompts of code in each block of the contender, in order."""
    blocks = [b for b in made.blocks if b.contender == contender]
    found = [{t.prompt for t in b.trials if t.role == "measured" and t.category == "code"} for b in blocks]
    return [part for part in found if part]


@pytest.mark.parametrize(("prompts", "sizes"), [(9, [5, 4]), (12, [6, 6]), (22, [6, 5, 11])])
def test_parts_double_what_there_is_and_the_first_is_large_enough_for_an_interval(
    prompts: int, sizes: list[int]
) -> None:
    assert [len(part) for part in parts(plan(prompts), "none")] == sizes


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(sorted(SUITES)),
    st.integers(1, 3),
    st.sampled_from([None, "by-category", "by-repeat"]),
    st.sampled_from([None, 60]),
)
def test_the_trials_are_those_of_the_plan_without_a_width(
    prompts: int, repeats: int, order: str | None, budget: float | None
) -> None:
    changes = {"repeats": repeats, "order": order, "budget": budget}
    looking, plain = plan(prompts, **changes), plan(prompts, until=None, **changes)
    for role in ("measured", "control"):
        assert Counter(t.id for t in small.trials(looking, role)) == Counter(t.id for t in small.trials(plain, role))


@pytest.mark.parametrize("order", ["by-category", "by-repeat"])
def test_all_contenders_have_run_a_part_before_any_begins_the_next(order: str) -> None:
    made = plan(22, repeats=2, order=order)
    blocks: dict[tuple[str, str], list[list[int]]] = defaultdict(list)
    for name in ("none", "draft-model", "ngram-simple"):
        for category in ("code", "json"):
            found = [b.index for b in made.blocks if b.contender == name]
            mine = [
                i for i in found if any(t.category == category and t.role == "measured" for t in made.blocks[i].trials)
            ]
            blocks[category, ""].append(mine)
    for several in blocks.values():
        looks = list(zip(*several, strict=True))
        assert len(looks) == 4
        assert all(max(now) < min(later) for now, later in pairwise(looks))


def test_parts_are_drawn_by_lot_alike_for_all_and_by_the_seed() -> None:
    made = plan(22)
    assert parts(made, "none") == parts(made, "draft-model")
    assert parts(made, "none") != parts(plan(22, seed=2), "none")
    assert parts(made, "none")[0] != {f"code-{n}" for n in range(6)}


def test_one_part_and_one_repeat_leave_nothing_to_look_between() -> None:
    with pytest.raises(InputError, match="there is one part") as caught:
        plan(12, prompts_per_category=8)
    assert "9 --prompts" in (caught.value.hint or "")
    assert len(parts(plan(12, prompts_per_category=8, repeats=2), "none")) == 2


@pytest.mark.parametrize("text", ["3%", "ci=3", "ci=x%", "ci=0%", "ci=100%"])
def test_a_width_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="until"):
        asked(until=text)


def test_a_width_is_a_fraction_of_the_speedup() -> None:
    assert asked(until="ci = 2.5 %").until == pytest.approx(0.025)
    assert asked(until=0.1).until == 0.1


def test_streams_are_not_looked_at() -> None:
    with pytest.raises(InputError, match="until is for one stream"):
        asked(streams=[1, 2])
