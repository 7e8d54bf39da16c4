"""One real engine, in ways that known-answer counts do not reach: rendering, limits, what goes wrong."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from known_answer.models import KnownAnswer

from specbench.engines import catalog
from specbench.engines.base import Answer, OpeningError, Request, Session, TrialError
from specbench.engines.profile import command
from specbench.records import Contender, Message, Setting
from specbench.structs import replace

pytestmark = pytest.mark.engine
CONTEXT = 512


def contender(target: Path, draft: Path, *, settings: dict[str, Setting] | None = None) -> Contender:
    engine_settings: dict[str, Setting] = {"threads": 1, "context_size": CONTEXT}
    argv, environment = command(
        catalog.profiles(None)["xllamacpp"],
        target_model=str(target),
        draft_model=str(draft),
        method="draft-model",
        settings=settings or {},
        engine_settings=engine_settings,
        engine_args=(),
    )
    return Contender(
        name="draft-model",
        engine="xllamacpp",
        kind="xllamacpp",
        target_model=str(target),
        target_label="known answer",
        method="draft-model",
        settings=settings or {},
        engine_settings=engine_settings,
        argv=argv,
        environment=environment,
    )


@pytest.fixture
def session(known_answer_models: KnownAnswer, tmp_path: Path) -> Iterator[Session]:
    subject = contender(
        known_answer_models.target, known_answer_models.draft, settings={"draft_sampling": "probabilistic"}
    )
    with catalog.open_session(subject, log=tmp_path / "engine.log", load_timeout=60) as opened:
        yield opened


def ask(session: Session, **more: Any) -> Answer:
    values: dict[str, Any] = {"prompt": "ba be bi", "output_tokens": 40, "temperature": 0.0, "timeout": 60.0, **more}
    return session.generate(Request(**{"seed": 1, "ignore_eos": True, "stream": True, **values}))


def test_the_engine_says_who_it_is(session: Session) -> None:
    info = session.info
    assert info.version is not None
    assert info.version.startswith("20")
    assert info.executable is not None
    assert Path(info.executable).name.startswith("xllamacpp.")
    assert info.executable_sha256 is not None
    assert len(info.executable_sha256) == 64
    assert (info.context_size, info.model_type) == (CONTEXT, "F16")
    assert info.chat_template_sha256 is not None


def test_the_chat_template_is_applied_and_tokens_are_those_of_the_prompt(session: Session) -> None:
    prompt = session.apply_template([Message(role="user", content="hi")], thinking=False)
    assert prompt == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    assert ask(session, prompt=prompt).prompt_tokens == session.count_tokens(prompt)


def test_the_verification_rule_is_that_of_the_sampling(session: Session) -> None:
    assert ask(session).verification_rule == "greedy-match"
    hot = ask(session, temperature=0.8)
    assert hot.verification_rule == "rejection-sampling"
    assert hot.observed["temperature"] == pytest.approx(0.8)
    assert hot.observed["method"] == "draft-model"
    assert hot.draft_seconds is not None
    assert hot.decode_seconds is not None
    assert 0 < hot.draft_seconds < hot.decode_seconds


def test_a_context_that_is_too_small_is_no_result(session: Session) -> None:
    with pytest.raises(TrialError, match="exceeds the available context size") as caught:
        ask(session, prompt="ba " * CONTEXT)
    assert caught.value.reason == "context-exceeded"
    with pytest.raises(TrialError, match="the context was full after") as caught:
        ask(session, output_tokens=CONTEXT)
    assert caught.value.reason == "context-exceeded"
    assert session.alive()


def test_counts_are_those_of_the_request_also_after_one_was_given_up(session: Session) -> None:
    expected = ask(session).counts
    with pytest.raises(TrialError) as caught:
        ask(session, output_tokens=CONTEXT - 20, timeout=0.01)
    assert caught.value.reason == "timeout"
    assert ask(session).counts == expected


def test_an_engine_that_is_killed_has_died(session: Session) -> None:
    process = session._running.process
    process.kill()
    process.wait()
    with pytest.raises(TrialError) as caught:
        ask(session)
    assert caught.value.reason == "engine-died"
    assert not session.alive()


@pytest.mark.parametrize("fault", ["missing", "truncated", "not a model"])
def test_a_model_that_cannot_be_loaded_says_so(known_answer_models: KnownAnswer, tmp_path: Path, fault: str) -> None:
    model = tmp_path / "model.gguf"
    if fault != "missing":
        model.write_bytes(known_answer_models.target.read_bytes()[:5000] if fault == "truncated" else b"text")
    subject = contender(model, known_answer_models.draft)
    with (
        pytest.raises(OpeningError, match="ended while it started") as caught,
        catalog.open_session(subject, log=tmp_path / "engine.log", load_timeout=60),
    ):
        pass
    assert caught.value.log_tail is not None
    assert "model.gguf" in caught.value.log_tail


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({}, "greedy-match"),
        ({"settings": {"draft_sampling": "greedy"}}, "greedy-match"),
        ({"settings": {"draft-model.draft_sampling": "probabilistic"}}, "rejection-sampling"),
        ({"engine_args": ("--spec-draft-sampling", "probabilistic")}, None),
        ({"kind": "attach"}, None),
        ({"kind": "attach", "settings": {"draft_sampling": "probabilistic"}}, "rejection-sampling"),
    ],
)
def test_the_rule_above_temperature_0_is_known_only_where_specbench_chose_it(
    changes: dict[str, Any], rule: str | None
) -> None:
    subject = replace(contender(Path("t.gguf"), Path("d.gguf")), **changes)
    assert catalog._sampling_rule(subject) == rule
