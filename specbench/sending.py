"""A run that is written here and sent to its URL: a lock there, and segments between trials.

Nothing that the network does stops a run or is waited for long: what is not sent stays in the copy here, and is sent
with the next segment, at the end, or when the run is resumed.
"""

import json
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from threading import Thread

from specbench import remote
from specbench.errors import InputError, SpecbenchError, UnavailableError
from specbench.remote import APPENDED, SENDING, Storage
from specbench.runindex import LOCK, PLAN, TRIALS
from specbench.untrusted import MISFITS, decoded

_EVERY, _LATER = 30.0, 300.0  # seconds between segments; the most when none gets through
_PATIENCE, _AT_THE_END = 5.0, 60.0  # seconds that a run waits for one, and for the last one
SILENT = 1800.0  # seconds after which the writer of a lock is taken for lost, at the least


def claim(path: Path, silence: float) -> bool:
    """Lock a new run's name at its URL; False where it is taken. True for a path."""
    where = remote.url(path)
    if where is None:
        return True
    with suppress(FileExistsError):
        if not remote.storage(where).exists(PLAN):
            _sign(remote.storage(where), token := token_hex(8), silence, new=True)
            (path / SENDING).write_text(token, encoding="ascii")
            return True
    return False


def _sign(there: Storage, token: str, silence: float, *, new: bool = False) -> None:
    there.put(LOCK, json.dumps({"token": token, "silence": silence}).encode(), new=new)


def _signed(there: Storage) -> tuple[str | None, float]:
    """The token of the lock, and how long its writer may be silent. InputError for one that cannot be read."""
    try:
        content = there.get([LOCK])[LOCK]
    except FileNotFoundError:
        return None, 0.0
    try:
        held = decoded(content)
        return str(held["token"]), float(held["silence"])
    except MISFITS as error:
        raise InputError(
            f"{there.url} has a lock that cannot be read", hint=f"if nobody writes there, delete {there.url}/{LOCK}"
        ) from error


class Sending:
    """A run whose lock is held at its URL."""

    def __init__(self, path: Path, where: str, silence: float, news: Collection[str]) -> None:
        """`silence`: seconds after which this writer may be taken for lost. `news`: files that the URL lacks."""
        self._path, self._there, self._silence = path, remote.storage(where), silence
        self._token = self._locked(path / SENDING)
        self._plain, self._sent, sizes = set(news), {}, self._there.sizes()
        for file in APPENDED:
            sent, _ = remote.segments(self._there, path / file, sizes)
            if sent and not (path / file).read_bytes().startswith(sent):
                raise InputError(f"{where} went on elsewhere", hint="try again, with its URL")
            self._sent[file] = len(sent)
        self._cut = dict(self._sent)  # where the segment ends that is tried: it is tried again as it was
        self._pause, self._due = _EVERY, time.monotonic() + _EVERY
        self._thread, self._told = Thread(), False
        self._trouble: str | None = None
        self._push(*self._batch())
        remote.OWN.add(path)

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
        files = {str(file.relative_to(self._path)) for file in self._path.rglob("*") if file.is_file()}
        self._plain |= files - {*APPENDED, LOCK, SENDING}
        self._start(_AT_THE_END)
        if self._trouble is None and self._left():  # behind a segment that had to be tried again
            self._start(_AT_THE_END)
        if self._trouble is None and not self._left():
            return ()
        lines = (self._path / TRIALS).read_bytes()[self._sent[TRIALS] :].count(b"\n")
        kept = f"they are kept in {self._path}, and sent by: specbench run --resume {self._there.url}"
        return (f"{lines} results ({self._left()} bytes) are not sent: {self._trouble}; {kept}",)

    def close(self) -> None:
        """Free the run there, if all of it is there; else its lock runs out."""
        if self._left() or self._plain:
            self._start(_PATIENCE)
        if not self._left() and not self._thread.is_alive():
            with suppress(SpecbenchError, FileNotFoundError):
                if _signed(self._there)[0] == self._token:
                    self._there.delete(LOCK)
                    remote.OWN.discard(self._path)  # from here on others may go on with it
                if not self._plain:
                    remote.WHOLE.add(self._path)
                    (self._path / SENDING).unlink(missing_ok=True)

    def _left(self) -> int:
        return sum((self._path / file).stat().st_size - sent for file, sent in self._sent.items())

    def _start(self, patience: float) -> None:
        """Send in a thread: a slow answer costs the run no more than `patience` seconds."""
        until = time.monotonic() + patience
        if self._thread.is_alive():
            self._thread.join(patience)
        if not self._thread.is_alive():
            self._thread = Thread(target=self._try, args=self._batch(), daemon=True)
            self._thread.start()
            self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
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
            self._trouble = None
        except SpecbenchError as error:
            self._plain |= plain.keys()
            self._trouble = error.message

    def _push(self, plain: dict[str, bytes], lines: dict[str, bytes]) -> None:
        if _signed(self._there)[0] != self._token:
            raise UnavailableError(f"another specbench has taken {self._there.url} over", hint="stop one of them")
        for name, content in plain.items():
            self._there.put(name, content)
        for file, content in lines.items():
            if content:
                begin = self._sent[file]
                self._there.put(f"{Path(file).stem}-{begin:015d}-{remote.digest(content)}.jsonl", content)
                self._sent[file] = begin + len(content)
        _sign(self._there, self._token, self._silence)
        remote.send_row(self._path)

    def _locked(self, mine: Path) -> str:
        """The token of the lock, which is now ours. InputError while another writer is heard of."""
        token = mine.read_text(encoding="ascii") if mine.exists() else token_hex(8)
        try:
            _sign(self._there, token, self._silence, new=True)
        except FileExistsError:
            holder, allowed = _signed(self._there)
            with suppress(FileNotFoundError):  # it is free by now
                if holder not in (None, token) and (silent := self._there.age(LOCK)) < allowed:
                    raise InputError(
                        f"{self._there.url} is being written by another specbench, heard of {silent:.0f} s ago",
                        hint=f"wait for it or stop it; after {allowed / 60:.0f} min of silence its run can be resumed",
                    ) from None
            _sign(self._there, token, self._silence)
        mine.write_text(token, encoding="ascii")
        return token
