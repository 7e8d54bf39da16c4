"""A real Ray cluster on this machine, whose nodes are killed, paused and cut off while they measure: nothing is lost.

Each node is a process of its own (`ray start`) that has one CPU for Ray, so that it runs one trial at a time.
"""

import importlib.util
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import psutil
import pytest

OWN = Path(".cache/fleet/bin/python").absolute()  # `make fleet`: beside amdsmi, without ROCm, ray cannot be loaded
PYTHON = str(OWN) if OWN.exists() else sys.executable
needs_ray = pytest.mark.skipif(
    not OWN.exists() and importlib.util.find_spec("ray") is None, reason="ray is not installed: `make fleet`"
)
needs_network = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("ip") is None, reason="needs network namespaces"
)
on_a_cluster = [pytest.mark.engine, pytest.mark.timeout(600), needs_ray]

WHAT = ("--methods", "draft-model", "-c", "code,json,chat", "--tags", "smoke", "--prompts", "4", "-o", "160")
WHICH = ("--model", "micro", "--draft-model", "micro-draft", "--engine-set", "threads=1", "--temperature", "0")
RUN = ("run", *WHICH, *WHAT, "--results", "results")
ENGINE = "xllamacpp.py"
RAY = {  # a node that is gone is noticed after seconds, not after a minute; nobody else may use the cluster
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}


def tree(pid: int) -> list[psutil.Process]:
    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def engines(pid: int) -> list[psutil.Process]:
    found = []
    for process in tree(pid):
        with suppress(psutil.Error):
            if any(word.endswith(ENGINE) for word in process.cmdline()):
                found.append(process)
    return found


class Cluster:
    """Nodes by name; the first one is the head, and the one that specbench is run on."""

    def __init__(self, ip: str = "127.0.0.1") -> None:
        with socket.socket() as probe:
            probe.bind((ip, 0))
            self.address = f"{ip}:{probe.getsockname()[1]}"
        self.folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, ip: str, *, cpus: int = 1, inside: tuple[str, ...] = ()) -> None:
        if name in self.nodes and self.nodes[name].poll() is None:
            return
        host, port = self.address.split(":")
        where = (
            ["--head", f"--node-ip-address={host}", f"--port={port}", f"--temp-dir={self.folder}",
             "--include-dashboard=false"]
            if not self.nodes else [f"--address={self.address}", f"--node-ip-address={ip}"]
        )  # fmt: skip
        log = self.folder / f"{name}-{time.monotonic_ns()}.log"
        argv = [
            *inside, PYTHON, "-m", "ray.scripts.scripts", "start", "--block", *where, f"--node-name={name}",
            f"--num-cpus={cpus}", "--num-gpus=0", "--object-store-memory=80000000", "--disable-usage-stats",
            f'--resources={{"is-{name}": 1}}',
        ]  # fmt: skip
        with log.open("wb") as sink:
            self.nodes[name] = subprocess.Popen(
                argv, stdout=sink, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env={**os.environ, **RAY},
                start_new_session=True, cwd=self.folder,
            )  # fmt: skip
        until = time.monotonic() + 120
        while b"runtime started" not in log.read_bytes():
            assert self.nodes[name].poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)

    def kill(self, name: str, *, but: tuple[psutil.Process, ...] = ()) -> None:
        for process in tree(self.nodes[name].pid):
            if process not in but:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self.nodes[name].wait()

    def signal(self, name: str, number: int) -> None:
        for process in tree(self.nodes[name].pid):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def close(self) -> None:
        for name in reversed(list(self.nodes)):
            self.signal(name, signal.SIGCONT)
            self.kill(name)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def three() -> Iterator[Cluster]:
    cluster = Cluster()
    try:
        whole(cluster)
        yield cluster
    finally:
        cluster.close()


def whole(cluster: Cluster) -> None:
    for number, name in enumerate(("a", "b", "c"), 1):
        cluster.start(name, f"127.0.0.{number}")


def start(cwd: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PYTHON, "-m", "specbench", *words],
        cwd=cwd, env={**os.environ, **RAY}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  no threads here
    )  # fmt: skip


def finished(cwd: Path, *words: str) -> tuple[int, str]:
    process = start(cwd, *words)
    output, errors = process.communicate(timeout=500)
    return process.returncode, output + errors


