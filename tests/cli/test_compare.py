"""`specbench compare` and `baseline` on synthetic runs on disk."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from analysis.synthetic import drafted, failure, generation, machine, plan

from specbench import store
from specbench.__main__ import main
from specbench.hardware.detect import detect
from specbench.records import Result
from specbench.structs import to_json

PACE = (1.0, 1.01, 0.99)


def results(number: int, *, plain: float = 1, broken: bool = False) -> Iterator[Result]:
    for i in range(6):
        seconds = plain * PACE[number % 3] * (1 + 0.003 * ((i * 7 + number * 3) % 5))
        yield generation("base", f"code-{i}", seconds=seconds, started=1000.0 * number + i)
        yield failure("draft", f"code-{i}") if broken else drafted(f"code-{i}", seconds=seconds / 2)


def write(root: Path, name: str, number: int, **changes: float) -> Path:
    found = list(results(number, **changes))
    with store.create(
        root, plan(found), machine(), name=name, clock=lambda: datetime(2026, 1, 1, tzinfo=UTC)
    ) as folder:
        for r in found:
            folder.append(r)
    return folder.path.rename(root / name)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compare") / "results"
    for k in range(3):
        write(root, f"old-{k}", 2 * k)
        write(root, f"new-{k}", 2 * k + 1)
        write(root, f"slow-{k}", 2 * k + 1, plain=1.3)
        write(root, f"broken-{k}", 2 * k + 1, broken=True)
    (root / "foreign").mkdir()
    (root / "foreign" / "plan.json").write_text('{"model": "x", "results": []}')
    (root / "torn").mkdir()
    (root / "torn" / "plan.json").write_text('{"schema_version": 2, "na')
    return root


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def specbench(root: Path, *words: str, **environment: str) -> Done:
    """The command in this process, beside the results folder."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.chdir(root.parent)
        patch.setattr(sys, "argv", ["specbench", *words])
        patch.delenv("GITHUB_STEP_SUMMARY", raising=False)
        for key, value in environment.items():
            patch.setenv(key, value)
        try:
            main()
        except SystemExit as left:
            return Done(int(left.code or 0), out.getvalue(), err.getvalue())
    return Done(0, out.getvalue(), err.getvalue())


def sides(name: str) -> list[str]:
    return ["old-0", *(f"{name}-{k}" for k in range(3)), "--base", "old-1", "--base", "old-2"]


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ([*sides("new"), "--fail-on", "decode_speed<-5%", "--fail-on", "lossless"], 0, "decode_speed<-5%: passed"),
        ([*sides("slow"), "--fail-on", "decode_speed<-5%"], 1, "slower: beyond chance"),
        ([*sides("slow")], 0, "slower"),
        (["old-0", "slow-0", "--fail-on", "decode_speed<-5%"], 5, "one session a side"),
        ([*sides("broken"), "--fail-on", "decode_speed<-5%"], 5, "all 18 trials failed in NEW"),
    ],
)
def test_the_exit_status_is_that_of_the_gate_and_the_reason_can_be_read(
    root: Path, words: list[str], status: int, says: str
) -> None:
    done = specbench(root, "compare", *words)
    assert done.returncode == status, done.stderr
    assert says in " ".join(done.stdout.split())
    assert "nan" not in done.stdout.lower().split()


@pytest.mark.parametrize(
    ("words", "says", "advises"),
    [
        (["old-0"], "nothing to be compared with", "compare BASE NEW"),
        (["old-0", "missing"], "there is no run missing", "specbench runs"),
        (["old-0", "old-0"], "BASE and NEW are the same runs", "measure again"),
        (["old-0", "foreign"], "is damaged", ""),
        (["old-0", "torn"], "is damaged", ""),
        (["baseline", "new-0"], "no baseline is set", "specbench baseline set"),
        (["old-0", "new-0", "--fail-on", "decode_sped<-5%"], "no measure 'decode_sped'", "decode_speed"),
        (["old-0", "new-0", "--across", "machin"], "--across machin", "machine"),
        (["old-0", "new-0", "--format", "xml"], "unknown format 'xml'", "junit"),
        (["old-0", "new-0", "--threshold", "5"], "a threshold of 5", "0.05"),
    ],
)
def test_wrong_input_is_refused_with_what_and_what_to_do(root: Path, words: list[str], says: str, advises: str) -> None:
    done = specbench(root, "compare", *words)
    assert done.returncode == 2, done.stdout + done.stderr
    what, fix = done.stderr.strip().splitlines()
    assert says in what
    assert fix.startswith("  fix: ")
    assert advises in fix


