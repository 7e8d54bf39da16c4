"""Several streams on a real engine: the same tokens as alone, and the simulator's counts for each request."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from known_answer.models import KnownAnswer
from known_answer.rig import DRAFTERS, Engine, asked, contender, reported
from known_answer.simulator import generate, simulate
from known_answer.test_counts import engine

from specbench.engines import catalog
from specbench.engines.profile import command
from specbench.structs import replace

__all__ = ["engine"]  # a fixture
pytestmark = pytest.mark.engine

OUTPUT_TOKENS, DRAFT_TOKENS_MAX = 100, 4


@pytest.mark.parametrize("streams", [1, 2, 4])
def test_streams_give_the_tokens_and_counts_of_one(
    engine: Engine,
    known_answer_models: KnownAnswer,
    tmp_path: Path,
    streams: int,
) -> None:
    models, maps = known_answer_models, known_answer_models.maps
    drafting = contender(engine, models, DRAFTERS["draft-model"], settings={"draft_tokens_max": DRAFT_TOKENS_MAX})
    argv, _ = command(
        catalog.profiles(None)[engine[0]],
        target_model=str(models.target),
        draft_model=str(models.draft),
        method="draft-model",
        settings=drafting.settings,
        engine_settings=drafting.engine_settings,
        engine_args=(),
        streams=streams,
    )
    several = replace(drafting, argv=argv, streams=streams)
    starts = [tuple(maps.walk[(i + 7 * n) % len(maps.walk)] for i in range(20)) for n in range(2 * streams)]
    requests = [
        replace(asked(models, OUTPUT_TOKENS), prompt=start, shared=streams > 1, stream=False) for start in starts
    ]
    with catalog.open_session(several, log=tmp_path / "engine.log", load_timeout=60.0) as session:
        assert session.info.observed["parallel_slots"] == streams
        assert session.info.context_size == drafting.engine_settings["context_size"]  # each stream has all of it
        with ThreadPoolExecutor(streams) as pool:
            answers = list(pool.map(session.generate, requests))
    for start, got in zip(starts, answers, strict=True):
        want = simulate(
            start[-1],
            output_tokens=OUTPUT_TOKENS,
            draft_tokens_max=DRAFT_TOKENS_MAX,
            target=maps.target,
            drafter=maps.drafter,
        )
        assert got.output_ids == generate(start[-1], output_tokens=OUTPUT_TOKENS, target=maps.target)
        steps = want.drafted_steps if streams == 1 else None
        assert reported(got.counts) == (want.emitted, want.drafted, want.accepted, want.verification_steps, steps)
        assert got.counts.accepted_by_position == (want.accepted_by_position if streams == 1 else None)
        assert got.counts.sources["verification_steps"] == "derived: E - R - A"
