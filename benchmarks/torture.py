"""What faults do to real runs on the embedded family: `make torture`, about 20 minutes; it prints what it counted.

kills: specbench gets SIGKILL at random instants and goes on with --resume. engines: the engine gets SIGKILL or SIGSTOP
at random instants. answers: a proxy between specbench and llama-server spoils answers. places: a full disk, folders
that cannot be written or are gone, few file descriptors, a run that is being written already. clock: it is set back and
forward during a run, before it goes on and before the next (clock.c). hostile: see hostile.py. POSIX only.
"""

import argparse
import http.client
import http.server
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any

import hostile
import psutil
import rig

from specbench import datafiles, store
from specbench.errors import InputError
from specbench.records import Failure, Generation

MARK = f"torture-{uuid.uuid4()}"
RUN_FILE = """
name = "torture"
engine = "{engine}"
methods = ["none", "draft-model", "ngram-mod"]
categories = ["code", "json"]
prompts_per_category = 4
output_tokens = 16
temperatures = 0
trial_timeout = {timeout}
load_timeout = 60
{more}
"""
MICRO = '[engine_settings]\nthreads = 1\n[[targets]]\nmodel = "micro"\ndrafters = "micro-draft"\n'
Counts = dict[str, tuple[Any, ...]]


def specbench(
    *words: str | Path, cwd: Path, prepare: Callable[[], None] | None = None, more: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Started in a process group of its own, its children marked."""
    return subprocess.Popen(
        [sys.executable, "-m", "specbench", "run", *map(str, words)],
        cwd=cwd,
        env={
            **os.environ,
            "SPECBENCH_MARK": MARK,
            "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
            **(more or {}),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=prepare,  # noqa: PLW1509  limits of the child only; no thread holds a lock here
    )


def ended(process: subprocess.Popen[str], timeout: float = 300.0) -> tuple[int, str]:
    """Exit status and what it said; a run that hangs is killed and has status -999."""
    try:
        _, said = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return -999, process.communicate()[1]
    return process.returncode, said


def ours(*, engines: bool = False) -> list[psutil.Process]:
    """Processes that a run has started and that are still there."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("SPECBENCH_MARK") != MARK or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if not engines or "-m" not in process.cmdline()[1:3]:
                found.append(process)
    return found


def measured(path: Path) -> list[Generation]:
    return [r for r in store.read(path).results if isinstance(r, Generation) and r.trial.role != "warm-up"]


def counted(path: Path) -> Counts:
    """By trial, what must be the same in every run."""
    return {
        g.trial.id: (g.output_ids, g.counts.emitted, g.counts.drafted, g.counts.accepted, g.counts.verification_steps)
        for g in measured(path)
    }


def on_disk(path: Path) -> dict[str, float]:
    """Complete lines of finished trials: id and start."""
    lines = (path / store.TRIALS).read_bytes().split(b"\n")[:-1] if (path / store.TRIALS).exists() else []
    found = {}
    for line in lines:
        record = json.loads(line)
        if record["kind"] == "generation" and record["trial"]["role"] != "warm-up":
            found[record["trial"]["id"]] = record["started"]
    return found


# --------------------------------------------------------------------------------------------------- specbench killed


def kills(root: Path, asked: argparse.Namespace, dice: random.Random) -> Counter[str]:
    """Killed until the number is reached, each run then brought to its end."""
    file = root / "run.toml"
    file.write_text(RUN_FILE.format(engine="xllamacpp", timeout=60, more=MICRO), encoding="utf-8")
    began = time.monotonic()
    status, said = ended(specbench(file, "--results", root / "reference", cwd=root))
    whole = time.monotonic() - began
    assert status == 0, said
    (reference,) = store.runs(root / "reference")
    truth, seen = counted(reference), Counter[str]()
    while seen["kills"] < asked.kills:
        results, before = root / f"killed-{seen['runs']}", dict[str, float]()
        seen["runs"] += 1
        while True:
            with suppress(InputError, FileNotFoundError):
                begun = next(iter(store.runs(results)), None)
            words = ["--resume", begun] if begun else [file, "--results", results]
            process = specbench(*words, cwd=root)
            if seen["kills"] < asked.kills and (not before or dice.random() < 0.9):  # noqa: PLR2004
                time.sleep(dice.uniform(0.02, whole if not before else whole / 3))
                if process.poll() is None:
                    os.kill(process.pid, signal.SIGKILL)
                    seen["kills"] += 1
                    seen["before there was a folder"] += not begun and not results.exists()
            status, said = ended(process)
            begun = next(iter(store.runs(results)), None) if results.exists() else None
            after = on_disk(begun) if begun else {}
            seen["finished trials lost"] += sum(after.get(name) != at for name, at in before.items())
            before = after
            if status >= 0:
                break
        seen[f"ended with status {status}"] += 1
        if begun is None or status:
            print(said)
            continue
        seen["trials measured twice"] += len(measured(begun)) - len(truth)
        seen["trials with other counts"] += sum(counted(begun).get(name) != facts for name, facts in truth.items())
        shutil.rmtree(results)
        print(f"  {seen['kills']} kills", file=sys.stderr)
    time.sleep(1)
    seen["processes left"] = len(ours())
    return seen


# --------------------------------------------------------------------------------------------------- engine disturbed


def engines(root: Path, asked: argparse.Namespace, dice: random.Random) -> Counter[str]:
    """The engine of a run is killed or stopped at random instants, again and again."""
    file = root / "engines.toml"
    file.write_text(RUN_FILE.format(engine="xllamacpp", timeout=4, more="repeats = 3\n" + MICRO), encoding="utf-8")
    seen = Counter[str]()
    while seen["signals"] < asked.signals:
        results = root / f"engines-{seen['runs']}"
        seen["runs"] += 1
        process = specbench(file, "--results", results, cwd=root)
        while process.poll() is None:
            time.sleep(dice.uniform(0.1, 2.0))
            victims = ours(engines=True)
            if victims and seen["signals"] < asked.signals:
                with suppress(psutil.Error):
                    kind = dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP))
                    dice.choice(victims).send_signal(kind)
                    seen["signals"] += 1
                    seen[f"of them {kind.name}"] += 1
        status, said = ended(process)
        seen[f"ended with status {status}"] += 1
        seen["tracebacks"] += "Traceback" in said
        seen.update(told(store.runs(results)[0]))
        print(f"  {seen['signals']} signals", file=sys.stderr)
    time.sleep(1)
    seen["processes left"] = len(ours())
    return seen


