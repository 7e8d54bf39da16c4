"""A run that is written here and sent to its URL: a lock there, and segments between trials.

Nothing that the network does stops a run or is waited for long: what is not sent stays in the copy here, and is sent
with the next segment, at the end, or when the run is resumed.
"""

import json
import time
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from threading import Thread

from specbench import remote
from specbench.errors import InputError, SpecbenchError, UnavailableError
from specbench.remote import APPENDED, SENDING
from specbench.runindex import LOCK, MACHINE, PLAN, TRIALS

_EVERY, _LATER = 30.0, 300.0  # seconds between segments; the most when none gets through
_PATIENCE, _AT_THE_END = 5.0, 60.0  # seconds that a run waits for one, and for the last one
_SILENT = 1800.0  # seconds after which the writer of a lock is taken for lost; a trial may take 1200


def claim(path: Path) -> bool:
    """Lock a new run's name at its URL; False where it is taken. True for a path."""
    if (where := remote.url(path)) is None:
        return True
    there = remote.storage(where)
    if there.exists(PLAN):
        return False
    try:
        there.put(LOCK, _signed(token := token_hex(8)), new=True)
    except FileExistsError:
        return False
    (path / SENDING).write_text(token, encoding="ascii")
    return True


def _signed(token: str) -> bytes:
    return json.dumps({"token": token, "renewed": time.time()}).encode()


class Sending:
    """A run whose lock is held at its URL."""

    def __init__(self, path: Path, where: str) -> None:
        self._path, self._there = path, remote.storage(where)
        self._token = _locked(path, self._there)
        self._sent, self._plain = dict.fromkeys(APPENDED, 0), {PLAN, MACHINE}
        self._cut = dict(self._sent)  # where the segment ends that is tried: it is tried again as it was
        sizes = self._there.sizes()
        for file in APPENDED:
            sent, _ = remote.segments(self._there, path / file, sizes)
            if sent and not (path / file).read_bytes().startswith(sent):
                raise InputError(f"{where} went on elsewhere", hint="try again, with its URL")
            self._sent[file] = len(sent)
        self._due, self._pause = time.monotonic() + _EVERY, _EVERY
        self._thread: Thread | None = None
        self._trouble: str | None = None
        self._told = False
        self._push(*self._batch())

    def checkpoint(self) -> None:
        """Send a segment if it is time; between two trials."""
        if time.monotonic() >= self._due:
            self._start(_PATIENCE)

    def changed(self, name: str) -> None:
        """A file of the run was written anew."""
        self._plain.add(name)

    def trouble(self) -> str | None:
        """That segments cannot be sent, and why, or can be sent again; once each."""
        if self._told == (self._trouble is not None):
            return None
        self._told = self._trouble is not None
        return f"not sent: {self._trouble}; measuring goes on" if self._trouble else "sending again"

    def flush(self) -> tuple[str, ...]:
        """Send all that is left, logs too; a sentence when that could not be done."""
        own = {*APPENDED, LOCK, SENDING}
        files = {str(file.relative_to(self._path)) for file in self._path.rglob("*") if file.is_file()}
        self._plain |= {name for name in files - own if not name.endswith(".new")}
        self._start(_AT_THE_END)
        if self._trouble is None and self._left():  # behind a segment that had to be tried again
            self._start(_AT_THE_END)
        left = self._left()
        if not left and self._trouble is None and not self._busy():
            return ()
        with (self._path / TRIALS).open("rb") as file:
            file.seek(self._sent[TRIALS])
            lines = file.read().count(b"\n")
        where = self._there.url
        why = self._trouble or f"{where} is slow"
        kept = f"they are kept in {self._path}, and sent by: specbench run --resume {where}"
        return (f"{lines} results ({left} bytes) are not sent: {why}; {kept}",)

    def close(self) -> None:
        """Free the run there, if all of it is there; else its lock runs out."""
        if self._left():
            self._start(_PATIENCE)
        if not self._left() and not self._busy():
            with suppress(SpecbenchError, FileNotFoundError):
                if self._holder() == self._token:
                    self._there.delete(LOCK)
                (self._path / SENDING).unlink(missing_ok=True)

    def _left(self) -> int:
        return sum((self._path / file).stat().st_size - sent for file, sent in self._sent.items())

    def _busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _start(self, patience: float) -> None:
        """Send in a thread: a slow answer costs the run no more than `patience` seconds."""
        until = time.monotonic() + patience
        if self._thread is not None:
            self._thread.join(patience)
        if self._busy():
            return
        plain, lines = self._batch()
        self._thread = Thread(target=self._try, args=(plain, lines), daemon=True)
        self._thread.start()
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._busy():
            self._trouble = f"{self._there.url} is slow"
        self._pause = _EVERY if self._trouble is None else min(2 * self._pause, _LATER)
        self._due = time.monotonic() + self._pause

    def _batch(self) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """What is to be sent: changed files, and a segment of each appended one."""
        plain = {name: (self._path / name).read_bytes() for name in sorted(self._plain)}
        self._plain.clear()
        lines = {}
        for file, sent in self._sent.items():
            with (self._path / file).open("rb") as opened:
                opened.seek(sent)
                lines[file] = opened.read(self._cut[file] - sent if self._cut[file] > sent else -1)
            self._cut[file] = sent + len(lines[file])
        return plain, lines

    def _try(self, plain: dict[str, bytes], lines: dict[str, bytes]) -> None:
        try:
            self._push(plain, lines)
        except SpecbenchError as error:
            self._plain |= plain.keys()
            self._trouble = error.message
        else:
            self._trouble = None

    def _push(self, plain: dict[str, bytes], lines: dict[str, bytes]) -> None:
        if self._holder() != self._token:
            raise UnavailableError(f"another specbench has taken {self._there.url} over", hint="stop one of them")
        for name, content in plain.items():
            self._there.put(name, content)
        for file, content in lines.items():
            if content:
                begin = self._sent[file]
                self._there.put(f"{Path(file).stem}-{begin:015d}-{remote.digest(content)}.jsonl", content)
                self._sent[file] = begin + len(content)
        self._there.put(LOCK, _signed(self._token))
        remote.send_row(self._path)

    def _holder(self) -> str | None:
        try:
            return str(json.loads(self._there.get([LOCK])[LOCK])["token"])
        except (FileNotFoundError, ValueError, KeyError):
            return None


def _locked(path: Path, there: remote.Storage) -> str:
    """The token of the lock, which is now ours. InputError while another writer is heard of."""
    mine = path / SENDING
    token = mine.read_text(encoding="ascii") if mine.exists() else token_hex(8)
    try:
        there.put(LOCK, _signed(token), new=True)
    except FileExistsError:
        held = json.loads(there.get([LOCK])[LOCK])
        silent = time.time() - held["renewed"]
        if held["token"] != token and silent < _SILENT:
            raise InputError(
                f"{there.url} is being written by another specbench, heard of {max(0, silent):.0f} s ago",
                hint=f"wait for it or stop it; after {_SILENT / 60:.0f} min of silence its run can be resumed",
            ) from None
        there.put(LOCK, _signed(token))
    mine.write_text(token, encoding="ascii")
    return token
