"""Which machine measures what: nothing is lost or done twice, and what is compared stays together."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specbench import pipeline
from specbench.errors import InputError
from specbench.planning import placement
from specbench.planning.fleetfile import FleetFile, conditions, facts, unmet, validate_fleetfile
from specbench.planning.placement import Node
from specbench.planning.runfile import validate_runfile
from specbench.records import Accelerator, Machine, Plan, Skip, Trial
from specbench.structs import replace

CARD = Accelerator(vendor="nvidia", name="NVIDIA GeForce RTX 3090", memory=24 * 2**30)
BIG = Machine(system="Linux", cpu="Big", cores_logical=64, memory=256 * 2**30, accelerators=(CARD, CARD))
SMALL = Machine(system="Linux", cpu="Small", cores_logical=4, memory=16 * 10**9)


def plan(**asked: Any) -> Plan:
    base = {
        "targets": [{"model": "micro", "drafters": ["micro-draft"]}, {"model": "micro-f16"}],
        "methods": ["draft-model", "ngram-mod"], "tags": ["micro"], "prompts_per_category": 2, "output_tokens": 16,
        "fill": 384, "discover": False,
    }  # fmt: skip
    base["targets"][1]["methods"] = ["ngram-mod"]  # type: ignore[index]  # the second target
    return pipeline.plan_run(validate_runfile(base | asked))


PLANS = {
    "by category": placement.apart(plan()),
    "by repeat": placement.apart(plan(order="by-repeat", repeats=2)),
    "repeats": placement.apart(plan(repeats=3, categories=["code", "chat"])),
    "with a budget": placement.apart(plan(budget=60)),
}


def trials(made: Plan, *, role: str | None = None) -> list[Trial]:
    return [t for b in made.blocks for t in b.trials if (t.role != "warm-up" if role is None else t.role == role)]


def node(name: str, *, machine: Machine = SMALL, lacks: tuple[str, ...] = ()) -> Node:
    skips = {c: Skip(contender=c, block=None, reason="the model is not there", hint="put it there") for c in lacks}
    return Node(name, name, {"CPU": 4}, machine, (), skips)


@pytest.mark.parametrize("made", PLANS.values(), ids=PLANS)
def test_every_block_belongs_to_one_unit(made: Plan) -> None:
    blocks = [index for unit in placement.units(made) for index in unit]
    assert sorted(blocks) == [block.index for block in made.blocks] == list(range(len(made.blocks)))


def test_what_a_lost_machine_had_goes_to_the_one_that_has_least_to_do() -> None:
    made = PLANS["repeats"]
    first, *others = placement.units(made)
    everything = {t.id for t in trials(made)}
    busy = [("a", unit) for unit in others]
    for nodes in ([node("a"), node("b")], [node("b"), node("a")]):
        [(chosen, units)] = placement.place(made, [first], nodes, left=everything, busy=busy)
        assert (chosen.name, units) == ("b", [first])
    measured = {t.id for unit in others for i in unit for t in made.blocks[i].trials}  # by now
    [(chosen, _)] = placement.place(made, [first], [node("a"), node("b")], left=everything - measured, busy=busy)
    assert chosen.name == "a"


@pytest.mark.parametrize("made", PLANS.values(), ids=PLANS)
def test_what_is_compared_stays_on_one_machine(made: Plan) -> None:
    unit_of = {index: unit for unit in placement.units(made) for index in unit}
    homes: dict[tuple[str, str], set[Any]] = {}
    for block in made.blocks:
        contender = made.contender(block.contender)
        for trial in (t for t in block.trials if t.role != "warm-up"):
            compared = contender.baseline or contender.name, trial.prompt
            homes.setdefault(compared, set()).add(unit_of[block.index])
    assert homes
    assert {len(units) for units in homes.values()} == {1}


def test_controls_are_taken_apart_by_category_with_their_warm_ups_and_nothing_is_lost() -> None:
    whole, made = plan(), PLANS["by category"]
    assert Counter(t.id for t in trials(made)) == Counter(t.id for t in trials(whole))
    assert len(made.blocks) > len(whole.blocks)
    assert {len({t.category for t in b.trials if t.role != "warm-up"}) for b in made.blocks} == {1}
    assert all(b.trials[0].role == "warm-up" for b in made.blocks)
    assert placement.apart(made) == made


def test_a_plan_whose_blocks_have_all_categories_stays_as_it_is() -> None:
    by_repeat = plan(order="by-repeat")
    assert placement.apart(by_repeat) == by_repeat
    assert len(placement.units(by_repeat)) == len({c.target_label for c in by_repeat.contenders}) == 2


@given(st.sampled_from(sorted(PLANS)), st.integers(1, 12), st.data())
def test_what_is_left_goes_to_exactly_one_machine_each(name: str, machines: int, data: st.DataObject) -> None:
    made = PLANS[name]
    left = data.draw(st.sets(st.sampled_from([t.id for t in trials(made)])))
    placed = placement.place(made, placement.units(made), [node(f"n{i}") for i in range(machines)], left=left)
    indices = Counter(index for _, units in placed for unit in units for index in unit)
    assert set(indices.values()) <= {1}
    assert left == {t.id for i in indices for t in made.blocks[i].trials if t.role != "warm-up" and t.id in left}
    assert len({n.name for n, _ in placed}) == len(placed)
    assert all(left & {t.id for i in unit for t in made.blocks[i].trials} for _, units in placed for unit in units)


def test_machines_that_are_the_same_get_about_the_same_work() -> None:
    made = PLANS["by category"]
    left = {t.id for t in trials(made)}
    placed = placement.place(made, placement.units(made), [node("a"), node("b"), node("c")], left=left)
    work = [sum(t.output_tokens for u in units for i in u for t in made.blocks[i].trials) for _, units in placed]
    assert len(work) == 3
    assert max(work) <= 1.5 * min(work)


def test_a_unit_goes_where_least_is_lacking_and_to_the_least_evil_where_all_lack() -> None:
    made = PLANS["by category"]
    left, names = {t.id for t in trials(made)}, [c.name for c in made.contenders]
    lacking = [node("bare", lacks=tuple(names)), node("whole"), node("half", lacks=tuple(names[:2]))]
    placed = {n.name: units for n, units in placement.place(made, placement.units(made), lacking, left=left)}
    assert "bare" not in placed
    everything = placement.place(made, placement.units(made), lacking[:1], left=left)
    assert len(everything[0][1]) == len(placement.units(made))  # so that each skip is recorded once


def test_different_machines_are_kinds_and_the_same_ones_share() -> None:
    kinds = placement.kinds([node("a"), node("x", machine=BIG), node("b")])
    assert [[n.name for n in kind] for kind in kinds] == [["a", "b"], ["x"]]


def test_a_contender_is_started_with_the_files_of_the_other_machine() -> None:
    c = replace(
        PLANS["by category"].contenders[0],
        engine="llama-server", executable="llama-server", target_model="/m/a", draft_model="/m/a-draft",
        argv=("-m", "/m/a", "model.path=/m/a-draft", '{"model": "/m/a"}', "/elsewhere"),
    )  # fmt: skip
    files = {"/m/a": "/data/A", "/m/a-draft": "/data/B"}
    there = placement.started_there(c, programs={"llama-server": "/opt/llama-server"}, files=files)
    assert there.argv == ("-m", "/data/A", "model.path=/data/B", '{"model": "/data/A"}', "/elsewhere")
    assert (there.target_model, there.draft_model, there.executable) == ("/data/A", "/data/B", "/opt/llama-server")
    assert placement.started_there(c, programs={}, files={}) == c


@pytest.mark.parametrize(
    ("asked", "on_big", "on_small"),
    [
        ("gpu.name~3090", True, False),
        ("gpu.name ~ rtx 3090, memory >= 200GiB", True, False),
        ("memory>=16GB", True, True),
        ("memory>=16GiB", True, False),
        ("cores_logical<8", False, True),
        ("gpus=2", True, False),
        ("gpus=0", False, True),
        ("cpu=small", False, True),
        ("node=desk", True, True),
        ("resource.bench>=1", True, True),
        ("resource.other>=1", False, False),
        ("gpu.memory>16GiB", True, False),
        ("gpu.target=8.6", False, False),  # nobody knows
    ],
)
def test_a_requirement_is_met_by_what_the_machine_has(asked: str, *, on_big: bool, on_small: bool) -> None:
    for machine, expected in ((BIG, on_big), (SMALL, on_small)):
        reason = unmet(conditions(asked), facts(machine, node="desk", **{"resource.bench": 1.0}))
        assert (reason is None) == expected, reason
        assert expected or "does not hold, it has" in str(reason)


@pytest.mark.parametrize(
    ("target", "asked", "expected"),
    [
        ("8.6", "gpu.target>=8.0", True),
        ("8.6", "gpu.target>8.6", False),
        ("10.0", "gpu.target>=9.0", True),  # as numbers, not as text
        ("9.0", "gpu.target=9", True),
        ("gfx1100", "gpu.target>=8.0", False),
        ("gfx1100", "gpu.target=GFX1100", True),
    ],
)
def test_a_number_in_a_text_is_compared_as_one(target: str, asked: str, *, expected: bool) -> None:
    machine = replace(BIG, accelerators=(replace(CARD, target=target),))
    assert (unmet(conditions(asked), facts(machine)) is None) == expected


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("cpu>=3", "cpu is a text, which `>=` cannot compare"),
        ("gpu.name<3090", "gpu.name is a text, which `<` cannot compare"),
        ("engine>1", "engine is a text, which `>` cannot compare"),
        ("3090", "is no requirement"),
        ("", "is no requirement"),
        ("gpu.nam~3090", "a machine has no 'gpu.nam'"),
        ("memory>much", "'much' is not a number"),
        ("memory>1.2.3", "'1.2.3' is not a number"),
    ],
)
def test_a_wrong_requirement_is_told(asked: str, told: str) -> None:
    with pytest.raises(InputError) as error:
        conditions(asked)
    assert told in error.value.message
    assert error.value.hint


def test_a_fleet_file_holds_for_the_machines_that_it_names_and_the_last_word_counts() -> None:
    tables = [
        {"engines": {"llama-server": "/usr/bin/llama-server"}, "models": {"a.gguf": "/all/a.gguf"}},
        {"on": "gpu.name~3090", "engines": {"llama-server": "/cuda/llama-server"}},
        {"on": "cpu=nobody", "engines": {"llama-server": "/never"}},
    ]
    file = validate_fleetfile({"node": tables})
    big, small = file.at(facts(BIG)), file.at(facts(SMALL))
    assert (big.engines, small.engines) == (
        {"llama-server": "/cuda/llama-server"},
        {"llama-server": "/usr/bin/llama-server"},
    )
    assert big.models == small.models == {"a.gguf": "/all/a.gguf"}
    assert FleetFile().at(facts(BIG)).engines == {}


def test_what_is_wrong_in_a_fleet_file_is_told() -> None:
    with pytest.raises(InputError) as error:
        validate_fleetfile({"node": [{"engine": {}}], "nodes": []})
    assert "unknown key 'nodes': did you mean 'node'?" in error.value.message
    assert "did you mean 'engines'?" in error.value.message
    with pytest.raises(InputError) as error:
        validate_fleetfile({"node": [{"on": "gpu.nam~x"}]})
    assert "a machine has no 'gpu.nam'" in error.value.message
    with pytest.raises(InputError) as error:
        validate_fleetfile({"node": [{"on": "gpus=1, engine=llama-server"}]})
    assert "the fleet's file cannot ask for 'engine'" in error.value.message
