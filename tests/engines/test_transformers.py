"""Transformers on the embedded family: what it counts, that it loses nothing, custom code, and what goes wrong."""

import functools
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from engines import custom_models

from specbench import datafiles
from specbench.engines import catalog
from specbench.engines.base import Answer, OpeningError, Request, TrialError
from specbench.engines.profile import command
from specbench.errors import InputError
from specbench.models import micro, micro_folders, safetensors
from specbench.records import Contender, DraftCounts, Message, Setting
from specbench.structs import replace

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
TOKENS, MOST = 48, 4
TIE = 0.05  # between the logarithms of the two likeliest tokens
PROMPTS = ("Write a Python function that adds two numbers.", "Repeat these words: red, green, blue, red, green, blue.")
Family = Callable[[str], Path]


@pytest.fixture(scope="session")
def python() -> str:
    found = [os.environ.get("SPECBENCH_TRANSFORMERS"), str(Path(".cache/vllm/bin/python").absolute())]
    if importlib.util.find_spec("torch") and importlib.util.find_spec("transformers"):
        found.append(sys.executable)
    here = next((program for program in found if program and Path(program).exists()), None)
    if here is None:
        pytest.skip("no torch and transformers: set SPECBENCH_TRANSFORMERS to a Python that has them")
    return here


@pytest.fixture(scope="session")
def family(tmp_path_factory: pytest.TempPathFactory) -> Family:
    cache = tmp_path_factory.mktemp("micro")
    return lambda name: micro_folders.model_folder(name, weights=datafiles.path("micro/weights"), cache=cache)


def contender(
    python: str, target: Path, method: str, *, draft: Path | None = None, trust: bool = False, **settings: Setting
) -> Contender:
    engine_settings: dict[str, Setting] = {"threads": 1, "context_size": 512}
    argv, environment = command(
        catalog.profiles(None)["transformers"],
        target_model=str(target),
        draft_model=None if draft is None else str(draft),
        method=method,
        settings=settings,
        engine_settings=engine_settings,
        engine_args=(),
        trust_remote_code=trust,
    )
    return Contender(
        name=method,
        engine="transformers",
        kind="python",
        target_model=str(target),
        target_label="micro",
        draft_model=None if draft is None else str(draft),
        method=method,
        settings=settings,
        engine_settings=engine_settings,
        executable=python,
        argv=argv,
        environment={**environment, "OMP_WAIT_POLICY": "PASSIVE"},
    )


def ask(prompt: str | Sequence[int], **more: object) -> Request:
    asked = Request(prompt=prompt, output_tokens=TOKENS, temperature=0.0, seed=1, ignore_eos=True, timeout=120.0)
    return replace(asked, **more)  # type: ignore[arg-type]  # fields of a Request


# Greedy, drawn, with the end that the model gives, and streamed token by token.
KINDS: tuple[dict[str, object], ...] = (
    {},
    {"temperature": 0.8},
    {"ignore_eos": False},
    {"stream": True, "steps": True},
)
Answers = Callable[..., list[Answer]]


