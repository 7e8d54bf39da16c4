"""`specbench runs merge|verify|prune` on synthetic runs on disk."""

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from analysis.synthetic import DRAFT, counts, drafted, failure, generation, machine, opening, plan
from cli.test_compare import specbench

from specbench import store
from specbench.records import Machine, Opening, Plan, Result
from specbench.structs import replace

WHOLE = [g for i in range(4) for g in (generation("base", f"code-{i}"), drafted(f"code-{i}"))]
PLAN = plan(WHOLE)


def kept(
    root: Path, name: str, results: list[Result], *, planned: Plan = PLAN, where: Machine | None = None, number: int = 1
) -> Path:
    when = datetime(2026, 1, number, tzinfo=UTC)
    with store.create(root, planned, where or machine(), name=name, clock=lambda: when) as folder:
        for r in results:
            folder.append(r)
        (folder.logs / "engine.log").write_text(name)
    return folder.path


def test_parts_of_a_plan_become_one_run_and_stay(tmp_path: Path) -> None:
    root = tmp_path / "results"
    one = kept(root, "one", [opening("base"), failure("base", "code-3"), *WHOLE[:5]])
    other = kept(root, "other", [opening("base"), WHOLE[4], *WHOLE[5:]])  # a copy went on; one trial is in both
    done = specbench(root, "runs", "merge", one.name, other.name)
    assert (done.returncode, done.stderr) == (0, "")
    run = store.read(Path(tmp_path, done.stdout.strip()))
    assert (run.plan, run.warnings) == (PLAN, [])
    assert run.path.name == "20260101-000000-one-merged"
    assert {r.trial.id: r for r in run.results if r.kind == "generation"} == {g.trial.id: g for g in WHOLE}
    assert {log.read_text() for log in (run.path / "logs").iterdir()} == {"one", "other"}
    assert store.runs(root) == [one, other]  # whoever takes the folder counts each trial once
    assert run.path.parent == root / "merged"
    again = specbench(root, "runs", "merge", one.name, other.name, "--to", "results")
    assert (again.returncode, len(again.stderr.splitlines())) == (2, 2)
    assert "error: results holds a part: its trials would count twice" in again.stderr
    assert store.runs(root) == [one, other]


def test_parts_of_two_machines_become_a_run_for_each(tmp_path: Path) -> None:
    root = tmp_path / "results"
    for number, (cores, results) in enumerate([(2, WHOLE[:4]), (8, WHOLE), (2, WHOLE[4:])]):
        kept(root, f"part-{number}", list(results), where=machine(cores))
    done = specbench(root, "runs", "merge", "results", "--to", "merged")
    assert done.returncode == 0, done.stderr
    runs = [store.read(tmp_path / line) for line in done.stdout.splitlines()]
    assert [(run.machine.cores_logical, len(run.results)) for run in runs] == [(2, 8), (8, 8)]
    assert len({run.path.name for run in runs}) == 2
    assert specbench(root, "compare", *done.stdout.split(), "--across", "machine").returncode == 0


@pytest.mark.parametrize(
    ("planned", "results", "what"),
    [
        (plan(WHOLE[:4]), WHOLE[:4], "are not of one plan: other trials"),
        (replace(PLAN, model_files={"t.gguf": "0"}), [], "are not of one plan: other model files"),
        (plan(WHOLE, [replace(PLAN.contenders[0], engine="vllm"), DRAFT]), [], "engine of base: llama-server / vllm"),
        (replace(PLAN, stream=True), [], "other ways to read answers"),
        (plan(WHOLE, [replace(PLAN.contenders[0], argv=("-t", "8")), DRAFT]), [], "base is started"),
        (PLAN, [replace(opening("base"), engine_commit="another")], "other builds of llama-server"),
        (PLAN, [replace(WHOLE[0], decode_seconds=9.0)], "both measured base/code-0/measured/0.0/0 on one machine"),
    ],
    ids=["trials", "model", "engine", "stream", "flags", "build", "repeat"],
)
def test_what_is_no_part_is_refused_and_says_why(
    tmp_path: Path, planned: Plan, results: list[Result], what: str
) -> None:
    root = tmp_path / "results"
    names = [
        kept(root, "one", [opening("base"), *WHOLE]).name,
        kept(root, "other", list(results), planned=planned).name,
    ]
    done = specbench(root, "runs", "merge", *names)
    assert done.returncode == 2
    assert what in done.stderr
    assert "fix: " in done.stderr
    assert len(store.runs(root)) == 2