def records(cwd: Path) -> list[dict[str, Any]]:
    lines = [line for file in cwd.glob("results/*/trials.jsonl") for line in file.read_text().splitlines(keepends=True)]
    return [json.loads(line) for line in lines if line.endswith("\n")]


def counts(cwd: Path) -> dict[str, tuple[object, ...]]:
    """Greedy decoding gives the same tokens and drafts on every machine of a kind. A trial is there only once."""
    found = [r for r in records(cwd) if r["kind"] == "generation" and r["trial"]["role"] != "warm-up"]
    assert len({r["trial"]["id"] for r in found}) == len(found)
    return {
        r["trial"]["id"]: (r["output_ids"], *(r["counts"][key] for key in ("drafted", "accepted", "drafted_steps")))
        for r in found
    }


def wait_for(cwd: Path, process: subprocess.Popen[str], cluster: Cluster, node: str) -> int:
    """Until some trials are recorded and an engine runs on the node, so that what follows is in the middle."""
    while not (len(counts(cwd)) >= 2 and engines(cluster.nodes[node].pid)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return len(counts(cwd))


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[object, ...]]:
    folder = tmp_path_factory.mktemp("quiet")
    status, said = finished(folder, *RUN)
    assert status == 0, said
    assert len(counts(folder)) == 3 * 4 * 3  # categories, prompts, two contenders and the control
    return counts(folder)


