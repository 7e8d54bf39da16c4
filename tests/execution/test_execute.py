import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from execution import fakes
from execution.fakes import FakeEngine, make_plan

from specbench.engines.base import EngineInfo
from specbench.execution import BlockStarted, TrialStarted, execute
from specbench.execution.blocks import Event
from specbench.hardware.sensors import Engine, Source
from specbench.hardware.telemetry import Sampler
from specbench.records import Block, Enough, Failure, Generation, Opening, Plan, Skip, Telemetry
from specbench.structs import replace

T = TypeVar("T")


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


def run(plan: Plan, engine: FakeEngine, logs: Path, *, done: tuple[str, ...] = ()) -> list[Event]:
    return list(execute(plan, done=done, logs=logs, open_session=engine.open, check=lambda _: None, clock=lambda: 7.0))


def generated(events: list[Event]) -> list[str]:
    return [event.trial.id for event in events if isinstance(event, Generation)]


def of(events: list[Event], kind: type[T]) -> list[T]:
    return [event for event in events if isinstance(event, kind)]


def test_blocks_run_in_order_each_on_its_own_engine(engine: FakeEngine, tmp_path: Path) -> None:
    plan = make_plan([("a", ["warm", "p", "q"]), ("b", ["p"]), ("a", ["q"])])
    events = run(plan, engine, tmp_path)
    assert engine.calls == ["open a", "warm", "p", "q", "close a", "open b", "p", "close b", "open a", "q", "close a"]
    kinds = [type(event) for event in events[:5]]
    assert kinds == [BlockStarted, Opening, TrialStarted, Generation, TrialStarted]
    assert generated(events) == ["0.0", "0.1", "0.2", "1.0", "2.0"]
    assert [event.order for event in of(events, Generation)] == [0, 1, 2, 3, 4]
    assert len(set(engine.logs)) == 3


def test_a_generation_holds_the_answer_and_how_it_came_about(engine: FakeEngine, tmp_path: Path) -> None:
    plan = replace(make_plan([("a", ["p"])]), thinking=False, trial_timeout=9.0, record_steps=True)
    found = of(run(plan, engine, tmp_path), Generation)[0]
    assert (found.started, found.block, found.text, found.counts.emitted) == (7.0, 0, "x", 1)
    assert found.prompt_sha256 == hashlib.sha256(b"<p>").hexdigest()
    assert found.load_average is None or found.load_average >= 0
    request = engine.requests[0]
    assert (request.prompt, request.timeout, request.output_tokens, request.steps) == ("<p>", 9.0, 8, True)
    assert engine.calls[1] == "template False"


def test_only_a_greedy_control_asks_for_the_two_likeliest_tokens(engine: FakeEngine, tmp_path: Path) -> None:
    plan = make_plan([("a", ["p", "control"])])
    warm = replace(plan.blocks[0].trials[1], temperature=0.8, id="hot")
    block = replace(plan.blocks[0], trials=(*plan.blocks[0].trials, warm))
    run(replace(plan, blocks=(block,)), engine, tmp_path)
    assert [request.top_two for request in engine.requests] == [False, True, False]


def test_a_constrained_prompt_passes_its_schema_and_a_free_one_does_not(engine: FakeEngine, tmp_path: Path) -> None:
    plan = make_plan([("a", ["p", "q"])])
    p, q = (replace(prompt, json_schema="{}") for prompt in plan.prompts)
    run(replace(plan, prompts=(replace(p, constrained=True), q)), engine, tmp_path)
    assert [request.json_schema for request in engine.requests] == ["{}", None]


def test_what_is_done_does_not_run_again(engine: FakeEngine, tmp_path: Path) -> None:
    plan = make_plan([("a", ["warm", "p", "q"]), ("b", ["p"])])
    events = run(plan, engine, tmp_path, done=("0.0", "0.1", "1.0"))
    assert engine.calls == ["open a", "warm", "q", "close a"]
    assert generated(events) == ["0.2"]


def test_a_learning_contender_starts_its_block_anew_and_records_nothing_twice(
    engine: FakeEngine, tmp_path: Path
) -> None:
    plan = make_plan([("a", ["warm", "p", "q", "r"])], learners=["a"])
    events = run(plan, engine, tmp_path, done=("0.0", "0.1", "0.3"))
    assert engine.calls == ["open a", "warm", "p", "q", "close a"]  # r is recorded and nothing comes after it
    assert generated(events) == ["0.2"]


def test_a_refused_trial_is_a_failure_and_the_engine_stays(engine: FakeEngine, tmp_path: Path) -> None:
    events = run(make_plan([("a", ["p", "refused", "q"])]), engine, tmp_path)
    failure = of(events, Failure)[0]
    assert (failure.reason, failure.message, failure.log_tail) == ("refused", "no", "last words")
    assert engine.calls == ["open a", "p", "refused", "q", "close a"]


@pytest.mark.parametrize("way", ["dies", "hangs"])
def test_a_lost_engine_is_opened_once_more_for_the_rest(engine: FakeEngine, tmp_path: Path, way: str) -> None:
    events = run(make_plan([("a", ["warm", "p", way, "q"])]), engine, tmp_path)
    assert engine.calls == f"open a,warm,p,{way},close a,open a,warm,q,close a".split(",")
    assert [failure.trial.prompt for failure in of(events, Failure)] == [way]
    assert generated(events) == ["0.0", "0.1", "0.3"]
    assert len(set(engine.logs)) == 2


