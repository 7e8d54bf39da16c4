"""No engine outlives specbench. Everything that differs between operating systems about child processes is here.

A program of our own watches its standard input, which closes when the parent ends in any way. A foreign one cannot; on
Linux this file, run as a script, starts it and is told by the kernel when the parent ends.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Any

_PR_SET_PDEATHSIG = 1


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


def _watch(parent: int, argv: list[str]) -> None:
    """Run `argv` as a child. When the parent ends, the whole group is killed, with what `argv` started.

    When we are asked to end ourselves, so is the child; and we end as it ended.
    """
    import ctypes  # noqa: PLC0415  only the script needs it

    kernel = ctypes.CDLL(None)
    child = 0

    def end(*_: object) -> None:
        if os.getppid() != parent:
            os.killpg(0, signal.SIGKILL)
        if child:
            os.kill(child, signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    kernel.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before the kernel knew
        os._exit(1)
    child = os.fork()
    if child == 0:
        for number in (signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores the last two
            signal.signal(number, signal.SIG_DFL)
        kernel.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        try:
            os.execv(argv[0], argv)  # noqa: S606  no shell on purpose
        except OSError as error:
            os.write(2, f"cannot run {argv[0]}: {error}\n".encode())
            os._exit(126)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status < 0:
        if status != -signal.SIGKILL:  # whose action cannot be set
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if __name__ == "__main__":
    _watch(int(sys.argv[1]), sys.argv[2:])
