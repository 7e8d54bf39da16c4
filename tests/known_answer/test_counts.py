"""A real engine on known-answer models: what specbench reports must be what the simulator computes, exactly."""

import re
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from known_answer.models import KnownAnswer
from known_answer.rig import (
    DRAFTERS,
    PROMPT_TOKENS,
    Drafter,
    Engine,
    answer,
    asked,
    contender,
    find_engine,
    prompt,
    reported,
    simulated,
)
from known_answer.simulator import generate, simulate

from specbench.engines import catalog
from specbench.engines.wire import Wire
from specbench.records import Setting
from specbench.structs import replace

pytestmark = pytest.mark.engine

RECORDED_OUTPUT_TOKENS = 200
SECOND = ("draft-model", "mtp", "eagle3", "dspark")


@pytest.fixture(params=["xllamacpp", "llama-server"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return find_engine(request.param)


WALKS = {
    "one token in four is wrong": (64, 16, 4, 200),
    "one token a draft": (64, 16, 1, 64),
    "long drafts": (64, 16, 16, 100),
    "another walk": (32, 5, 8, 150),
    "a walk shorter than the prompt": (7, 2, 5, 33),
    "always wrong": (64, 64, 3, 48),
    "always right": (64, 0, 4, 200),
    "nothing to draft, for the prompt pass yields the only token": (64, 0, 8, 1),
}
FEW = list(WALKS)[::2]


@pytest.mark.parametrize(
    ("drafter", "walk"), [p for p in product(DRAFTERS, WALKS) if p[0] == "draft-model" or p[1] in FEW]
)
def test_an_engine_gives_the_counts_that_the_simulator_computes(
    *,
    engine: Engine,
    known_answer_family: Callable[..., KnownAnswer],
    tmp_path: Path,
    drafter: str,
    walk: str,
) -> None:
    cycle, wrong, draft_tokens_max, output_tokens = WALKS[walk]
    models, drafts = known_answer_family(cycle, wrong), DRAFTERS[drafter]
    drafting = contender(engine, models, drafts, settings={"draft_tokens_max": draft_tokens_max})
    got = answer(drafting, asked(models, output_tokens), log=tmp_path / "engine.log")
    last, maps = prompt(models)[-1], models.maps
    want = simulate(
        last,
        output_tokens=output_tokens,
        draft_tokens_max=min(draft_tokens_max, drafts.most),
        target=maps.target,
        drafter=drafts.map(models),
    )
    assert got.output_ids == generate(last, output_tokens=output_tokens, target=maps.target)
    assert got.prompt_tokens == PROMPT_TOKENS
    assert got.output_tokens == want.emitted
    assert reported(got.counts) == simulated(want)
    # An engine that has not drafted yet knows of no positions.
    assert got.counts.accepted_by_position == (want.accepted_by_position if want.drafted_steps else ())
    assert got.observed["method"] == drafts.method


@pytest.mark.parametrize("drafter", [d for d in DRAFTERS.values() if d.method != "dflash"], ids=lambda d: d.target)
def test_a_draft_ends_where_the_drafter_is_unsure_and_a_short_one_is_dropped(
    *, engine: Engine, known_answer_models: KnownAnswer, tmp_path: Path, drafter: Drafter
) -> None:
    models = known_answer_models
    settings: dict[str, Setting] = {"draft_tokens_max": 4, "p_min": 0.75, "draft_tokens_min": 3}
    got = answer(contender(engine, models, drafter, settings=settings), asked(models, 200), log=tmp_path / "engine.log")
    want = simulate(
        prompt(models)[-1],
        output_tokens=200,
        draft_tokens_max=min(4, drafter.most),
        target=models.maps.target,
        drafter=models.maps.drafter,
        draft_tokens_min=3,
        unsure=models.maps.mistakes,
    )
    assert want.drafted == want.accepted > 0
    assert reported(got.counts) == simulated(want)
    assert got.counts.accepted_by_position == want.accepted_by_position


@pytest.mark.parametrize("drafter", DRAFTERS.values(), ids=DRAFTERS)
def test_the_drafter_has_its_own_cache_type_and_place(
    engine: Engine, known_answer_models: KnownAnswer, tmp_path: Path, drafter: Drafter
) -> None:
    log = tmp_path / "engine.log"
    settings: dict[str, Setting] = {"draft_cache_type_k": "q8_0", "draft_cache_type_v": "q4_0", "p_split": 0.2}
    if drafter.file is not None:
        settings |= {"draft_gpu_layers": 0, "draft_device": "none", "draft_threads": 1}
    answer(contender(engine, known_answer_models, drafter, settings=settings), asked(known_answer_models, 40), log=log)
    caches = re.findall(r"K \((\w+)\):.*V \((\w+)\):", log.read_text(encoding="utf-8"))
    assert caches[0] == ("f16", "f16")
    assert caches[-1] == ("q8_0", "q4_0")


@pytest.mark.parametrize(
    ("first", "second", "drafted", "accepted_by_position"),
    [
        *(("ngram-mod", second, 197, (30, 26, 23, 22, 16, 16, 16, 16)) for second in SECOND),
        ("ngram-simple", "draft-model", 198, (29, 26, 23, 22, 17, 17, 16, 16)),
        ("ngram-simple+ngram-mod", "draft-model", 198, (29, 26, 23, 22, 17, 17, 16, 16)),
    ],
)
def test_a_look_up_before_a_drafter_gives_the_recorded_counts(
    *,
    engine: Engine,
    known_answer_models: KnownAnswer,
    tmp_path: Path,
    first: str,
    second: str,
    drafted: int,
    accepted_by_position: tuple[int, ...],
) -> None:
    """Recorded on llama.cpp b11448 and b11549, equal on both and for each second drafter.

    Before the walk has gone round the second one drafts 4 tokens, sometimes wrongly; then the first one 8, all right.
    """
    method = f"{first}+{second}"
    drafting = contender(
        engine, known_answer_models, DRAFTERS[second], method=method, settings={f"{second}.draft_tokens_max": 4}
    )
    got = answer(drafting, asked(known_answer_models, RECORDED_OUTPUT_TOKENS), log=tmp_path / "engine.log")
    accepted = sum(accepted_by_position)
    steps = RECORDED_OUTPUT_TOKENS - 1 - accepted
    assert reported(got.counts) == (RECORDED_OUTPUT_TOKENS, drafted, accepted, steps, steps)
    assert got.counts.accepted_by_position == accepted_by_position
    assert got.observed["method"] == method


def test_the_recorded_steps_add_up_to_the_counts(
    engine: Engine, known_answer_models: KnownAnswer, tmp_path: Path
) -> None:
    drafting = contender(engine, known_answer_models, DRAFTERS["draft-model"])
    got = answer(drafting, asked(known_answer_models, 100, steps=True), log=tmp_path / "engine.log")
    assert got.steps is not None
    assert len(got.steps) == got.counts.verification_steps
    assert sum(step.drafted for step in got.steps) == got.counts.drafted
    assert sum(step.accepted for step in got.steps) == got.counts.accepted
    assert all(step.emitted == step.accepted + 1 for step in got.steps)


def test_without_drafting_every_step_emits_one_token(
    engine: Engine, known_answer_models: KnownAnswer, tmp_path: Path
) -> None:
    plain = contender(engine, known_answer_models)
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
    engine: Engine,
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


def test_nobody_else_on_the_machine_can_ask_an_engine_and_its_key_is_recorded_nowhere(
    engine: Engine, known_answer_models: KnownAnswer, tmp_path: Path
) -> None:
    subject = contender(engine, known_answer_models)
    assert "$key" in subject.environment.values()
    log = tmp_path / "engine.log"
    with catalog.open_session(subject, log=log, load_timeout=60.0) as session:
        session.generate(asked(known_answer_models, 4))
        running = session._running  # type: ignore[attr-defined]
        key = running.wire._client.headers["Authorization"].removeprefix("Bearer ")
        assert Wire(running.wire.url).exchange("/props", timeout=10).status == 401
        assert Wire(running.wire.url, key=key).exchange("/props", timeout=10).status == 200
    for kept in (repr(session.info), log.read_text(errors="replace")):
        assert key not in kept


def test_an_attached_server_counts_our_requests_and_nobody_elses(
    engine: Engine, known_answer_models: KnownAnswer, tmp_path: Path
) -> None:
    models, request = known_answer_models, asked(known_answer_models, 100)
    drafting = replace(contender(engine, models, DRAFTERS["draft-model"]), environment={})  # without a key
    with catalog.open_session(drafting, log=tmp_path / "engine.log", load_timeout=60.0) as other:
        port = re.search(r"port[= ](\d+)", " ".join(other.info.argv))
        assert port is not None
        attached = replace(drafting, kind="attach", url=f"http://127.0.0.1:{port[1]}")
        with catalog.open_session(attached, log=tmp_path / "attached.log", load_timeout=60.0) as session:
            first = session.generate(request)
            other.generate(request)
            assert session.generate(request).counts == first.counts
            assert first.verification_rule == "greedy-match"
            # What whoever started it chose for the temperatures above 0 is not known.
            assert session.generate(asked(models, 20, temperature=1.0)).verification_rule is None
