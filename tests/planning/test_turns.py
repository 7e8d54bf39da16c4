"""Later turns of a conversation: prompts of their own, which come after an answer that the model is to give."""

from typing import Any

import pytest
from analysis.synthetic import BASE, DRAFT, drafted, generation, machine
from hypothesis import given
from hypothesis import strategies as st
from msgspec import ValidationError
from planning.test_plan import PROFILES, facts
from planning.test_suites import HEAD, SUITE, faults, prompt

from specbench.analysis.comparison import compare
from specbench.analysis.conditions import Measured, differences, same_output
from specbench.analysis.sides import Place, sides
from specbench.conversation import turns
from specbench.errors import InputError
from specbench.planning.extent import extent
from specbench.planning.placement import units
from specbench.planning.plan import make_plan
from specbench.planning.runfile import validate_runfile
from specbench.planning.suites import Suite, parse_suite, select
from specbench.records import Generation, Message, Plan, Prompt, Reply
from specbench.structs import from_json, replace, to_json

OPEN = '{ role = "assistant" }'


def said(role: str, text: str) -> str:
    return f'{{ role = "{role}", content = "{text}" }}'


def suite(*told: str, more: str = "") -> Suite:
    return parse_suite(
        {"suite.toml": SUITE, "talk.toml": HEAD + prompt(f"messages = [{', '.join(told)}]\n{more}system = 's'")}
    )


def planned(made: Suite, **asked: Any) -> Plan:
    runfile = validate_runfile({"engine": "own", "targets": [{"model": "big.gguf"}], **asked})
    return make_plan(runfile, suite=made, profiles=PROFILES, facts={"big.gguf": facts("big.gguf")}, version="0")


THREE = suite(
    said("user", "a"), OPEN, said("user", "b"), said("assistant", "c"), said("user", "d"), OPEN, said("user", "e"),
    more='check = { kind = "json" }\n',
)  # fmt: skip


def test_an_open_answer_begins_another_prompt_and_the_last_one_is_judged() -> None:
    one, two, three = THREE.prompts
    assert [[(m.role, m.content) for m in p.messages] for p in THREE.prompts] == [
        [("system", "s"), ("user", "a")],
        [("user", "b"), ("assistant", "c"), ("user", "d")],
        [("user", "e")],
    ]
    assert [(p.id, p.after) for p in THREE.prompts] == [
        ("talk-a", None), ("talk-a/2", "talk-a"), ("talk-a/3", "talk-a/2")
    ]  # fmt: skip
    assert [p.tags[-1:] for p in (two, three)] == [("turn-2",), ("turn-3",)]
    assert [p.check is not None for p in (one, two, three)] == [False, False, True]


@given(st.lists(st.booleans(), max_size=6))
def test_every_open_answer_is_one_prompt_more_and_no_text_is_lost(answered: list[bool]) -> None:
    told = [said("user", "0")]
    for number, known in enumerate(answered, 1):
        told += [said("assistant", f"answer {number}") if known else OPEN, said("user", str(number))]
    prompts = {p.id: p for p in suite(*told).prompts}
    assert len(prompts) == 1 + answered.count(False)
    whole = [m.content for p in turns(prompts, list(prompts)[-1]) for m in p.messages if m.role == "user"]
    assert whole == [str(number) for number in range(len(answered) + 1)]


@pytest.mark.parametrize(
    ("told", "fault"),
    [((said("user", "a"), OPEN), "must alternate"), (('{ role = "user" }',), "a user's message needs content")],
)
def test_a_conversation_that_ends_open_or_asks_nothing_is_refused(told: tuple[str, ...], fault: str) -> None:
    assert fault in faults(talk=HEAD + prompt(f"messages = [{', '.join(told)}]"))


def test_a_plan_has_what_its_prompts_come_after_and_warms_up_with_something_else() -> None:
    made = planned(THREE, tags=["turn-3"], methods=["ngram-simple"])
    assert {t.prompt for b in made.blocks for t in b.trials} == {"talk-a/3", "warm-up"}
    assert [p.id for p in made.prompts] == ["talk-a", "talk-a/2", "talk-a/3", "warm-up"]
    assert from_json(Plan, to_json(made)) == made


def test_the_context_holds_the_answers_and_their_tokens_are_counted() -> None:
    runs = [
        planned(THREE, tags=tags, methods=["none"], control=False, temperatures=[0], output_tokens=1000)
        for tags in ((), ("turn-3",))
    ]
    sizes = [made.contenders[0].engine_settings["context_size"] for made in runs]
    assert sizes == [3328, 3328]  # three answers of 1000 tokens
    assert [extent(made).trials for made in runs] == [3, 1]
    trials = [sum(t.output_tokens for b in made.blocks for t in b.trials) for made in runs]
    assert [extent(made).output_tokens - own for made, own in zip(runs, trials, strict=True)] == [2000, 2000]


