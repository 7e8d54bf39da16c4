"""The project's own nightly job is the one that `specbench ci init` writes, on the embedded family."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "specbench.yml"
OWN = "      - name: Install this checkout\n"


def steps(text: str) -> list[str]:
    """What the `run:` keys of a workflow give to the shell."""
    blocks = re.findall(r"^ +run: (?:\|\n((?: {10}.*\n)+)|(.+)\n)", text, flags=re.MULTILINE)
    return [textwrap.dedent(several) or one for several, one in blocks]


def test_the_workflow_is_the_template_and_a_step_that_installs_the_checkout() -> None:
    text = WORKFLOW.read_text()
    start = text.index(OWN)
    end = text.index("      - name:", start + 1)
    assert text[:start] + text[end:] == (ROOT / "ci" / "github.yml").read_text()


def test_script_and_plan_are_the_templates() -> None:
    for own, template in (("nightly.sh", "ci/nightly.sh"), ("nightly.toml", "micro/run.toml")):
        assert (ROOT / "ci" / f"specbench-{own}").resolve() == ROOT / template


@pytest.mark.engine
def test_what_the_workflow_gives_to_the_shell_measures_and_compares(tmp_path: Path) -> None:
    """The steps run as they stand, with a smaller plan on the installed tree."""
    shutil.copytree(ROOT / "ci", tmp_path / "ci")
    (tmp_path / "ci" / "specbench-nightly.toml").write_text(
        'engine = "xllamacpp"\ndiscover = false\nmethods = ["ngram-simple"]\ncategories = ["code"]\ntags = ["micro"]\n'
        "prompts_per_category = 5\noutput_tokens = 16\ntemperatures = 0\n[engine_settings]\nthreads = 1\n"
        '[[targets]]\nmodel = "micro"\n'
    )
    install, measure = steps(WORKFLOW.read_text())
    assert "-m pip install --quiet ." in install
    assert subprocess.run(["sh", "-n"], input=install, text=True, check=False).returncode == 0
    program = tmp_path / ".venv" / "bin" / "specbench"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m specbench "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "SPECBENCH_RESULTS": str(tmp_path / "nights"),
        "SPECBENCH_NIGHTS": "1",
        "SPECBENCH_OUT": str(tmp_path / "specbench-out"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }
    for allowed in ((0,), (0, 5)):
        argv = ["sh", "-e", "-c", measure]
        done = subprocess.run(argv, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode in allowed, done.stdout + done.stderr
    assert {path.name for path in (tmp_path / "specbench-out").iterdir()} == {"report.html", "trend.png", "junit.xml"}
    assert ET.parse(tmp_path / "specbench-out" / "junit.xml").getroot().get("tests") == "3"  # noqa: S314  our own
    assert (tmp_path / "summary.md").read_text().startswith("# specbench compare: ")
