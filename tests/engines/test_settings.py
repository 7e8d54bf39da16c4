"""Settings on real engines: each one is taken, shown, and told when it is ignored. Synthetic acceptance."""

from collections.abc import Iterator
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
from known_answer.models import KnownAnswer
from known_answer.rig import DRAFTERS, PLAIN, Engine, asked, contender, find_engine

from specbench.analysis import checks
from specbench.engines import catalog
from specbench.engines.base import Answer
from specbench.records import Contender, Generation, Opening, Sampling, Setting, Trial
from specbench.structs import replace

pytestmark = pytest.mark.engine


@pytest.fixture(params=["xllamacpp", "llama-server"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return find_engine(request.param)


def opened(subject: Contender, models: KnownAnswer, tmp_path: Path, *, tokens: int = 40) -> tuple[Opening, Answer]:
    with catalog.open_session(subject, log=tmp_path / "engine.log", load_timeout=60) as session:
        info, answer = session.info, session.generate(asked(models, tokens))
    shown: dict[str, Any] = {
        "contender": subject.name,
        "block": 0,
        "started": 0.0,
        "engine_version": info.version,
        "engine_commit": info.commit,
        "executable": None,
        "executable_sha256": None,
        "argv": info.argv,
        "environment": {},
        "load_seconds": None,
        "context_size": info.context_size,
        "chat_template_sha256": info.chat_template_sha256,
        "observed": info.observed,
    }
    return Opening(**shown), answer


def generation(subject: Contender, answer: Answer) -> Generation:
    trial: dict[str, Any] = {
        "id": "x",
        "contender": subject.name,
        "category": "code",
        "prompt": "p",
        "role": "measured",
        "repeat": 0,
        "temperature": 0.0,
        "seed": 1,
        "output_tokens": 40,
        "ignore_eos": True,
    }
    facts: dict[str, Any] = {name: getattr(answer, name) for name in answer.__dataclass_fields__}
    place: dict[str, Any] = {"block": 0, "order": 0, "started": 0.0, "prompt_sha256": "0" * 64}
    return Generation(trial=Trial(**trial), **place, **facts)


def ignored(subject: Contender, opening: Opening, *answers: Answer) -> list[str]:
    found: Iterator[checks.Note] = checks.of_contender(
        subject, [generation(subject, a) for a in answers], [opening], sampling=Sampling()
    )
    return [note.message for note in found if note.code == "SETTING_IGNORED"]


TAKEN: list[tuple[str, dict[str, Setting], dict[str, Setting]]] = [
    ("none", {"cache_type_k": "q8_0", "cache_type_v": "q4_0", "flash_attention": "on"}, {}),
    ("none", {"cache_type_k": "bf16", "flash_attention": "off"}, {}),
    ("none", {"cache_type_v": "q8_0", "flash_attention": "auto"}, {}),
    ("none", {"context_size": 2048, "batch_size": 128, "ubatch_size": 64, "threads": 2}, {}),
    ("none", {"load_mode": "none", "gpu_layers": 0}, {}),
    ("none", {"load_mode": "mlock", "split_mode": "none", "main_gpu": 0}, {}),
    ("none", {"load_mode": "mmap", "split_mode": "row", "tensor_split": "1"}, {}),
    ("none", {"override_tensor": ".ffn_.*=CPU"}, {}),
    ("none", {"cpu_moe": True}, {}),
    ("none", {"parallel_slots": 2, "context_size": 2048}, {}),
    ("draft-model", {}, {"draft_tokens_max": 6, "draft_tokens_min": 1, "p_min": 0.25, "draft_cache_type_k": "q8_0"}),
    ("draft-model", {}, {"draft_threads": 1, "draft_gpu_layers": 0, "draft_override_tensor": ".ffn_.*=CPU"}),
    ("ngram-simple", {}, {"ngram_size": 3, "ngram_draft_size": 5}),
    ("ngram-map-k", {}, {"ngram_size": 3, "ngram_draft_size": 5}),
    ("ngram-mod", {}, {"ngram_match": 6, "draft_tokens_min": 1, "draft_tokens_max": 5}),
]
UNSEEN = {"context_size", "split_mode", "main_gpu", "tensor_split", "override_tensor", "cpu_moe", "draft_threads"}
UNSEEN |= {"gpu_layers", "draft_gpu_layers", "draft_override_tensor"}


@pytest.mark.parametrize("case", TAKEN, ids=lambda case: ",".join([case[0], *case[1], *case[2]]))
def test_the_engine_takes_a_setting_and_shows_it(
    engine: Engine,
    known_answer_models: KnownAnswer,
    tmp_path: Path,
    case: tuple[str, dict[str, Setting], dict[str, Setting]],
) -> None:
    method, shared, settings = case
    drafter = DRAFTERS.get(method, PLAIN)
    subject = contender(engine, known_answer_models, drafter, method=method, settings=settings, engine_settings=shared)
    opening, answer = opened(subject, known_answer_models, tmp_path)
    assert answer.output_tokens == 40
    assert {*settings, *shared} - UNSEEN <= opening.observed.keys()
    assert ignored(subject, opening, answer) == []


def test_devices_and_layers_on_the_cpu_are_taken_by_the_binary(
    engine: Engine,
    known_answer_models: KnownAnswer,
    tmp_path: Path,
) -> None:
    if engine[0] == "xllamacpp":
        pytest.skip("the package has no such attributes")
    subject = contender(engine, known_answer_models, engine_settings={"devices": "none", "cpu_moe_layers": 1})
    opening, _ = opened(subject, known_answer_models, tmp_path)
    assert ignored(subject, opening) == []


def test_a_batch_that_the_engine_cuts_to_the_context_is_told(
    engine: Engine,
    known_answer_models: KnownAnswer,
    tmp_path: Path,
) -> None:
    subject = contender(engine, known_answer_models, engine_settings={"batch_size": 4096})
    opening, _ = opened(subject, known_answer_models, tmp_path)
    assert ignored(subject, opening) == ["batch_size 4096 was asked for, the engine shows 2048"]


def test_a_cache_type_that_other_words_change_is_told(
    engine: Engine,
    known_answer_models: KnownAnswer,
    tmp_path: Path,
) -> None:
    if engine[0] == "xllamacpp":
        pytest.skip("its attributes have no second name")
    subject = contender(
        engine, known_answer_models, engine_settings={"cache_type_k": "q8_0"}, engine_args=("-ctk", "f16")
    )
    opening, _ = opened(subject, known_answer_models, tmp_path)
    assert ignored(subject, opening) == ["cache_type_k q8_0 was asked for, the engine shows f16"]


def test_layers_for_a_gpu_that_is_not_there_are_told(
    engine: Engine,
    known_answer_models: KnownAnswer,
    tmp_path: Path,
) -> None:
    if engine[0] == "xllamacpp":
        pytest.skip("attributes are set without a word about what is there")
    subject = contender(engine, known_answer_models, engine_settings={"gpu_layers": 99})
    opening, _ = opened(subject, known_answer_models, tmp_path)
    assert ignored(subject, opening) == ["gpu_layers 99 was asked for, the engine shows ignored"]


def test_min_hits_of_ngram_simple_is_known_to_be_ignored(
    engine: Engine,
    known_answer_models: KnownAnswer,
    tmp_path: Path,
) -> None:
    """The engine even shows the value; that it has no effect, equal counts show."""
    word = "speculative.ngram_simple.min_hits=99" if engine[0] == "xllamacpp" else "--spec-ngram-simple-min-hits"
    words = (word,) if "=" in word else (word, "99")
    subject = contender(engine, known_answer_models, method="ngram-simple", engine_args=words)
    opening, answer = opened(subject, known_answer_models, tmp_path, tokens=200)
    plain = contender(engine, known_answer_models, method="ngram-simple")
    assert answer.counts == opened(plain, known_answer_models, tmp_path, tokens=200)[1].counts
    assert answer.counts.accepted
    assert len(ignored(subject, opening, answer)) == 1


def test_a_draft_length_that_the_attached_server_does_not_have_is_told(
    engine: Engine,
    known_answer_models: KnownAnswer,
    tmp_path: Path,
) -> None:
    subject = contender(engine, known_answer_models, DRAFTERS["draft-model"], settings={"draft_tokens_max": 3})
    subject = replace(subject, environment={})  # without a key
    with catalog.open_session(subject, log=tmp_path / "engine.log", load_timeout=60) as session:
        url = session._running.wire.url  # type: ignore[attr-defined]
        claimed = replace(subject, kind="attach", url=url, settings={"draft_tokens_max": 8})
        opening, answer = opened(claimed, known_answer_models, tmp_path)
        told = ignored(claimed, opening, answer)
        assert told == ["8 draft tokens were asked for, the engine drafts at most 3"]
        truthful = replace(claimed, settings={"draft_tokens_max": 3})
        assert ignored(truthful, opening, answer) == []


@pytest.mark.parametrize("setting", ["synthetic_rates", "synthetic_length"])
def test_dice_accept_at_the_rates_that_were_asked_for(
    engine: Engine,
    known_answer_models: KnownAnswer,
    tmp_path: Path,
    setting: str,
) -> None:
    """Within 4 standard deviations of the binomial; a length of 3 is the rates p, p^2, ... that sum to 2."""
    value: Setting = "0.8,0.6,0.4,0.2" if setting == "synthetic_rates" else 3.0
    subject = contender(engine, known_answer_models, DRAFTERS["draft-model"], settings={setting: value})
    assert subject.synthetic
    _, answer = opened(subject, known_answer_models, tmp_path, tokens=900)
    steps, positions = answer.counts.drafted_steps, answer.counts.accepted_by_position
    assert steps is not None
    assert positions is not None
    assert steps > 200
    if setting == "synthetic_rates":
        for rate, accepted in zip((0.8, 0.6, 0.4, 0.2), positions, strict=True):
            assert abs(accepted - steps * rate) < 4 * sqrt(steps * rate * (1 - rate))
    assert 1 + sum(positions) / steps == pytest.approx(3.0, abs=0.3)
