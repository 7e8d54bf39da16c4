"""vLLM for CPUs on the embedded family: what it counts, that it loses nothing, and what goes wrong."""

import functools
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from specbench import datafiles
from specbench.engines import catalog
from specbench.engines.base import Answer, OpeningError, Request
from specbench.engines.profile import command
from specbench.models import micro, micro_folders
from specbench.records import Contender, Message, Setting

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1200)]  # vLLM starts in 20 s on two quiet cores
TOKENS = 48
TIE = 0.05  # between the logarithms of the two likeliest tokens
PROMPTS = ("Write a Python function that adds two numbers.", "Repeat these words: red, green, blue, red, green, blue.")


@pytest.fixture(scope="session")
def program() -> Path:
    own = Path(".cache/vllm/bin/vllm")
    found = os.environ.get("SPECBENCH_VLLM") or (str(own.absolute()) if own.exists() else shutil.which("vllm"))
    if found is None:
        pytest.skip("no vLLM: `make engines-vllm`, or set SPECBENCH_VLLM")
    return Path(found)


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    cache = tmp_path_factory.mktemp("micro")
    return lambda name: str(micro_folders.model_folder(name, weights=datafiles.path("micro/weights"), cache=cache))


def contender(program: Path, target: str, method: str, draft: str | None, **settings: Setting) -> Contender:
    engine_settings: dict[str, Setting] = {"eager": True, "dtype": "float32", "context_size": 512, "parallel_slots": 1}
    argv, environment = command(
        catalog.profiles(None)["vllm"],
        target_model=target,
        draft_model=draft,
        method=method,
        settings=settings,
        engine_settings=engine_settings,
        engine_args=(),
    )
    return Contender(
        name=method,
        engine="vllm",
        kind="server",
        protocol="openai",
        target_model=target,
        target_label="micro",
        draft_model=draft,
        method=method,
        executable=str(program),
        argv=argv,
        environment={**environment, "VLLM_CPU_KVCACHE_SPACE": "1"},
    )


Answers = Callable[[str, str | None], tuple[list[Answer], list[Answer]]]  # of fixed length, and with their own end


@pytest.fixture(scope="session")
def answers(program: Path, family: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What each method answers to the prompts at temperature 0; each engine is started once."""

    @functools.cache
    def ask(method: str, drafter: str | None) -> tuple[list[Answer], list[Answer]]:
        draft = None if drafter is None else family(drafter)
        subject = contender(
            program, family("micro"), method, draft, **({} if method == "none" else {"draft_tokens_max": 4})
        )
        skip = catalog.check_available(subject)
        assert skip is None
        log = tmp_path_factory.mktemp("log") / "engine.log"
        with catalog.open_session(subject, log=log, load_timeout=300) as session:
            assert session.info.version is not None
            prompts = [session.apply_template([Message(role="user", content=p)], thinking=None) for p in PROMPTS]
            asked = Request(prompt="", output_tokens=TOKENS, temperature=0.0, seed=1, ignore_eos=True, timeout=120.0)
            whole = [session.generate(replace(asked, prompt=prompt)) for prompt in prompts]
            return whole, [session.generate(replace(asked, prompt=p, ignore_eos=False)) for p in prompts]

    return ask


METHODS = (
    ("draft-model", "micro"),
    ("draft-model", "micro-draft"),
    ("ngram", None),
    ("eagle3", "micro-eagle3"),
    ("dflash", "micro-dflash"),
)


@pytest.mark.parametrize(("method", "drafter"), METHODS)
def test_every_method_gives_the_tokens_of_its_baseline_and_counts_that_reconcile(
    answers: Answers, method: str, drafter: str | None
) -> None:
    for plain, drafted in zip(answers("none", None)[0], answers(method, drafter)[0], strict=True):
        assert plain.output_ids is not None
        assert len(plain.output_ids) == TOKENS
        assert drafted.output_ids == plain.output_ids
        c = drafted.counts
        assert None not in (c.emitted, c.prefill_tokens, c.verification_steps, c.accepted)
        assert c.emitted == c.prefill_tokens + c.verification_steps + c.accepted - (c.beyond_end or 0)  # type: ignore[operator]
        assert sum(c.accepted_by_position or ()) == c.accepted
        assert drafted.decode_seconds is not None
        assert drafted.prefill_seconds is not None


def test_a_target_that_drafts_for_itself_is_always_right(answers: Answers) -> None:
    for answer in answers("draft-model", "micro")[1]:  # no draft knows that the end is forbidden
        assert answer.counts.drafted
        assert answer.counts.accepted == answer.counts.drafted


def test_the_baseline_agrees_with_llama_cpp_up_to_a_tie(answers: Answers, tmp_path: Path) -> None:
    weights = datafiles.path("micro/weights")
    target = str(micro.model_file("micro-f32", weights=weights, cache=tmp_path))
    own = {"threads": 1, "context_size": 512}
    argv, environment = command(
        catalog.profiles(None)["xllamacpp"],
        target_model=target,
        draft_model=None,
        method="none",
        settings={},
        engine_settings=own,
        engine_args=(),
    )
    subject = Contender(
        name="none",
        engine="xllamacpp",
        kind="xllamacpp",
        target_model=target,
        target_label="micro",
        method="none",
        engine_settings=own,
        argv=argv,
        environment=environment,
    )
    with catalog.open_session(subject, log=tmp_path / "log", load_timeout=120) as session:
        for asked, other in zip(PROMPTS, answers("none", None)[0], strict=True):
            prompt = session.apply_template([Message(role="user", content=asked)], thinking=None)
            request = Request(
                prompt=prompt,
                output_tokens=TOKENS,
                temperature=0.0,
                seed=1,
                ignore_eos=True,
                timeout=60.0,
                top_two=True,
            )
            answer = session.generate(request)
            assert answer.prompt_tokens == other.prompt_tokens
            assert answer.output_ids is not None
            assert other.output_ids is not None
            pairs = zip(answer.output_ids, other.output_ids, strict=True)
            if (at := next((i for i, (a, b) in enumerate(pairs) if a != b), None)) is not None:
                gap = (answer.top_two_gaps or ())[at]
                assert gap is not None
                assert gap < TIE


def test_the_baseline_has_no_draft_counts(answers: Answers) -> None:
    for answer in answers("none", None)[0]:
        assert (answer.counts.drafted, answer.counts.accepted, answer.counts.drafted_steps) == (None, None, None)


def test_a_folder_that_vllm_cannot_load_is_told_with_its_own_words(program: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["NoSuchModel"], "model_type": "nothing"}')
    with (
        pytest.raises(OpeningError) as caught,
        catalog.open_session(contender(program, str(tmp_path), "none", None), log=tmp_path / "log", load_timeout=300),
    ):
        pass
    assert "ended while it started" in str(caught.value)
    assert "nothing" in (caught.value.log_tail or "")
