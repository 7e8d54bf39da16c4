"""`specbench hardware profile` and `list`: with a real engine, and with wrong words."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from specbench import datafiles
from specbench.execution.verification import POSITIONS, SPAN

TARGET = datafiles.path("micro/weights/target-q8_0.gguf")


def specbench(*words: str, cwd: Path, cache: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SPECBENCH_CACHE": str(cache or cwd / "cache"), "COLUMNS": "80"}
    argv = [sys.executable, "-m", "specbench", "hardware", *words]
    return subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.engine
@pytest.mark.timeout(600)
def test_the_curve_of_the_embedded_target_is_measured_with_full_drafts(tmp_path: Path) -> None:
    words = ["--model", "micro", "--fill", "128", "--seconds", "0.2", "--engine-set", "threads=1", "--json"]
    done = specbench("profile", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    measured, costs = shown["measurement"], {c["positions"]: c["cost"]["value"] for c in shown["verification_cost"]}
    assert tuple(costs) == POSITIONS
    assert costs[1] == 1.0
    assert costs[32] > costs[16] > costs[2]
    assert costs[32] > 2
    assert [c["spoilt"] for c in shown["verification_cost"]] == [0] * len(POSITIONS)
    requests: dict[int, int] = defaultdict(int)
    for point in measured["verification"]:
        assert point["passes"] == SPAN // point["positions"]
        requests[point["positions"]] += len(point["seconds"])
    assert min(requests.values()) >= 10, "five on the way up, five on the way down"
    assert measured["host_bandwidth"]
    assert measured["device_bandwidth"] or measured["reasons"]
    (record,) = (tmp_path / "cache" / "hardware").glob("*.json")
    assert json.loads(record.read_text()) == measured
    assert record.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert f"record: {record}" in done.stderr


@pytest.mark.parametrize(
    ("words", "status", "says", "advises"),
    [
        (["list", "rtx309"], 2, "no hardware profile 'rtx309'", "did you mean 'rtx3090'?"),
        (["profile", "--model", "missing.gguf"], 2, "missing.gguf", ""),
        (["profile", "--model", str(TARGET), "--fill", "1000000"], 2, "was trained for", "--fill"),
        (["profile", "--model", str(TARGET), "--fill", "8"], 2, "8 tokens is too short", "--fill 24"),
        (["profile", "--model", str(TARGET), "--engine", "llama-sever"], 2, "llama-sever", "did you mean llama-server"),
        (["profile", "--model", str(TARGET), "--engine-set", "thread=1"], 2, "thread", "did you mean threads"),
        (["profile", "--model", str(TARGET), "--engine-path", "nowhere"], 3, "nowhere", "--engine-path"),
    ],
)
def test_wrong_words_are_explained(tmp_path: Path, words: list[str], status: int, says: str, advises: str) -> None:
    done = specbench(*words, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert says in done.stderr
    assert advises in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_the_list_fits_80_columns_and_its_json_has_every_profile(tmp_path: Path) -> None:
    table = specbench("list", cwd=tmp_path).stdout
    assert "rtxpro6000-maxq" in table
    assert max(map(len, table.rstrip().splitlines())) <= 80
    profiles = {entry["id"]: entry for entry in json.loads(specbench("list", "--json", cwd=tmp_path).stdout)}
    assert profiles["mi60"]["identity"]["units"] == 64
    assert "fp16" not in profiles["gb10"]["figures"]
