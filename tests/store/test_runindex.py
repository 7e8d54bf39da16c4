import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from store.test_store import MACHINE, PLAN, TRIALS, failure, generation, trial

from specbench import runindex, store
from specbench.records import Enough, Message, Prompt
from specbench.structs import replace

TRAP = '"role": "measured", "role":"warm-up" {"kind":"generation" {"kind":"enough"\n "prompts": '


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run whose texts look like what is counted, with a warm-up, a failure that was mended, and trials not needed."""
    asked = Prompt(id="p", suite="own", category="code", messages=(Message(role="user", content=TRAP),))
    plan = replace(PLAN, prompts=(asked,), contenders=(replace(PLAN.contenders[0], target_label=TRAP),))
    with store.create(tmp_path, plan, replace(MACHINE, cpu="slow one")) as run:
        run.append(generation(trial("w", "warm-up"), text=TRAP))
        run.append(failure(TRIALS[0]))
        run.append(generation(TRIALS[0], text=TRAP))
        run.append(generation(TRIALS[1], text=TRAP))
        run.append(Enough(contender="none", category="code", reason=TRAP, trials=("t3",)))
    return run.path


def test_a_row_tells_a_run_without_reading_it_whole(folder: Path) -> None:
    [row] = runindex.rows(folder.parent)
    assert row == {"run": folder.name, "trials": "2/3", "targets": TRAP, "methods": "none", "machine": "slow one"}


def test_a_run_is_read_again_when_a_file_of_it_changed(folder: Path) -> None:
    before = runindex.rows(folder.parent)
    known = json.loads((folder.parent / runindex.INDEX).read_text())
    known[folder.name][1]["trials"] = "kept"
    (folder.parent / runindex.INDEX).write_text(json.dumps(known))
    assert runindex.rows(folder.parent)[0]["trials"] == "kept"
    os.utime(folder / runindex.TRIALS, ns=(1, 1))
    assert runindex.rows(folder.parent) == before


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"contenders": 3}', "no json", '{"contenders": [{}]}'])
def test_a_damaged_plan_is_told_and_hides_no_other_run(folder: Path, content: str) -> None:
    (folder.parent / "zz").mkdir()
    (folder.parent / "zz" / runindex.PLAN).write_text(content)
    good, bad = runindex.rows(folder.parent)
    assert good["trials"] == "2/3"
    assert bad == {"run": "zz", "trials": "damaged", "targets": None, "methods": None, "machine": None}


def test_a_folder_without_runs_or_none_has_no_rows(tmp_path: Path) -> None:
    assert runindex.rows(tmp_path / "none") == []
    (tmp_path / "other").mkdir()
    (tmp_path / "file").touch()
    assert runindex.rows(tmp_path) == []


def test_the_list_of_runs_loads_no_records_and_no_numbers(folder: Path) -> None:
    heavy = ["numpy", "specbench.records", "specbench.engines"]
    code = (
        "import sys; from specbench.cli.main import app; app(standalone_mode=False); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    argv = [sys.executable, "-c", code, "runs", "list", "--results", str(folder.parent), "--json"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    assert done.stdout.endswith("[]\n"), done.stdout
