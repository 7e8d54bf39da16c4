"""A short torture campaign: the whole one is `make torture`, and what it counted stands in docs/reliability.md."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from known_answer.rig import find_engine

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]
SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "torture.py"
BAD = re.compile(
    r"^ +[1-9]\d* (?=.*(lost|twice|other counts|left|traceback|hang|without a|WRONG|status -))", re.MULTILINE
)


@pytest.mark.parametrize(
    "words",
    [("kills", "--kills", "4"), ("engines", "--signals", "4"), ("answers", "--answers", "12"), ("places",), ("clock",)],
)
def test_a_fault_loses_nothing_and_is_told(words: tuple[str, ...]) -> None:
    if sys.platform == "win32":
        pytest.skip("the campaign needs signals and process groups")
    if words[0] == "answers":
        find_engine("llama-server")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--seed", "7", "--only", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not BAD.search(done.stdout), done.stdout
