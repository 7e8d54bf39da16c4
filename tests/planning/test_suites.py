import pytest

from specbench import datafiles
from specbench.errors import InputError
from specbench.planning.suites import Suite, parse_suite, select

SUITE = 'name = "own"\nversion = "1.0.0"\nlicence = "CC0-1.0"\ndescription = "d"\ncategories = ["talk"]\n'
HEAD = 'category = "talk"\ndescription = "d"\noutput_tokens = 32\n'
PASSAGES = '[slots]\nperson = ["Ann"]\n[[document]]\ntitle = "t"\nframes = ["{person} came at {time}."]\n'


def prompt(text: str) -> str:
    return f'[[prompt]]\nid = "talk-a"\ntags = []\n{text}\n'


def faults(**files: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_suite({f"{name}.toml": text for name, text in {"suite": SUITE, **files}.items()})
    return caught.value.message


@pytest.fixture(scope="module")
def core() -> Suite:
    return parse_suite(datafiles.texts(datafiles.path("suites/core")))


def test_the_packaged_suite_is_valid_and_has_twenty_prompts_and_four_smoke_prompts_a_category(core: Suite) -> None:
    for category in core.categories:
        assert len([p for p in core.prompts if p.category == category.name]) >= 20
        assert len(select(core, categories=[category.name], tags=["smoke"])) == 4


def test_micro_prompts_of_the_packaged_suite_are_short_plain_text(core: Suite) -> None:
    for chosen in select(core, tags=["micro"]):
        text = "".join(message.content for message in chosen.messages)
        assert text.isascii(), chosen.id
        assert len(text) <= 650, chosen.id


def test_a_question_becomes_passages_and_a_check_for_its_answer(core: Suite) -> None:
    found = next(p for p in core.prompts if p.id == "rag-long-two-clocks")
    assert found.messages == ()
    assert found.passages is not None
    assert len(found.passages.needles) == 2
    assert found.check is not None
    assert (found.check.kind, found.check.all) == ("contains", ("Harrowgate", "flower pot"))


def test_a_system_message_and_turns_become_one_conversation() -> None:
    suite = parse_suite({"suite.toml": SUITE, "talk.toml": HEAD + prompt('system = "s"\nuser = "u"')})
    assert [(m.role, m.content) for m in suite.prompts[0].messages] == [("system", "s"), ("user", "u")]


def test_every_fault_of_every_file_is_reported_at_once_with_its_place() -> None:
    message = faults(
        talk=HEAD + prompt('usr = "u"') + prompt('user = "u"\ncheck = { kind = "regex", pattern = "(" }'),
        passages=PASSAGES.replace("{person}", "{persn}"),
        extra="x = 1",
    )
    assert "talk.toml: talk-a: unknown key 'usr': did you mean 'user'?" in message
    assert "talk.toml: talk-a: the pattern is wrong" in message
    assert "passages.toml: 't': unknown placeholder {persn}: did you mean 'person'?" in message
    assert "extra.toml" in message


def test_a_hundred_thousand_unknown_placeholders_are_a_short_message() -> None:
    """Each was told with the whole frame: a file of 200 kB took all memory there is."""
    many = "".join(f"{{x{number}}}" for number in range(100_000))
    message = faults(talk=HEAD + prompt('user = "u"'), passages=PASSAGES.replace("{person}", many))
    assert "unknown placeholder {x0}: known: " in message
    assert "and 99990 more unknown placeholders" in message
    assert len(message) < 3_000


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ('user = "a"\nquestion = "b"', "exactly one of user, messages, question"),
        ("", "exactly one of user, messages, question"),
        ('messages = [{role = "assistant", content = "a"}]', "messages must alternate"),
        ('messages = [{role = "user", content = "a", nam = 1}]', "unknown key"),
        ('question = "q"', "a question needs needles and answer"),
        ('question = "q"\nneedles = ["n"]\nanswer = ["n"]', "needs a passages.toml"),
        ('user = "a"\nanswer = ["n"]', "belong to a question"),
        ('user = "a"\nconstrained = true', "constrained needs a schema"),
        ('user = "a"\nschema = "{"', "the schema is wrong"),
        ('user = "a"\ncheck = { kind = "contains" }', "a contains check needs all or any"),
        ('user = "a"\ncheck = { kind = "regex" }', "a regex check needs a pattern"),
        ('user = "a"\ncheck = { kind = "xml" }', "check.kind"),
        ('user = "a"\nschem = "{}"', "did you mean 'schema'?"),
        ("user = 3", "user: input should be a valid string"),
    ],
)
def test_a_wrong_prompt_is_refused_with_its_id_and_the_reason(entry: str, fault: str) -> None:
    message = faults(talk=HEAD + prompt(entry))
    assert "talk-a" in message
    assert fault in message


def test_ids_begin_with_the_category_and_occur_once() -> None:
    assert "the id must begin with 'talk-'" in faults(talk=HEAD + prompt('user = "a"').replace("talk-a", "a"))
    assert "'talk-a' is used 2 times" in faults(talk=HEAD + prompt('user = "a"') * 2)


def test_a_category_without_a_file_and_a_file_that_is_no_toml_are_faults() -> None:
    assert "category 'talk' has no file talk.toml" in faults()
    assert "talk.toml: " in faults(talk="= 3")


def test_a_folder_without_suite_toml_is_no_suite() -> None:
    with pytest.raises(InputError, match=r"there is no suite\.toml"):
        parse_suite({"talk.toml": HEAD})


def test_selection_keeps_the_order_and_limits_each_category(core: Suite) -> None:
    found = select(core, categories=["json", "code"], limit=3)
    assert [p.category for p in found] == ["code"] * 3 + ["json"] * 3


def test_an_unknown_category_or_tag_is_refused_with_a_suggestion(core: Suite) -> None:
    with pytest.raises(InputError) as caught:
        select(core, categories=["cod"])
    assert "did you mean 'code'?" in caught.value.hint
    with pytest.raises(InputError) as caught:
        select(core, tags=["smok"])
    assert "did you mean 'smoke'?" in caught.value.hint


def test_a_selection_of_nothing_is_refused(core: Suite) -> None:
    with pytest.raises(InputError, match="all of the tags"):
        select(core, categories=["creative"], tags=["constrained"])
