"""vLLM for CPUs on the embedded family: what it counts, that it loses nothing, and what goes wrong."""

import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from engines import random_heads

from specbench import datafiles
from specbench.engines import catalog, server, vllm_cpu
from specbench.engines.base import Answer, OpeningError, Request, TrialError
from specbench.engines.profile import command
from specbench.models import micro, micro_folders
from specbench.records import Contender, Message, Sampling, Setting
from specbench.structs import replace

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1200)]
TOKENS = 48
TIE = 0.05  # between the logarithms of the two likeliest tokens
FIXED = Request(prompt="", output_tokens=TOKENS, temperature=0.0, seed=1, ignore_eos=True, timeout=120.0)
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


Pair = tuple[list[Answer], list[Answer]]
Answers = Callable[..., Pair]  # of fixed length, and with their own end


@pytest.fixture(scope="session")
def member(family: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The folder of an embedded model, or of a random head or model."""
    heads = tmp_path_factory.mktemp("heads")

    @functools.cache
    def found(name: str) -> str:
        kind = name.removeprefix("random-")
        return family(name) if kind == name else str(random_heads.write(kind, Path(family("micro")), heads / kind))

    return found


@pytest.fixture(scope="session")
def answers(program: Path, member: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What each method answers to the prompts; each engine is started once."""

    @functools.cache
    def ask(method: str, drafter: str | None, target: str = "micro", temperature: float = 0.0) -> Pair:
        draft = None if drafter is None else member(drafter)
        k = 1 if method == "mtp" else 4
        settings = {} if method == "none" else {"draft_tokens_max": k}
        subject = contender(program, member(target), method, draft, **settings)
        skip = catalog.check_available(subject)
        assert skip is None
        log = tmp_path_factory.mktemp("log") / "engine.log"
        with catalog.open_session(subject, log=log, load_timeout=300) as session:
            assert session.info.version is not None
            prompts = [session.apply_template([Message(role="user", content=p)], thinking=None) for p in PROMPTS]
            asked = replace(FIXED, temperature=temperature, sampling=Sampling(min_p=0))  # others are refused
            whole = [session.generate(replace(asked, prompt=prompt)) for prompt in prompts]
            return whole, [session.generate(replace(asked, prompt=p, ignore_eos=False)) for p in prompts]

    return ask


METHODS = (
    ("draft-model", "micro", "micro"),
    ("draft-model", "micro-draft", "micro"),
    ("ngram", None, "micro"),
    ("eagle3", "micro-eagle3", "micro"),
    ("dflash", "micro-dflash", "micro"),
    ("suffix", None, "micro"),
    ("eagle", "random-eagle", "micro"),
    ("medusa", "random-medusa", "micro"),
    ("mtp", None, "random-mimo"),
)


def reconciles(answer: Answer) -> bool:
    c = answer.counts
    assert None not in (c.emitted, c.prefill_tokens, c.verification_steps, c.accepted)
    whole = c.prefill_tokens + c.verification_steps + c.accepted - (c.beyond_end or 0)  # type: ignore[operator]
    return c.emitted == whole and sum(c.accepted_by_position or ()) == c.accepted


@pytest.mark.parametrize(("method", "drafter", "target"), METHODS)
def test_every_method_gives_the_tokens_of_its_baseline_and_counts_that_reconcile(
    answers: Answers, program: Path, method: str, drafter: str | None, target: str
) -> None:
    if method == "suffix" and not list(program.resolve().parent.parent.glob("lib/*/site-packages/arctic_inference")):
        pytest.skip("suffix needs the package arctic-inference beside vLLM")
    for plain, drafted in zip(answers("none", None, target)[0], answers(method, drafter, target)[0], strict=True):
        assert plain.output_ids is not None
        assert len(plain.output_ids) == TOKENS
        assert drafted.output_ids == plain.output_ids
        assert reconciles(drafted)
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


def test_a_running_server_is_read_by_its_counters(
    program: Path, family: Callable[[str], str], answers: Answers, tmp_path: Path
) -> None:
    """As an older vLLM, which puts nothing into its answers."""
    ours = contender(program, family("micro"), "draft-model", family("micro-draft"), draft_tokens_max=4)
    hidden = {"--per-request-spec-decode-metrics", "detailed", "--enable-per-request-metrics"}
    command_line = [str(program), *(word for word in ours.argv if word not in hidden)]
    running = server.started(
        command_line,
        environment={**ours.environment, "VLLM_API_KEY": ""},
        port=None,
        log=tmp_path / "log",
        load_timeout=300,
        foreign=True,
    )
    with running as process:
        subject = replace(ours, kind="attach", url=f"{process.wire.url}/v1", target_model=f"{process.wire.url}/v1")
        with catalog.open_session(subject, log=tmp_path / "none", load_timeout=30) as session:
            prompt = session.apply_template([Message(role="user", content=PROMPTS[0])], thinking=None)
            answer = session.generate(replace(FIXED, prompt=prompt))
    own = answers("draft-model", "micro-draft")[0][0]
    assert answer.output_ids == own.output_ids
    assert answer.counts.sources["drafted"].startswith("/metrics")
    assert replace(answer.counts, sources={}) == replace(own.counts, sources={})


def test_drafting_above_temperature_0_is_refused_on_a_faulty_build_and_reconciles_on_a_correct_one(
    answers: Answers, program: Path
) -> None:
    if vllm_cpu.sampling_fault(program, "draft-model") is not None:
        with pytest.raises(TrialError, match="KNOWN_ENGINE_BUG"):
            answers("draft-model", "micro", "micro", 0.8)
        return
    for answer in answers("draft-model", "micro", "micro", 0.8)[0]:
        assert reconciles(answer)
        assert answer.counts.drafted
        assert (answer.counts.accepted or 0) > answer.counts.drafted / 4  # the target itself drafts, but greedily


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
