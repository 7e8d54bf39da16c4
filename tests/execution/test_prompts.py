import pytest
from execution.fakes import FakeEngine, FakeSession, make_contender, make_plan
from hypothesis import given
from hypothesis import strategies as st

from specbench.execution.prompts import Prompts, filled
from specbench.records import Message, Passages, Plan
from specbench.structs import replace


@given(
    fill=st.integers(min_value=50, max_value=200_000),
    per_token=st.floats(min_value=1.0, max_value=9.0),
    overhead=st.integers(min_value=0, max_value=40),
)
def test_a_text_is_made_to_the_wanted_number_of_tokens(fill: int, per_token: float, overhead: int) -> None:
    text = filled(lambda n: "x" * n, fill, count=lambda text: overhead + round(len(text) / per_token))
    tokens = overhead + round(len(text) / per_token)
    assert abs(tokens - fill) <= max(fill * 0.02, 1)


def test_the_closest_text_is_kept_when_the_steps_are_coarse() -> None:
    text = filled(lambda n: "x" * (n // 400 * 400), 130, count=lambda text: len(text) // 4)
    assert len(text) == 400


def test_a_text_that_cannot_be_short_enough_stays_as_it_is() -> None:
    assert filled(lambda n: "x" * max(n, 4000), 10, count=len) == "x" * 4000


@pytest.fixture
def plan() -> Plan:
    frames = {"slots": {"thing": ["bench", "tower", "lamp"]}, "document": []}
    plan = make_plan([("a", ["p"])])
    hidden = Passages(needles=("The code is 42.",), question="What is the code?", seed=1)
    system = Message(role="system", content="Answer.")
    prompt = replace(plan.prompts[0], passages=hidden, messages=(system,))
    return replace(plan, prompts=(prompt,), passages_text=frames)


def test_passages_become_the_last_user_turn_and_are_made_once(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def render(frames: object, hidden: Passages, *, characters: int) -> str:
        assert frames == plan.passages_text
        asked.append(characters)
        return "a" * characters + hidden.question

    monkeypatch.setattr("specbench.passages.render", render)
    prompts, session = Prompts(plan), FakeSession(FakeEngine())
    trial = replace(plan.blocks[0].trials[0], fill=1000)
    text = prompts.render(trial, contender=make_contender("a"), session=session)
    assert text.startswith("<Answer.><aaaa")
    assert abs(session.count_tokens(text) - 1000) <= 20
    attempts = len(asked)
    assert prompts.render(trial, contender=make_contender("b"), session=session) == text
    assert len(asked) == attempts
    shortest = prompts.render(plan.blocks[0].trials[0], contender=make_contender("a"), session=session)
    assert shortest == "<Answer.><What is the code?>"


def test_without_its_template_a_prompt_is_the_text_of_its_messages() -> None:
    plan = make_plan([("a", ["p"])])
    turns = (Message(role="system", content="system"), Message(role="user", content="user"))
    plan = replace(plan, prompts=(replace(plan.prompts[0], messages=turns),))
    prompts, session, trial = Prompts(plan), FakeSession(FakeEngine()), plan.blocks[0].trials[0]
    bare = replace(make_contender("b"), template=False)
    assert prompts.render(trial, contender=make_contender("a"), session=session) == "<system><user>"
    assert prompts.render(trial, contender=bare, session=session) == "system\n\nuser"
