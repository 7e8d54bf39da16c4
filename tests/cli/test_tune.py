"""`specbench tune` on a real engine, as small as can be; how well it chooses is tested on invented figures."""

import json
from pathlib import Path

import pytest
from cli.test_bad_input import specbench

from specbench import store
from specbench.records import Generation

pytestmark = pytest.mark.engine

SMALL = (
    "tune",
    "-m",
    "micro",
    "-d",
    "micro-draft",
    "-c",
    "code,json",
    "-n",
    "2",
    "-o",
    "8",
    "--engine-set",
    "threads=1",
)


def test_it_ends_with_a_winner_for_each_category_and_the_commands(tmp_path: Path) -> None:
    lengths = ("--sweep", "draft-model.draft_tokens_max=1,4", "-M", "draft-model", "--mix", "code=3,json=1")
    done = specbench(*SMALL, *lengths, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [w["category"] for w in found["winners"]] == ["code", "json"]
    assert found["mix"] == {"code": 0.75, "json": 0.25}
    assert found["single"]["per_category"] >= found["single"]["speedup"] > 0
    assert set(found["commands"]) >= {w["contender"] for w in found["winners"]}
    assert all(
        line.startswith("llama-server --model ") and "--port 8080" in line for line in found["commands"].values()
    )
    (path,) = store.runs(tmp_path / "results")
    run = store.read(path)
    planned = [t.id for b in run.plan.blocks for t in b.trials if t.role != "warm-up"]
    measured = [r.trial.id for r in run.results if isinstance(r, Generation) and r.trial.role != "warm-up"]
    assert sorted(planned) == sorted(measured)
    assert (len(planned), found["grid"], found["rounds"]) == (12, 12, 1)
    shown = specbench("report", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr


def test_it_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    words = (*SMALL, "-n", "4", "--sweep", "draft-model.draft_tokens_max=1,4", "-M", "draft-model")
    assert specbench(*words, cwd=tmp_path).returncode == 0
    (path,) = store.runs(tmp_path / "results")
    before = store.read(path)
    lines = (path / "trials.jsonl").read_bytes().splitlines(keepends=True)
    (path / "trials.jsonl").write_bytes(b"".join(lines[:-3]))
    other = specbench(*words, "-o", "9", "--resume", path.name, cwd=tmp_path)
    assert (other.returncode, "tuned something else" in other.stderr) == (2, True), other.stderr
    done = specbench(*words, "--resume", path.name, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rounds"] == 2
    after = store.read(path)
    assert after.plan.blocks == before.plan.blocks
    kept, again = (
        {r.trial.id: r.started for r in run.results if isinstance(r, Generation) and r.trial.role == "measured"}
        for run in (before, after)
    )
    assert kept.keys() == again.keys()
    assert sum(kept[name] != again[name] for name in kept) == sum(b'"role":"measured"' in x for x in lines[-3:]) > 0


def test_what_cannot_be_tuned_is_explained(tmp_path: Path) -> None:
    for words, says in (
        (("--mix", "cod=1"), "did you mean 'code'"),
        (("--mix", "cod=1", "--dry-run"), "did you mean 'code'"),
        (("--sweep", "threads=1,2"), "tune sweeps methods only"),
        (("-M", "none"), "nothing to choose from"),
    ):
        result = specbench(*SMALL, *words, cwd=tmp_path)
        assert (result.returncode, says in result.stderr) == (2, True), result.stderr
