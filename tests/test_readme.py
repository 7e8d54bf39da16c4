"""The commands of README.md run, as those of docs/ do; in a file of its own: files run side by side."""

from pathlib import Path

import pytest
from test_docs import ROOT, run_all


@pytest.mark.engine
@pytest.mark.timeout(1500)  # the default run is among them
def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    run_all(ROOT / "README.md", tmp_path)