def test_a_last_line_without_its_end_is_merged_and_a_torn_one_is_not(tmp_path: Path) -> None:
    root = tmp_path / "results"
    parts = [kept(root, "one", list(WHOLE[:4])), kept(root, "other", list(WHOLE[4:]))]
    file = parts[0] / "trials.jsonl"
    file.write_bytes(file.read_bytes()[:-1])
    with (parts[1] / "trials.jsonl").open("ab") as other:
        other.write(b'{"kind":"gener')
    done = specbench(root, "runs", "merge", *(part.name for part in parts))
    assert done.returncode == 0, done.stderr
    run = store.read(Path(tmp_path, done.stdout.strip()))
    assert (len(run.results), run.warnings) == (len(WHOLE), [])


def test_logs_of_parts_with_one_name_are_all_kept_and_openings_name_their_own(tmp_path: Path) -> None:
    parts = []
    for number in range(3):
        part = kept(tmp_path / str(number), "night", [replace(opening("base", block=number), log="engine.log")])
        (part / "logs" / "engine.log").write_text(f"log {number}")
        parts.append(part)
    done = specbench(tmp_path / "results", "runs", "merge", *map(str, parts), "--to", "merged")
    assert done.returncode == 0, done.stderr
    run = store.read(Path(tmp_path, done.stdout.strip()))
    logs = {o.block: (run.path / "logs" / str(o.log)).read_text() for o in run.results if isinstance(o, Opening)}
    assert logs == {0: "log 0", 1: "log 1", 2: "log 2"}


def test_a_log_that_cannot_be_copied_is_said(tmp_path: Path) -> None:
    root = tmp_path / "results"
    parts = [kept(root, "one", list(WHOLE[:4])), kept(root, "other", list(WHOLE[4:]))]
    for part in parts:
        (part / "logs" / ("l" * 250)).write_text(part.name)  # the second needs a longer name
    done = specbench(root, "runs", "merge", *(part.name for part in parts))
    assert (done.returncode, done.stderr.startswith("error: cannot copy")) == (2, True)


def test_one_run_is_nothing_to_merge(tmp_path: Path) -> None:
    kept(tmp_path / "results", "one", list(WHOLE))
    done = specbench(tmp_path / "results", "runs", "merge", "results")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: there is nothing to merge")


def test_a_sound_run_is_verified(tmp_path: Path) -> None:
    kept(tmp_path / "results", "one", list(WHOLE))
    done = specbench(tmp_path / "results", "runs", "verify")
    assert done.returncode == 0
    assert "0 of 1 runs have faults" in done.stdout