def test_contenders_of_a_target_stay_on_one_machine_where_they_share_answers() -> None:
    family = {"engine_settings": {"threads": [1, 2]}, "methods": ["none"], "control": False}
    assert len(units(planned(THREE, tags=["turn-2"], **family))) == 1
    assert len(units(planned(suite(said("user", "a")), **family))) == 2


def test_a_limit_counts_conversations_and_takes_all_of_their_turns() -> None:
    talks = [
        prompt(f"messages = [{said('user', 'a')}, {OPEN}, {said('user', 'b')}]").replace("talk-a", f"talk-{n}")
        for n in "xyz"
    ]
    made = parse_suite({"suite.toml": SUITE, "talk.toml": HEAD + "\n".join(talks)})
    taken = {n: [p.id for p in select(made, limit=n)] for n in (1, 2)}
    assert taken == {1: ["talk-x", "talk-x/2"], 2: ["talk-x", "talk-x/2", "talk-y", "talk-y/2"]}
    assert [p.id for p in select(made, tags=["turn-2"], limit=2)] == ["talk-x/2", "talk-y/2"]


def test_who_accepts_by_dice_does_not_write_what_others_read() -> None:
    asked = {"methods": ["none", "draft-model"], "targets": [{"model": "big.gguf", "drafters": "small.gguf"}]}
    known = {"big.gguf": facts("big.gguf"), "small.gguf": facts("small.gguf")}
    runfile = validate_runfile({"engine": "own", **asked, "engine_args": ["--spec-synth-rates=0.5"]})
    with pytest.raises(InputError, match="accepts drafts by dice"):
        make_plan(runfile, suite=THREE, profiles=PROFILES, facts=known, version="0")


@pytest.mark.parametrize("after", ["talk-a/2", "nothing"])
def test_a_plan_whose_turns_go_round_in_a_circle_or_begin_nowhere_is_damaged(after: str) -> None:
    data = to_json(planned(THREE)).replace(b'"after":"talk-a"', f'"after":"{after}"'.encode())
    with pytest.raises(ValidationError, match=f"talk-a/2 comes after {after}, which is not before it"):
        from_json(Plan, data)


# ------------------------------------------------------------------------------- synthetic records from here on


def conversation() -> tuple[Prompt, Prompt]:
    message = (Message(role="user", content="a"),)
    one = Prompt(id="talk-a", suite="s", category="talk", messages=message)
    return one, replace(one, id="talk-a/2", after="talk-a")


def run(name: str, text: str) -> Measured:
    """One question of two turns; the hash of the second is that of the answer before it."""
    later = {"prompt_sha256": text * 64}
    results: list[Generation | Reply] = [
        Reply(target="target", answer=generation("base", "talk-a", role="warm-up", text=text, stop_reason="length")),
        *(generation("base", p, **more) for p, more in (("talk-a", {}), ("talk-a/2", later))),
        *(drafted(p, **more) for p, more in (("talk-a", {}), ("talk-a/2", later))),
    ]
    made = Plan(
        specbench_version="0", name=name, suites={}, contenders=(BASE, DRAFT), prompts=conversation(), blocks=()
    )
    return Measured(name, made, machine(), results)


def test_later_turns_are_compared_where_the_answers_before_them_are_the_same() -> None:
    place = Place("draft", "talk", 0.0)
    alike, other = sides([run("a", "1")], [run("b", "1")]), sides([run("a", "1")], [run("b", "2")])
    assert {prompt.partition(" ")[0] for _, prompt, _ in alike.prompts(place)} == {"talk-a", "talk-a/2"}
    assert {prompt for _, prompt, _ in other.prompts(place)} == {"talk-a"}
    assert same_output([run("a", "1")], [run("b", "1")]) == (4, 4)
    assert same_output([run("a", "1")], [run("b", "2")]) == (2, 2)


def test_other_answers_before_later_turns_are_a_difference_that_is_told() -> None:
    what = "answers before later turns (SHA-256)"
    assert what not in [d.what for d in differences([run("a", "1")], [run("b", "1")])]
    assert [(d.kind, d.what) for d in differences([run("a", "1")], [run("b", "2")])] == [(None, what)]


def test_a_note_says_who_wrote_the_answers_and_how_many_were_cut_off() -> None:
    made = run("a", "1")
    (note,) = (n for n in compare(made.plan, made.results).notes if n.code == "ANSWERS_GENERATED")
    assert note.message == "answers before later turns: 1, 1 of them cut off, all greedy and by base"
