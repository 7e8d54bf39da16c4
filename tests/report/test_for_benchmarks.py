"""What is exported for general benchmark tools is read by these tools' own code. The runs are synthetic."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from analysis.synthetic import BASE, DRAFT, drafted, generation, opening, plan

from specbench.errors import InputError
from specbench.records import Machine, Opening, Result
from specbench.report.for_benchmarks import asv, pyperf

MACHINE = Machine(system="Linux", cpu="a CPU")


def run(commit: str | None = "0c1e570") -> list[Result]:
    measured = [*(generation("base", f"code-{i}", seconds=1 + i) for i in range(3)), drafted("code-0", seconds=0.5)]
    return [opening("base", engine_commit=commit), opening("draft", engine_commit=commit), *measured]


def written(path: Path, results: list[Result], *, machine: Machine = MACHINE, lacking: int = 0) -> str:
    text, left_out = pyperf(plan(results, (BASE, DRAFT)), machine, results)
    assert left_out == lacking
    path.write_text(text)
    return str(path)


def test_pyperf_reads_a_benchmark_for_each_contender_with_a_value_for_each_trial(tmp_path: Path) -> None:
    import pyperf as tool

    suite = tool.BenchmarkSuite.load(written(tmp_path / "run.json", run()))
    found = {b.get_name(): b.get_values() for b in suite.get_benchmarks()}
    assert found == {
        "code/base/t0": pytest.approx((0.01, 0.02, 0.03)),
        "code/draft/t0": pytest.approx((0.005,)),
    }
    assert {b.get_unit() for b in suite.get_benchmarks()} == {"second"}


def test_pyperf_reads_a_run_of_an_unknown_processor_and_trials_without_a_speed_are_counted(tmp_path: Path) -> None:
    import pyperf as tool

    silent = generation("draft", "code-1", decode_seconds=None, last_token=None)
    unknown = Machine(system="Linux")
    path = written(tmp_path / "run.json", [*run(), silent], machine=unknown, lacking=1)
    assert len(tool.BenchmarkSuite.load(path).get_benchmarks()) == 2


def test_asv_publishes_medians_over_category_and_contender_of_the_engines_commits(tmp_path: Path) -> None:
    from asv.results import Results

    def git(*words: str) -> str:
        said = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.run(said, check=True, capture_output=True, text=True, cwd=tmp_path).stdout.strip()

    git("init", "--quiet")
    commits = []
    known = None
    for number, extra in enumerate(("code-0", "chat-0")):  # the second run has another category too
        git("commit", "--quiet", "--allow-empty", "--message", str(number))
        commits.append(git("rev-parse", "HEAD"))
        trials = [*run(commit=commits[-1][:7]), drafted(extra, category=extra[:4], seconds=0.5)]
        files, lacking = asv(plan(trials, (BASE, DRAFT)), MACHINE, trials, commit=commits[-1], known=known)
        assert lacking == 0
        for name, text in files.items():
            (tmp_path / "results" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "results" / name).write_text(text)
        known = files["benchmarks.json"].encode()
    where = {"repo": ".", "branches": ["HEAD"], "results_dir": "results", "html_dir": "html"}
    (tmp_path / "asv.conf.json").write_text(json.dumps({"version": 1, "project": "engine", **where}))

    published = subprocess.run(
        [sys.executable, "-m", "asv", "publish"], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert (published.returncode, "Error" in published.stdout) == (0, False), published.stdout
    (graph,) = (tmp_path / "html" / "graphs").rglob("branch-HEAD/**/specbench.decode_seconds_per_token.json")
    assert len(json.loads(graph.read_text())) == 2
    found = Results.load(str(next(tmp_path.glob(f"results/a-CPU-*/{commits[0][:8]}-*.json"))))
    (name,) = found.get_all_result_keys()
    params = found.get_result_params(name)
    assert params == [["'code'"], ["'base/t0'", "'draft/t0'"]]
    assert found.get_result_value(name, params) == pytest.approx([0.02, 0.005])
    assert found.get_result_samples(name, params) == [
        pytest.approx([0.01, 0.02, 0.03]),
        pytest.approx([0.005, 0.005]),
    ]
    assert found.commit_hash == commits[0]


def test_runs_of_another_commit_and_folders_of_something_else_are_refused() -> None:
    trials = run()
    with pytest.raises(InputError, match="of commit 0c1e570, not abc"):
        asv(plan(trials, (BASE, DRAFT)), MACHINE, trials, commit="abc")
    for name in ("../../../x", "", "0c1e57"):
        odd = run(commit=name)
        with pytest.raises(InputError, match="is no commit"):
            asv(plan(odd, (BASE, DRAFT)), MACHINE, odd)
    for known in (b"[]", b"{", b"\xff", b'{"specbench.decode_seconds_per_token": {"params": [1]}}'):
        with pytest.raises(InputError, match="not built as it should be"):
            asv(plan(trials, (BASE, DRAFT)), MACHINE, trials, known=known)


def test_runs_of_no_known_commit_are_none_for_asv_and_runs_without_speeds_for_neither() -> None:
    for export, results, words in (
        (asv, run(commit=None), "one commit"),
        (asv, [o for o in run() if isinstance(o, Opening)], "decode speed"),
        (pyperf, [o for o in run() if isinstance(o, Opening)], "decode speed"),
    ):
        with pytest.raises(InputError, match=words):
            export(plan(results, (BASE, DRAFT)), MACHINE, results)
