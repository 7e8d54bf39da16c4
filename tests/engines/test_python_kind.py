"""Engines in a Python of the user's choice: what is said when it is none, or has no package, or a broken one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from specbench.engines import catalog
from specbench.engines.profile import command
from specbench.errors import InputError
from specbench.records import Contender

ABORTS = "import os, sys\nsys.stderr.write('GGML_ASSERT(buffer) failed\\n')\nsys.stderr.flush()\nos.abort()\n"
NO_LIBRARY = "raise FileNotFoundError(\"Shared library with base name 'llama' not found\")\n"
OTHER_VERSION = "raise AttributeError('libllama.so: undefined symbol: llama_batch_ext_init')\n"


def interpreter(folder: Path, package: str | None) -> Path:
    """A Python without site-packages, whose llama_cpp is `package`; None: it has none."""
    if package is not None:
        (folder / "llama_cpp").mkdir(parents=True)
        (folder / "llama_cpp" / "__init__.py").write_text(package)
    program = folder / "python"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" -S "$@"\n')
    program.chmod(0o755)
    return program


def contender(program: Path | str) -> Contender:
    profile = catalog.profiles(None)["llama-cpp-python"]
    argv, _ = command(
        profile,
        target_model="t.gguf",
        draft_model=None,
        method="none",
        settings={},
        engine_settings={},
        engine_args=(),
    )
    return Contender(
        name="none",
        engine="llama-cpp-python",
        kind="python",
        target_model="t.gguf",
        target_label="t",
        method="none",
        executable=str(program),
        argv=argv,
    )


@pytest.mark.parametrize(
    ("package", "reason", "fix"),
    [
        (None, "(exit status 1): No module named 'llama_cpp'", "{} -m pip install llama-cpp-python"),
        (NO_LIBRARY, "'llama' not found", "-m pip install --force-reinstall llama-cpp-python"),
        (OTHER_VERSION, "undefined symbol", "-m pip install --force-reinstall llama-cpp-python"),
        (ABORTS, "(signal 6): GGML_ASSERT(buffer) failed", "run `{} "),
        ("import sys\nsys.exit(7)\n", "cannot load the engine (exit status 7)", "run `{} "),
    ],
)
def test_a_package_that_cannot_be_imported_is_a_skip_with_what_helps(
    tmp_path: Path, package: str | None, reason: str, fix: str
) -> None:
    skip = catalog.check_available(contender(interpreter(tmp_path, package)))
    assert skip is not None
    assert reason in skip.reason
    assert fix.replace("{}", sys.executable if fix.startswith("{}") else str(tmp_path / "python")) in skip.hint
    assert skip.log_tail is None or "hint" not in skip.log_tail


def test_what_aborted_said_last_is_kept(tmp_path: Path) -> None:
    skip = catalog.check_available(contender(interpreter(tmp_path, ABORTS)))
    assert skip is not None
    assert skip.log_tail == "GGML_ASSERT(buffer) failed"


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("/nonexistent/python", "is not there"),
        ("/bin/false", "cannot load the engine (exit status 1)"),
        ("/bin/echo", "cannot load the engine"),
    ],
)
def test_a_program_that_is_no_python_is_a_skip(program: str, reason: str) -> None:
    skip = catalog.check_available(contender(program))
    assert skip is not None
    assert reason in skip.reason
    assert skip.hint


def test_a_run_on_it_says_so_and_ends_with_status_3(tmp_path: Path) -> None:
    program = interpreter(tmp_path, None)
    argv = [sys.executable, "-m", "specbench", "run", "--engine", f"llama-cpp-python={program}", "--methods", "none"]
    argv += ["--model", "micro", "--categories", "code", "--prompts", "1", "--results", str(tmp_path / "results")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 3
    assert "No module named 'llama_cpp' (" in done.stderr.replace("\n", " ")
    assert "-m pip install llama-cpp-python" in done.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("package", "state", "fix"),
    [
        (
            "raise ModuleNotFoundError(\"No module named 'llama_cpp'\")\n",
            "missing",
            "pip install 'specbench[llama-cpp-",
        ),
        (ABORTS, "faulty", "run `"),
    ],
)
def test_doctor_says_what_is_missing_and_what_is_broken(tmp_path: Path, package: str, state: str, fix: str) -> None:
    (tmp_path / "llama_cpp").mkdir()
    (tmp_path / "llama_cpp" / "__init__.py").write_text(package)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    argv = [sys.executable, "-m", "specbench", "doctor", "--json"]
    shown = subprocess.run(argv, env={**os.environ, "PYTHONPATH": path}, capture_output=True, check=True, text=True)
    row = {row["what"]: row for row in json.loads(shown.stdout)}["llama-cpp-python"]
    assert row["state"] == state
    assert row["fix"].startswith(fix)


def test_several_streams_are_refused_where_there_is_one() -> None:
    with pytest.raises(InputError, match="one request at a time"):
        command(
            catalog.profiles(None)["llama-cpp-python"],
            target_model="t.gguf",
            draft_model=None,
            method="none",
            settings={},
            engine_settings={},
            engine_args=(),
            streams=2,
        )