def test_a_learner_sees_its_earlier_trials_again_after_its_engine_was_lost(engine: FakeEngine, tmp_path: Path) -> None:
    events = run(make_plan([("a", ["p", "dies", "q"])], learners=["a"]), engine, tmp_path)
    assert engine.calls == ["open a", "p", "dies", "close a", "open a", "p", "q", "close a"]
    assert generated(events) == ["0.0", "0.2"]


def test_after_a_second_loss_the_rest_of_the_block_is_skipped(engine: FakeEngine, tmp_path: Path) -> None:
    events = run(make_plan([("a", ["dies", "p", "dies too", "q"]), ("a", ["r"])]), engine, tmp_path)
    skip = of(events, Skip)[0]
    assert (skip.contender, skip.block) == ("a", 0)
    assert "lost 2 times" in skip.reason
    assert generated(events) == ["0.1", "1.0"]


def test_an_engine_that_does_not_open_is_tried_twice_in_the_run(engine: FakeEngine, tmp_path: Path) -> None:
    engine.broken = {"a"}
    events = run(make_plan([("a", ["p"]), ("b", ["p"]), ("a", ["p"]), ("a", ["p"])]), engine, tmp_path)
    assert engine.calls == ["open a", "open b", "p", "close b", "open a"]
    assert [(skip.block, skip.reason, skip.log_tail) for skip in of(events, Skip)] == [
        (0, "it does not start", "E broken"),
        (None, "it does not start", "E broken"),
    ]


def test_an_engine_that_says_nonsense_of_itself_is_skipped(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nonsense: Any = "much"
    monkeypatch.setattr(fakes, "EngineInfo", lambda version: EngineInfo(version=version, context_size=nonsense))
    (skip,) = of(run(make_plan([("a", ["p"])]), engine, tmp_path), Skip)
    assert "what the engine says of itself is not understood: Expected `int | null`" in skip.reason
    assert engine.calls == ["open a", "close a"]


def test_a_contender_that_cannot_run_here_is_skipped_once(engine: FakeEngine, tmp_path: Path) -> None:
    plan = make_plan([("a", ["p"]), ("a", ["q"]), ("b", ["p"])])
    skip = Skip(contender="a", block=None, reason="no such flag", hint="update")
    events = list(
        execute(plan, done=(), logs=tmp_path, open_session=engine.open, check=lambda c: skip if c.name == "a" else None)
    )
    assert of(events, Skip) == [skip]
    assert generated(events) == ["2.0"]


def test_no_trial_begins_after_the_deadline(engine: FakeEngine, tmp_path: Path) -> None:
    def monotonic() -> float:
        return float(len(engine.requests))

    plan = make_plan([("a", ["p", "q", "r"]), ("b", ["p"])])
    events = list(
        execute(
            plan,
            done=(),
            logs=tmp_path,
            open_session=engine.open,
            check=lambda _: None,
            monotonic=monotonic,
            deadline=2.0,
        )
    )
    assert generated(events) == ["0.0", "0.1"]
    assert engine.calls == ["open a", "p", "q", "close a"]


def test_an_interrupt_closes_the_engine_and_passes_through(engine: FakeEngine, tmp_path: Path) -> None:
    events: Iterator[Event] = execute(
        make_plan([("a", ["p", "q"])]), done=(), logs=tmp_path, open_session=engine.open, check=lambda _: None
    )
    for event in events:
        if isinstance(event, Generation):
            break
    with pytest.raises(KeyboardInterrupt):
        events.throw(KeyboardInterrupt())
    assert engine.calls == ["open a", "p", "close a"]


def test_telemetry_comes_before_the_trial_that_it_is_of_and_not_for_warm_ups(
    engine: FakeEngine, tmp_path: Path
) -> None:
    sampler = Sampler([Source("own", {"memory": lambda: 5.0})], Engine(), {}, monotonic=time.monotonic)
    plan = make_plan([("a", ["warm", "p", "dies"])])
    events = list(
        execute(plan, done=(), logs=tmp_path, open_session=engine.open, check=lambda _: None, sampler=sampler)
    )
    kinds = [type(event) for event in events]
    assert kinds[1:6] == [Opening, TrialStarted, Generation, TrialStarted, Telemetry]
    lost = kinds.index(Failure)
    assert kinds[lost - 1] is Telemetry
    for seen, result in ((events[5], events[6]), (events[lost - 1], events[lost])):
        assert isinstance(seen, Telemetry)
        assert isinstance(result, Generation | Failure)
        assert (seen.trial, seen.started) == (result.trial.id, result.started)
        assert seen.gauges["own.memory"].high == 5.0
    assert [t for t in threading.enumerate() if t.name == "telemetry"] == []


def test_what_need_not_run_is_told_before_its_block_and_opens_no_engine(engine: FakeEngine, tmp_path: Path) -> None:
    plan = make_plan([("a", ["p"]), ("b", ["p"]), ("a", ["q"]), ("b", ["q", "s"])])
    seen: list[int] = []

    def enough(block: Block) -> list[Enough]:
        seen.append(block.index)
        names = {2: ("2.0",), 3: ("3.0",)}.get(block.index)
        return [Enough(contender=block.contender, category="c", reason="known", trials=names)] if names else []

    logs, check = tmp_path, lambda _: None
    events = list(execute(plan, done=(), logs=logs, open_session=engine.open, check=check, enough=enough))
    assert seen == [0, 1, 2, 3]
    assert engine.calls == ["open a", "p", "close a", "open b", "p", "close b", "open b", "s", "close b"]
    assert [e.trials for e in of(events, Enough)] == [("2.0",), ("3.0",)]
