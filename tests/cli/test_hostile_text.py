"""Names and logs that would act on a terminal do not reach it, in a report, a list, a plan or an error."""

import json
from pathlib import Path

import pytest
from analysis import synthetic
from cli.test_bad_input import specbench

from specbench import store

HOSTILE = "mi\x1b]0;owned\x07\x1b[31mcro\u202e"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A synthetic run whose target, model and answers carry escape sequences."""
    results = [
        synthetic.generation(who, prompt, text=HOSTILE) for prompt in ("code-0", "code-1") for who in ("base", "draft")
    ]
    with store.create(tmp_path / "results", synthetic.plan(results), synthetic.machine()) as folder:
        for result in results:
            folder.append(result)
    label = json.dumps(synthetic.BASE.target_label)
    text = (folder.path / "plan.json").read_text(encoding="utf-8")
    assert label in text
    (folder.path / "plan.json").write_text(text.replace(label, json.dumps(HOSTILE)), encoding="utf-8")
    return folder.path


@pytest.mark.parametrize("words", [("report",), ("report", "--format", "markdown"), ("runs", "list"), ("runs", "show")])
def test_control_characters_do_not_reach_a_terminal(run: Path, words: tuple[str, ...]) -> None:
    shown = specbench(*words, cwd=run.parents[1])
    assert shown.returncode == 0, shown.stderr
    for sign in ("\x1b", "\x07", "\u202e"):
        assert sign not in shown.stdout + shown.stderr


def test_an_error_that_repeats_a_name_is_harmless_too(tmp_path: Path) -> None:
    shown = specbench("run", "--model", HOSTILE, cwd=tmp_path)
    assert shown.returncode == 2
    assert "error: " in shown.stderr
    assert "\x1b" not in shown.stderr
