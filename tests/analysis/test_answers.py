import re
import warnings

import pytest
import regex
from analysis.synthetic import generation, plan, prompt
from hypothesis import assume, example, given
from hypothesis import strategies as st

from specbench.analysis import answers
from specbench.analysis.comparison import compare
from specbench.records import Check

SCHEMA = '{"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}'


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("def f():\n    return 1", True),
        ("Here you are:\n```python\nimport re\nre.compile('\\d')\n```\nEnjoy.", True),
        ("```\nx = 1\n```", True),
        ("Here you are:\n```python\nx = 1", True),
        ("```bash\nls -l\n```\n```py\nx = (1\n```", False),
        ("Here is the function you asked for.", False),
        ("Sure", False),
        ("", False),
        ("x = '\0'", False),
        ("(" * 5000, False),
    ],
)
def test_python_parses_and_says_something(text: str, right: bool) -> None:  # noqa: FBT001  an expected value
    assert answers.judge(text, prompt("code-0", check=Check(kind="python"))) is right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ('{"a": 1}', True),
        ('```json\n{"a": 1}\n```', True),
        ('{"a": "1"}', False),
        ('{"a": 1', False),
        ('{"a": NaN}', False),
        ("[" * 100_000, False),
    ],
)
def test_json_parses_and_satisfies_its_schema(text: str, right: bool) -> None:  # noqa: FBT001  an expected value
    assert answers.judge(text, prompt("json-0", check=Check(kind="json"), json_schema=SCHEMA)) is right


def test_json_without_a_schema_has_only_to_parse() -> None:
    assert answers.judge("[1]", prompt("json-0", check=Check(kind="json")))


def test_a_needle_is_found_in_any_case_of_letters() -> None:
    check = Check(kind="contains", all=("Marta",), any=("ferry", "boat"))
    assert answers.judge("MARTA took the boat", prompt("rag-0", check=check))
    assert not answers.judge("Marta walked", prompt("rag-0", check=check))
    assert not answers.judge("She took the ferry", prompt("rag-0", check=check))


@pytest.mark.timeout(60)
def test_an_answer_on_which_a_pattern_never_ends_is_not_judged() -> None:
    endless = Check(kind="regex", pattern=r"(?:a|aa)+$")
    assert answers.judge("a" * 20, prompt("code-0", check=endless)) is True
    assert answers.judge("a" * 300 + "b", prompt("code-0", check=endless)) is None
    results = [generation("base", "code-0", text="a" * 300 + "b", ignore_eos=False, stop_reason="eos")]
    found = compare(plan(results, prompts=(prompt("code-0", check=endless),)), results)
    assert {(row.checks_passed, row.checks_judged) for row in found.rows} == {(0, 0)}


def test_a_pattern_is_searched_anywhere() -> None:
    check = Check(kind="regex", pattern=r"\b42\b")
    assert answers.judge("so the answer is 42.", prompt("reasoning-0", check=check))
    assert not answers.judge("421", prompt("reasoning-0", check=check))


@given(
    pattern=st.lists(
        st.sampled_from([*"abis{}[]()^|.*+?,-01\\", "{i}", "{s}", "\\{", "{1}", "{0,1}", "(?:"]), max_size=9
    ),
    text=st.text("abis{}01,-", max_size=8),
)
@example([*"x_{i}"], "x_")
@example([*"a{,}"], "b")
@example(["\\N{DIGIT ONE}"], "1")
@example([*"[{i}]{i}"], "i")
def test_a_pattern_means_what_it_means_to_python(pattern: list[str], text: str) -> None:
    asked = "".join(pattern)
    with warnings.catch_warnings(action="error"):
        try:
            wanted = re.search(asked, text) is not None
        except (re.error, FutureWarning, DeprecationWarning):  # a suite with it is refused
            assume(False)
            return
    assert (regex.search(answers.plain(asked), text) is not None) == wanted


def test_a_prompt_without_a_check_is_not_judged() -> None:
    assert answers.judge("anything", prompt("chat-0")) is None


def test_a_cut_answer_cannot_be_judged() -> None:
    assert answers.cut(generation("base", "code-0"))
    assert answers.cut(generation("base", "code-0", ignore_eos=False, stop_reason="length"))
    assert answers.cut(generation("base", "code-0", ignore_eos=False, stop_reason=None))
    assert not answers.cut(generation("base", "code-0", ignore_eos=False, stop_reason="eos"))