def told(path: Path) -> Counter[str]:
    """Results by kind; trials without any, which no failure names and no skipped block explains."""
    run = store.read(path)
    seen = Counter[str]()
    there, skipped = set(), set()
    for r in run.results:
        if isinstance(r, Generation | Failure):
            there.add(r.trial.id)
            seen[f"trials: {'measured' if isinstance(r, Generation) else r.reason}"] += r.trial.role != "warm-up"
            seen["failures without a sentence"] += isinstance(r, Failure) and not (r.message and r.hint)
        elif r.kind == "skip":
            skipped.add(r.block)
    for block in run.plan.blocks:
        if block.index not in skipped and None not in skipped:
            seen["trials without a word"] += sum(t.role != "warm-up" and t.id not in there for t in block.trials)
    return seen


# -------------------------------------------------------------------------------------------------- answers spoiled

NOT_JSON, HALF = b"<html>\xff\xfe it works", 0.5
SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "garbage": lambda _: NOT_JSON,
    "half an answer": lambda body: body[: int(len(body) * HALF)],
    "NaN timings": lambda body: body.replace(b'"predicted_ms":', b'"predicted_ms":NaN,"was":'),
    "infinite timings": lambda body: body.replace(b'"prompt_ms":', b'"prompt_ms":1e999,"was":'),
    "wrong counters": lambda body: body.replace(b'"draft_n":', b'"draft_n":"many","was":'),
    "no timings": lambda body: body.replace(b'"timings":', b'"timing":'),
    "a list": lambda body: b"[" + body + b"]",
    "deep nesting": lambda _: b"[" * 100_000,
    "nothing": lambda _: b"",
}
FAULTS = (*SPOILED, "status 500", "connection reset", "endless", "silence")


