"""Every command in README.md and docs/ runs, or stands in a block that says it needs hardware; those are planned only.

Commands of one file run in their order in one empty folder. Files that the text only names are made from the embedded
family, so that the flags are checked for real.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from specbench import datafiles

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(?P<mark><!-- needs hardware -->\n)?```sh\n(?P<body>.*?)```", re.DOTALL)
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BUILDS = ("make ", "pip install", "python benchmarks/")  # run by CI itself, by the wheel's test, or by hand


def commands(document: Path) -> list[tuple[str, bool]]:
    """Command and whether it needs hardware, in the order of the text."""
    found = []
    for block in BLOCK.finditer(document.read_text(encoding="utf-8")):
        lines = block["body"].strip().splitlines()
        found += [(line, block["mark"] is not None) for line in lines if not line.startswith(("#", *BUILDS))]
    return found


def stand_in(path: Path, name: str) -> None:
    """A model of the embedded family that says it was trained for 128k tokens; it is planned with and never run."""
    data = bytearray(datafiles.path(f"micro/weights/{name}").read_bytes())
    value = data.index(b"qwen3.context_length") + len(b"qwen3.context_length") + 4  # the key, then the value's type
    data[value : value + 4] = (131072).to_bytes(4, "little")
    path.write_bytes(data)


def words(command: str, folder: Path, *, hardware: bool) -> list[str]:
    program, *rest = shlex.split(command)
    assert program == "specbench", command
    for word in rest:
        if word.endswith(".gguf") and not (folder / word).exists():
            draft = rest[rest.index(word) - 1] == "--draft-model"
            stand_in(folder / word, "draft-q8_0.gguf" if draft else "target-q8_0.gguf")
    planned = (
        ["--dry-run"]
        if hardware and rest[0] in {"run", "tune"}
        else ["--help"]
        if hardware and rest[0] in {"compare", "baseline", "runs"}
        else []
    )
    return [sys.executable, "-m", "specbench", *rest, *planned]


@pytest.mark.engine
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("document", [d for d in DOCUMENTS[1:] if commands(d)], ids=lambda d: d.name)
def test_the_commands_of_a_document_run(document: Path, tmp_path: Path) -> None:
    run_all(document, tmp_path)


def run_all(document: Path, tmp_path: Path) -> None:
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    (tmp_path / "suites").symlink_to(ROOT / "suites")
    environment = {**os.environ, "SPECBENCH_CACHE": str(tmp_path / "cache"), "COLUMNS": "120"}
    for command, hardware in commands(document):
        argv = words(command, tmp_path, hardware=hardware)
        result = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        toy = hardware and "so small a model" in result.stderr  # a prediction of the stand-in got as far as it can
        assert toy or result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"


def test_the_readme_tells_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "\nmake run\n" in text
    assert "\nmake test\n" in text


def test_relative_links_in_documents_lead_somewhere() -> None:
    broken = [
        f"{document.name}: {link}"
        for document in [*DOCUMENTS, *ROOT.glob("*/*.md")]
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8"))
        if not (document.parent / link).exists()
    ]
    assert broken == []


@pytest.mark.engine
def test_the_python_of_the_api_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)), names)  # noqa: S102  our own page
    table, found = names["table"], names["found"]
    assert list(names["speed"].index) == [("ngram-simple", "code"), ("none", "code")]
    told = {word for line in text.splitlines() if line.startswith("| `") for word in re.findall(r"`(\w+)`", line)}
    assert told <= set(table.columns)
    assert len((tmp_path / "trials.csv").read_text().splitlines()) == len(table) + 1
    assert {c.verdict for c in found.changes if c.measure == "acceptance"} <= {"equivalent"}
    assert found.exit_status == 5
