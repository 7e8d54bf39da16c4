"""A real engine on known-answer models: what specbench reports must be what the simulator computes, exactly."""

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from known_answer.models import KnownAnswer
from known_answer.simulator import generate, simulate

from specbench.engines import catalog
from specbench.engines.base import Answer, Request
from specbench.engines.profile import command, effective_settings
from specbench.records import Contender, DraftCounts, Setting

pytestmark = pytest.mark.engine

PROMPT_TOKENS = 20
RECORDED_OUTPUT_TOKENS = 200


@pytest.fixture(params=["xllamacpp", "llama-server"])
def engine(request: pytest.FixtureRequest) -> tuple[str, str | None]:
    """An engine's name and executable. xllamacpp is a dependency, so it is never skipped."""
    name: str = request.param
    if name == "xllamacpp":
        return name, None
    executable = os.environ.get("SPECBENCH_LLAMA_SERVER") or shutil.which("llama-server")
    if executable is None:
        pytest.skip("no llama-server: set SPECBENCH_LLAMA_SERVER, or put it on PATH")
    return name, executable


def contender(
    engine: tuple[str, str | None],
    models: KnownAnswer,
    *,
    method: str,
    draft_model: Path | None = None,
    settings: dict[str, Setting] | None = None,
) -> Contender:
    name, executable = engine
    profile = catalog.profiles(None)[name]
    chosen = effective_settings(profile, method, settings or {})
    engine_settings: dict[str, Setting] = {"threads": 1, "context_size": 2048}
    draft = None if draft_model is None else str(draft_model)
    argv, environment = command(
        profile,
        target_model=str(models.target),
        draft_model=draft,
        method=method,
        settings=chosen,
        engine_settings=engine_settings,
        engine_args=(),
    )
    return Contender(
        name=method,
        engine=name,
        kind=profile.kind,
        target_model=str(models.target),
        target_label="known answer",
        draft_model=draft,
        method=method,
        settings=chosen,
        engine_settings=engine_settings,
        executable=executable or profile.executable,
        argv=argv,
        environment=environment,
    )


def asked(models: KnownAnswer, output_tokens: int, *, steps: bool = False) -> Request:
    """A greedy generation behind the first tokens of the walk."""
    return Request(
        prompt=prompt(models),
        output_tokens=output_tokens,
        temperature=0.0,
        seed=1,
        ignore_eos=True,
        timeout=60.0,
        steps=steps,
        stream=True,  # the engine's count of decode passes needs the progress events
    )


def answer(chosen: Contender, request: Request, *, log: Path) -> Answer:
    with catalog.open_session(chosen, log=log, load_timeout=60.0) as session:
        return session.generate(request)


def prompt(models: KnownAnswer) -> tuple[int, ...]:
    walk = models.maps.walk
    return tuple(walk[i % len(walk)] for i in range(PROMPT_TOKENS))


def reported(counts: DraftCounts) -> tuple[int | None, ...]:
    return counts.emitted, counts.drafted, counts.accepted, counts.verification_steps, counts.drafted_steps


@pytest.mark.parametrize(
    ("cycle", "wrong", "perfect", "draft_tokens_max", "output_tokens"),
    [
        pytest.param(64, 16, False, 4, 200, id="one token in four is wrong"),
        pytest.param(64, 16, False, 1, 64, id="one token a draft"),
        pytest.param(64, 16, False, 16, 100, id="long drafts"),
        pytest.param(32, 5, False, 8, 150, id="another walk"),
        pytest.param(7, 2, False, 5, 33, id="a walk shorter than the prompt"),
        pytest.param(64, 64, False, 3, 48, id="always wrong"),
        pytest.param(64, 16, True, 4, 200, id="always right"),
        pytest.param(64, 16, True, 8, 1, id="nothing to draft: the prompt pass yields the only token"),
    ],
)
def test_a_draft_model_gives_the_counts_that_the_simulator_computes(
    *,
    engine: tuple[str, str | None],
    known_answer_family: Callable[[int, int], KnownAnswer],
    tmp_path: Path,
    cycle: int,
    wrong: int,
    perfect: bool,
    draft_tokens_max: int,
    output_tokens: int,
) -> None:
    models = known_answer_family(cycle, wrong)
    drafting = contender(
        engine,
        models,
        method="draft-model",
        draft_model=models.perfect_draft if perfect else models.draft,
        settings={"draft_tokens_max": draft_tokens_max},
    )
    got = answer(drafting, asked(models, output_tokens), log=tmp_path / "engine.log")
    last, maps = prompt(models)[-1], models.maps
    want = simulate(
        last,
        output_tokens=output_tokens,
        draft_tokens_max=draft_tokens_max,
        target=maps.target,
        drafter=maps.target if perfect else maps.drafter,
    )
    assert got.output_ids == generate(last, output_tokens=output_tokens, target=maps.target)
    assert got.prompt_tokens == PROMPT_TOKENS
    assert got.output_tokens == want.emitted
    assert reported(got.counts) == (
        want.emitted,
        want.drafted,
        want.accepted,
        want.verification_steps,
        want.drafted_steps,
    )
    # An engine that has not drafted yet knows of no positions.
    assert got.counts.accepted_by_position == (want.accepted_by_position if want.drafted_steps else ())


