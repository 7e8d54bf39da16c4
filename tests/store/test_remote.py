"""Run folders at a URL, against an S3-speaking server behind a line that is cut, drops and is slow."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from analysis.synthetic import drafted, generation, machine, opening, plan
from cli.test_compare import Done, specbench
from store.storage_server import SECRET, Line, environment, line, only_reading, server

from specbench import api, pipeline, remote, sending, store
from specbench.cli import console
from specbench.errors import InputError, UnavailableError
from specbench.hardware.detect import detect
from specbench.records import Generation, Result
from specbench.structs import replace, to_json

pytest.importorskip("s3fs", reason="needs specbench[storage]")
pytest.importorskip("moto", reason="needs moto[s3,server]")

WHOLE: list[Generation] = [
    g for i in range(6) for g in (generation("base", f"code-{i}"), drafted(f"code-{i}", seconds=0.5 + i / 100))
]
PLAN = plan(WHOLE)


@pytest.fixture(scope="module")
def wire() -> Iterator[Line]:
    with server() as port, line(port) as found:
        yield found


@dataclass
class Place:
    """A bucket of its own, the line to it, and this machine's copies."""

    url: str
    wire: Line
    move: Callable[[str], Path]  # to another machine: one without copies
    tmp: Path

    def results(self) -> Path:
        return remote.place(f"{self.url}/runs")

    def objects(self) -> dict[str, bytes]:
        there = remote.storage(self.url)
        return there.get(list(there.sizes()))

    def run(self, *words: str) -> Done:
        forget()
        return specbench(self.tmp / "results", *words)


def forget() -> None:
    """What a new process would bring again."""
    remote.OWN.clear()
    remote.WHOLE.clear()


