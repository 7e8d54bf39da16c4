import errno
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

import pytest

from specbench import store, upkeep
from specbench.errors import InputError, UnavailableError
from specbench.records import (
    Block,
    Contender,
    DraftCounts,
    Enough,
    Failure,
    Generation,
    Machine,
    Opening,
    Plan,
    Skip,
    Telemetry,
    Trial,
)
from specbench.structs import replace

MACHINE = Machine(system="Linux", release="1", architecture="x86_64", python="3.11")


def trial(name: str, role: str = "measured") -> Trial:
    return Trial(
        id=name,
        contender="none",
        category="code",
        prompt="p",
        role=role,
        repeat=0,
        temperature=0,
        seed=1,
        output_tokens=4,
        ignore_eos=True,
    )


TRIALS = tuple(trial(f"t{i}") for i in range(4))
PLAN = Plan(
    specbench_version="0",
    name="own run",
    suites={"own": "1"},
    contenders=(
        Contender(name="none", engine="own", kind="server", target_model="m.gguf", target_label="m", method="none"),
    ),
    prompts=(),
    blocks=(Block(index=0, contender="none", trials=(trial("w", "warm-up"), *TRIALS)),),
)


def generation(of: Trial, *, text: str = "grün ☃") -> Generation:
    return Generation(
        trial=of,
        block=0,
        order=0,
        started=1.5,
        text=text,
        output_ids=(1, 2),
        prompt_sha256="0",
        prompt_tokens=3,
        cached_tokens=0,
        prefilled_tokens=3,
        output_tokens=2,
        counts=DraftCounts(emitted=2),
        prefill_seconds=0.1,
        decode_seconds=0.2,
        first_token=0.1,
        last_token=0.3,
        total=0.3,
        stop_reason="length",
    )


def failure(of: Trial) -> Failure:
    return Failure(trial=of, block=0, order=0, started=1, reason="timeout", message="m", hint="h")


