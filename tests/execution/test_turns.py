"""Answers that later turns come after: written once, shared, recorded, and asked for again when they failed."""

from pathlib import Path

import pytest
from execution.fakes import FakeEngine, make_plan

from specbench.execution import Event, execute
from specbench.records import Failure, Generation, Message, Plan, Reply
from specbench.structs import replace


def conversation(plan: Plan) -> Plan:
    """The prompt `q` comes after `p`."""
    prompts = {prompt.id: prompt for prompt in plan.prompts}
    first = prompts.get("p") or replace(prompts["q"], id="p", messages=(Message(role="user", content="p"),))
    later = replace(prompts["q"], after=first.id)
    return replace(plan, prompts=(*(p for p in plan.prompts if p.id not in ("p", "q")), first, later))


def run(plan: Plan, engine: FakeEngine, logs: Path, *, before: tuple[Event, ...] = ()) -> list[Event]:
    replies = [event for event in before if isinstance(event, Reply)]
    done = {event.trial.id for event in before if isinstance(event, Generation)}
    return list(execute(plan, done=done, logs=logs, open_session=engine.open, check=lambda _: None, before=replies))


def test_the_first_that_needs_an_answer_has_it_written_and_everybody_gets_it(tmp_path: Path) -> None:
    engine, plan = FakeEngine(), conversation(make_plan([("a", ["warm", "p", "q"]), ("b", ["p", "q"])]))
    events = run(plan, engine, tmp_path)
    assert engine.calls == ["open a", "p", "warm", "p", "p><x><q", "close a", "open b", "p", "p><x><q", "close b"]
    (reply,) = (event for event in events if isinstance(event, Reply))
    assert (reply.target, reply.answer.trial.contender, reply.answer.trial.prompt) == ("t", "a", "p")
    asked = engine.requests[0]
    assert (asked.temperature, asked.ignore_eos, asked.output_tokens) == (0.0, False, 8)
    hashes = [e.prompt_sha256 for e in events if isinstance(e, Generation) and e.trial.prompt == "q"]
    assert len(hashes) == 2
    assert len(set(hashes)) == 1


def test_a_resumed_run_reads_the_answer_and_writes_none(tmp_path: Path) -> None:
    plan = conversation(make_plan([("a", ["p", "q"]), ("b", ["q"])]))
    events = run(plan, FakeEngine(), tmp_path)
    first = tuple(event for event in events if not isinstance(event, Generation) or event.trial.contender == "a")
    said = next(event for event in first if isinstance(event, Reply))
    other = replace(said, answer=replace(said.answer, text="y"))
    engine = FakeEngine()
    again = run(plan, engine, tmp_path, before=(*first, other))  # of two, the one that was recorded first
    assert engine.calls == ["open b", "p><x><q", "close b"]
    assert not [event for event in again if isinstance(event, Reply)]


def test_a_drafter_that_learns_has_seen_no_answer_being_written(tmp_path: Path) -> None:
    engine = FakeEngine()
    run(conversation(make_plan([("a", ["warm", "q"])], learners=["a"])), engine, tmp_path)
    assert engine.calls == ["open a", "p", "close a", "open a", "warm", "p><x><q", "close a"]


@pytest.mark.parametrize(("way", "reason"), [("refused", "refused"), ("dies", "refused")])
def test_without_the_answer_the_later_turn_fails_and_the_next_contender_asks_again(
    tmp_path: Path, way: str, reason: str
) -> None:
    plan = conversation(make_plan([("a", ["r", "q"]), ("b", ["q"])]))
    broken = (replace(m, content=way) for m in plan.prompts[-2].messages)
    plan = replace(
        plan, prompts=(*plan.prompts[:-2], replace(plan.prompts[-2], messages=tuple(broken)), plan.prompts[-1])
    )
    engine = FakeEngine()
    events = run(plan, engine, tmp_path)
    failures = [event for event in events if isinstance(event, Failure)]
    assert [(f.trial.contender, f.trial.prompt, f.reason) for f in failures] == [("a", "q", reason), ("b", "q", reason)]
    assert failures[0].message.startswith("no answer to p: ")
    assert [event.trial.prompt for event in events if isinstance(event, Generation)] == ["r"]
    assert engine.calls.count(way) == 2


def test_no_answer_is_written_after_the_deadline(tmp_path: Path) -> None:
    engine, now = FakeEngine(), iter([0.0, 0.0, *[9.0] * 9])
    plan = conversation(make_plan([("a", ["q"])]))
    list(
        execute(
            plan, done=(), logs=tmp_path, open_session=engine.open, check=lambda _: None,
            monotonic=lambda: next(now), deadline=5.0,
        )
    )  # fmt: skip
    assert engine.calls == ["open a", "close a"]