def test_the_recorded_steps_add_up_to_the_counts(
    engine: tuple[str, str | None], known_answer_models: KnownAnswer, tmp_path: Path
) -> None:
    drafting = contender(engine, known_answer_models, method="draft-model", draft_model=known_answer_models.draft)
    got = answer(drafting, asked(known_answer_models, 100, steps=True), log=tmp_path / "engine.log")
    assert got.steps is not None
    assert len(got.steps) == got.counts.verification_steps
    assert sum(step.drafted for step in got.steps) == got.counts.drafted
    assert sum(step.accepted for step in got.steps) == got.counts.accepted
    assert all(step.emitted == step.accepted + 1 for step in got.steps)


def test_without_drafting_every_step_emits_one_token(
    engine: tuple[str, str | None], known_answer_models: KnownAnswer, tmp_path: Path
) -> None:
    plain = contender(engine, known_answer_models, method="none")
    got = answer(plain, asked(known_answer_models, 50), log=tmp_path / "engine.log")
    last = prompt(known_answer_models)[-1]
    assert got.output_ids == generate(last, output_tokens=50, target=known_answer_models.maps.target)
    assert got.counts.verification_steps == 49
    assert not got.counts.drafted


@pytest.mark.parametrize(
    ("method", "drafted_steps", "accepted_by_position"),
    [
        ("ngram-simple", 17, (17, 17, 17, 17, 17, 17, 16, 16)),
        ("ngram-map-k", 16, (16, 16, 16, 16, 15, 15, 15, 15)),
        ("ngram-map-k4v", 16, (16, 16, 16, 16, 15, 15, 15, 15)),
        ("ngram-mod", 17, (17, 17, 17, 16, 16, 16, 16, 16)),
        ("ngram-cache", 6, (6, 6, 6, 6, 6, 6, 6, 6)),
    ],
)
def test_n_gram_drafters_give_the_recorded_counts(
    *,
    engine: tuple[str, str | None],
    known_answer_models: KnownAnswer,
    tmp_path: Path,
    method: str,
    drafted_steps: int,
    accepted_by_position: tuple[int, ...],
) -> None:
    """Recorded on llama.cpp b11448 and b11549, equal on both. Once the walk has gone round, they are always right."""
    drafting = contender(engine, known_answer_models, method=method)
    got = answer(drafting, asked(known_answer_models, RECORDED_OUTPUT_TOKENS), log=tmp_path / "engine.log")
    accepted = sum(accepted_by_position)
    last = prompt(known_answer_models)[-1]
    assert got.output_ids == generate(
        last, output_tokens=RECORDED_OUTPUT_TOKENS, target=known_answer_models.maps.target
    )
    assert reported(got.counts) == (
        RECORDED_OUTPUT_TOKENS,
        accepted,
        accepted,
        RECORDED_OUTPUT_TOKENS - 1 - accepted,
        drafted_steps,
    )
    assert got.counts.accepted_by_position == accepted_by_position


def test_an_attached_server_counts_our_requests_and_nobody_elses(
    engine: tuple[str, str | None], known_answer_models: KnownAnswer, tmp_path: Path
) -> None:
    models, request = known_answer_models, asked(known_answer_models, 100)
    drafting = contender(engine, models, method="draft-model", draft_model=models.draft)
    with catalog.open_session(drafting, log=tmp_path / "engine.log", load_timeout=60.0) as other:
        port = re.search(r"port[= ](\d+)", " ".join(other.info.argv))
        assert port is not None
        attached = replace(drafting, kind="attach", url=f"http://127.0.0.1:{port[1]}")
        with catalog.open_session(attached, log=tmp_path / "attached.log", load_timeout=60.0) as session:
            first = session.generate(request)
            other.generate(request)
            assert session.generate(request).counts == first.counts
