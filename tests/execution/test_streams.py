import threading
import time
from pathlib import Path

import pytest
from execution import fakes
from execution.fakes import FakeEngine, make_plan
from hypothesis import given
from hypothesis import strategies as st

from specbench.analysis.metrics import output_throughput
from specbench.execution import execute
from specbench.execution.blocks import Event
from specbench.execution.prompts import Prompts
from specbench.execution.streams import run_wave, waves
from specbench.records import Failure, Generation, Plan, Trial
from specbench.structs import replace


def plan(prompts: list[str], streams: int, *, learns: bool = False) -> Plan:
    made = make_plan([("a", prompts)], learners=["a"] if learns else [])
    (block,) = made.blocks
    trials = tuple(replace(t, streams=streams) for t in block.trials)
    contender = replace(made.contenders[0], streams=streams)
    return replace(made, blocks=(replace(block, trials=trials),), contenders=(contender,))


def run(made: Plan, engine: FakeEngine, logs: Path, *, done: tuple[str, ...] = ()) -> list[Event]:
    return list(execute(made, done=done, logs=logs, open_session=engine.open, check=lambda _: None))


def of(made: Plan) -> tuple[Trial, ...]:
    return made.blocks[0].trials


@given(st.integers(1, 8), st.integers(1, 20), st.integers(0, 2))
def test_every_stream_is_busy_and_every_trial_runs_once(streams: int, count: int, warm: int) -> None:
    trials = of(plan([*(f"warm{i}" for i in range(warm)), *(f"p{i}" for i in range(count))], streams))
    found = waves(trials)
    assert [t for wave in found for t in wave.members] == list(trials)
    assert {len(wave.members) + len(wave.companions) for wave in found} == {streams}
    assert all(len({t.role for t in (*wave.members, *wave.companions)}) == 1 for wave in found)


def test_fills_categories_and_temperatures_do_not_share_a_wave() -> None:
    fills = [replace(t, fill=n % 2) for n, t in enumerate(of(plan(list("pqrs"), 2)))]
    assert [[t.prompt for t in wave.members] for wave in waves(fills)] == [["p", "r"], ["q", "s"]]
    mixed = [replace(t, category=t.prompt) for t in of(plan(list("pq"), 2))]
    assert [[t.prompt for t in (*w.members, *w.companions)] for w in waves(mixed)] == [["p", "p"], ["q", "q"]]


def test_a_wave_depends_on_the_block_and_not_on_what_is_done(tmp_path: Path) -> None:
    made, engine = plan(["p", "q", "r", "s"], 2), FakeEngine()
    found = [e for e in run(made, engine, tmp_path, done=("0.0", "0.2", "0.3")) if isinstance(e, Generation)]
    assert [g.trial.id for g in found] == ["0.1"]
    assert sorted(engine.calls[1:-1]) == ["p", "q"]  # p keeps the other stream busy, as it did for the baseline


def test_each_generation_knows_its_stream_and_the_figures_of_the_group(tmp_path: Path) -> None:
    events = run(plan(["p", "q", "r"], 2), engine := FakeEngine(), tmp_path)
    found = [e for e in events if isinstance(e, Generation)]
    assert [(g.trial.prompt, g.stream, g.group_tokens) for g in found] == [("p", 0, 2), ("q", 1, 2), ("r", 0, 2)]
    assert found[0].group_seconds == found[1].group_seconds
    assert all(g.group_seconds is not None and g.group_seconds > 0 for g in found)
    assert sorted(engine.calls[1:-1]) == ["p", "p", "q", "r"]
    assert all(request.shared for request in engine.requests)
    alone = [e for e in run(plan(["p"], 1), engine, tmp_path / "alone") if isinstance(e, Generation)]
    assert [(g.stream, g.group_tokens, g.group_seconds) for g in alone] == [(None, None, None)]
    assert not engine.requests[-1].shared


def test_a_group_begins_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly threads start: no request is on its way before the last of them is there."""
    begun, seen = list[str](), list[int]()

    class Slow(threading.Thread):
        def start(self) -> None:
            begun.append(self.name)
            super().start()
            time.sleep(0.05)

    def answer(trial: Trial) -> Failure:
        seen.append(len(begun))
        return Failure(trial=trial, reason="refused", message="", hint="", block=0, order=0, started=0.0)

    monkeypatch.setattr("specbench.execution.streams.Thread", Slow)
    made = plan(["p", "q", "r"], 3)
    (wave,) = waves(of(made))
    prompts = Prompts(made)
    with FakeEngine().open(made.contenders[0], log=tmp_path / "log", load_timeout=1.0) as session:
        run_wave(wave, answer, contender=made.contenders[0], session=session, prompts=prompts)
    assert seen == [3, 3, 3]


def test_a_group_in_which_one_failed_has_no_figures(tmp_path: Path) -> None:
    events = run(plan(["p", "refused", "q", "r"], 2), FakeEngine(), tmp_path)
    assert [e.trial.prompt for e in events if isinstance(e, Failure)] == ["refused"]
    assert [(e.trial.prompt, e.group_tokens) for e in events if isinstance(e, Generation)] == [
        ("p", None),
        ("q", 2),
        ("r", 2),
    ]


@pytest.mark.parametrize("prompts", [["p", "refused"], ["refused", "p"]])
def test_a_group_in_which_one_failed_has_its_figures_after_a_resume(
    prompts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan(prompts, 2)
    before = [e for e in run(made, FakeEngine(), tmp_path) if isinstance(e, Generation)]
    monkeypatch.setattr(fakes, "REFUSED", "no longer")
    after = run(made, FakeEngine(), tmp_path, done=tuple(g.trial.id for g in before))
    found = [*before, *(e for e in after if isinstance(e, Generation))]
    assert [g.trial.prompt for g in found] == ["p", "refused"]
    assert [parts[0] for g in found if (parts := output_throughput(g)) is not None] == [2]


def test_a_drafter_that_learns_is_not_measured_with_a_prompt_that_it_has_seen(tmp_path: Path) -> None:
    found = [e for e in run(plan(["p", "q", "r"], 2, learns=True), FakeEngine(), tmp_path) if isinstance(e, Generation)]
    assert [g.group_tokens for g in found] == [2, 2, None]


@pytest.mark.parametrize("streams", [2, 4])
def test_an_engine_that_dies_takes_its_wave_with_it_and_the_rest_runs_on_a_new_one(
    streams: int, tmp_path: Path
) -> None:
    events = run(plan(["dies"] * streams + ["p"], streams), engine := FakeEngine(), tmp_path)
    assert [e.reason for e in events if isinstance(e, Failure)] == ["engine-died"] * streams
    assert [e.trial.prompt for e in events if isinstance(e, Generation)] == ["p"]
    assert engine.calls.count("open a") == 2