class TestOnACluster:
    pytestmark = on_a_cluster

    def test_a_fleet_of_this_machine_alone_measures_what_an_ordinary_run_does(
        self, tmp_path: Path, quiet: dict[str, Any]
    ) -> None:
        status, said = finished(tmp_path, *RUN, "--fleet", "local")
        assert status == 0, said
        assert counts(tmp_path) == quiet
        assert len(list((tmp_path / "results").iterdir())) == 1
        assert "decode" in said
        (run,) = (tmp_path / "results").iterdir()
        assert (run / "report.html").exists()
        assert finished(tmp_path, "report", run.name)[0] == 0

    def test_three_nodes_share_a_plan_and_measure_at_the_same_time(
        self, tmp_path: Path, quiet: dict[str, Any], three: Cluster
    ) -> None:
        whole(three)
        process = start(tmp_path, *RUN, "--fleet", three.address)
        busy: set[str] = set()
        most = 0
        while process.poll() is None:
            now = {name for name, node in three.nodes.items() if engines(node.pid)}
            assert all(len(engines(node.pid)) <= 1 for node in three.nodes.values())
            busy, most = busy | now, max(most, len(now))
            time.sleep(0.05)
        output, errors = process.communicate()
        assert process.returncode == 0, output + errors
        assert busy == {"a", "b", "c"}
        assert most >= 2
        assert counts(tmp_path) == quiet
        assert len(list((tmp_path / "results").iterdir())) == 1  # they are the same machine

    def test_a_node_that_is_killed_loses_nothing_and_its_engine_ends(
        self, tmp_path: Path, quiet: dict[str, Any], three: Cluster
    ) -> None:
        whole(three)
        process = start(tmp_path, *RUN, "--fleet", three.address)
        before = wait_for(tmp_path, process, three, "b")
        orphans = tuple(engines(three.nodes["b"].pid))
        three.kill("b", but=orphans)
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, output + errors
        assert "node b was lost" in errors
        assert before < len(quiet)
        assert counts(tmp_path) == quiet
        assert psutil.wait_procs(orphans, timeout=20)[1] == []

    def test_a_node_that_is_paused_is_given_up_and_nothing_of_it_counts_twice(
        self, tmp_path: Path, quiet: dict[str, Any], three: Cluster
    ) -> None:
        whole(three)
        process = start(tmp_path, *RUN, "--fleet", three.address)
        wait_for(tmp_path, process, three, "c")
        three.signal("c", signal.SIGSTOP)
        output, errors = process.communicate(timeout=300)
        three.signal("c", signal.SIGCONT)
        assert process.returncode == 0, output + errors
        assert "node c was lost" in errors
        assert counts(tmp_path) == quiet
        three.kill("c")

    def test_what_nobody_can_go_on_with_is_told_and_resumes_when_such_a_machine_is_back(
        self, tmp_path: Path, quiet: dict[str, Any], three: Cluster
    ) -> None:
        whole(three)
        only_b = ("--fleet", three.address, "--on", "resource.is-b=1")
        process = start(tmp_path, *RUN, *only_b)
        wait_for(tmp_path, process, three, "b")
        three.kill("b")
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 1, output + errors
        measured = counts(tmp_path)
        assert 0 < len(measured) < len(quiet)
        assert "node b was lost" in errors
        assert f"--fleet {three.address} --resume" in errors
        (run,) = (tmp_path / "results").iterdir()
        status, said = finished(tmp_path, "run", "--resume", run.name, *only_b)
        assert status == 3
        assert "no node of the fleet can measure" in said
        whole(three)
        status, said = finished(tmp_path, "run", "--resume", run.name, *only_b)
        assert status == 0, said
        assert counts(tmp_path) == quiet

    def test_interrupting_stops_the_engines_on_every_node_and_the_run_resumes(
        self, tmp_path: Path, quiet: dict[str, Any], three: Cluster
    ) -> None:
        whole(three)
        process = start(tmp_path, *RUN, "--fleet", three.address)
        wait_for(tmp_path, process, three, "b")
        running = [engine for node in three.nodes.values() for engine in engines(node.pid)]
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 130, output + errors
        assert psutil.wait_procs(running, timeout=10)[1] == []
        assert [engine for node in three.nodes.values() for engine in engines(node.pid)] == []
        (run,) = (tmp_path / "results").iterdir()
        status, said = finished(tmp_path, "run", "--resume", run.name, "--fleet", three.address)
        assert status == 0, said
        assert counts(tmp_path) == quiet

    def test_engines_end_when_specbench_itself_is_killed(self, tmp_path: Path, three: Cluster) -> None:
        whole(three)
        process = start(tmp_path, *RUN, "--fleet", three.address)
        wait_for(tmp_path, process, three, "b")
        running = [engine for node in three.nodes.values() for engine in engines(node.pid)]
        process.kill()
        process.communicate()
        assert psutil.wait_procs(running, timeout=30)[1] == []

    def test_nodes_are_chosen_by_requirement_and_told_what_they_lack(
        self, tmp_path: Path, quiet: dict[str, Any], three: Cluster
    ) -> None:
        whole(three)
        file = tmp_path / "fleet.toml"
        file.write_text('[[node]]\non = "node=b"\nmodels = { "target-q8_0.gguf" = "/nowhere/target-q8_0.gguf" }\n')
        asked = ("--fleet", three.address, "--fleet-file", "fleet.toml")
        status, said = finished(tmp_path, *RUN, *asked, "--on", "node~b", "--dry-run")
        assert status == 0, said
        assert "0 of 2 contenders" in said
        assert "left out a: node~b does not hold, it has a" in said
        status, said = finished(tmp_path, *RUN, *asked)
        assert status == 0, said
        assert counts(tmp_path) == quiet
        status, said = finished(tmp_path / "..", *RUN, *asked[:2], "--fleet-file", str(file), "--on", "node=b")
        assert status == 3, said
        assert "/nowhere/target-q8_0.gguf is not there" in said
        assert "fleet file" in said
        status, said = finished(tmp_path, *RUN, *asked, "--on", "gpus>=8,resource.is-b=1")
        assert status == 3, said
        assert "no node of the fleet can measure: a: gpus>=8 does not hold, it has" in said
        assert "fix: change --on" in said


@needs_network
class TestOverANetwork:
    pytestmark = on_a_cluster

    def test_a_node_that_is_cut_off_is_given_up_and_its_work_goes_to_the_others(
        self, tmp_path: Path, quiet: dict[str, Any]
    ) -> None:
        space = f"fleet{os.getpid()}"
        cable = f"vf{os.getpid()}"[:13]

        def ip(*words: str) -> None:
            subprocess.run(["ip", *words], check=True, capture_output=True)

        ip("netns", "add", space)
        cluster = None
        try:
            ip("link", "add", f"{cable}a", "type", "veth", "peer", "name", f"{cable}b", "netns", space)
            ip("addr", "add", "10.213.77.1/24", "dev", f"{cable}a")
            ip("link", "set", f"{cable}a", "up")
            for words in (
                ("addr", "add", "10.213.77.2/24", "dev", f"{cable}b"),
                ("link", "set", f"{cable}b", "up"),
                ("link", "set", "lo", "up"),
            ):
                ip("-n", space, *words)
            cluster = Cluster("10.213.77.1")
            cluster.start("near", "10.213.77.1")
            cluster.start("far", "10.213.77.2", inside=("ip", "netns", "exec", space))
            process = start(tmp_path, *RUN, "--fleet", cluster.address)
            wait_for(tmp_path, process, cluster, "far")
            orphans = engines(cluster.nodes["far"].pid)
            ip("-n", space, "link", "set", f"{cable}b", "down")
            output, errors = process.communicate(timeout=300)
            assert process.returncode == 0, output + errors
            assert "node far was lost" in errors
            assert counts(tmp_path) == quiet
            assert psutil.wait_procs(orphans, timeout=120)[1] == []
        finally:
            if cluster is not None:
                cluster.close()
            subprocess.run(["ip", "link", "del", f"{cable}a"], check=False, capture_output=True)
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