def test_every_fault_is_found_and_the_status_is_one(tmp_path: Path) -> None:
    root = tmp_path / "results"
    kept(root, "a-good", list(WHOLE))
    kept(root, "b-counts", [replace(WHOLE[0], counts=counts(80, 90))])
    kept(root, "c-strange", list(WHOLE), planned=plan(WHOLE[:6]))
    kept(root, "d-twice", [*WHOLE, replace(WHOLE[0], decode_seconds=2.0)])
    with (kept(root, "e-lines", list(WHOLE)) / "trials.jsonl").open("ab") as file:
        file.write(b'{"kind": "other"}\n{"kind":"gener')
    (kept(root, "f-plan", []) / "plan.json").write_text("{}")
    old = kept(root, "g-schema", [])
    (old / "machine.json").write_text(
        json.dumps({**json.loads((old / "machine.json").read_text()), "schema_version": 1})
    )
    done = specbench(root, "runs", "verify", "--json")
    assert done.returncode == 1
    told: dict[str, list[str]] = {}
    for row in json.loads(done.stdout):
        told.setdefault(row["run"].split("-", 2)[2], []).append(row["fault"])
    assert told.pop("a-good") == [None]
    assert told["b-counts"] == ["1 generations break: A <= D"]
    assert told["c-strange"] == ["2 trials are not in the plan, the first is base/code-3/measured/0.0/0"]
    assert "1 trials were measured twice" in told["d-twice"][0]
    assert ["line 9" in told["e-lines"][0], "torn" in told["e-lines"][1]] == [True, True]
    assert "is damaged" in told["f-plan"][0]
    assert "schema version 1" in told["g-schema"][0]


def test_prune_shows_first_deletes_with_yes_and_keeps_baselines(tmp_path: Path) -> None:
    root = tmp_path / "results"
    paths = [kept(root, f"run-{number}", list(WHOLE)) for number in range(4)]
    assert specbench(root, "baseline", "set", paths[0].name).returncode == 0
    (root / "notes.txt").write_text("not a run")
    for path in paths[:3]:
        for file in (*path.rglob("*"), path):
            os.utime(file, (time.time() - 40 * 86400,) * 2)
    shown = specbench(root, "runs", "prune", "--older", "30", "--json")
    assert shown.returncode == 0
    rows = [(row["run"], row["days"], row["kept"]) for row in json.loads(shown.stdout)]
    assert rows == [(path.name, "40.0", "a baseline" if path == paths[0] else None) for path in paths[:3]]
    assert store.runs(root) == paths
    with store.resume(paths[1]):  # somebody goes on with it
        for file in paths[1].iterdir():
            os.utime(file, (time.time() - 40 * 86400,) * 2)
        assert "being written" in specbench(root, "runs", "prune", "--older", "30", "--yes").stdout
    assert store.runs(root) == [paths[0], paths[1], paths[3]]
    assert (root / "notes.txt").exists()


def test_prune_deletes_nothing_where_baselines_cannot_be_understood(tmp_path: Path) -> None:
    root = tmp_path / "results"
    path = kept(root, "one", [])
    for wrong in ({"x": {"runs": path.name}}, {"x": {"runs": [1]}}):
        (root / "baselines.json").write_text(json.dumps(wrong))
        done = specbench(root, "runs", "prune", "--older", "0", "--yes")
        assert (done.returncode, "is no list of baselines" in done.stderr) == (2, True)
    assert store.runs(root) == [path]


def test_a_folder_with_the_name_of_a_plan_is_no_run_to_prune(tmp_path: Path) -> None:
    root = tmp_path / "results"
    path = kept(root, "one", [])
    (root / "odd" / "plan.json").mkdir(parents=True)
    done = specbench(root, "runs", "prune", "--older", "0", "--json")
    assert done.returncode == 0, done.stderr
    assert [row["run"] for row in json.loads(done.stdout)] == [path.name]


@pytest.mark.parametrize("days", ["-3", "nan"])
def test_days_that_cannot_be_are_told_in_two_lines(tmp_path: Path, days: str) -> None:
    kept(tmp_path / "results", "one", [])
    done = specbench(tmp_path / "results", "runs", "prune", "--yes", "--older", days)
    assert (done.returncode, done.stderr) == (2, f"error: --older {days} is no number of days\n  fix: --older 90\n")
    assert len(store.runs(tmp_path / "results")) == 1


def test_without_days_nothing_is_pruned(tmp_path: Path) -> None:
    kept(tmp_path / "results", "one", [])
    assert specbench(tmp_path / "results", "runs", "prune", "--yes").returncode == 2
    assert len(store.runs(tmp_path / "results")) == 1
