"""A run that is stopped, killed or out of time loses nothing that was measured, and goes on where it stopped."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from engines import fake_engine

pytestmark = pytest.mark.engine

WHAT = ("--methods", "draft-model,ngram-mod", "-c", "code,creative", "--tags", "smoke", "--prompts", "4", "-o", "48")
WHICH = ("--model", "micro", "--draft-model", "micro-draft", "--engine-set", "threads=1", "--results", "results")
RUN = ("run", *WHAT, *WHICH)


def start(cwd: Path, *words: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "specbench", *words]
    # A shell's background job ignores SIGINT, and its children with it.
    return subprocess.Popen(
        argv,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  no threads here
    )


def records(cwd: Path) -> list[dict[str, Any]]:
    files = list((cwd / "results").glob("*/trials.jsonl"))
    if not files:
        return []
    return [json.loads(line) for line in files[0].read_text().splitlines(keepends=True) if line.endswith("\n")]


def wait_for_trials(cwd: Path, process: subprocess.Popen[str], number: int) -> None:
    while len(records(cwd)) < number:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def counts(cwd: Path) -> dict[str, tuple[object, ...]]:
    """What must be the same in both runs: greedy and seeded sampling give the same tokens and the same drafts."""
    return {
        r["trial"]["id"]: (r["output_ids"], *(r["counts"][key] for key in ("drafted", "accepted", "drafted_steps")))
        for r in records(cwd)
        if r["kind"] == "generation" and r["trial"]["role"] != "warm-up"
    }


def plan(cwd: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(next((cwd / "results").glob("*/plan.json")).read_text())
    return loaded


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    process = start(folder, *RUN)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return folder


@pytest.mark.parametrize("killed_after", [3, 17, 40])
def test_a_killed_run_resumes_to_the_same_counts(tmp_path: Path, whole: Path, killed_after: int) -> None:
    process = start(tmp_path, *RUN)
    wait_for_trials(tmp_path, process, killed_after)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == [], "an engine outlived specbench"
    before = counts(tmp_path)

    run = next((tmp_path / "results").iterdir()).name
    resumed = start(tmp_path, "run", "--resume", run, "--results", "results")
    _, errors = resumed.communicate()
    assert resumed.returncode == 0, errors
    after = counts(tmp_path)
    assert {key: after[key] for key in before} == before
    assert after == counts(whole)
    ids = [r["trial"]["id"] for r in records(tmp_path) if r["trial"]["role"] != "warm-up"]
    assert len(ids) == len(set(ids)), "a trial was recorded twice"


def test_ctrl_c_keeps_everything_and_says_how_to_go_on(tmp_path: Path) -> None:
    process = start(tmp_path, *RUN)
    wait_for_trials(tmp_path, process, 5)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "specbench run --resume" in errors
    assert "Traceback" not in errors
    assert "trials measured" in out
    assert len(records(tmp_path)) >= 5


def test_a_budget_ends_a_run_and_the_rest_can_follow(tmp_path: Path) -> None:
    process = start(tmp_path, *RUN, "--budget", "1s")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "the budget is used up" in errors
    assert "specbench run --resume" in errors
    rest = start(tmp_path, "run", "--resume", next((tmp_path / "results").iterdir()).name, "--results", "results")
    _, errors = rest.communicate(timeout=120)
    assert rest.returncode == 0, errors
    planned = sum(t["role"] != "warm-up" for block in plan(tmp_path)["blocks"] for t in block["trials"])
    assert len(counts(tmp_path)) == planned


def test_an_engine_that_is_killed_costs_one_trial(tmp_path: Path) -> None:
    process = start(tmp_path, *RUN)
    wait_for_trials(tmp_path, process, 5)
    for child in psutil.Process(process.pid).children(recursive=True):
        os.kill(child.pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    failures = [r for r in records(tmp_path) if r["kind"] == "failure"]
    assert len(failures) <= 1, "the engine may also have been between two trials, or at a warm-up"
    assert process.returncode == len([f for f in failures if f["trial"]["role"] != "warm-up"]), errors
    assert all(failure["reason"] == "engine-died" for failure in failures)
    planned = sum(t["role"] != "warm-up" for block in plan(tmp_path)["blocks"] for t in block["trials"])
    assert len(counts(tmp_path)) >= planned - 1, "only the trial that the engine did not survive is missing"


def test_two_runs_at_once_do_not_meet(tmp_path: Path) -> None:
    quick = (*RUN, "--categories", "code", "--prompts", "1", "--methods", "ngram-mod")
    both = [start(tmp_path, *quick) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    assert len(list((tmp_path / "results").iterdir())) == 2


def test_ctrl_c_does_not_wait_for_a_server_that_was_attached_to(tmp_path: Path) -> None:
    suite = tmp_path / "suite"
    suite.mkdir()
    (suite / "suite.toml").write_text(
        'name = "own"\nversion = "1"\nlicence = "CC0-1.0"\ndescription = "d"\ncategories = ["code"]\n'
    )
    (suite / "code.toml").write_text(
        'category = "code"\ndescription = "d"\noutput_tokens = 4\n'
        + "".join(f'[[prompt]]\nid = "code-{i}"\ntags = []\nuser = "HANG"\n' for i in range(2))
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = [str(fake_engine.install(tmp_path)), "--model", "m", "--port", port]
    with subprocess.Popen(words) as server:
        try:
            words = ["--engine", "attach", "--url", f"http://127.0.0.1:{port}", "--suite", str(suite)]
            process = start(tmp_path, "run", *words, "--sweep", "streams=2", "--results", "results")
            while not any((tmp_path / "results").glob("*/openings.jsonl")):
                assert process.poll() is None, process.communicate()
                time.sleep(0.05)
            time.sleep(1)  # the requests are on their way: each takes a minute
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        finally:
            server.kill()
    assert process.returncode == 130, errors
