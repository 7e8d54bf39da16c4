"""The house rules that a program can check: layers, purity, types, style, size, and what may not be written."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from specbench.analysis.checks import ADVICE, HARMLESS

ROOT = Path(__file__).resolve().parents[1]


def _tracked(pattern: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", pattern], cwd=ROOT, check=True, capture_output=True, text=True)
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).exists()]


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "--no-cache"],
        ["ruff", "format", "--check", "--no-cache"],
        ["mypy"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_the_code_passes_the_checkers(command: list[str]) -> None:
    result = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_import_contracts_hold() -> None:
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_starting_the_command_line_loads_nothing_heavy() -> None:
    heavy = "{'pandas', 'matplotlib', 'scipy', 'torch', 'llama_cpp', 'vllm', 'xllamacpp', 'numpy', 'pydantic'}"
    code = f"import sys, specbench.cli.main; print(sorted(set(sys.modules) & {heavy}))"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "[]"


def test_no_file_of_the_product_is_longer_than_500_lines() -> None:
    long = [path.name for path in _tracked("specbench/*.py") if len(path.read_text().splitlines()) > 500]
    assert long == []


def test_no_local_path_is_committed() -> None:
    local = re.compile(r"(?<![\w.$}])/(?:work|root|home/\w+|tmp)/")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for suffix in ("*.py", "*.md", "*.toml", "*.json", "*.txt", "Makefile")
        for path in _tracked(suffix)
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if local.search(line)
    ]
    assert found == []


def test_every_note_and_every_variable_is_explained() -> None:
    told = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8")
    assert [code for code in ADVICE if f"`{code}`{' *' if code in HARMLESS else ''}" not in told] == []
    assert set(re.findall(r"`([A-Z_]+)` \*", told)) == HARMLESS
    sources = [*(ROOT / "specbench").rglob("*.py"), ROOT / "ci" / "nightly.sh"]
    named = {name for path in sources for name in re.findall(r"SPECBENCH_[A-Z]+(?:_[A-Z]+)*", path.read_text("utf-8"))}
    assert {name for name in named if f"`{name}`" not in told} == {
        "SPECBENCH_ENGINE_KEY"
    }  # from specbench to its child