class Proxy(http.server.BaseHTTPRequestHandler):
    """Hands everything on, and spoils some answers to /completion."""

    target: tuple[str, int]
    dice: random.Random
    share: float
    seen: Counter[str]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._hand_on(None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fault = None
        if self.path == "/completion" and self.dice.random() < self.share:
            fault = self.dice.choice(FAULTS)
            self.seen["answers spoiled"] += 1
            self.seen[f"spoiled: {fault}"] += 1
        with suppress(OSError):
            self._hand_on(body, fault)

    def _hand_on(self, body: bytes | None, fault: str | None = None) -> None:
        if fault == "connection reset":
            self.connection.close()
            return
        connection = http.client.HTTPConnection(*self.target, timeout=60)
        connection.request(self.command, self.path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if fault in SPOILED:
            data = SPOILED[fault](data)
        self.send_response(500 if fault == "status 500" else answer.status)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
        self.end_headers()
        if fault == "silence":
            time.sleep(6)
        while fault == "endless":
            self.wfile.write(b"data: {}\n\n" * 1000)
        self.wfile.write(data)


def answers(root: Path, asked: argparse.Namespace, dice: random.Random) -> Counter[str]:
    """Runs that are attached to a server through the proxy until enough answers were spoiled."""
    binary = rig.program("llama-server")
    if binary is None:
        return Counter({"not run: there is no llama-server on PATH": 1})
    weights, seen = datafiles.path("micro/weights"), Counter[str]()
    drafting = ("--spec-type", "draft-simple", "-md", str(weights / "draft-q8_0.gguf"))
    with rig.serving(binary, weights / "target-q8_0.gguf", *drafting, threads=1, log=root / "log") as server:
        host, _, port = server.url.removeprefix("http://").partition(":")
        facts = {"target": (host, int(port)), "dice": dice, "share": 0.4, "seen": seen}
        proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Spoiling", (Proxy,), facts))
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        file = root / "answers.toml"
        url = f'url = "http://127.0.0.1:{proxy.server_port}"\nrepeats = 3\n'
        text = RUN_FILE.format(engine="attach", timeout=4, more=url).replace(
            '["none", "draft-model", "ngram-mod"]', '["draft-model"]'
        )
        file.write_text(text, encoding="utf-8")
        while seen["answers spoiled"] < asked.answers:
            results = root / f"answers-{seen['runs']}"
            seen["runs"] += 1
            status, said = ended(specbench(file, "--results", results, cwd=root), timeout=900)
            seen[f"ended with status {status}"] += 1
            if "Traceback" in said or status == -999:  # noqa: PLR2004  a hang
                seen["tracebacks or hangs"] += 1
                print(said[-3000:])
            seen.update(told(store.runs(results)[0]))
            print(f"  {seen['answers spoiled']} answers", file=sys.stderr)
        proxy.shutdown()
    seen["processes left"] = len(ours())
    return seen


# --------------------------------------------------------------------------------------------------- places that fail


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[bool]:
    """A tmpfs of that size; False where it may not be mounted."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder],  # noqa: S607  wherever it lies
        check=False,
        capture_output=True,
    )
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "-l", folder], check=False)  # noqa: S607  the same


def places(root: Path, _: argparse.Namespace, __: random.Random) -> Counter[str]:
    """Where and with what a run writes."""
    file = root / "places.toml"
    file.write_text(RUN_FILE.format(engine="xllamacpp", timeout=60, more=MICRO), encoding="utf-8")
    seen = Counter[str]()

    def judge(what: str, status: int, said: str, wanted: set[int]) -> None:
        good = status in wanted and "Traceback" not in said
        seen[f"{what}: {'as it should be' if good else 'WRONG'}"] += 1
        if not good:
            print(what, status, said[-2000:])

    for size in ("16k", "128k", "160k", "200k", "256k"):
        with small_disk(root / f"disk-{size}", size) as mounted:
            if not mounted:
                seen["full disk: not run, nothing can be mounted here"] += 1
                continue
            results = root / f"disk-{size}" / "results"
            status, said = ended(specbench(file, "--results", results, cwd=root))
            judge("full disk", status, said, {0, 1, 2, 3})
            for path in store.runs(results) if results.exists() else []:
                with suppress(InputError):
                    seen["full disk: trials that can still be read"] += len(measured(path))
    results = root / "gone"
    process = specbench(file, "--results", results, cwd=root)
    while process.poll() is None and not list(results.glob("*/trials.jsonl")):
        time.sleep(0.05)
    time.sleep(1)
    shutil.rmtree(results, ignore_errors=True)
    judge("folder removed while it runs", *ended(process), {0, 1, 2, 3})
    few = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (24, 24))
    judge(
        "24 file descriptors",
        *ended(specbench(file, "--results", root / "few", cwd=root, prepare=few)),
        {0, 1, 2, 3, 4},
    )
    results = root / "twice"
    process = specbench(file, "--results", results, cwd=root)
    while process.poll() is None and not list(results.glob("*/trials.jsonl")):
        time.sleep(0.05)
    (path,) = store.runs(results)
    status, said = ended(specbench("--resume", path, cwd=root))
    judge("a run that is being written", status, said, {2})
    judge("and the one that writes it", *ended(process), {0})
    blocked = root / "a file"
    blocked.write_text("", encoding="utf-8")
    judge("results below a file", *ended(specbench(file, "--results", blocked / "results", cwd=root)), {2, 3})
    time.sleep(1)
    seen["processes left"] = len(ours())
    return seen


# -------------------------------------------------------------------------------------------------- the clock is set

HOUR, DAY = 3600, 86400
DURATIONS = ("asked", "first_token", "last_token", "total", "prefill_seconds", "decode_seconds")


def clock(root: Path, _: argparse.Namespace, dice: random.Random) -> Counter[str]:
    """A run and its engines are told another time of day; the monotonic clock and the files' times stay."""
    compiler, library = shutil.which("cc"), root / "clock.so"
    if sys.platform != "linux" or compiler is None:
        return Counter({"not run: that takes Linux and a C compiler": 1})
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", source, "-o", library, "-ldl", "-lpthread"], check=True)
    file, results, told = root / "clock.toml", root / "results", root / "offset"
    file.write_text(RUN_FILE.format(engine="xllamacpp", timeout=60, more=MICRO), encoding="utf-8")
    begin = partial(specbench, cwd=root, more={"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(told)})
    seen = Counter[str]()

    def set_to(seconds: int) -> None:
        (root / "new").write_text(str(seconds), encoding="ascii")
        (root / "new").replace(told)
        seen["times that the clock was set"] += 1

    def judge(path: Path, process: subprocess.Popen[str], began: float) -> None:
        status, said = ended(process)
        seen[f"ended with status {status}"] += 1
        if status:
            print(said[-3000:])
        for what, count in misdated(path, time.monotonic() - began).items():
            seen[what] += count

    set_to(0)
    began = time.monotonic()
    process = begin(file, "--results", results)
    quiet = first_trials(process, results)
    for step in (-HOUR, DAY, -7 * DAY, 0):
        set_to(step)
        time.sleep(dice.uniform(0.2, 1.0))
    judge(quiet, process, began)
    orders = [g.order for g in sorted(measured(quiet), key=attrgetter("started"))]
    seen["WRONG: trials out of order"] += orders != sorted(orders)
    began = time.monotonic()
    process = begin(file, "--results", root / "parts")
    path = first_trials(process, root / "parts")
    os.kill(process.pid, signal.SIGKILL)
    before = on_disk(path)
    ended(process)
    set_to(-HOUR)
    judge(path, begin("--resume", path), began)
    seen["finished trials lost"] += sum(on_disk(path).get(name) != at for name, at in before.items())
    seen["trials with other counts"] += sum(counted(path).get(name) != facts for name, facts in counted(quiet).items())
    set_to(-DAY)
    status, said = ended(begin(file, "--results", results))
    told_it = status == 0 and store.latest(results) == quiet and quiet.name in said
    seen["a run that is named before the latest one: " + ("told" if told_it else "WRONG")] += 1
    time.sleep(1)
    seen["processes left"] = len(ours())
    return seen


def first_trials(process: subprocess.Popen[str], below: Path) -> Path:
    """The run that it writes there, once it has some."""
    while process.poll() is None:
        for path in below.glob("*/trials.jsonl"):
            if len(on_disk(path.parent)) >= 3:  # noqa: PLR2004  some, and there are 32
                return path.parent
        time.sleep(0.02)
    raise AssertionError(process.communicate()[1])


def misdated(path: Path, seconds: float) -> dict[str, int]:
    """What is wrong in the times of a run that took so many seconds."""
    trials = measured(path)
    lines = [json.loads(line) for line in (path / store.TRIALS).read_bytes().splitlines()]
    times = [line["started"] for line in lines if "started" in line]
    long = [getattr(g, name) for g in trials for name in DURATIONS]
    return {
        "trials": len(trials),
        "WRONG: times that go back": sum(b < a for a, b in pairwise(times)),
        "WRONG: durations": sum(one is not None and not 0 <= one < seconds for one in long),
        "WRONG: runs that last too long": int(not 0 <= times[-1] - times[0] < seconds),
        "WRONG: trials without telemetry": sum(g.telemetry is None for g in trials),
    }


PARTS = {part.__name__: part for part in (kills, engines, answers, places, clock)} | {"hostile": hostile.campaign}


def main() -> None:
    """Each part in a folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--signals", type=int, default=100)
    parser.add_argument("--answers", type=int, default=200)
    parser.add_argument("--inputs", type=int, default=1000, help="hostile ones, for each parser")
    parser.add_argument("--first", type=int, default=0, help="number of the first hostile input, to go on from there")
    parser.add_argument("--parser", choices=hostile.NAMES, action="append", help="hostile inputs for this one only")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    print(f"seed {asked.seed}")
    for name in asked.only or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            seen = PARTS[name](Path(folder), asked, random.Random(asked.seed))  # noqa: S311  which instant, no secret
            print(f"{name}: {time.monotonic() - began:.0f} s")
            for what, count in sorted(seen.items()):
                print(f"  {count:6} {what}", flush=True)


if __name__ == "__main__":
    main()
