"""The clock of the machine is set while a run is written, or between two runs."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from store import test_store as small

from specbench import store
from specbench.errors import InputError
from specbench.runindex import being_written

PLAN, MACHINE, finished = small.PLAN, small.MACHINE, small.finished


@pytest.fixture
def set_forward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """/proc as psutil sees it once the clock was set an hour forward: Linux moves the time of the boot with it."""
    if not psutil.LINUX:
        pytest.skip("the time of the boot is told in another way")
    there = tmp_path_factory.mktemp("proc")
    for entry in Path("/proc").iterdir():
        (there / entry.name).symlink_to(entry)
    (there / "stat").unlink()
    lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    moved = [f"btime {int(line.split()[1]) + 3600}" if line.startswith("btime ") else line for line in lines]
    (there / "stat").write_text("\n".join(moved) + "\n", encoding="ascii")
    yield psutil.__dict__.update(PROCFS_PATH=str(there))
    psutil.__dict__.update(PROCFS_PATH="/proc")


def test_a_run_stays_locked_when_the_clock_is_set(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with store.create(tmp_path, PLAN, MACHINE) as folder:
        before = psutil.Process().create_time()
        request.getfixturevalue("set_forward")
        assert psutil.Process().create_time() - before > 3000
        assert being_written(folder.path)
        with pytest.raises(InputError, match="is being written by another specbench"):
            store.resume(folder.path)


def test_a_lock_without_content_from_before_the_clock_was_set_back_is_not_believed(finished: Path) -> None:
    lock = finished / "lock"
    lock.touch()
    os.utime(lock, (time.time() + 3600, time.time() + 3600))
    store.resume(finished).close()


def test_the_times_of_a_run_go_on_evenly_when_the_clock_is_set_and_after_the_last_when_it_is_resumed(
    tmp_path: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = max(r.started for r in store.read(finished).results if r.kind == "generation")
    for set_to in (0.0, last + 1e6):
        monkeypatch.setattr(time, "time", lambda now=set_to: now)
        with store.resume(finished) as folder, store.create(tmp_path / f"{set_to}", PLAN, MACHINE) as new:
            for run, earliest in ((folder, max(last, set_to)), (new, set_to)):
                monkeypatch.setattr(time, "time", lambda: -1e9)
                first = run.clock()
                assert 0 <= first - earliest < 60
                assert first <= run.clock() < first + 60


def test_a_run_that_is_named_before_an_earlier_one_says_so(tmp_path: Path) -> None:
    for year, warned in ((2032, False), (2031, True), (2033, False)):
        moment = datetime(year, 1, 1, tzinfo=UTC)
        with store.create(tmp_path, PLAN, MACHINE, clock=lambda now=moment: now) as folder:
            assert any("20320101-000000" in warning for warning in folder.warnings) is warned
