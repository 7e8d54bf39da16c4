"""`specbench export --lake`, and the SQL of docs/sql.md over it and over thousands of runs."""

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from analysis.synthetic import BASE, DRAFT, counts, drafted, failure, generation, machine, plan
from cli.test_compare import Done, specbench

from specbench import store
from specbench.analysis.metrics import METRICS, acceptance_by_position
from specbench.records import Generation, Result
from specbench.structs import replace, to_json

duckdb = pytest.importorskip("duckdb", reason="needs specbench[sql]")
pytest.importorskip("pyarrow", reason="needs specbench[sql]")

ROOT = Path(__file__).resolve().parents[2]
QUERIES = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "sql.md").read_text(encoding="utf-8"), re.DOTALL)
DAY = 86400.0
NAMED = [replace(BASE, target_label="7B / Q4_K=M, émile"), replace(DRAFT, target_label="7B / Q4_K=M, émile")]


def night(number: int) -> list[Result]:
    return [
        *(generation("base", f"code-{i}", seconds=1 + i / 10, started=DAY * number + i) for i in range(3)),
        *(
            drafted(
                f"code-{i}", seconds=0.4 + i / 10, started=DAY * number + 10 + i,
                counts=counts(80, 60, accepted_by_position=(30, 20, 10)),
            )
            for i in range(3)
        ),
        generation("base", "code-3", decode_seconds=None, started=DAY * number + 20),  # told no time
        drafted("code-3", seconds=0.9, started=DAY * number + 21, counts=counts(80, 50, accepted_by_position=(40, 10))),
        failure("draft", "json-0"),
        generation("base", "code-9", role="warm-up", seconds=99.0),
    ]  # fmt: skip


def write(root: Path, number: int, cores: int = 2) -> Path:
    results = night(number)
    when = datetime.fromtimestamp(DAY * number, UTC)
    with store.create(root, plan(results, NAMED), machine(cores), name=f"n{cores}", clock=lambda: when) as folder:
        for r in results:
            folder.append(r)
    return folder.path


