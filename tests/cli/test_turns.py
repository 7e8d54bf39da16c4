"""Both turns of MT-bench's questions on the real engine, stopped in between: everybody is asked the same."""

import json
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from cli.test_interruption import start

pytestmark = pytest.mark.engine

QUESTIONS = [  # made up, in the shape of MT-bench's file
    {"question_id": 81, "category": "writing", "turns": ["Write two lines about rain.", "Now make them rhyme."]},
    {"question_id": 111, "category": "math", "turns": ["What is 2 + 2?", "And 3 + 3?"], "reference": ["4", "6"]},
]
IMPORT = ("suites", "import", "question.jsonl", "--format", "mt-bench", "--to", "mt", "--output-tokens", "16")
WHICH = ("--suite", "mt", "--model", "micro", "--draft-model", "micro-draft", "--methods", "draft-model,ngram-mod")
RUN = ("run", *WHICH, "--engine-set", "threads=1", "--results", "results")


def specbench(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "specbench", *words]
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)


def records(cwd: Path) -> list[dict[str, Any]]:
    lines = [line for file in (cwd / "results").glob("*/trials.jsonl") for line in file.read_text().splitlines(True)]
    return [json.loads(line) for line in lines if line.endswith("\n")]


def test_both_turns_are_measured_and_a_resumed_run_keeps_the_answers_between_them(tmp_path: Path) -> None:
    (tmp_path / "question.jsonl").write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS), encoding="utf-8")
    assert "4 prompts in 2 categories" in specbench(tmp_path, *IMPORT).stdout
    process = start(tmp_path, *RUN)
    while not (said := [r for r in records(tmp_path) if r["kind"] == "reply"]):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    (folder,) = (tmp_path / "results").glob("*")
    done = specbench(tmp_path, "run", "--resume", str(folder), "--results", "results")
    assert done.returncode == 0, done.stderr
    assert "answers before later turns: 2" in done.stdout
    found = records(tmp_path)
    replies = {r["answer"]["trial"]["prompt"]: r["answer"] for r in found if r["kind"] == "reply"}
    assert sorted(replies) == ["math-111", "writing-81"]
    assert sum(r["kind"] == "reply" for r in found) == 2
    assert replies[said[0]["answer"]["trial"]["prompt"]]["text"] == said[0]["answer"]["text"]
    asked, tokens, contenders = (defaultdict[str, set[Any]](set) for _ in range(3))
    for r in found:
        if r["kind"] == "generation" and r["trial"]["role"] != "warm-up":
            name = r["trial"]["prompt"]
            asked[name].add(r["prompt_sha256"])
            tokens[name].add(r["prompt_tokens"])
            contenders[name].add(r["trial"]["contender"])
    assert sorted(asked) == ["math-111", "math-111/2", "writing-81", "writing-81/2"]
    assert {len(hashes) for hashes in asked.values()} == {1}
    assert {len(names) for names in contenders.values()} == {3}
    for name, answer in replies.items():  # its question and its answer stand in the later prompt
        assert min(tokens[f"{name}/2"]) > answer["prompt_tokens"] + answer["output_tokens"]
        assert asked[name] == {answer["prompt_sha256"]}
