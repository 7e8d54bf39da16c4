"""What is exported for general benchmark tools is read by these tools' own code. The runs are synthetic."""

from collections.abc import Callable
from pathlib import Path

import pytest
from analysis.synthetic import BASE, DRAFT, drafted, generation, opening, plan

from specbench.errors import InputError
from specbench.records import Machine, Opening, Plan, Result
from specbench.report.for_benchmarks import asv, pyperf

MACHINE = Machine(system="Linux", cpu="a CPU")
Export = Callable[[Plan, Machine, list[Result]], tuple[str, int]]


def run(commit: str | None = "0c1e570") -> list[Result]:
    measured = [*(generation("base", f"code-{i}", seconds=1 + i) for i in range(3)), drafted("code-0", seconds=0.5)]
    return [opening("base", engine_commit=commit), opening("draft", engine_commit=commit), *measured]


def written(export: Export, path: Path, results: list[Result], *, machine: Machine = MACHINE, lacking: int = 0) -> str:
    text, left_out = export(plan(results, (BASE, DRAFT)), machine, results)
    assert left_out == lacking
    path.write_text(text)
    return str(path)


def test_pyperf_reads_a_benchmark_for_each_contender_with_a_value_for_each_trial(tmp_path: Path) -> None:
    import pyperf as tool

    suite = tool.BenchmarkSuite.load(written(pyperf, tmp_path / "run.json", run()))
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
    path = written(pyperf, tmp_path / "run.json", [*run(), silent], machine=unknown, lacking=1)
    assert len(tool.BenchmarkSuite.load(path).get_benchmarks()) == 2


def test_asv_reads_medians_over_category_and_contender_of_the_engines_commit(tmp_path: Path) -> None:
    from asv.results import Results

    found = Results.load(written(asv, tmp_path / "run.json", run()))
    (name,) = found.get_all_result_keys()
    params = found.get_result_params(name)
    assert params == [["'code'"], ["'base/t0'", "'draft/t0'"]]
    assert found.get_result_value(name, params) == pytest.approx([0.02, 0.005])
    assert found.get_result_samples(name, params) == [pytest.approx([0.01, 0.02, 0.03]), pytest.approx([0.005])]
    assert found.commit_hash == "0c1e570"


def test_runs_of_no_known_commit_are_none_for_asv_and_runs_without_speeds_for_neither(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one commit"):
        written(asv, tmp_path / "run.json", run(commit=None))
    for export in (asv, pyperf):
        with pytest.raises(InputError, match="decode speed"):
            written(export, tmp_path / "run.json", [o for o in run() if isinstance(o, Opening)])
