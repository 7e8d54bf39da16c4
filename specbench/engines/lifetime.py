"""No engine outlives specbench. Everything that differs between operating systems about child processes is here.

A program of our own watches its standard input, which closes when the parent ends in any way. A foreign one cannot; on
Linux this file, run as a script, asks the kernel to kill the process with its parent and then becomes that program.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Any

_PR_SET_PDEATHSIG, _SIGKILL = 1, 9


def start(
    argv: Sequence[str], *, environment: Mapping[str, str], log: IO[bytes], foreign: bool
) -> subprocess.Popen[bytes]:
    """Start `argv` with standard output and error in `log`, in a group of its own, so that Ctrl-C reaches only us."""
    if foreign and sys.platform == "linux":
        argv = [sys.executable, "-I", "-S", __file__, str(os.getpid()), *argv]
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, env=dict(environment), **options
    )


def stop(process: subprocess.Popen[bytes], *, patience: float) -> int:
    """Ask the process to end, kill it after `patience` seconds, and return its exit status."""
    if process.stdin is not None:
        process.stdin.close()
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    _kill_group(process)  # what a wrapper script started, and whatever did not end by itself
    return process.wait()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _become(parent: int, argv: list[str]) -> None:
    import ctypes  # noqa: PLC0415  only the script needs it

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel knew
        os._exit(1)
    try:
        os.execv(argv[0], argv)  # noqa: S606  no shell on purpose
    except OSError as error:
        os.write(2, f"cannot run {argv[0]}: {error}\n".encode())
        os._exit(126)


if __name__ == "__main__":
    _become(int(sys.argv[1]), sys.argv[2:])
