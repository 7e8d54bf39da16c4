"""A real engine is watched while it works; what cannot be read here is said once."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hardware import watched

pytestmark = pytest.mark.engine
RUN = ("run", "--methods", "none", "-c", "code", "--tags", "smoke", "--prompts", "1", "-t", "0", "-o", "200")
MODEL = ("--model", "micro", "--engine-set", "threads=1", "--results", "results")


def run(folder: Path, *more: str) -> dict[str, Any]:
    argv = [sys.executable, "-m", "specbench", *RUN, *MODEL, *more, "--json"]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_a_run_records_the_memory_of_its_engine_and_why_there_is_no_energy(tmp_path: Path) -> None:
    report = run(tmp_path)
    (file,) = tmp_path.glob("results/*/telemetry.jsonl")
    before, *trials = [json.loads(line) for line in file.read_text().splitlines()]
    assert before["trial"] is None
    planned = [json.loads(line) for line in file.with_name("trials.jsonl").read_text().splitlines()]
    assert {(t["trial"], t["started"]) for t in trials} == {
        (t["trial"]["id"], t["started"]) for t in planned if t["trial"]["role"] != "warm-up"
    }
    for trial in trials:
        assert trial["gauges"]["host.memory"]["low"] > 5e6, "the model alone is that big"
        assert bool(trial["meters"]) == bool(before["meters"])
    (row,) = report["rows"]
    assert row["peak_memory"] == max(trial["gauges"]["host.memory"]["high"] for trial in trials[:1])
    if not before["meters"]:
        assert before["reasons"]["cpu.energy"]
        assert before["reasons"]["nvidia.energy"]
        assert report["energy"].startswith("no energy: ")
        assert before["reasons"]["cpu.energy"] in report["energy"]
        assert row["metrics"]["energy_per_token"] is None


def test_without_telemetry_nothing_is_watched_and_the_report_says_so(tmp_path: Path) -> None:
    report = run(tmp_path, "--no-telemetry")
    (file,) = tmp_path.glob("results/*/telemetry.jsonl")
    assert file.read_bytes() == b""
    assert report["energy"] == "no energy: telemetry was switched off"
    assert report["rows"][0]["peak_memory"] is None


def test_with_a_card_the_report_shows_joules_per_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = {**watched.CARD, "limit": 250_000}
    watched.write(tmp_path / "nvml.txt", card)
    monkeypatch.setenv("WATCHED_NVML", str(tmp_path / "nvml.txt"))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(watched.library(tmp_path).parent))
    report = run(tmp_path, "--model", "ballast", "-o", "600", "--repeats", "3")  # on busy cores one may lack readings
    row = next(row for row in report["rows"] if row["target"].startswith("ballast"))
    decode, energy = (row["metrics"][name]["value"] for name in ("decode_engine", "energy_per_token"))
    assert energy == pytest.approx(card["watts"] / decode, rel=0.35)
    assert row["metrics"]["tokens_per_kwh"]["value"] == pytest.approx(3.6e6 / energy)
    assert report["energy"].startswith("J/token is of the GPU")
    assert "W of it are drawn when idle" in report["energy"]
    assert "POWER_CAPPED" in {note["code"] for note in report["notes"]}