def test_the_live_view_names_each_node_what_it_does_and_what_is_left() -> None:
    from rich.console import Console

    from specbench import pipeline, store
    from specbench.cli.console import Progress
    from specbench.execution import TrialStarted
    from specbench.planning.runfile import validate_runfile
    from specbench.records import Skip

    asked = {"targets": [{"model": "micro"}], "methods": ["ngram-mod"], "tags": ["smoke"], "prompts_per_category": 1}
    plan = pipeline.plan_run(validate_runfile(asked))
    progress = Progress(plan, nodes=("desk", "rack"), times=2)
    trial = next(t for t in plan.blocks[0].trials if t.role == "measured")
    progress.observe_on("desk", TrialStarted(trial))
    progress.observe_on("rack", "node rack was lost: gone")
    console = Console(file=StringIO(), width=150)
    console.print(progress._draw())
    text = console.file.getvalue()  # type: ignore[attr-defined]  # it is a StringIO
    desk, rack = (next(line for line in text.splitlines() if name in line) for name in ("desk", "rack"))
    assert trial.prompt in desk
    assert "lost" in rack
    everything = 2 * len(store.planned(plan))
    assert f"0/{everything}" in text
    skipped = Skip(contender="ngram-mod", block=None, reason="no engine", hint="install it")
    progress.observe_on("desk", skipped)
    mine = sum(t.contender == "ngram-mod" and t.role != "warm-up" for b in plan.blocks for t in b.trials)
    assert progress._total() == everything - mine  # the other machine may have it


def test_without_ray_a_fleet_says_how_to_install_it(tmp_path: Path) -> None:
    words = ["specbench", *RUN, "--fleet", "local"]
    code = f"import sys; sys.modules['ray'] = None; sys.argv = {words}; from specbench.__main__ import main; main()"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 3
    assert result.stderr.splitlines()[-2:] == ["error: ray is not installed", "  fix: pip install 'specbench[fleet]'"]
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("--on", "gpus>1"), 2, "--fleet-file and --on are for fleets"),
        (("--fleet", "local", "--on", "3090"), 2, "'3090' is no requirement"),
        (("--fleet", "local", "--fleet-file", "none.toml"), 2, "there is no fleet file none.toml"),
        (("--fleet", "local", "--fleet-file", "bad.toml"), 2, "unknown key 'nodes': did you mean 'node'?"),
    ],
)
def test_wrong_words_are_told_before_a_cluster_is_asked(
    tmp_path: Path, words: tuple[str, ...], status: int, told: str
) -> None:
    (tmp_path / "bad.toml").write_text("nodes = 1\n")
    code, said = finished(tmp_path, *RUN, *words)
    assert code == status, said
    assert told in said
    assert "\n  fix: " in said
    assert "Traceback" not in said
    assert not (tmp_path / "results").exists()


@needs_ray
@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "ray://127.0.0.1:10001", "auto", "127.0.0.1:99999"])
def test_a_cluster_that_does_not_answer_is_told(tmp_path: Path, address: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    environment["RAY_TMPDIR"] = str(tmp_path)  # no cluster of somebody else
    argv = [PYTHON, "-m", "specbench", *RUN, "--fleet", address]
    result = subprocess.run(argv, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 3, result.stderr
    assert f"there is no Ray cluster at {address}" in result.stderr
    assert "fix: is it running" in result.stderr
    assert "Traceback" not in result.stderr