def test_a_summary_goes_to_github_where_its_variable_is_set(root: Path, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    specbench(root, "compare", *sides("slow"), "--fail-on", "decode_speed<-5%", GITHUB_STEP_SUMMARY=str(summary))
    text = summary.read_text()
    assert text.startswith("before\n# specbench compare: regression\n")
    assert "| base | code |" in text


def test_every_output_says_the_same_in_its_own_form(root: Path) -> None:
    def out(name: str) -> str:
        return specbench(root, "compare", *sides("slow"), "--fail-on", "decode_speed<-5%", "--format", name).stdout

    told = json.loads(out("json"))
    first = told["changes"][0]
    assert (told["exit_status"], first["verdict"], len(first["runs"][0])) == (1, "slower", 3)
    assert first["new"] / first["base"] - 1 == pytest.approx(first["change"])
    suite = ET.fromstring(out("junit"))  # noqa: S314  our own
    assert (suite.get("tests"), suite.get("failures")) == ("1", "1")
    assert "slower" in (suite[0][0].get("message") or "")
    entry = json.loads(out("bencher"))["base/code/t0"]["decode_speed"]
    assert entry["lower_value"] < entry["value"] < entry["upper_value"]
    assert entry["value"] == pytest.approx(first["new"])
    listed = json.loads(out("github-benchmark"))
    assert (listed[0]["name"], listed[0]["unit"]) == ("base/code/t0/decode_speed", "tok/s")
    lines = out("benchstat").splitlines()
    assert lines[0] == "side: base"
    assert sum(line.startswith("BenchmarkBase/Code/T0/DecodeSpeed 1 ") for line in lines) == 6
    assert out("markdown").startswith("# specbench compare: regression\n")


def test_a_baseline_is_set_shown_compared_with_and_cleared(root: Path, tmp_path: Path) -> None:
    here = tmp_path / "results"
    for k in range(3):
        write(here, f"old-{k}", 2 * k)
        write(here, f"new-{k}", 2 * k + 1)
    for path in here.glob("*/machine.json"):  # as if they had been measured on this machine
        path.write_bytes(to_json(detect()))
    done = specbench(here, "baseline", "set", "old-0", "old-1", "old-2")
    assert (done.returncode, "is set" in done.stdout) == (0, True), done.stderr
    assert "old-0, old-1, old-2" in specbench(here, "baseline", "show").stdout
    done = specbench(here, "compare", "baseline", "new-0", "new-1", "new-2", "--fail-on", "decode_speed<-5%")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "forgotten" in specbench(here, "baseline", "clear").stdout
    assert specbench(here, "compare", "baseline", "new-0").returncode == 2
    (here / "baselines.json").write_text("[1, 2")
    done = specbench(here, "baseline", "show")
    assert (done.returncode, "cannot be read" in done.stderr) == (2, True)


def test_runs_are_listed_and_what_is_damaged_is_said_so(root: Path) -> None:
    rows = json.loads(specbench(root, "runs", "list", "--json").stdout)
    told = {row["run"]: row["trials"] for row in rows}
    assert (told["old-0"], told["broken-0"], told["foreign"], told["torn"]) == ("12/12", "6/12", "damaged", "damaged")
    again = specbench(root, "runs", "list", "--json").stdout
    assert json.loads(again) == rows
    trials = root / "old-0" / "trials.jsonl"
    lines = trials.read_bytes()
    trials.write_bytes(lines[: lines.index(b"\n") + 1])
    changed = {row["run"]: row["trials"] for row in json.loads(specbench(root, "runs", "list", "--json").stdout)}
    trials.write_bytes(lines)
    assert changed["old-0"] == "1/12"


def test_a_trend_is_shown_over_runs_that_can_be_compared(tmp_path: Path) -> None:
    here = tmp_path / "results"
    for k in range(24):
        write(here, f"{k:02}", k, plain=1.0 if k < 12 else 1.2)
    done = specbench(here, "runs", "trend", "--json", "--png", "trend.png")
    assert done.returncode == 0, done.stderr
    assert {(row["contender"], row["runs"], row["changed at"]) for row in json.loads(done.stdout)} == {
        ("base", 24, "12"),
        ("draft", 24, "12"),
    }
    assert (tmp_path / "trend.png").read_bytes().startswith(b"\x89PNG")
    done = specbench(here, "runs", "trend", "--contender", "nobody")
    assert (done.returncode, "no run has this figure" in done.stderr) == (2, True)
    assert specbench(here, "runs", "trend", "--results", "none").returncode == 2


def test_a_run_is_shown_with_what_started_its_contenders(root: Path) -> None:
    rows = json.loads(specbench(root, "runs", "show", "old-0", "--json").stdout)
    assert [row["contender"] for row in rows] == ["base", "draft"]


def test_a_nightly_job_is_written_once(tmp_path: Path) -> None:
    assert specbench(tmp_path / "results", "ci", "init").returncode == 0
    script = tmp_path / "ci" / "specbench-nightly.sh"
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
    assert "sh ci/specbench-nightly.sh" in (tmp_path / ".github" / "workflows" / "specbench.yml").read_text()
    again = specbench(tmp_path / "results", "ci", "init")
    assert (again.returncode, "is there already" in again.stderr) == (2, True)


@pytest.mark.engine
def test_the_nightly_job_measures_sets_a_baseline_and_compares(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        'engine = "xllamacpp"\ndiscover = false\nmethods = ["ngram-simple"]\ncategories = ["code"]\ntags = ["micro"]\n'
        "prompts_per_category = 5\noutput_tokens = 16\ntemperatures = 0\n[engine_settings]\nthreads = 1\n"
        '[[targets]]\nmodel = "micro"\n'
    )
    assert specbench(tmp_path / "results", "ci", "init", "plan.toml").returncode == 0
    program = tmp_path / "bin" / "specbench"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m specbench "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "SPECBENCH_RESULTS": str(tmp_path / "nights"),
        "SPECBENCH_NIGHTS": "2",
    }
    statuses = []
    for _ in range(3):
        argv = ["sh", "ci/specbench-nightly.sh"]
        done = subprocess.run(argv, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
        statuses.append(done.returncode)
        assert done.returncode in (0, 5), done.stdout + done.stderr
    assert statuses[:2] == [0, 0]
    assert ET.parse(tmp_path / "nights" / "latest" / "junit.xml").getroot().get("tests") == "3"  # noqa: S314  our own