@pytest.fixture
def at(wire: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    import fsspec

    wire.cut, wire.drop_every, wire.delay = False, 0, 0.0
    for key, value in environment(wire.port).items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(sending, "_EVERY", 0.0)
    monkeypatch.setattr(sending, "_PATIENCE", 10.0)
    bucket = re.sub(r"[^a-z0-9]+", "-", tmp_path.name.lower()).strip("-")[:55] + "-bucket"
    fsspec.filesystem("s3", use_listings_cache=False, **remote._OPTIONS["s3"]).mkdir(bucket)

    def move(name: str) -> Path:
        forget()
        monkeypatch.setenv("SPECBENCH_CACHE", str(tmp_path / name))
        return tmp_path / name

    move("here")
    yield Place(f"s3://{bucket}", wire, move, tmp_path)
    forget()


def measure(at: Place, results: list[Result], *, name: str = "night", close: bool = True) -> store.RunFolder:
    folder = store.create(at.results(), PLAN, detect(), name=name)
    for r in results:
        folder.append(r)
    if close:
        assert sent(folder) == ()
        folder.close()
    return folder


def sent(folder: store.RunFolder) -> tuple[str, ...]:
    assert folder.sending is not None
    return folder.sending.flush()


def news(folder: store.RunFolder) -> str | None:
    assert folder.sending is not None
    return folder.sending.trouble()


def measured(path: Path) -> dict[str, float | None]:
    run = store.read(path)
    assert run.warnings == []
    return {r.trial.id: r.decode_seconds for r in run.results if isinstance(r, Generation)}


EVERYTHING = {g.trial.id: g.decode_seconds for g in WHOLE}

# ------------------------------------------------------------------------------------------------------ there and back


def test_a_run_lies_at_its_url_in_numbered_segments_that_are_read_elsewhere(at: Place) -> None:
    folder = measure(at, [opening("base"), *WHOLE])
    names = sorted(at.objects())
    assert sum("/trials-" in name for name in names) == len(WHOLE)
    assert not [name for name in names if name.endswith(("lock", "sending", "trials.jsonl"))]
    at.move("elsewhere")
    path = remote.place(f"{at.url}/runs/{folder.path.name}")
    assert measured(path) == EVERYTHING
    assert next(r.kind for r in store.read(path).results) == "opening"
    assert (path / "trials.jsonl").read_bytes() == (folder.path / "trials.jsonl").read_bytes()


def test_a_run_that_stopped_goes_on_at_another_place_with_nothing_measured_twice(at: Place) -> None:
    folder = measure(at, WHOLE[:5])
    at.move("elsewhere")
    with store.resume(remote.place(f"{at.url}/runs/{folder.path.name}")) as again:
        assert again.done == {g.trial.id for g in WHOLE[:5]}
        for g in WHOLE[5:]:
            again.append(g)
        assert sent(again) == ()
    at.move("third")
    assert measured(at.results() / folder.path.name) == EVERYTHING


def test_what_a_copy_has_is_not_brought_again(at: Place) -> None:
    folder = measure(at, list(WHOLE))
    before = at.wire.connections
    forget()
    there = remote.storage(remote.url(folder.path) or "")
    asked: list[str] = []
    whole, there.get = there.get, lambda names: asked.extend(names) or whole(names)  # type: ignore[method-assign]
    assert measured(folder.path) == EVERYTHING
    assert asked == []
    assert at.wire.connections > before


def test_every_command_that_takes_a_run_takes_its_url(at: Place) -> None:
    names = [measure(at, list(WHOLE), name=name).path.name for name in ("old", "new")]
    at.move("elsewhere")
    urls, root = [f"{at.url}/runs/{name}" for name in names], f"{at.url}/runs/"
    listed = at.run("runs", "list", "--results", root, "--json")
    assert [(row["run"], row["trials"]) for row in json.loads(listed.stdout)] == [(name, "12/12") for name in names]
    for words in (
        ("report", urls[0]),
        ("report", "--results", root),
        ("report", *urls),
        ("runs", "show", urls[1]),
        ("runs", "show", names[1], "--results", root),
        ("runs", "trend", "--results", root),
        ("runs", "verify", urls[0]),
        ("runs", "verify", "--results", root),
        ("baseline", "set", urls[0], "--results", root),
        ("baseline", "show", "--results", root),
        ("compare", "baseline", urls[1], "--results", root),
        ("compare", *urls),
        ("export", urls[0], "--output", str(at.tmp / "x.csv")),
    ):
        done = at.run(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
    at.move("third")
    assert names[0] in at.run("baseline", "show", "--results", root).stdout
    assert at.run("baseline", "clear", "--results", root).returncode == 0
    at.move("fourth")
    assert "none" in at.run("baseline", "show", "--results", root).stdout


def test_a_run_that_was_copied_there_by_other_means_is_read_and_listed(at: Place) -> None:
    with store.create(at.tmp / "results", PLAN, machine(), name="copied") as folder:
        for g in WHOLE:
            folder.append(g)
    there = remote.storage(f"{at.url}/runs/{folder.path.name}")
    for file in ("plan.json", "machine.json", "trials.jsonl"):
        there.put(file, (folder.path / file).read_bytes())
    for _ in "first", "again":
        [row] = json.loads(at.run("runs", "list", "--results", f"{at.url}/runs", "--json").stdout)
        assert (row["run"], row["trials"]) == (folder.path.name, "12/12")
    assert measured(at.results() / folder.path.name) == EVERYTHING


def test_runs_are_merged_from_and_to_urls(at: Place) -> None:
    one, other = (measure(at, part, name=name) for part, name in ((WHOLE[:5], "one"), (WHOLE[5:], "other")))
    urls = [f"{at.url}/runs/{folder.path.name}" for folder in (one, other)]
    done = at.run("runs", "merge", *urls, "--to", f"{at.url}/merged")
    assert (done.returncode, done.stdout.startswith(f"{at.url}/merged/")) == (0, True), done.stderr
    at.move("elsewhere")
    assert measured(remote.place(done.stdout.strip())) == EVERYTHING


# ------------------------------------------------------------------------------------------------------------- crashes


def test_what_a_crash_left_unsent_is_sent_when_the_run_goes_on(at: Place) -> None:
    folder = measure(at, WHOLE[:4], close=False)
    at.wire.cut = True
    for g in WHOLE[4:8]:
        folder.append(g)
    name = folder.path.name  # the process dies here: nothing is flushed, both locks stay
    for file in (folder.trials, folder.openings, folder.telemetry):
        file.close()
    (folder.path / "lock").unlink()  # as `store.resume` does for a process that is gone
    at.wire.cut = False
    here = at.move("here")
    with store.resume(at.results() / name) as again:
        assert again.done == {g.trial.id for g in WHOLE[:8]}
        for g in WHOLE[8:]:
            again.append(g)
        assert sent(again) == ()
    at.move("elsewhere")
    assert here.exists()
    assert measured(at.results() / name) == EVERYTHING


def test_a_killed_process_loses_no_line_that_it_wrote(at: Place) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from specbench import remote, sending, store
from store.test_remote import PLAN, WHOLE
from specbench.hardware.detect import detect
sending._EVERY = 0.0
folder = store.create(remote.place(sys.argv[1]), PLAN, detect(), name="killed")
for g in WHOLE[:6]:
    folder.append(g)
sending._EVERY = folder.sending._due = 1e9
for g in WHOLE[6:9]:
    folder.append(g)
print(folder.path.name, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {tests!r})\n{code}", f"{at.url}/runs"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    name = done.stdout.strip()
    assert name, done.stderr
    at.move("elsewhere")  # what a lost machine leaves: all but the unsent segment
    assert len(measured(at.results() / name)) == 6
    with pytest.raises(InputError, match=r"is being written by another specbench, heard of \d+ s ago"):
        store.resume(at.results() / name)
    at.move("here")
    with store.resume(at.results() / name) as again:
        assert "was left by a process that is gone" in again.warnings[0]
        assert len(again.done) == 9
        for g in WHOLE[9:]:
            again.append(g)
    at.move("third")
    assert measured(at.results() / name) == EVERYTHING


def test_a_torn_upload_is_told_left_out_and_measured_again(at: Place) -> None:
    folder = measure(at, list(WHOLE))
    where = remote.storage(f"{at.url}/runs/{folder.path.name}")
    last = max(name for name in where.sizes() if name.startswith("trials-"))
    where.put(last, where.get([last])[last][:-40])
    at.move("elsewhere")
    path = at.results() / folder.path.name
    run = store.read(path)
    assert len([r for r in run.results if isinstance(r, Generation)]) == 11
    assert run.warnings == [f"{last} is torn and left out; `specbench run --resume` measures again what is missing"]
    done = at.run("runs", "verify", f"{at.url}/runs/{folder.path.name}")
    assert (done.returncode, "torn" in done.stdout) == (1, True)
    forget()
    with store.resume(path) as again:
        assert again.done == EVERYTHING.keys() - {WHOLE[-1].trial.id}
        again.append(WHOLE[-1])
    at.move("third")
    assert {r.trial.id for r in store.read(path).results if isinstance(r, Generation)} == EVERYTHING.keys()


def test_a_segment_that_is_missing_is_told(at: Place) -> None:
    folder = measure(at, list(WHOLE))
    where = remote.storage(f"{at.url}/runs/{folder.path.name}")
    third = sorted(name for name in where.sizes() if name.startswith("trials-"))[2]
    where.delete(third)
    at.move("elsewhere")
    run = store.read(at.results() / folder.path.name)
    assert len(run.results) == 11
    assert [warning.endswith("segments before it are missing") for warning in run.warnings] == [True]


def spoil(where: remote.Storage, name: str) -> None:
    """Other content of the same size."""
    where.put(name, where.get([name])[name][::-1])


def test_verify_reads_what_lies_at_the_url_and_leaves_the_sound_copy_alone(at: Place) -> None:
    folder = measure(at, list(WHOLE))
    url = f"{at.url}/runs/{folder.path.name}"
    assert at.run("runs", "verify", url).returncode == 0
    where = remote.storage(url)
    third = sorted(name for name in where.sizes() if name.startswith("trials-"))[2]
    spoil(where, third)
    done = at.run("runs", "verify", url)
    assert (done.returncode, f"{third} is torn" in done.stdout) == (1, True), done.stdout
    spoil(where, third)
    where.put("plan.json", where.get(["plan.json"])["plan.json"].replace(b'"prompts"', b'"promptz"'))
    done = at.run("runs", "verify", url)
    assert (done.returncode, f"{url}/plan.json is damaged" in done.stdout) == (1, True), done.stdout
    assert measured(folder.path) == EVERYTHING
    for name in third, "plan.json":
        where.delete(name)
    with store.resume(folder.path) as again:  # sends them from the copy
        assert sent(again) == ()
    done = at.run("runs", "verify", url)
    assert done.returncode == 0, done.stdout
    at.move("elsewhere")
    assert measured(at.results() / folder.path.name) == EVERYTHING


def test_a_torn_segment_is_told_until_its_trials_are_measured_again(at: Place) -> None:
    folder = measure(at, list(WHOLE))
    url = f"{at.url}/runs/{folder.path.name}"
    where = remote.storage(url)
    third = sorted(name for name in where.sizes() if name.startswith("trials-"))[2]
    spoil(where, third)
    at.move("elsewhere")
    path = at.results() / folder.path.name
    with store.resume(path) as again:
        assert any("is torn" in warning for warning in again.warnings)
        [lost] = EVERYTHING.keys() - again.done
        again.append(next(g for g in WHOLE if g.trial.id == lost))
        assert sent(again) == ()
    at.move("third")
    assert measured(path) == EVERYTHING
    assert "torn" in at.run("runs", "verify", url).stdout
    where.delete(third)
    assert at.run("runs", "verify", url).returncode == 0


def test_a_process_that_goes_on_sees_what_others_added(at: Place) -> None:
    folder = measure(at, WHOLE[:4])  # by this process
    at.move("elsewhere")
    path = at.results() / folder.path.name
    for lines in WHOLE[4:6], WHOLE[6:8]:
        before = len(api.load(f"{at.url}/runs/{folder.path.name}"))
        content = b"".join(to_json(g) + b"\n" for g in lines)
        begin = (path / "trials.jsonl").stat().st_size
        remote.storage(remote.url(path) or "").put(f"trials-{begin:015d}-{remote.digest(content)}.jsonl", content)
        assert len(api.load(f"{at.url}/runs/{folder.path.name}")) == before + 2


def test_a_process_that_wrote_a_run_sees_what_others_added_to_it(at: Place) -> None:
    folder = measure(at, WHOLE[:4])
    content = to_json(WHOLE[4]) + b"\n"
    begin = (folder.path / "trials.jsonl").stat().st_size
    there = remote.storage(remote.url(folder.path) or "")
    there.put(f"trials-{begin:015d}-{remote.digest(content)}.jsonl", content)
    assert len(api.load(remote.shown(folder.path))) == 5


def test_keys_that_may_only_read_list_runs_that_were_copied_there(at: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.create(at.tmp / "results", PLAN, machine(), name="copied") as folder:
        for g in WHOLE:
            folder.append(g)
    there = remote.storage(f"{at.url}/runs/{folder.path.name}")
    for file in ("plan.json", "machine.json", "trials.jsonl"):
        there.put(file, (folder.path / file).read_bytes())
    other = measure(at, WHOLE[:4], name="own")
    at.move("elsewhere")
    with only_reading(at.wire.port, monkeypatch):
        done, refused = (
            subprocess.run(
                [sys.executable, "-m", "specbench", *words, "--results", f"{at.url}/runs"],
                capture_output=True, text=True, check=False,
            )
            for words in (("runs", "list", "--json"), ("baseline", "set", other.path.name))
        )  # fmt: skip
    assert (refused.returncode, "refuses the access" in refused.stderr) == (3, True), refused.stderr
    assert done.returncode == 0, done.stderr
    listed = {row["run"]: row["trials"] for row in json.loads(done.stdout)}
    assert listed == {folder.path.name: "12/12", other.path.name: "4/12"}


# ---------------------------------------------------------------------------------------------------------- bad lines


def test_a_line_that_drops_connections_costs_no_result(at: Place) -> None:
    at.wire.drop_every = 3
    folder = measure(at, list(WHOLE))
    assert at.wire.dropped > 0
    at.move("elsewhere")
    assert measured(at.results() / folder.path.name) == EVERYTHING


def test_a_run_goes_on_while_nothing_can_be_sent_says_so_and_sends_it_later(at: Place) -> None:
    folder = store.create(at.results(), PLAN, detect())
    told = []
    for number, g in enumerate(WHOLE):
        at.wire.cut = 3 <= number < 6
        folder.append(g)
        folder.sending._due = 0.0  # type: ignore[union-attr]  # the pause after a failure is not waited for
        told.append(news(folder))
    assert told[2] is None
    assert told[3] is not None
    assert re.fullmatch(rf"not sent: {at.url}\S+ does not answer \(\w+\); measuring goes on", told[3])
    assert told[4:6] == [None, None]
    assert told[6] == "sending again"
    assert sent(folder) == ()
    folder.close()
    at.move("elsewhere")
    assert measured(at.results() / folder.path.name) == EVERYTHING


def test_what_is_unsent_at_the_end_is_said_kept_and_sent_by_resuming(at: Place) -> None:
    folder = measure(at, WHOLE[:8], close=False)
    at.wire.cut = True
    for g in WHOLE[8:]:
        folder.append(g)
    [said] = sent(folder)
    assert said.startswith("4 results (")
    assert f"kept in {folder.path}, and sent by: specbench run --resume {at.url}/runs/{folder.path.name}" in said
    folder.close()
    at.wire.cut = False
    at.move("elsewhere")
    with pytest.raises(InputError, match="is being written by another"):
        store.resume(at.results() / folder.path.name)
    at.move("here")
    with store.resume(at.results() / folder.path.name) as again:
        assert again.done == EVERYTHING.keys()
        assert sent(again) == ()
    at.move("third")
    assert measured(at.results() / folder.path.name) == EVERYTHING


def test_a_run_whose_network_is_gone_at_its_end_is_concluded_from_the_copy(
    at: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = measure(at, WHOLE[:8], close=False)
    at.wire.cut = True
    store.machine(folder.path)
    for g in WHOLE[8:]:
        folder.append(g)
    outcome = pipeline.outcome(folder, set(), interrupted=False, deadline=None)
    folder.close()
    assert console.conclude([outcome], json=False, strict=False, again="specbench run") == 1
    told = capsys.readouterr()
    assert "4 results (" in told.err
    assert "--resume s3://" in told.err
    assert "draft" in told.out


def test_a_slow_answer_is_not_waited_for(at: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = measure(at, WHOLE[:1], close=False)
    monkeypatch.setattr(sending, "_PATIENCE", 0.2)
    at.wire.delay = 1.0
    began = time.monotonic()
    folder.append(WHOLE[1])
    assert time.monotonic() - began < 5  # the segment takes four answers
    assert str(news(folder)).endswith("is slow; measuring goes on")
    for g in WHOLE[2:]:
        folder.append(g)
    at.wire.delay = 0.0
    assert sent(folder) == ()
    folder.close()
    at.move("elsewhere")
    assert measured(at.results() / folder.path.name) == EVERYTHING


def test_slow_answers_delay_reading_and_break_nothing(at: Place) -> None:
    folder = measure(at, list(WHOLE))
    at.move("elsewhere")
    at.wire.delay = 0.3
    assert measured(at.results() / folder.path.name) == EVERYTHING


# -------------------------------------------------------------------------------------------------------- two writers


def test_two_writers_of_one_run_are_kept_apart(at: Place) -> None:
    folder = measure(at, WHOLE[:4], close=False)
    at.move("elsewhere")
    with pytest.raises(InputError, match=r"is being written by another specbench, heard of \d s ago") as error:
        store.resume(at.results() / folder.path.name)
    assert "40 min of silence" in error.value.hint
    folder.close()
    with store.resume(at.results() / folder.path.name) as again:
        assert len(again.done) == 4


def test_a_writer_that_was_taken_for_lost_notices_and_spoils_nothing(
    at: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_silence", lambda _: -1.0)
    first = measure(at, WHOLE[:4], close=False)
    name = first.path.name
    at.move("elsewhere")
    with store.resume(at.results() / name) as second:
        first.append(WHOLE[4])
        assert "has taken" in str(news(first))
        for g in WHOLE[5:]:
            second.append(g)
    first.close()
    at.move("here")
    with store.resume(at.results() / name) as again:  # what the first still had is sent behind the second's
        assert again.done == EVERYTHING.keys()
        assert sent(again) == ()
    at.move("third")
    assert measured(at.results() / name) == EVERYTHING


def test_the_silence_of_a_writer_is_measured_by_the_clock_of_the_storage(at: Place) -> None:
    folder = measure(at, WHOLE[:4], close=False)
    at.move("elsewhere")
    there, path = remote.storage(f"{at.url}/runs/{folder.path.name}"), at.results() / folder.path.name
    for renewed in 0.0, 4e9:  # by a clock of its own, if it told that
        there.put("lock", json.dumps({"token": "other", "renewed": renewed, "silence": 1800.0}).encode())
        with pytest.raises(InputError, match=r"heard of \d+ s ago"):
            store.resume(path)
        there.put("lock", json.dumps({"token": "other", "renewed": renewed, "silence": 0.0}).encode())
        store.resume(path).close()
    assert not [name for name in there.sizes() if "lock" in name]
    folder.close()


def test_what_measures_a_silence_is_no_file_of_the_run_and_a_lock_that_is_freed_meanwhile_is_free(
    at: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = measure(at, WHOLE[:4], close=False)
    at.move("elsewhere")
    there, path = remote.storage(f"{at.url}/runs/{folder.path.name}"), at.results() / folder.path.name
    whole = remote.Storage.age

    def others_look(self: remote.Storage, name: str) -> float:
        with monkeypatch.context() as inner:
            modified = type(there._fs).modified

            def seen(*words: object) -> object:
                remote.fetch(path)
                return modified(*words)

            inner.setattr(type(there._fs), "modified", seen)
            return whole(self, name)

    monkeypatch.setattr(remote.Storage, "age", others_look)
    with pytest.raises(InputError, match=r"heard of \d+ s ago"):
        store.resume(path)
    assert [file.name for file in at.results().glob("*/lock?*")] == []

    def freed(self: remote.Storage, name: str) -> float:
        self.delete(name)
        return whole(self, name)

    monkeypatch.setattr(remote.Storage, "age", freed)
    with store.resume(path) as again:
        assert len(again.done) == 4
    assert not [name for name in there.sizes() if "lock" in name]
    folder.close()


def test_a_run_that_was_sent_is_reported_when_its_url_is_out_of_reach(at: Place) -> None:
    folder = measure(at, WHOLE)
    at.wire.cut = True
    assert len(store.done(store.read(folder.path))) == len(WHOLE)
    forget()
    with pytest.raises(UnavailableError):
        store.read(folder.path)


def test_a_lock_that_cannot_be_read_counts_as_held(at: Place) -> None:
    folder = measure(at, WHOLE[:4], close=False)
    remote.storage(f"{at.url}/runs/{folder.path.name}").put("lock", b"{torn")
    at.move("elsewhere")
    with pytest.raises(InputError, match="lock that cannot be read") as error:
        store.resume(at.results() / folder.path.name)
    assert "delete s3://" in error.value.hint
    folder.close()


def test_a_writer_with_slow_trials_may_be_silent_for_longer(at: Place) -> None:
    with store.create(at.results(), replace(PLAN, trial_timeout=7000.0), machine()) as folder:
        held = json.loads(remote.storage(f"{at.url}/runs/{folder.path.name}").get(["lock"])["lock"])
    assert held["silence"] == 2 * (7000.0 + PLAN.load_timeout)


def test_a_reader_here_does_not_replace_a_file_under_its_writer(at: Place) -> None:
    folder = measure(at, WHOLE[:4], close=False)
    foreign = to_json(WHOLE[11]) + b"\n"
    begin = (folder.path / "trials.jsonl").stat().st_size
    remote.storage(f"{at.url}/runs/{folder.path.name}").put(
        f"trials-{begin:015d}-{remote.digest(foreign)}.jsonl", foreign
    )
    forget()  # as another process here
    assert "another specbench writes" in store.read(folder.path).warnings[0]
    folder.trials.write(to_json(WHOLE[5]) + b"\n")
    assert WHOLE[5].trial.id in {r.trial.id for r in store.read(folder.path).results if isinstance(r, Generation)}
    folder.close()


def test_a_longer_plan_at_the_url_is_taken_and_a_shorter_one_here_does_not_replace_it(at: Place) -> None:
    short = replace(PLAN, blocks=PLAN.blocks[:1])
    folder = store.create(at.results(), short, detect())
    name, here = folder.path.name, (folder.path / "plan.json").read_bytes()
    longer = store.extended(folder, PLAN)
    assert sent(longer) == ()
    longer.close()
    (folder.path / "plan.json").write_bytes(here)
    (folder.path / "sending").write_text("left by a crash")
    forget()
    with store.resume(folder.path) as again:
        assert again.plan == PLAN
    at.move("elsewhere")
    assert store.read(at.results() / name).plan == PLAN


def test_runs_that_begin_in_the_same_second_get_different_names(at: Place) -> None:
    begun = []

    def begin() -> None:
        begun.append(store.create(at.results(), PLAN, machine(), name="nightly", clock=lambda: when))

    when = store._utc_now()
    begin()
    at.move("elsewhere")
    begin()
    names = sorted(folder.path.name for folder in begun)
    for folder in begun:
        folder.close()
    assert names[1] == f"{names[0]}-2"
    assert [path.name for path in store.runs(at.results())] == names


# ---------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("words", "status", "what", "fix"),
    [
        (["runs", "list", "--results", "nope://x/y"], 2, "nope:// is unknown", "s3, gs, sftp, file"),
        (["report", "gs://bucket/run"], 3, "a package for gs:// is not installed", "gcsfs"),
        (["runs", "list", "--results", "s3://"], 2, "s3://… names no folder", "s3://bucket/prefix"),
        (["runs", "list", "--results", "s3://b/../c"], 2, "s3://… names no folder", "s3://bucket/prefix"),
        (["report", "s3://b/c?X-Amz-Signature=1"], 2, "s3://… names no folder", "s3://bucket/prefix"),
        (["report", f"sftp://me:{SECRET}@host/x"], 2, "a password in a URL would be recorded", "keys"),
        (["report", f"s3://key:{SECRET}/more@bucket/x"], 2, "a password in a URL would be recorded", "keys"),
        (["report", f"simplecache::s3://key:{SECRET}@b/x"], 2, "a URL inside a URL", "s3://bucket/prefix"),
        (["report", "s3://b/x::file://y"], 2, "s3://… names no folder", "s3://bucket/prefix"),
        (["report", "s3://b//x"], 2, "s3://… names no folder", "s3://bucket/prefix"),
        (["report", "s3://b/run-[1]"], 2, "s3://… names no folder", "s3://bucket/prefix"),
        (["report", "s3://b/run-*"], 2, "s3://… names no folder", "s3://bucket/prefix"),
        (["report", "s3://no-such-bucket/run"], 2, "there is no run", "runs list"),
        (["runs", "list", "--results", "s3://no-such-bucket/x"], 2, "there is no", "create the bucket"),
        (["report", "BUCKET/none/run"], 2, "there is no run BUCKET/none/run", "runs list"),
        (["report", "--results", "BUCKET/none"], 2, "there are no runs in BUCKET/none", "specbench run"),
        (["compare", "BUCKET/none", "BUCKET/none"], 2, "there is no run BUCKET/none", "runs list"),
        (["runs", "trend", "--results", "BUCKET/none"], 2, "there are no runs in BUCKET/none", "specbench run"),
        (["runs", "prune", "--older", "1", "--results", "BUCKET/none"], 2, "BUCKET/none is not pruned", "rules"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_urls_have_one_line_what_and_one_line_what_to_do(
    at: Place, words: list[str], status: int, what: str, fix: str
) -> None:
    done = at.run(*(word.replace("BUCKET", at.url) for word in words))
    error, hint = done.stderr.splitlines()
    assert (done.returncode, error.startswith("error: "), hint.startswith("  fix: ")) == (status, True, True), error
    assert what.replace("BUCKET", at.url) in error
    assert fix in hint
    assert SECRET not in done.stderr


def test_a_local_url_is_a_file_url(tmp_path: Path) -> None:
    assert remote.place(f"local://{tmp_path}/x") == remote.place(f"file://{tmp_path}/x/")


def test_an_empty_folder_lists_no_runs(at: Place) -> None:
    done = at.run("runs", "list", "--results", f"{at.url}/none")
    assert (done.returncode, done.stdout) == (0, f"0 of 0 runs in {at.url}/none: none\n")


def test_a_storage_that_does_not_answer_is_said_and_nothing_is_left_behind(at: Place) -> None:
    at.wire.cut = True
    with pytest.raises(UnavailableError, match="does not answer"):
        store.create(at.results(), PLAN, machine())
    assert not list((at.tmp / "here").rglob("plan.json"))


def test_without_credentials_it_is_said(at: Place) -> None:
    without = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, "-m", "specbench", "runs", "list", "--results", f"{at.url}/runs"],
        env=without | {"HOME": str(at.tmp), "AWS_EC2_METADATA_DISABLED": "true"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: there are no credentials for {at.url}/runs\n  fix: ")
    assert "docs/storage.md" in done.stderr


def test_without_the_extra_the_command_that_installs_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    done = specbench(tmp_path / "results", "runs", "list", "--results", "s3://bucket/x")
    assert done.returncode == 3
    assert "pip install 'specbench[storage]'" in done.stderr


def test_no_credential_is_in_a_record_an_object_or_a_message(at: Place) -> None:
    folder = measure(at, list(WHOLE), close=False)
    at.wire.cut = True
    folder.append(replace(WHOLE[0], text="again"))
    told = [*sent(folder), str(news(folder))]
    folder.close()
    at.wire.cut = False
    done = at.run("report", f"{at.url}/runs/none")
    files = [path.read_bytes() for path in (at.tmp / "here").rglob("*") if path.is_file()]
    everything = [*at.objects().values(), *files, *(text.encode() for text in (*told, done.stdout, done.stderr))]
    assert len(everything) > 20
    assert not [content for content in everything if b"planted" in content]


def test_names_that_lead_out_of_the_folder_and_foreign_content_do_no_harm(at: Place) -> None:
    folder = measure(at, WHOLE[:2])
    there, run = remote.storage(f"{at.url}/runs"), folder.path.name
    there.put(f"{run}/../../../../../escaped.txt", b"x")
    there.put(f"{run}/trials-99-zz.jsonl", b"not a segment")
    at.move("elsewhere")
    assert len(measured(at.results() / run)) == 2
    assert not list(at.tmp.rglob("escaped.txt"))
    for content in (b"[1]", b"no json", b"[" * 100_000):
        there.put(f".rows/{run}.json", content)
        done = at.run("runs", "list", "--results", f"{at.url}/runs")
        assert (done.returncode, "is not built as it should be" in done.stderr) == (2, True)


# ------------------------------------------------------------------------------------------------------ other storage


def test_a_file_url_keeps_segments_in_a_folder(at: Place) -> None:
    url = f"file://{at.tmp}/shared/runs"
    with store.create(remote.place(url), PLAN, machine(), name="night") as folder:
        for g in WHOLE:
            folder.append(g)
    kept = [path.name for path in (at.tmp / "shared/runs" / folder.path.name).iterdir()]
    assert sum(name.startswith("trials-") for name in kept) == len(WHOLE)
    assert "lock" not in kept
    at.move("elsewhere")
    assert measured(remote.place(f"{url}/{folder.path.name}")) == EVERYTHING
    assert [row["trials"] for row in remote.rows(remote.place(url))] == ["12/12"]


def test_no_thread_is_left_when_a_run_is_closed(at: Place) -> None:
    before = {thread for thread in threading.enumerate() if "fsspec" not in thread.name}
    measure(at, list(WHOLE))
    left = {t for t in threading.enumerate() if t.name.startswith("Thread") and "_try" in t.name} - before
    assert left == set()


@pytest.mark.engine
def test_a_real_run_is_measured_into_a_bucket_stopped_and_resumed_by_its_url(at: Place) -> None:
    words = ["--methods", "ngram-simple", "--categories", "code", "--prompts", "4", "--output-tokens", "16"]
    command = [sys.executable, "-m", "specbench", "run"]
    begun = subprocess.run(
        [*command, *words, "--results", f"{at.url}/runs", "--budget", "3s"], capture_output=True, text=True, check=False
    )
    [url] = re.findall(r"records: (s3://\S+)", begun.stderr)
    assert f"go on with: specbench run --resume {url}" in begun.stderr
    at.move("elsewhere")
    before = len([r for r in store.read(remote.place(url)).results if isinstance(r, Generation)])
    resumed = subprocess.run([*command, "--resume", url], capture_output=True, text=True, check=False)
    assert resumed.returncode == 0, resumed.stderr
    at.move("third")
    run = store.read(remote.place(url))
    planned = {t.id for block in run.plan.blocks for t in block.trials if t.role != "warm-up"}
    assert run.warnings == []
    assert before < len(run.results)
    assert store.done(run) == planned
    assert {"report.html", "plan.json"} <= remote.storage(url).sizes().keys()
