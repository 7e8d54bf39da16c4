"""Prompts of other benchmarks become suites; the rows here are made up, in the shape of each benchmark's file."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specbench import exchange
from specbench.errors import InputError
from specbench.pipeline import find_suite
from specbench.planning.foreign import PLACEHOLDER, SHAPES, converted, shape
from specbench.planning.suites import Suite, parse_suite

ROWS: dict[str, list[dict[str, Any]]] = {
    "spec-bench": [
        {"question_id": 81, "category": "writing", "turns": ["Write a line.", "Now another."], "reference": []},
        {"question_id": 281, "category": "math_reasoning", "turns": ["What is 2 + 2?"], "reference": ["4"]},
    ],
    "mt-bench": [{"question_id": 81, "category": "writing", "turns": ["Write a line.", "Now another."]}],
    "speed-bench": [
        {"question_id": "ab12", "category": "coding", "sub_category": "python", "turns": ["Write a loop."]},
        {
            "question_id": "cd34",
            "category": "roleplay",
            "messages": [
                {"role": "system", "content": "You are a parrot."},
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "Hello hello"},
                {"role": "user", "content": "Who are you?"},
            ],
        },
    ],
    "humaneval": [
        {"task_id": "HumanEval/0", "prompt": "def two():\n", "canonical_solution": "    return 2\n", "test": ""}
    ],
    "gsm8k": [{"question": "Two and two?", "answer": "#### 4"}, {"question": "Three and three?", "answer": "#### 6"}],
    "jsonl": [{"prompt": 'A "quoted" \\ text\twith\x7fall\x01kinds\nof signs: é 日本 😀'}],
}


def made(name: str, rows: Any, **columns: str) -> Suite:
    return parse_suite(converted(rows, shape(name, columns, licence=None), name="mine", output_tokens=64)[0])


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_becomes_a_suite_with_its_texts_categories_and_licence(name: str) -> None:
    suite = made(name, ROWS[name])
    first_turns = [prompt for prompt in suite.prompts if prompt.after is None]
    assert len(first_turns) == len(ROWS[name])
    assert suite.licence == SHAPES[name].licence
    wanted = [row.get("category", SHAPES[name].kind) for row in ROWS[name]]
    assert [p.category for p in first_turns] == wanted
    asked = [row.get("prompt") or row.get("question") or row.get("turns", row.get("messages")) for row in ROWS[name]]
    for value, prompt in zip(asked, first_turns, strict=True):
        first = value[0] if isinstance(value, list) else value
        assert prompt.messages[0].content == (first["content"] if isinstance(first, dict) else first)


def test_a_conversation_is_kept_and_a_turn_that_needs_an_answer_is_a_prompt_of_its_own() -> None:
    suite = made("speed-bench", ROWS["speed-bench"])
    assert [m.role for m in suite.prompts[1].messages] == ["system", "user", "assistant", "user"]
    files, lost = converted(ROWS["spec-bench"], SHAPES["spec-bench"], name="mine", output_tokens=64)
    one, two, _ = parse_suite(files).prompts
    assert lost == 0
    assert (one.id, one.messages[-1].content, one.after) == ("writing-81", "Write a line.", None)
    assert (two.id, two.after, two.tags) == ("writing-81/2", "writing-81", ("micro", "turn-2"))
    assert [(m.role, m.content) for m in two.messages] == [("user", "Now another.")]


def test_what_follows_no_question_and_no_answer_is_counted_and_left_out() -> None:
    told = [{"role": role, "content": "x"} for role in ("user", "tool", "user")]
    files, lost = converted(
        [{"messages": told, "category": "c", "question_id": 1}], SHAPES["speed-bench"], name="mine", output_tokens=64
    )
    assert (len(parse_suite(files).prompts), lost) == (1, 1)


def test_prompts_that_the_embedded_models_can_take_are_marked() -> None:
    suite = made("jsonl", [{"prompt": "short"}, {"prompt": "x" * 651}, {"prompt": "日本"}])
    assert [p.tags for p in suite.prompts] == [("micro",), (), ()]


def test_columns_of_any_names_are_taken() -> None:
    rows = [
        {"problem": "2 + 2", "subject": "Pre-Algebra!", "key": 7},
        {"problem": "3 + 3", "subject": "suite", "key": 7},
    ]
    suite = made("jsonl", rows, prompt="problem", category="subject", id="key")
    assert [p.id for p in suite.prompts] == ["pre-algebra-7", "suite-prompts-7"]


def test_other_prompts_have_another_version() -> None:
    one, other = made("gsm8k", ROWS["gsm8k"]), made("gsm8k", ROWS["gsm8k"][:1])
    assert one.version != other.version


@pytest.mark.parametrize(
    ("rows", "says", "advises"),
    [
        ([{"turns": [PLACEHOLDER + " FROM SOMEWHERE"]}, {"turns": ["x"]}], "1 of 2 rows", "own script"),
        ([{"turns": ["x"]}, {"turns": []}], r"1 of 2 rows \(the first is row 2\) have no text", "--column"),
        ([{"turns": [{"role": "assistant", "content": "x"}]}], "have no text", "--column"),
        ([], "no list of prompts", "JSON lines"),
        ("text", "no list of prompts", "JSON lines"),
        ([1, 2], "no list of prompts", "JSON lines"),
    ],
)
def test_rows_without_a_prompt_are_refused(rows: Any, says: str, advises: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        made("speed-bench", rows)
    assert advises in caught.value.hint


def test_wrong_names_of_formats_and_columns_are_corrected() -> None:
    with pytest.raises(InputError) as caught:
        shape("spec-bensh", {}, licence=None)
    assert "spec-bench" in caught.value.hint
    with pytest.raises(InputError, match="'promt'"):
        shape("jsonl", {"promt": "x"}, licence=None)


@pytest.mark.parametrize("key", ["category", "id"])
def test_a_column_that_no_row_has_is_refused_with_those_that_there_are(key: str) -> None:
    with pytest.raises(InputError, match="no row has a column 'subjekt'") as caught:
        made("gsm8k", [{"question": "Two and two?", "subject": "sums"}], **{key: "subjekt"})
    assert f"--column {key}=NAME" in caught.value.hint
    assert "subject" in caught.value.hint


ANY = st.text() | st.integers() | st.none() | st.lists(st.text())


@settings(max_examples=200, deadline=None)
@given(st.text().filter(str.strip), ANY, ANY)
def test_any_text_comes_out_as_it_went_in(text: str, category: object, key: object) -> None:
    rows = [{"a": text, "b": category, "c": key}] * 3
    suite = made("jsonl", rows, prompt="a", category="b", id="c")
    assert [p.messages[0].content for p in suite.prompts] == [text.encode("utf-8", "replace").decode()] * 3


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), ANY), max_size=4))
def test_any_rows_become_a_suite_or_a_clear_error(rows: list[dict[str, Any]]) -> None:
    try:
        suite = made("jsonl", rows, prompt="a", category="b", id="c")
    except InputError:
        return
    assert sum(prompt.after is None for prompt in suite.prompts) == len(rows)


def test_a_file_becomes_a_folder_that_a_run_takes(tmp_path: Path) -> None:
    file = tmp_path / "question.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS["spec-bench"]), encoding="utf-8")
    made_of = {"name": "spec-bench", "columns": {}, "licence": "mine", "output_tokens": 32}
    exchange.import_suite(file, tmp_path / "mine", **made_of)
    suite = find_suite(str(tmp_path / "mine"))
    assert (suite.name, suite.licence, suite.category("writing").output_tokens) == ("mine", "mine", 32)
    with pytest.raises(InputError, match="exists"):
        exchange.import_suite(file, tmp_path / "mine", **made_of)
    (tmp_path / "x.parquet").write_bytes(b"PAR1....")
    with pytest.raises(InputError, match=r"x\.parquet: this is a Parquet file"):
        exchange.import_suite(tmp_path / "x.parquet", tmp_path / "other", **made_of)
    assert not (tmp_path / "other").exists()