@pytest.fixture(scope="session")
def answers(python: str, family: Family, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What each method answers to the prompts, asked in each of the KINDS; each engine is started once."""

    @functools.cache
    def opened(method: str, drafter: str | None) -> list[Answer]:
        settings: dict[str, Setting] = {} if method == "none" else {"draft_tokens_max": MOST}
        if method == "ngram":
            settings |= {"ngram_size": 3, "ngram_size_min": 1}
        subject = contender(
            python, family("micro"), method, draft=None if drafter is None else family(drafter), **settings
        )
        assert catalog.check_available(subject) is None
        log = tmp_path_factory.mktemp("log") / "engine.log"
        with catalog.open_session(subject, log=log, load_timeout=300) as session:
            prompts = [session.apply_template([Message(role="user", content=p)], thinking=None) for p in PROMPTS]
            return [session.generate(ask(prompt, **kind)) for prompt in prompts for kind in KINDS]

    return lambda method, drafter=None: opened(method, drafter)


METHODS = [("draft-model", "micro-draft"), ("draft-model", "micro"), ("ngram", None)]


@pytest.mark.parametrize(("method", "drafter"), METHODS)
def test_every_method_gives_the_tokens_of_its_baseline_and_counts_that_reconcile(
    answers: Answers, method: str, drafter: str | None
) -> None:
    for plain, drafted in zip(answers("none"), answers(method, drafter), strict=True):
        assert drafted.output_ids == plain.output_ids  # also above temperature 0: the dice are those of the place
        assert drafted.text == plain.text
        reconcile(drafted)
        assert drafted.draft_seconds is not None
        assert drafted.decode_seconds is not None
        assert 0 < drafted.draft_seconds < drafted.decode_seconds
        assert drafted.verification_rule == "greedy-match"


def reconcile(answer: Answer) -> None:
    c = answer.counts
    assert None not in (c.emitted, c.prefill_tokens, c.verification_steps, c.accepted)
    assert c.emitted == c.prefill_tokens + c.verification_steps + c.accepted  # type: ignore[operator]
    assert c.emitted == len(answer.output_ids or ())
    assert sum(c.accepted_by_position or ()) == c.accepted
    if answer.steps:
        assert c.sources["verification_steps"].startswith("observed")
        assert sum(step.drafted for step in answer.steps) == c.drafted


def test_a_target_that_drafts_for_itself_is_always_right_up_to_the_end(answers: Answers) -> None:
    for answer in answers("draft-model", "micro")[2 :: len(KINDS)]:  # no draft knows of an end that is forbidden
        assert answer.stop_reason == "eos"
        assert answer.counts.drafted
        assert answer.counts.drafted - MOST <= (answer.counts.accepted or 0)  # what was drafted behind the end


def expected(text: list[int], answer: Sequence[int], propose: Callable[[list[int], int], list[int]]) -> DraftCounts:
    """The counts that follow from the baseline's answer and what a drafter proposes, by the book."""
    place, drafted, steps, tried, positions = 1, 0, 0, 0, [0] * MOST
    while place < len(answer):
        draft = propose([*text, *answer[:place]], min(MOST, len(answer) - place - 1))
        pairs = enumerate(zip(draft, answer[place:], strict=False))
        right = next((i for i, (one, other) in pairs if one != other), len(draft))
        for position in range(right):
            positions[position] += 1
        drafted, steps, tried, place = drafted + len(draft), steps + 1, tried + bool(draft), place + right + 1
    return DraftCounts(
        drafted=drafted,
        accepted=sum(positions),
        verification_steps=steps,
        drafted_steps=tried,
        accepted_by_position=tuple(positions),
    )


def seen(answer: Answer) -> DraftCounts:
    return replace(answer.counts, emitted=None, prefill_tokens=None, sources={})


def test_drafts_are_counted_as_the_draft_model_would_make_them(
    python: str, family: Family, answers: Answers, tmp_path: Path
) -> None:
    subject = contender(python, family("micro-draft"), "none")
    with catalog.open_session(subject, log=tmp_path / "log", load_timeout=300) as drafter:

        def propose(text: list[int], most: int) -> list[int]:
            if most == 0:
                return []
            said = drafter.generate(ask(text, output_tokens=most, ignore_eos=False)).output_ids or ()
            return [*said, *[-1] * (most - len(said))]  # what it would say behind an end cannot be right

        for prompt, answer in zip(PROMPTS, answers("draft-model", "micro-draft")[:: len(KINDS)], strict=True):
            text = drafter.tokenize(drafter.apply_template([Message(role="user", content=prompt)], thinking=None))
            assert seen(answer) == expected(text, answer.output_ids or (), propose)


def test_a_look_up_takes_the_longest_match_and_of_those_the_first(
    python: str, family: Family, answers: Answers, tmp_path: Path
) -> None:
    def propose(text: list[int], most: int) -> list[int]:
        for size in (3, 2, 1):
            for start in range(len(text) - size):
                if text[start : start + size] == text[-size:]:
                    return text[start + size : start + size + most]
        return []

    with catalog.open_session(contender(python, family("micro"), "none"), log=tmp_path / "log", load_timeout=300) as s:
        for prompt, answer in zip(PROMPTS, answers("ngram")[:: len(KINDS)], strict=True):
            text = s.tokenize(s.apply_template([Message(role="user", content=prompt)], thinking=None))
            assert seen(answer) == expected(text, answer.output_ids or (), propose)
            assert answer.counts.accepted


def test_the_baseline_drafts_nothing_and_tells_how_near_its_tokens_were(
    python: str, family: Family, tmp_path: Path
) -> None:
    with catalog.open_session(contender(python, family("micro"), "none"), log=tmp_path / "log", load_timeout=300) as s:
        answer = s.generate(ask("def add(a, b):", top_two=True))
        assert (answer.counts.drafted, answer.counts.verification_steps) == (0, TOKENS - 1)
        assert len(answer.top_two_gaps or ()) == TOKENS
        assert all(gap is not None and gap >= 0 for gap in answer.top_two_gaps or ())
        assert s.info.version is not None
        assert s.info.model_type == "float32"
        with pytest.raises(TrialError, match="no grammars"):
            s.generate(ask("x", json_schema="{}"))
        with pytest.raises(TrialError, match="exceeds the available context size"):
            s.generate(ask("x " * 600))


def test_llama_cpp_says_the_same_up_to_a_tie_and_accepts_the_same_of_the_same_draft_model(
    python: str, family: Family, answers: Answers, tmp_path: Path
) -> None:
    weights = datafiles.path("micro/weights")
    files = {name: str(micro.model_file(name, weights=weights, cache=tmp_path)) for name in ("micro", "micro-draft")}
    argv, environment = command(
        catalog.profiles(None)["xllamacpp"],
        target_model=files["micro"],
        draft_model=files["micro-draft"],
        method="draft-model",
        settings={"draft_tokens_max": MOST},
        engine_settings={"threads": 1, "context_size": 512},
        engine_args=(),
    )
    subject = Contender(
        name="draft-model",
        engine="xllamacpp",
        kind="xllamacpp",
        target_model=files["micro"],
        target_label="micro",
        method="draft-model",
        argv=argv,
        environment=environment,
    )
    alike = 0
    with catalog.open_session(subject, log=tmp_path / "log", load_timeout=120) as session:
        for asked, ours in zip(PROMPTS, answers("draft-model", "micro-draft")[:: len(KINDS)], strict=True):
            prompt = session.apply_template([Message(role="user", content=asked)], thinking=None)
            theirs = session.generate(ask(prompt, top_two=True))
            assert theirs.prompt_tokens == ours.prompt_tokens
            pairs = zip(theirs.output_ids or (), ours.output_ids or (), strict=True)
            if (at := next((i for i, (a, b) in enumerate(pairs) if a != b), None)) is None:
                one, other = theirs.counts, ours.counts
                assert (one.drafted, one.accepted_by_position) == (other.drafted, other.accepted_by_position)
                alike += 1
            else:
                gap = (theirs.top_two_gaps or ())[at]
                assert gap is not None
                assert gap < TIE
    assert alike


def rounds(prompt: int, tokens: int) -> list[tuple[int, int]]:
    """Drafted and accepted of each round of the models with code of their own."""
    found, place = [], 1
    while place < tokens:
        found.append(custom_models.kept(prompt + place - 1, tokens - place))
        place += found[-1][1] + 1
    return found


@pytest.mark.parametrize("method", ["orthrus", "domino"])
def test_what_the_code_of_a_model_does_is_counted_from_outside(
    python: str, family: Family, tmp_path: Path, method: str
) -> None:
    target, draft = family("micro"), None
    if method == "orthrus":
        target = custom_models.orthrus(tmp_path / "target", target)
    else:
        draft = custom_models.domino(tmp_path / "draft", target)
        assert safetensors.read_facts(draft).drafter == "domino"
    found = {}
    for name in ("none", method):
        subject = contender(python, target, name, draft=draft if name == method else None, trust=True)
        subject = replace(subject, environment={**subject.environment, "HF_HOME": str(tmp_path / "hf")})
        with catalog.open_session(subject, log=tmp_path / f"{name}.log", load_timeout=300) as session:
            prompts = [session.apply_template([Message(role="user", content=p)], thinking=None) for p in PROMPTS]
            kinds = ({}, {"ignore_eos": False}, {"stream": True, "steps": True})
            found[name] = [session.generate(ask(prompt, **kind)) for prompt in prompts for kind in kinds]
    for plain, drafted in zip(found["none"], found[method], strict=True):
        assert drafted.output_ids == plain.output_ids
        assert drafted.text == plain.text
        reconcile(drafted)
        c = drafted.counts
        if drafted.stop_reason == "length":
            made = rounds(drafted.prompt_tokens or 0, TOKENS)
            assert (c.drafted, c.accepted) == tuple(map(sum, zip(*made, strict=True)))
            assert c.verification_steps == len(made)
        assert c.draft_passes == (c.verification_steps if method == "orthrus" else None)
        assert drafted.observed["min_p"] == 0  # the model's code does not know it
    rule = "rejection-sampling" if method == "orthrus" else "greedy-match"
    assert catalog._sampling_rule(contender(python, target, method, draft=draft, trust=True)) == rule
    if method == "domino":
        first = eval((tmp_path / "domino.log").read_text().partition("acceptance_lengths ")[2].splitlines()[0])  # noqa: S307  a list that our own model printed
        made = rounds(found[method][0].prompt_tokens or 0, TOKENS)
        assert [kept + 1 for _, kept in made[:-1]] == first[: len(made) - 1]


def test_custom_code_runs_only_where_it_was_allowed(python: str, family: Family, tmp_path: Path) -> None:
    target = custom_models.orthrus(tmp_path / "target", family("micro"))
    with pytest.raises(InputError, match="orthrus runs Python code") as refused:
        contender(python, target, "orthrus")
    assert "--trust-remote-code" in refused.value.hint
    with (
        pytest.raises(OpeningError) as caught,
        catalog.open_session(contender(python, target, "none"), log=tmp_path / "log", load_timeout=300),
    ):
        pass
    assert "brings Python code of its own" in (caught.value.log_tail or "")


def test_an_interpreter_without_the_packages_and_no_interpreter_are_told(family: Family, tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    for program, reason, hint in (
        (str(bare), "No module named 'torch'", "specbench[transformers]"),
        ("/bin/false", "exit status 1", "--check"),
    ):
        skip = catalog.check_available(contender(program, family("micro"), "none"))
        assert skip is not None
        assert reason in skip.reason
        assert hint in skip.hint