def opening() -> Opening:
    return Opening(
        contender="none",
        block=0,
        started=1,
        engine_version=None,
        engine_commit=None,
        executable=None,
        executable_sha256=None,
        argv=(),
        environment={},
        load_seconds=None,
        context_size=None,
        chat_template_sha256=None,
    )


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A run of three generations and an opening, closed."""
    with store.create(tmp_path, PLAN, MACHINE) as folder:
        folder.append(opening())
        for of in TRIALS[:3]:
            folder.append(generation(of))
    return folder.path


def test_what_is_appended_is_read_back(finished: Path) -> None:
    run = store.read(finished)
    assert (run.plan, run.machine, run.warnings) == (PLAN, MACHINE, [])
    assert run.results == [opening(), *(generation(of) for of in TRIALS[:3])]
    assert store.done(run) == {"t0", "t1", "t2"}
    assert sorted(path.name for path in finished.iterdir()) == [
        "logs",
        "machine.json",
        "openings.jsonl",
        "plan.json",
        "telemetry.jsonl",
        "trials.jsonl",
    ]


def test_a_result_is_on_disk_before_append_returns(tmp_path: Path) -> None:
    with store.create(tmp_path, PLAN, MACHINE) as folder:
        for number, of in enumerate(TRIALS, 1):
            folder.append(generation(of))
            assert (folder.path / "trials.jsonl").read_bytes().count(b"\n") == number


def test_a_last_line_torn_at_any_byte_loses_nothing_but_itself(finished: Path) -> None:
    file = finished / "trials.jsonl"
    whole = file.read_bytes()
    start = whole.rfind(b"\n", 0, -1) + 1
    for length in range(start, len(whole)):
        file.write_bytes(whole[:length])
        complete, torn = length == len(whole) - 1, start < length < len(whole) - 1
        run = store.read(finished)
        assert len(store.done(run)) == 2 + complete
        assert [("torn" in warning) for warning in run.warnings] == [True] * torn
        assert file.read_bytes() == whole[:length]
        if length % 10 and not complete:  # resuming waits for the disk
            continue
        with store.resume(finished) as folder:
            assert len(folder.warnings) == torn
            assert len(folder.done) == 2 + complete
            folder.append(generation(TRIALS[3]))
        again = store.read(finished)
        assert again.warnings == []
        assert store.done(again) == store.done(run) | {"t3"}
        if torn:
            kept = finished / "trials.jsonl.torn"
            assert kept.read_bytes() == whole[start:length] + b"\n"
            kept.unlink()


def test_a_damaged_line_in_the_middle_is_left_out_with_its_number(finished: Path) -> None:
    file = finished / "trials.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + bytes(20) + b"\n" + lines[2])
    run = store.read(finished)
    assert store.done(run) == {"t0", "t2"}
    assert "line 2 is damaged" in run.warnings[0]
    with store.resume(finished) as folder:
        for trial in TRIALS:
            if trial.id not in folder.done and trial.role != "warm-up":
                folder.append(generation(trial))
    assert store.read(finished).warnings == []
    assert "line 2 is damaged" in upkeep.faults(finished)[0]


@pytest.mark.parametrize("name", ["plan.json", "machine.json", "trials.jsonl", "openings.jsonl"])
def test_a_newer_schema_is_refused(finished: Path, name: str) -> None:
    file = finished / name
    written = re.compile(r'(schema_version": ?)2')
    file.write_text(written.sub(r"\g<1>3", file.read_text()))
    with pytest.raises(InputError, match=f"{name} has schema version 3; this specbench reads 2"):
        store.read(finished)


def test_a_folder_that_is_no_run_or_has_a_damaged_plan_is_refused(finished: Path, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="is not a run"):
            store.resume(path)
    (finished / "plan.json").write_text('{"schema_version": 2}')
    with pytest.raises(InputError, match=r"plan\.json is damaged"):
        store.read(finished)


def test_a_failed_trial_is_measured_again_and_then_its_failure_is_gone(tmp_path: Path) -> None:
    with store.create(tmp_path, PLAN, MACHINE) as folder:
        folder.append(failure(TRIALS[0]))
        folder.append(failure(TRIALS[1]))
        folder.append(failure(TRIALS[1]))
    with store.resume(folder.path) as again:
        assert again.done == set()
        again.append(generation(TRIALS[0]))
    assert store.read(folder.path).results == [failure(TRIALS[1]), generation(TRIALS[0])]


def test_the_first_of_two_generations_of_a_trial_counts(tmp_path: Path) -> None:
    with store.create(tmp_path, PLAN, MACHINE) as folder:
        for text in ("first", "second"):
            folder.append(generation(TRIALS[0], text=text))
            folder.append(generation(trial("w", "warm-up"), text=text))
    run = store.read(folder.path)
    measured = [r for r in run.results if isinstance(r, Generation) and r.trial.role == "measured"]
    assert [g.text for g in measured] == ["first"]
    assert len(run.results) == 3
    assert "1 trials were measured twice" in run.warnings[0]


def test_a_skip_is_gone_once_everything_it_stood_for_has_run(tmp_path: Path) -> None:
    skips = [Skip(contender="none", block=block, reason="r", hint="h") for block in (0, None)]
    with store.create(tmp_path, PLAN, MACHINE) as folder:
        for skip in (*skips, *skips):
            folder.append(skip)
    assert store.read(folder.path).results == skips
    with store.resume(folder.path) as again:
        for of in TRIALS:
            again.append(generation(of))
    assert not any(isinstance(result, Skip) for result in store.read(folder.path).results)


def test_runs_that_start_at_once_get_folders_of_their_own(tmp_path: Path) -> None:
    def start(_: int) -> Path:
        with store.create(tmp_path, PLAN, MACHINE, clock=lambda: datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)) as folder:
            return folder.path

    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(start, range(8)))
    names = {path.name for path in paths}
    assert names == {"20310506-070809-own-run", *(f"20310506-070809-own-run-{i}" for i in range(2, 9))}


def test_the_newest_run_is_found(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no runs"):
        store.latest(tmp_path)
    for year in (2032, 2031):
        store.create(tmp_path, PLAN, MACHINE, name="x/..", clock=lambda y=year: datetime(y, 1, 1, tzinfo=UTC)).close()
    assert store.latest(tmp_path).name == "20320101-000000-x"
    assert [path.name[:4] for path in store.runs(tmp_path)] == ["2031", "2032"]


def test_a_run_is_found_by_its_path_its_folder_and_the_name_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day, name in ((1, "old"), (2, "old"), (3, "very old")):
        store.create(tmp_path, PLAN, MACHINE, name=name, clock=lambda d=day: datetime(2031, 1, d, tzinfo=UTC)).close()
    newest = tmp_path / "20310102-000000-old"
    for given in (newest, Path(newest.name), Path("old")):
        assert store.named(given, results=tmp_path) == newest
    assert store.named(Path("very old"), results=tmp_path) == tmp_path / "20310103-000000-very-old"
    assert store.named(Path("ol"), results=tmp_path) is None
    assert store.named(Path("there/old"), results=tmp_path) is None
    monkeypatch.chdir(tmp_path)
    Path("old").mkdir()
    assert store.named(Path("old"), results=tmp_path) == newest
    newest.rename(Path("old") / newest.name)  # a folder of runs stands for all of them
    assert store.named(Path("old"), results=tmp_path) is None


def test_a_run_that_is_being_written_cannot_be_resumed(tmp_path: Path) -> None:
    with (
        store.create(tmp_path, PLAN, MACHINE) as folder,
        pytest.raises(InputError, match="is being written by another specbench"),
    ):
        store.resume(folder.path)
    store.resume(folder.path).close()


def test_the_lock_of_a_process_that_is_gone_is_taken_over_with_a_warning(finished: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for content in (f"{gone.pid} 1.5", f"{os.getpid()} 1.5"):  # the second: another process had the number before
        (finished / "lock").write_text(content)
        with store.resume(finished) as folder:
            assert "process that is gone" in folder.warnings[0]
        assert not (finished / "lock").exists()


def test_a_lock_without_content_is_believed_for_a_moment_only(finished: Path) -> None:
    lock = finished / "lock"
    lock.touch()
    with pytest.raises(InputError, match="is being written"):
        store.resume(finished)
    os.utime(lock, (time.time() - 60, time.time() - 60))
    store.resume(finished).close()


class FullDisk(FileIO):
    """Takes `room` more bytes, then reports a full disk, as a real one does in the middle of a line."""

    room = 0

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = min(self.room, len(data))
        self.room -= taken
        return super().write(data[:taken])


@pytest.mark.parametrize("room", [0, 1, 100])
def test_a_full_disk_keeps_the_finished_trials_and_leaves_no_torn_line(finished: Path, room: int) -> None:
    file = finished / "trials.jsonl"
    before = file.read_bytes()
    with store.resume(finished) as folder, FullDisk(file, "ab") as full:
        full.room = room
        with pytest.raises(UnavailableError, match="disk is full") as caught:
            replace(folder, trials=full).append(generation(TRIALS[3]))
        assert "--resume" in caught.value.hint
        assert file.read_bytes() == before
        folder.append(generation(TRIALS[3]))
    assert store.done(store.read(finished)) == {"t0", "t1", "t2", "t3"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_the_real_full_device_is_reported_too(finished: Path) -> None:
    with store.resume(finished) as folder, FileIO("/dev/full", "r+") as full, pytest.raises(UnavailableError):
        replace(folder, trials=full).append(generation(TRIALS[3]))


def test_a_results_folder_that_cannot_be_written_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(InputError) as caught:
        store.create(blocked, PLAN, MACHINE)
    assert "--results" in caught.value.hint


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_folder_is_an_error_that_says_what_to_do(tmp_path: Path, finished: Path) -> None:
    finished.chmod(0o500)
    try:
        with pytest.raises(InputError, match="cannot write"):
            store.resume(finished)
        assert len(store.read(finished).results) == 4
    finally:
        finished.chmod(0o700)


def telemetry(of: str | None, started: float, **changes: object) -> Telemetry:
    facts = {"gauges": {}, "meters": {}, "throttle": {}, "reasons": {}}
    return Telemetry(trial=of, started=started, **facts | changes)


def test_telemetry_has_its_own_file_and_comes_back_with_its_trial(tmp_path: Path) -> None:
    first, second = generation(TRIALS[0]), replace(generation(TRIALS[1]), started=5.0)
    seen = telemetry(TRIALS[1].id, 5.0, throttle={"nvidia0": {4: 2}})
    idle = telemetry(None, 0.0, reasons={"cpu.energy": "RAPL is not there"})
    with store.create(tmp_path, PLAN, MACHINE) as folder:
        for line in (idle, first, telemetry(TRIALS[1].id, 4.0), seen, second):
            folder.append(line)
    assert b'"telemetry":null' in (folder.path / store.TRIALS).read_bytes().splitlines()[-1]
    assert store.read(folder.path).results == [idle, first, replace(second, telemetry=seen)]


def test_torn_telemetry_is_left_out_and_costs_no_trial(tmp_path: Path) -> None:
    with store.create(tmp_path, PLAN, MACHINE) as folder:
        folder.append(telemetry(TRIALS[0].id, generation(TRIALS[0]).started))
        folder.append(generation(TRIALS[0]))
    with (folder.path / store.TELEMETRY).open("ab") as file:
        file.write(b'{"kind":"telem')
    run = store.read(folder.path)
    assert [w for w in run.warnings if "telemetry.jsonl: the last line is torn and left out" in w]
    assert "again" not in run.warnings[0]
    with store.resume(folder.path) as resumed:
        assert resumed.done == {TRIALS[0].id}
    assert (folder.path / f"{store.TELEMETRY}.torn").exists()


def test_a_run_without_telemetry_is_read_as_before(tmp_path: Path) -> None:
    with store.create(tmp_path, PLAN, MACHINE) as folder:
        folder.append(generation(TRIALS[0]))
    (folder.path / store.TELEMETRY).unlink()
    assert store.read(folder.path).results == [generation(TRIALS[0])]


def test_what_need_not_run_is_not_left_over_and_keeps_no_skip_alive(tmp_path: Path) -> None:
    enough = Enough(contender="none", category="code", reason="known", trials=("t1", "t2", "t3"))
    with store.create(tmp_path, PLAN, MACHINE) as folder:
        folder.append(Skip(contender="none", block=0, reason="no", hint="wait"))
        folder.append(generation(TRIALS[0]))
        folder.append(enough)
    found = store.read(folder.path)
    assert found.results == [generation(TRIALS[0]), enough]
    with store.resume(folder.path) as again:
        assert again.done == {"t0", "t1", "t2", "t3"}
