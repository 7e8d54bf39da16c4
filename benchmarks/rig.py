"""What the scripts of this folder share: where the programs are, one llama-server, medians, and this machine's name."""

import contextlib
import ctypes
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from specbench.hardware.detect import detect

START_TIMEOUT = 300.0
ANSWER_TIMEOUT = 600.0


def program(name: str, *, beside: Path | None = None) -> Path | None:
    """A llama.cpp program: beside the given one, beside $SPECBENCH_LLAMA_SERVER, or on PATH."""
    server = beside or (Path(given) if (given := os.environ.get("SPECBENCH_LLAMA_SERVER")) else None)
    if server is not None and server.with_name(name).is_file():
        return server.with_name(name)
    found = shutil.which(name)
    return Path(found) if found else None


@dataclass(frozen=True)
class Server:
    """A llama-server that is ready."""

    url: str
    pid: int


@contextlib.contextmanager
def serving(
    binary: Path, model: Path, *arguments: str, threads: int, log: Path, context: int = 4096
) -> Iterator[Server]:
    """One llama-server with one slot, ready to answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    count = str(threads)
    argv = [str(binary), "-m", str(model), "--host", "127.0.0.1", "--port", str(port), "-np", "1", "--metrics"]
    argv += ["-t", count, "-tb", count, "-c", str(context), *arguments]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LLAMA_ARG_")}
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            server = Server(f"http://127.0.0.1:{port}", process.pid)
            _await_ready(server, process, log)
            yield server
        finally:
            process.terminate()
            process.wait(30)


def _await_ready(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            tail = log.read_text(encoding="utf-8", errors="replace")[-500:]
            raise RuntimeError(f"llama-server ended with status {process.returncode}: {tail}")
        with contextlib.suppress(urllib.error.URLError, OSError):
            get(server, "/health")
            return
        time.sleep(0.05)
    raise TimeoutError(f"llama-server was not ready after {START_TIMEOUT:.0f} s")


def processor_seconds(pid: int) -> float:
    """What all threads of a process have used of the processors, to the nanosecond; Linux."""
    clock = ctypes.c_int()
    if ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock)):
        raise ProcessLookupError(pid)
    return time.clock_gettime(clock.value)


def get(server: Server, path: str) -> bytes:
    with urllib.request.urlopen(server.url + path, timeout=ANSWER_TIMEOUT) as reply:  # noqa: S310  our own http URL
        data: bytes = reply.read()
        return data


def post(server: Server, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer of a JSON endpoint, with nothing between the request and the engine."""
    request = urllib.request.Request(  # noqa: S310  our own http URL
        server.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT) as reply:  # noqa: S310
        answer: dict[str, Any] = json.load(reply)
        return answer


def machine() -> str:
    """This machine in words, without its name."""
    m = detect()
    memory = f"{m.memory / 2**30:.0f} GiB" if m.memory else "unknown memory"
    gpus = ", ".join(str(card.name) for card in m.accelerators) or "no GPU"
    return f"{m.cpu or m.architecture}, {m.cores_logical} logical cores, {memory}, {gpus}, {m.system} {m.release}"


def load_note() -> str:
    """The load average while measuring: above half the cores the figures say little."""
    one_minute = psutil.getloadavg()[0]
    return f"load average at the end {one_minute:.2f} on {psutil.cpu_count()} logical cores"


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"
