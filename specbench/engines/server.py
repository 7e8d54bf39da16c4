"""Start an engine's program and wait until it answers; stop it for certain. Attach to one that already runs."""

import fnmatch
import os
import re
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO

from specbench.engines import lifetime
from specbench.engines.base import OpeningError, TrialError, bad_answer
from specbench.engines.wire import Wire

_REMOVED = (
    "LLAMA_ARG_*",
    "LLAMA_LOG_*",
    "LLAMA_API_KEY",
    "VLLM_API_KEY",
)  # would change the engine behind the plan's back
_SECRET = ("*KEY*", "*TOKEN*", "*SECRET*", "*PASSWORD*")
_RECORDED = (
    "*OMP_*",
    "CUDA_*",
    "GGML_*",
    "HIP_*",
    "HSA_*",
    "ROCR_*",
    "GPU_*",
    "LLAMA_*",
    "VLLM_*",
    "KMP_*",
    "VK_*",
    "MTL_*",
)
API_KEY = "SPECBENCH_API_KEY"  # the environment variable with the key of a server that is attached to
_PATIENCE = 10.0
_HEALTH_TIMEOUT = 5.0
_OK = 200
_DIED = "read the end of its log; often memory ran out"
_TELLING = re.compile(
    r"\bE \b|error|fail|cannot|couldn't|unable|assert|abort|invalid|unknown|not found|terminate called", re.IGNORECASE
)
_HARMLESS = re.compile(r"this warning is normal|try to reproduce them")


@dataclass(frozen=True)
class Running:
    """An engine that answers at `wire`. `process` and `log` are None for one that was attached to."""

    wire: Wire
    process: subprocess.Popen[bytes] | None
    log: Path | None
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    load_seconds: float | None

    def exit_status(self, *, within: float = 0.0) -> int | None:
        """The exit status of an engine that ended; None while it runs, or when it is not ours."""
        if self.process is None:
            return None
        try:
            return self.process.wait(within) if within else self.process.poll()
        except subprocess.TimeoutExpired:
            return None

    @contextmanager
    def faults(self, timeout: float) -> Iterator[None]:
        """Translate what goes wrong on the wire into a TrialError."""
        try:
            yield
        except TimeoutError as error:
            raise TrialError(
                "timeout", f"no complete answer in {timeout:g} s", hint="allow more time, or ask for fewer tokens"
            ) from error
        except OSError as error:
            if (status := self.exit_status(within=1.0)) is not None:
                raise TrialError("engine-died", f"the engine died ({_ended(status)})", hint=_DIED) from error
            if self.process is None and isinstance(error, ConnectionError):
                raise TrialError(
                    "engine-died", f"the server no longer answers: {error}", hint="look at the server's own log"
                ) from error
            raise bad_answer(f"the answer broke off: {error!r}") from error
        except TrialError as error:  # a stream without a length ends like a whole one when its engine dies
            if error.reason == "bad-answer" and (status := self.exit_status(within=1.0)) is not None:
                raise TrialError("engine-died", f"the engine died ({_ended(status)})", hint=_DIED) from error
            raise

    def logged(self, since: int = 0) -> bytes:
        """What the log holds from that byte on; nothing without a log, or where it is gone."""
        try:
            with self.log.open("rb") if self.log is not None else BytesIO() as log:
                log.seek(since)
                return log.read()
        except OSError:
            return b""

    def log_tail(self) -> str | None:
        """The last lines of the log that say something went wrong; else simply the last."""
        return None if self.log is None else _tail(self.log)


@contextmanager
def started(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    port: int | None,
    log: Path,
    load_timeout: float,
    foreign: bool,
) -> Iterator[Running]:
    """Start `command` with its `$port` filled in (a free one for None) and wait until it answers, or OpeningError.

    `$key` in `environment` is a key made for this start: nobody else on this machine can ask an engine that heeds it.
    """
    inherited = {key: value for key, value in os.environ.items() if not _matches(key, _REMOVED)}
    made = secrets.token_urlsafe(24)
    whole = {**inherited, **{name: made if value == "$key" else value for name, value in environment.items()}}
    if port is not None and not _is_free(port):
        raise OpeningError(
            f"port {port} is taken",
            hint="stop the program that listens there, or leave the port out: a free one is taken",
        )
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as sink:
        began = time.perf_counter()
        url = f"http://127.0.0.1:{port or _free_port()}"
        argv = [_with_port(word, url.rpartition(":")[2]) for word in command]
        process = _start(argv, whole, sink, foreign=foreign)
        try:
            wire = Wire(url, key=made)
            _wait_until_ready(wire, process, log, began=began, timeout=load_timeout)
            recorded = {
                key: value
                for key, value in whole.items()
                if value != made and not _matches(key, _SECRET) and (key in environment or _matches(key, _RECORDED))
            }
            yield Running(wire, process, log, tuple(argv), recorded, time.perf_counter() - began)
        finally:
            lifetime.stop(process, patience=_PATIENCE)


def attached(url: str) -> Running:
    """A server that runs already. OpeningError when it does not answer. Its key comes from the environment only."""
    wire = Wire(url, key=os.environ.get(API_KEY))
    try:
        status = [wire.exchange(path, timeout=_HEALTH_TIMEOUT).status for path in ("/health", "/v1/models")]
    except OSError as error:
        raise OpeningError(
            f"nothing answers at {url}: {error}", hint="start the server, or check the address"
        ) from error
    if _OK not in status:
        raise OpeningError(
            f"{url}/health answers {status[0]}, /v1/models {status[1]}",
            hint=f"wait until its model is loaded, check the address, or set {API_KEY}",
        )
    return Running(wire, None, None, (), {}, None)


def _start(
    argv: list[str], environment: Mapping[str, str], sink: IO[bytes], *, foreign: bool
) -> subprocess.Popen[bytes]:
    try:
        return lifetime.start(argv, environment=environment, log=sink, foreign=foreign)
    except OSError as error:
        raise OpeningError(
            f"cannot run {argv[0]}: {error}", hint="check the path and that it may be executed"
        ) from error


def _wait_until_ready(wire: Wire, process: subprocess.Popen[bytes], log: Path, *, began: float, timeout: float) -> None:
    while True:
        if (status := process.poll()) is not None:
            raise OpeningError(
                f"the engine ended while it started ({_ended(status)})",
                hint="read the last lines of its log; check the model file, the settings and the memory",
                log_tail=_tail(log),
            )
        try:
            if wire.exchange("/health", timeout=_HEALTH_TIMEOUT).status == _OK:
                return
        except OSError:
            pass  # not listening yet
        if (waited := time.perf_counter() - began) > timeout:
            raise OpeningError(
                f"the engine was not ready in {timeout:g} s",
                hint="give it more time, or a smaller model or context",
                log_tail=_tail(log),
            )
        time.sleep(min(0.1, 0.002 + waited / 20))  # the load time is known to 5 %


def _ended(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def _matches(key: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns)


def _with_port(word: str, port: str) -> str:
    return word.removesuffix("$port") + port if word == "$port" or word.endswith("=$port") else word


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def _tail(log: Path, *, lines: int = 8, characters: int = 2000) -> str | None:
    try:
        written = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    said = [line.strip() for line in written if line.strip()]
    telling = [line for line in said if _TELLING.search(line) and not _HARMLESS.search(line)]
    return "\n".join((telling or said)[-lines:])[-characters:] or None
