"""`--until` on the real engine: it ends early, a killed run goes on by the same rule, and the report agrees."""

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from specbench import pipeline, store
from specbench.analysis import until
from specbench.records import Enough, Generation

pytestmark = pytest.mark.engine

WHAT = ("--methods", "draft-model,ngram-mod", "-c", "code,creative", "--tags", "micro", "-t", "0", "-o", "24")
WHICH = ("--model", "micro", "--draft-model", "micro-draft", "--engine-set", "threads=1", "--results", "results")
RUN = ("run", *WHAT, *WHICH, "--until", "ci=80%", "--repeats", "2")


def start(cwd: Path, *words: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "specbench", *words]
    return subprocess.Popen(argv, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(cwd: Path, *words: str) -> str:
    process = start(cwd, *words)
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    return out + errors


def agrees(run: store.Run) -> list[Enough]:
    """The decisions of a run; by its records the same ones are taken again, and nothing that was not needed ran."""
    decided = [r for r in run.results if isinstance(r, Enough)]
    spared = until.spared(run.results)
    again = []
    for block in run.plan.blocks:
        if any(t.role != "warm-up" and t.id not in until.spared(again) for t in block.trials):
            again += until.enough(run.plan, block, run.results)
    assert again == decided
    measured = {r.trial.id for r in run.results if isinstance(r, Generation) and r.trial.role != "warm-up"}
    planned = {t.id for block in run.plan.blocks for t in block.trials if t.role != "warm-up"}
    assert (measured & spared, measured | spared) == (set(), planned)
    return decided


def test_a_category_ends_early_and_a_killed_run_goes_on_by_the_same_rule(tmp_path: Path) -> None:
    process = start(tmp_path, *RUN)
    lines: list[bytes] = []
    while sum(b'"kind":"enough"' in line for line in lines) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
        lines = [line for f in tmp_path.glob("results/*/trials.jsonl") for line in f.read_bytes().splitlines()]
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    psutil.wait_procs(children, timeout=10)
    path = next((tmp_path / "results").iterdir())
    before = [r for r in store.read(path).results if isinstance(r, Enough)]
    assert len(before) >= 2

    shown = finished(tmp_path, "run", "--resume", path.name, "--results", "results")
    run, comparison = pipeline.read(path)
    decided = agrees(run)
    assert decided[: len(before)] == before
    assert "STOPPED_EARLY" in shown
    assert "trials are left" not in shown
    assert comparison.planned == comparison.measured
    table = json.loads(finished(tmp_path, "report", path.name, "--results", "results", "--format", "json"))
    stopped = [n for n in table["notes"] if n["code"] == "STOPPED_EARLY"]
    assert [n["message"] for n in stopped] == [f"{e.reason}: {len(e.trials)} trials were not run" for e in decided]
    assert "trials are left" not in finished(tmp_path, "run", "--resume", path.name, "--results", "results")


def test_one_part_is_refused_before_anything_runs(tmp_path: Path) -> None:
    process = start(tmp_path, *RUN[:-2], "--prompts", "8")
    _, errors = process.communicate()
    assert process.returncode == 2
    assert "there is one part" in errors
    assert not (tmp_path / "results").exists()
