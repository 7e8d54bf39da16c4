"""What a fleet does before and beside Ray: whose earlier results count, and which unit a lost machine is put down to."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from specbench import fleet, pipeline, store
from specbench.planning import placement
from specbench.planning.placement import Node
from specbench.planning.runfile import validate_runfile
from specbench.records import Machine, Plan

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
