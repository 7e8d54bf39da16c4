"""The loops on llama-cpp-python: the simulator's counts, the plain loop's tokens, llama-server's text."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest
from known_answer.models import KnownAnswer
from known_answer.rig import (
    DRAFTERS,
    PROMPT_TOKENS,
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
from known_answer.test_counts import FEW, WALKS
from known_answer.test_rules import forking, likely

from specbench import datafiles
from specbench.engines import catalog
from specbench.engines.base import Answer, OpeningError, Request, Session, TrialError
from specbench.models import micro
from specbench.records import Contender, Message, Setting
from specbench.structs import replace

__all__ = ["forking"]  # a fixture
pytestmark = pytest.mark.engine
NAMES = ("draft-model", "mtp", "mtp, three heads", "eagle3")


@pytest.fixture
def engine() -> Engine:
    return find_engine("llama-cpp-python")


@pytest.mark.parametrize(("drafter", "walk"), [p for p in product(NAMES, WALKS) if p[0] == "mtp" or p[1] in FEW])
def test_the_loops_give_the_counts_that_the_simulator_computes(
    *, engine: Engine, known_answer_family: Callable[..., KnownAnswer], tmp_path: Path, drafter: str, walk: str
) -> None:
    cycle, wrong, draft_tokens_max, output_tokens = WALKS[walk]
    models, drafts = known_answer_family(cycle, wrong), DRAFTERS[drafter]
    drafting = contender(engine, models, drafts, settings={"draft_tokens_max": draft_tokens_max})
    with catalog.open_session(drafting, log=tmp_path / "engine.log", load_timeout=60) as session:
        session.generate(replace(asked(models, 40), prompt=models.maps.walk[3:9]))  # leaves nothing behind
        got = session.generate(asked(models, output_tokens, steps=True))
    last, maps = prompt(models)[-1], models.maps
    want = simulate(
        last,
        output_tokens=output_tokens,
        draft_tokens_max=min(draft_tokens_max, drafts.most),
        target=maps.target,
        drafter=drafts.map(models),
    )
    assert got.output_ids == generate(last, output_tokens=output_tokens, target=maps.target)
    assert (got.prompt_tokens, got.output_tokens) == (PROMPT_TOKENS, want.emitted)
    assert reported(got.counts) == simulated(want)
    assert got.observed["method"] == drafts.method
    assert got.steps is not None
    assert len(got.steps) == want.verification_steps
    if want.drafted_steps:
        assert [sum(s.accepted > i for s in got.steps) for i in range(min(draft_tokens_max, drafts.most))] == list(
            want.accepted_by_position
        )
    for step in got.steps:
        assert step.phases is not None
        assert list(step.phases) == ["draft", "verify", "catch_up"]
        assert min(step.phases.values()) >= 0
        assert 0 < sum(step.phases.values()) <= step.seconds  # they are parts of it
    if got.steps:
        assert got.draft_seconds == pytest.approx(sum(s.phases["draft"] for s in got.steps if s.phases))


@pytest.mark.parametrize("drafter", NAMES)
def test_a_draft_ends_where_the_drafter_is_unsure_and_a_short_one_is_dropped(
    *, engine: Engine, known_answer_models: KnownAnswer, tmp_path: Path, drafter: str
) -> None:
    models, drafts = known_answer_models, DRAFTERS[drafter]
    settings: dict[str, Setting] = {"draft_tokens_max": 4, "p_min": 0.75, "draft_tokens_min": 3}
    got = answer(contender(engine, models, drafts, settings=settings), asked(models, 200), log=tmp_path / "engine.log")
    want = simulate(
        prompt(models)[-1],
        output_tokens=200,
        draft_tokens_max=min(4, drafts.most),
        target=models.maps.target,
        drafter=models.maps.drafter,
        draft_tokens_min=3,
        unsure=models.maps.mistakes,
    )
    assert want.drafted == want.accepted > 0
    assert reported(got.counts) == simulated(want)
    assert got.output_ids == generate(prompt(models)[-1], output_tokens=200, target=models.maps.target)


@pytest.mark.parametrize("drafter", NAMES)
def test_a_prompt_of_several_passes_drafts_as_one_of_a_single_pass(
    engine: Engine, known_answer_models: KnownAnswer, tmp_path: Path, drafter: str
) -> None:
    models, drafts = known_answer_models, DRAFTERS[drafter]
    drafting = contender(
        engine, models, drafts, settings={"draft_tokens_max": 4}, engine_settings={"ubatch_size": 32, "batch_size": 32}
    )
    long = tuple(models.maps.walk[i % len(models.maps.walk)] for i in range(150))
    got = answer(drafting, replace(asked(models, 100), prompt=long), log=tmp_path / "engine.log")
    want = simulate(
        long[-1],
        output_tokens=100,
        draft_tokens_max=min(4, drafts.most),
        target=models.maps.target,
        drafter=models.maps.drafter,
    )
    assert got.output_ids == generate(long[-1], output_tokens=100, target=models.maps.target)
    assert reported(got.counts) == simulated(want)
    assert got.counts.sources["verification_steps"] == "observed: n_decode_total less prompt passes"


def test_prompt_lookup_is_always_right_once_the_walk_has_gone_round(
    engine: Engine, known_answer_models: KnownAnswer, tmp_path: Path
) -> None:
    models = known_answer_models
    looking = contender(engine, models, method="ngram", settings={"ngram_size": 2, "draft_tokens_max": 8})
    got = answer(looking, asked(models, 200), log=tmp_path / "engine.log")
    assert got.output_ids == generate(prompt(models)[-1], output_tokens=200, target=models.maps.target)
    # 64 tokens stand there when the first of them comes again: 45 steps with the prompt's 20. Then 9 tokens a step.
    assert reported(got.counts) == (200, 137, 137, 62, 18)
    assert got.observed["method"] == "ngram"


def test_settings_reach_target_and_drafter(engine: Engine, known_answer_models: KnownAnswer, tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    drafting = contender(
        engine,
        known_answer_models,
        DRAFTERS["draft-model"],
        settings={"draft_cache_type_k": "q8_0", "draft_cache_type_v": "q4_0", "draft_gpu_layers": 0},
        engine_settings={"cache_type": "q8_0", "flash_attention": "on", "ubatch_size": 64, "batch_size": 128},
    )
    with catalog.open_session(drafting, log=log, load_timeout=60) as session:
        observed = session.info.observed
    caches = re.findall(r"K \((\w+)\):.*V \((\w+)\):", log.read_text(encoding="utf-8"))
    assert (caches[0], caches[-1]) == (("q8_0", "q8_0"), ("q8_0", "q4_0"))
    for name, value in {"flash_attention": "on", "batch_size": 128, "ubatch_size": 64, "draft_tokens_max": 4}.items():
        assert observed[name] == value


@pytest.mark.parametrize("drafter", NAMES[:3])
def test_above_temperature_0_a_draft_is_kept_where_the_target_draws_the_same(
    engine: Engine, forking: KnownAnswer, tmp_path: Path, drafter: str
) -> None:
    chosen = contender(engine, forking, DRAFTERS[drafter])
    plain = contender(engine, forking, DRAFTERS[drafter], method="none")
    got = answer(chosen, asked(forking, 600, temperature=1.0), log=tmp_path / "engine.log")
    assert got.verification_rule == "greedy-match"
    accepted = got.counts.accepted_by_position
    assert accepted
    assert got.counts.drafted_steps
    assert all(likely(kept, of) for of, kept in pairwise((got.counts.drafted_steps, *accepted)))
    assert got.output_ids is not None
    walk = [forking.maps.target[token] for token in (prompt(forking)[-1], *got.output_ids[:-1])]
    assert likely(sum(a == b for a, b in zip(walk, got.output_ids, strict=True)), len(walk))
    undrafted = answer(plain, asked(forking, 600, temperature=1.0), log=tmp_path / "plain.log")
    assert got.output_ids == undrafted.output_ids  # one draw a token, from the same seed


# ------------------------------------------------------------------------------------------- the trained family


@pytest.fixture
def trained() -> KnownAnswer:
    """Files of the embedded family under the names that contenders ask for; F16, where outputs are exact."""
    weights, cache = datafiles.path("micro/weights"), datafiles.cache_folder()

    def file(name: str) -> Path:
        return micro.model_file(name, weights=weights, cache=cache)

    names = {"target": "micro-f16", "draft": "micro-draft", "eagle3": "micro-eagle3", "mtp": "micro-mtp"}
    files: dict[str, Any] = {key: file(name) for key, name in names.items()}
    none = Path()
    return KnownAnswer(**files, maps=None, mtp_three_heads=none, dspark=none, dflash=none)  # type: ignore[arg-type]


def ask(session: Session, **more: Any) -> Answer:
    text = session.apply_template(
        [Message(role="user", content="Write a function that adds two numbers.")], thinking=None
    )
    values: dict[str, Any] = {"prompt": text, "output_tokens": 96, "temperature": 0.0, "timeout": 60.0, **more}
    return session.generate(Request(**{"seed": 1, "ignore_eos": True, **values}))


@pytest.fixture
def opened(trained: KnownAnswer, tmp_path: Path) -> Iterator[Callable[..., Session]]:
    with ExitStack() as stack:

        def open_one(name: str, drafter: str, **more: Any) -> Session:
            chosen = contender(find_engine(name), trained, DRAFTERS[drafter], **more)
            log = tmp_path / f"{name}-{drafter}-{len(more)}.log"
            return stack.enter_context(catalog.open_session(chosen, log=log, load_timeout=60))

        yield open_one


@pytest.mark.parametrize("drafter", ["draft-model", "eagle3", "mtp"])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_every_method_writes_what_the_plain_loop_and_llama_server_write(
    opened: Callable[..., Session], drafter: str, temperature: float
) -> None:
    plain = ask(opened("llama-cpp-python", drafter, method="none"), temperature=temperature)
    drafted = ask(opened("llama-cpp-python", drafter), temperature=temperature)
    served = ask(opened("llama-server", drafter, method="none"), temperature=temperature)
    assert drafted.output_ids == plain.output_ids == served.output_ids
    assert drafted.text == plain.text == served.text
    assert drafted.prompt_tokens == served.prompt_tokens
    assert drafted.counts.accepted
    assert drafted.counts.emitted == 1 + (drafted.counts.verification_steps or 0) + drafted.counts.accepted


def test_acceptance_is_llama_servers(opened: Callable[..., Session]) -> None:
    here = ask(opened("llama-cpp-python", "draft-model"))
    served = ask(opened("llama-server", "draft-model"))
    assert reported(here.counts) == reported(served.counts)
    assert here.counts.accepted_by_position == served.counts.accepted_by_position


def test_an_answer_ends_where_the_model_ends_it_and_a_schema_binds_it(opened: Callable[..., Session]) -> None:
    session = opened("llama-cpp-python", "draft-model")
    free = ask(session, ignore_eos=False, output_tokens=400)
    assert free.stop_reason == "eos"
    schema = '{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}'
    bound = ask(session, ignore_eos=False, output_tokens=60, json_schema=schema)
    assert re.match(r'\s*\{\s*"n"\s*:\s*-?\d', bound.text)


def test_the_gap_between_the_two_likeliest_tokens_is_llama_servers(opened: Callable[..., Session]) -> None:
    here = ask(opened("llama-cpp-python", "draft-model"), top_two=True).top_two_gaps
    served = ask(opened("llama-server", "draft-model", method="none"), top_two=True).top_two_gaps
    assert here is not None
    assert served is not None
    assert here == pytest.approx(served, rel=0.02, abs=0.02)


# --------------------------------------------------------------------------------------------------- bad input


def test_a_full_context_is_no_result(engine: Engine, known_answer_models: KnownAnswer, tmp_path: Path) -> None:
    drafting = contender(engine, known_answer_models, DRAFTERS["draft-model"], engine_settings={"context_size": 256})
    with catalog.open_session(drafting, log=tmp_path / "engine.log", load_timeout=60) as session:
        with pytest.raises(TrialError, match="the context was full after") as caught:
            session.generate(asked(known_answer_models, 400))
        assert caught.value.reason == "context-exceeded"
        assert session.generate(asked(known_answer_models, 20)).output_tokens == 20


@pytest.mark.parametrize("fault", ["missing", "truncated", "not a model"])
def test_a_model_that_cannot_be_loaded_says_so(
    engine: Engine, known_answer_models: KnownAnswer, tmp_path: Path, fault: str
) -> None:
    model = tmp_path / "model.gguf"
    if fault != "missing":
        model.write_bytes(known_answer_models.target.read_bytes()[:5000] if fault == "truncated" else b"text")
    broken = contender(engine, replace(known_answer_models, target=model))
    with (
        pytest.raises(OpeningError, match="ended while it started") as caught,
        catalog.open_session(broken, log=tmp_path / "engine.log", load_timeout=60),
    ):
        pass
    assert f"cannot load {model}" in (caught.value.log_tail or "")


def test_a_target_without_heads_says_so(engine: Engine, known_answer_models: KnownAnswer, tmp_path: Path) -> None:
    headless = contender(engine, replace(known_answer_models, mtp=known_answer_models.target), DRAFTERS["mtp"])
    with (
        pytest.raises(OpeningError) as caught,
        catalog.open_session(headless, log=tmp_path / "engine.log", load_timeout=60),
    ):
        pass
    assert "has no MTP heads" in (caught.value.log_tail or "")


def test_the_engine_says_who_it_is(engine: Engine, known_answer_models: KnownAnswer, tmp_path: Path) -> None:
    plain: Contender = contender(engine, known_answer_models)
    assert catalog.check_available(plain) is None
    with catalog.open_session(plain, log=tmp_path / "engine.log", load_timeout=60) as session:
        info = session.info
    assert info.version
    assert re.match(r"0\.\d+", info.version)
    assert "llama" in Path(info.executable or "").name
    assert info.executable_sha256 is not None
    assert (info.context_size, info.model_type) == (2048, "F16")
    assert info.chat_template_sha256 is not None


@pytest.mark.parametrize("stream", [False, True])
def test_a_schema_that_makes_no_grammar_is_refused_and_the_engine_goes_on(
    *, engine: Engine, known_answer_models: KnownAnswer, tmp_path: Path, stream: bool
) -> None:
    plain, request = contender(engine, known_answer_models), asked(known_answer_models, 20)
    broken = replace(request, json_schema='{"type": "string", "pattern": "unanchored"}', stream=stream)
    with catalog.open_session(plain, log=tmp_path / "engine.log", load_timeout=60) as session:
        with pytest.raises(TrialError, match="Pattern must start") as caught:
            session.generate(broken)
        assert caught.value.reason == "refused"
        assert session.generate(request).output_tokens == 20
