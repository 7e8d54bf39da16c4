"""What a fleet does beside Ray: whose earlier results count, what is refused, which unit a lost machine counts for."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from specbench import fleet, pipeline, store
from specbench.cli import fleet as command
from specbench.errors import InputError
from specbench.execution import BlockStarted
from specbench.planning import placement
from specbench.planning.placement import Node
from specbench.planning.runfile import validate_runfile
from specbench.records import Accelerator, Machine, Plan, Skip
from specbench.structs import replace, to_json

HERE = Machine(system="Linux", cpu="Small", cores_logical=4, memory=16 * 10**9)
THERE = Machine(system="Linux", cpu="Big", cores_logical=64, memory=256 * 10**9)


def plan(**asked: Any) -> Plan:
    base = {"targets": [{"model": "micro"}], "methods": ["ngram-mod"], "tags": ["micro"], "prompts_per_category": 2}
    return placement.apart(pipeline.plan_run(validate_runfile(base | asked)))


def node(name: str, machine: Machine = HERE) -> Node:
    return Node(name, name, {"CPU": 4}, machine, (), {})


def test_earlier_results_of_one_kind_of_machine_are_not_those_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(fleet, "_follow", lambda _, runs, **__: seen.extend(runs))
    put_nowhere = SimpleNamespace(put=bytes)
    found = [node("a"), node("b", THERE)]
    fleet.carry_out(put_nowhere, plan(), None, found, results=tmp_path, observe=lambda *_: None, budget=None)
    assert len(seen) == 2
    seen[0].before.append("a result")
    assert seen[1].before == []


def test_a_server_at_a_url_is_not_measured_by_several_nodes_at_once(tmp_path: Path) -> None:
    made = plan()
    shared = replace(made, contenders=tuple(replace(c, url="http://127.0.0.1:9") for c in made.contenders))
    with pytest.raises(InputError) as error:
        command.run(
            "127.0.0.1:1", shared, None, results=tmp_path, file=None, on=None, hostname=False, dry_run=True, budget=None
        )
    assert "would all measure one server" in error.value.message
    assert "leave out --fleet" in str(error.value.hint)


def test_a_node_watches_its_own_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(pipeline, "measured", lambda *_, cards, **__: map(seen.append, [cards]))
    cards = (Accelerator(vendor="nvidia", pci_address="0000:81:00.0"),)
    own = replace(node("b", replace(HERE, accelerators=cards)), contenders=plan().contenders)
    assert list(fleet.measure(to_json(plan()), own, [], left=set(), end=None)) == [None]
    assert seen == [cards]


def test_a_lost_machine_counts_for_the_unit_that_ran_there_and_for_no_other(tmp_path: Path) -> None:
    made = plan()
    units = placement.units(made)
    assert len(units) >= 2
    with store.create(tmp_path, made, HERE) as folder:
        run = fleet._Run(folder, [node("a"), node("b"), node("c"), node("d")], None, [], store.planned(made))
        again, skips = run.lose(node("a"), units, "gone")  # before anything began: the first one may be why
        assert (again, skips) == (units, [])
        for name in ("b", "c"):
            run.take(BlockStarted(made.blocks[units[1][0]]), node(name))
            again, skips = run.lose(node(name), units, "gone")
        assert again == [units[0], *units[2:]]
        assert {s.block for s in skips if isinstance(s, Skip)} == set(units[1])
        assert len(skips) == len(units[1])
        assert run.lose(node("d"), again, "gone")[0] == []  # nobody is left


def test_a_lost_unit_goes_to_the_node_that_has_least_to_do(tmp_path: Path) -> None:
    made, asked = plan(), list[str]()
    first, second, *_ = placement.units(made)
    to_node = SimpleNamespace(
        options=lambda **_: SimpleNamespace(remote=lambda _, node, *__, **___: asked.append(node.name))
    )
    ray: Any = SimpleNamespace(remote=lambda _: to_node, util=None)
    with store.create(tmp_path, made, HERE) as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet, "_all_of", lambda *_: {})
        run = fleet._Run(folder, [node("a"), node("b")], None, [], store.planned(made))
        run.send(ray, [first], None, {"a stream": (run, node("a"), [second])})
    assert asked == ["b"]


def test_what_waits_behind_other_work_of_a_lost_machine_is_not_blamed(tmp_path: Path) -> None:
    made = plan()
    first, *others = placement.units(made)
    with store.create(tmp_path, made, HERE) as folder:
        run = fleet._Run(folder, [node("a"), node("b")], None, [], store.planned(made))
        run.take(BlockStarted(made.blocks[first[0]]), node("a"))
        run.lose(node("a"), others, "gone")
        run.lose(node("a"), [first], "gone")
    assert run.losses == {first: 1}


def test_a_budget_does_not_begin_anew_when_work_has_waited_for_its_node(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    monkeypatch.setattr(pipeline, "measured", lambda *_, deadline, **__: map(seen.append, [deadline]))
    own, began = replace(node("a"), contenders=plan().contenders), time.monotonic()
    for end in (time.time() - 1, time.time() + 60):
        assert list(fleet.measure(to_json(plan()), own, [], left=set(), end=end)) == [None]
    over, open_ = seen
    assert over < began < open_ <= time.monotonic() + 60