def rows(query: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.chdir(folder)
    with duckdb.connect() as database:
        found = database.execute(query)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def export(tmp_path: Path, *words: str) -> Done:
    return specbench(tmp_path / "results", "export", *words)


def ratio(metric: str, results: list[Result], who: str) -> float:
    parts = [
        METRICS[metric].parts(r)
        for r in results
        if isinstance(r, Generation) and r.trial.role == "measured" and r.trial.contender == who
    ]
    whole = [part for part in parts if part is not None]
    return sum(above for above, _ in whole) / sum(below for _, below in whole)


def test_a_lake_holds_every_trial_once_by_machine_model_engine_and_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, cores in ((1, 2), (2, 2), (2, 8)):
        write(tmp_path / "results", number, cores)
    for _ in "first", "again":  # a run replaces itself
        done = export(tmp_path, "--lake", "lake")
        assert (done.returncode, done.stderr) == (0, "27 trials are in lake\n")
    found = rows("FROM read_parquet('lake/**/*.parquet', hive_partitioning = true)", tmp_path, monkeypatch)
    assert len(found) == 27
    assert {row["model"] for row in found} == {"7B / Q4_K=M, émile"}
    assert len({row["machine"] for row in found}) == 2
    assert {str(row["date"]) for row in found if row["failure"] is None} == {"1970-01-02", "1970-01-03"}
    [first] = [row for row in found if row["prompt"] == "code-1" and row["contender"] == "draft"][:1]
    assert (first["accepted_by_position"], first["drafted"], first["fill"]) == ([30, 20, 10], 80, None)
    assert {row["failure"]: row["decode_seconds"] for row in found if row["failure"]} == {"timeout": None}
    documented = re.findall(r"^\| `(.*?)` \|", (ROOT / "docs" / "sql.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for line in documented for name in line.split("`, `")} == first.keys()


def test_a_failure_that_is_measured_the_next_day_is_in_the_lake_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [replace(failure("base", "code-0"), started=DAY), generation("base", "code-0", started=3 * DAY)]
    with store.create(tmp_path / "results", plan(results, [BASE]), machine(), name="n") as folder:
        folder.append(results[0])
        assert export(tmp_path, "--lake", "lake").returncode == 0
        other = tmp_path / "lake" / "machine=other" / f"{folder.path.name}-0.parquet"  # a run of this name elsewhere
        other.parent.mkdir()
        other.write_bytes(b"")
        (other.parent / f"{folder.path.name}-2-0.parquet").write_bytes(b"")
        folder.append(results[1])
    assert export(tmp_path, "--lake", "lake").returncode == 0
    assert len(list((tmp_path / "lake" / "machine=other").iterdir())) == 2
    shutil.rmtree(other.parent)
    found = rows("FROM read_parquet('lake/**/*.parquet', hive_partitioning = true)", tmp_path, monkeypatch)
    assert [(row["failure"], str(row["date"])) for row in found] == [(None, "1970-01-04")]


def test_a_damaged_run_and_strange_trials_are_said_and_the_others_are_exported(tmp_path: Path) -> None:
    write(tmp_path / "results", 1)
    damaged = write(tmp_path / "results", 2)
    strange = write(tmp_path / "results", 3)
    (damaged / "plan.json").write_text("{}")
    good = generation("base", "code-0", started=DAY)
    lines = [
        replace(good, trial=replace(good.trial, id="a", contender="other")),
        replace(good, trial=replace(good.trial, id="b"), started=1e15),
        replace(good, trial=replace(good.trial, id="c", seed=2**63)),
    ]
    (strange / "trials.jsonl").write_bytes(b"".join(to_json(line) + b"\n" for line in lines))
    done = export(tmp_path, "--lake", "lake")
    assert done.returncode == 1
    assert f"warning: {damaged.name} is left out: " in done.stderr
    assert f"{strange.name}: 3 trials that the lake cannot hold, the first is a" in done.stderr
    assert done.stderr.endswith("9 trials are in lake\n")


def test_a_run_without_trials_is_told_and_writes_nothing(tmp_path: Path) -> None:
    (write(tmp_path / "results", 1) / "trials.jsonl").write_bytes(b"")
    done = export(tmp_path, "--lake", "lake")
    assert (done.returncode, done.stderr) == (0, "there are no trials: nothing was written\n")
    assert not (tmp_path / "lake").exists()


def test_one_run_can_be_exported(tmp_path: Path) -> None:
    names = [write(tmp_path / "results", number).name for number in (1, 2)]
    assert export(tmp_path, names[1], "--lake", "lake").returncode == 0
    assert [path.name for path in (tmp_path / "lake").rglob("*.parquet")] != []
    assert {path.name for path in (tmp_path / "lake").rglob("*.parquet")} == {f"{names[1]}-0.parquet"}


def test_the_examples_of_the_page_give_the_figures_of_the_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        write(tmp_path / "results", number)
    assert export(tmp_path, "--lake", "lake").returncode == 0
    assert len(QUERIES) == 5
    records, view = (rows(QUERIES[0] + query, tmp_path, monkeypatch) for query in QUERIES[1:3])
    for row in records:
        assert (row["trials"], row["runs"]) == (12, 3)
        assert row["decode_engine"] == pytest.approx(ratio("decode_engine", night(1), row["contender"]))
    assert [row["draft_acceptance_rate"] for row in records] == [None, 230 / 320]
    assert [row["newest"] for row in view] == [row["before"] for row in view]
    base, draft = rows(QUERIES[3], tmp_path, monkeypatch)
    assert (base["contender"], base["speedup"], base["runs"]) == ("base", None, 3)
    assert draft["decode"] == pytest.approx(ratio("decode_engine", night(1), "draft"))
    assert draft["speedup"] == pytest.approx(draft["decode"] / base["decode"])
    assert draft["tokens_per_step"] == pytest.approx(ratio("mean_acceptance_length", night(1), "draft"))
    fall = rows(QUERIES[4], tmp_path, monkeypatch)
    expected = acceptance_by_position(r for r in night(1) if isinstance(r, Generation) and r.trial.contender == "draft")
    assert [row["position"] for row in fall] == [0, 1, 2]
    assert [row["accepted"] for row in fall] == pytest.approx(expected)


def test_two_thousand_runs_are_read_at_once_and_a_torn_line_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write(tmp_path / "results", 1)
    for number in range(1, 2000):
        path = tmp_path / "results" / f"copy-{number}"
        path.mkdir()
        for file in ("plan.json", "trials.jsonl"):
            shutil.copyfile(model / file, path / file)
    with (model / "trials.jsonl").open("ab") as file:
        file.write(b'{"kind":"generation","trial":{"contender":"ba')
    found = rows(QUERIES[0] + QUERIES[1], tmp_path, monkeypatch)
    assert [(row["contender"], row["runs"], row["trials"]) for row in found] == [
        ("base", 2000, 8000), ("draft", 2000, 8000),
    ]  # fmt: skip


def test_a_lake_that_cannot_be_written_and_a_missing_extra_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "results", 1)
    (tmp_path / "taken").write_text("a file")
    done = export(tmp_path, "--lake", "taken")
    assert (done.returncode, done.stderr.startswith("error: cannot write taken")) == (2, True)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    done = export(tmp_path, "--lake", "lake")
    assert (done.returncode, "pip install 'specbench[sql]'" in done.stderr) == (3, True)
