"""Compare, trend and load where something around the measurement is odd: the reader left, prompts came and went."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from analysis.synthetic import drafted, failure, generation, machine, plan
from cli import test_compare as helper

import specbench
from specbench import store
from specbench.records import Result


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("edges") / "results"
    for k in range(3):
        helper.write(root, f"old-{k}", 2 * k)
        helper.write(root, f"new-{k}", 2 * k + 1)
    return root


def kept(root: Path, name: str, results: list[Result]) -> Path:
    """A run with these results."""
    made = datetime(2026, 1, 1, tzinfo=UTC)
    with store.create(root, plan(results), machine(), name=name, clock=lambda: made) as folder:
        for r in results:
            folder.append(r)
    return folder.path.rename(root / name)


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_a_reader_that_leaves_early_changes_no_exit_status(root: Path, form: str) -> None:
    words = ["compare", *helper.sides("new"), "--fail-on", "decode_speed<-5%", "--format", form]
    reader, writer = os.pipe()
    os.close(reader)
    argv = [sys.executable, "-m", "specbench", *words]
    done = subprocess.run(argv, cwd=root.parent, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert done.returncode == 0, done.stderr
    assert "Broken" not in done.stderr


def test_a_summary_that_cannot_be_written_is_a_warning(root: Path) -> None:
    words = ["compare", *helper.sides("new"), "--fail-on", "decode_speed<-5%"]
    done = helper.specbench(root, *words, GITHUB_STEP_SUMMARY=str(root / "none" / "summary.md"))
    assert done.returncode == 0, done.stderr
    assert "warning: cannot write" in done.stderr


def nights(root: Path, prompts: list[range], *, slow: int) -> list[dict[str, object]]:
    """Baseline runs on these prompts, prompt `slow` ten times slower than the others; the trend of them."""
    for k, asked in enumerate(prompts):
        found = [generation("base", f"code-{i}", seconds=10.0 if i == slow else 1.0, started=1e5 * k) for i in asked]
        kept(root, f"{k:02}", list(found))
    done = helper.specbench(root, "runs", "trend", "--json")
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, object]] = json.loads(done.stdout)
    return rows


def test_a_trend_is_over_the_same_prompts_in_every_run(tmp_path: Path) -> None:
    """One night lost its slow prompt: without it in every night, none looks faster."""
    [row] = nights(tmp_path / "results", [range(6), range(5), range(6)], slow=5)
    assert (row["runs"], row["first"], row["last"]) == (3, "100", "100")


def test_a_run_with_few_of_the_prompts_does_not_shrink_the_trend_of_the_others(tmp_path: Path) -> None:
    [row] = nights(tmp_path / "results", [range(6), range(2), range(6)], slow=5)
    assert row["runs"] == 2
    assert float(str(row["last"])) < 100


def test_a_run_with_failures_only_has_all_columns(tmp_path: Path) -> None:
    whole = kept(tmp_path, "whole", [generation("base", "code-0"), drafted("code-0")])
    broken = kept(tmp_path, "broken", [failure("base", "code-0"), failure("draft", "code-0")])
    empty = kept(tmp_path, "empty", [])
    tables = [specbench.load(path) for path in (whole, broken, empty)]
    assert [list(t.columns) for t in tables[1:]] == [list(tables[0].columns)] * 2
    assert tables[1]["failure"].tolist() == ["timeout", "timeout"]
    assert tables[1]["decode_engine"].isna().all()


def test_a_run_that_one_side_names_and_the_folder_of_the_other_holds_is_of_one_side_only(root: Path) -> None:
    from specbench import history

    old = [root / f"old-{k}" for k in range(2)]
    everything = store.runs(root)
    assert history.sides(old, [root], results=root) == (old, [path for path in everything if path not in old])
    assert history.sides([root], old, results=root) == ([path for path in everything if path not in old], old)
