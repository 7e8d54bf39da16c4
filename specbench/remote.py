"""Run folders at a URL: s3://bucket/prefix, gs, sftp, file and what else fsspec knows.

What is at a URL has a copy here, below the cache folder, whose path tells the URL: everything else works on that copy.
It is brought when it is read. A run's lines are there in segments, objects that are written once and never changed:
`trials-BYTE-SHA.jsonl` holds the lines that begin at that byte of `trials.jsonl`, with the SHA-256 of its content.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

from specbench import datafiles, runindex
from specbench.errors import InputError, SpecbenchError, UnavailableError
from specbench.runindex import INDEX, LOCK, OPENINGS, PLAN, TELEMETRY, TRIALS, being_written
from specbench.untrusted import decoded, understood

APPENDED = (OPENINGS, TELEMETRY, TRIALS)
AGAIN = {TRIALS: "; `specbench run --resume` measures again what is missing"}  # by file: what helps against damage
SENDING = "sending"  # the writer's mark in the copy: it has lines that are perhaps not sent
ROWS = ".rows"  # beside the runs: a small object each with what a list shows
WHOLE: set[Path] = set()  # copies that this process wrote and sent: they do where the URL cannot be reached any more
OWN: set[Path] = set()  # copies that this process writes or wrote: all is here, so nothing is brought
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_SEGMENT = re.compile(r"(\w+)-(\d{15})-([0-9a-f]{16})\.jsonl")
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": {"connect_timeout": 5, "read_timeout": 20, "retries": {"max_attempts": 0}}},
    "file": {"auto_mkdir": True},
}
_BUCKETS = {"s3", "s3a", "gs", "gcs", "abfs", "az", "oss", "oci"}  # no folders to be made


def place(text: str | Path) -> Path:
    """A folder as the user names it: a path as it is, a URL as the place of its copy. All such words come through here.

    InputError for a URL that cannot be, UnavailableError where its packages are missing.
    """
    match = _URL.fullmatch(str(text))
    if match is None:
        if "::" in str(text) and "://" in str(text):
            raise InputError("a URL inside a URL names no folder", hint="write it as s3://bucket/prefix")
        return Path(text)
    scheme, rest = match[1].lower(), match[2].strip("/")
    scheme = "file" if scheme == "local" else scheme
    if ":" in rest.rpartition("@")[0]:  # a secret may hold a slash
        raise InputError("a password in a URL would be recorded", hint="leave it to the keys of your system")
    if "::" in rest or not {*"[]*?"}.isdisjoint(rest) or not {"", "..", "."}.isdisjoint(rest.split("/")):
        raise InputError(f"{scheme}://… names no folder", hint="write it as s3://bucket/prefix")
    try:
        import fsspec  # noqa: PLC0415  an optional package

        fsspec.get_filesystem_class(scheme)
    except ValueError as error:
        raise InputError(f"{scheme}:// is unknown", hint="s3, gs, sftp, file, or what else fsspec knows") from error
    except ImportError as error:
        hint = "pip install 'specbench[storage]'" if scheme == "s3" or error.name == "fsspec" else str(error)
        raise UnavailableError(f"a package for {scheme}:// is not installed", hint=hint) from error
    return _home() / scheme / rest


def _home() -> Path:
    return datafiles.cache_folder().resolve() / "remote"


def url(path: Path) -> str | None:
    """The URL of which `path` is the copy; None for a path that is none."""
    try:
        scheme, *rest = path.relative_to(_home()).parts
    except ValueError:
        return None
    return f"{scheme}://{'/' if scheme == 'file' else ''}{'/'.join(rest)}"


def shown(path: Path) -> str:
    """The URL, or the path."""
    return url(path) or str(path)


class Storage:
    """A place at a URL. What goes wrong there is said in our words: libraries quote keys and signatures in theirs."""

    def __init__(self, where: str) -> None:
        from fsspec.core import url_to_fs  # noqa: PLC0415  an optional package

        self.url, scheme = where, where.partition(":")[0]
        self._folders = scheme not in _BUCKETS
        with self._answering():
            self._fs, self._root = url_to_fs(where, use_listings_cache=False, **_OPTIONS.get(scheme, {}))

    def get(self, names: list[str]) -> dict[str, bytes]:
        """Objects, many at a time. FileNotFoundError when one is missing."""
        with self._answering():
            found = self._fs.cat([self._path(name) for name in names]) if names else {}
        return {name: found[self._path(name)] for name in names}

    def put(self, name: str, content: bytes, *, new: bool = False) -> None:
        """An object, whole. FileExistsError when it must be `new` and is there."""
        path = self._path(name)
        with self._answering(missing=True):
            if self._folders:
                self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._fs.pipe_file(path, content, mode="create" if new else "overwrite")

    def delete(self, name: str) -> None:
        """Delete one object."""
        with self._answering():
            self._fs.rm_file(self._path(name))

    def age(self, name: str) -> float:
        """Seconds since an object was written, by the clock of the storage: that of another one, written now.

        FileNotFoundError when it is gone.
        """
        self.put(mark := f"{name}-{token_hex(8)}", b"")
        try:
            with self._answering():
                now, then = (self._fs.modified(self._path(one)) for one in (mark, name))
                return float((now - then).total_seconds())
        finally:
            self.delete(mark)

    def exists(self, name: str) -> bool:
        """Whether there is such an object."""
        with self._answering():
            return bool(self._fs.exists(self._path(name)))

    def sizes(self) -> dict[str, int]:
        """All objects below, with their bytes."""
        with self._answering(missing=True):
            found = self._fs.find(self._root, detail=True)
        return {name[len(self._root) :].lstrip("/"): entry["size"] for name, entry in found.items()}

    def names(self, below: str = "") -> dict[str, str]:
        """What lies directly in a folder, and for each something that changes with its content."""
        try:
            with self._answering():
                found = self._fs.ls(self._path(below), detail=True)
        except FileNotFoundError:
            with self._answering(missing=True):  # a bucket that is missing is an error, an empty folder is none
                self._fs.find(self._path(below))
            return {}
        keys = ("type", "size", "ETag", "etag", "mtime", "LastModified")
        return {e["name"].rstrip("/").rpartition("/")[2]: str([e.get(key) for key in keys]) for e in found}

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    @contextmanager
    def _answering(self, *, missing: bool = False) -> Iterator[None]:
        """Errors of libraries as ours. `missing`: also what says that there is no such thing."""
        try:
            yield
        except (SpecbenchError, FileExistsError):
            raise
        except FileNotFoundError as error:
            if not missing:
                raise
            raise InputError(f"there is no {self.url}", hint="create the bucket, or correct its name") from error
        except Exception as error:  # noqa: BLE001  each library has its own
            told = type(error).__name__
            if any(word in told for word in ("Credential", "Auth", "Token")):
                what, hint = f"there are no credentials for {self.url}", "set AWS_ACCESS_KEY_ID or the like"
            elif isinstance(error, PermissionError):
                what, hint = f"{self.url} refuses the access", "check the credentials and its policy"
            else:
                what, hint = f"{self.url} does not answer ({told})", "check the network and the address"
            raise UnavailableError(what, hint=f"{hint}: docs/storage.md") from None


@cache
def storage(where: str) -> Storage:
    """The place at a URL, opened once."""
    return Storage(where)


def fetch(folder: Path, where: str | None = None) -> dict[str, list[str]]:
    """Bring what `folder` lacks of its URL, or of `where`, and say for each file what is wrong with its segments."""
    if (where := where or url(folder)) is None or folder in OWN:
        return {file: [] for file in APPENDED}
    there = storage(where)
    try:
        found = there.sizes()
    except UnavailableError:
        if folder not in WHOLE:
            raise
        return {file: [] for file in APPENDED}
    sizes = {name: size for name, size in found.items() if ".." not in name.split("/")}
    segmented = {f"{match[1]}.jsonl" for name in sizes if (match := _SEGMENT.fullmatch(name))}
    newer_here = (folder / SENDING).exists()
    plain = [name for name in sizes if name not in segmented and not _SEGMENT.fullmatch(name) and name[:4] != LOCK]
    here = {name: (folder / name).stat().st_size for name in plain if (folder / name).exists()}
    for name, content in there.get(
        [n for n in plain if here.get(n) != sizes[n] and not (newer_here and n in here)]
    ).items():
        keep(folder / name, content)
    return {file: _join(there, folder / file, sizes) for file in APPENDED}


def digest(content: bytes) -> str:
    """The checksum in a segment's name."""
    return sha256(content).hexdigest()[:16]


def segments(there: Storage, path: Path, sizes: Mapping[str, int]) -> tuple[bytes, list[str]]:
    """All segments of an appended file as one, and what is wrong; only those that `path` lacks are brought."""
    found = ((_SEGMENT.fullmatch(name), name) for name in sizes)
    parts = sorted((int(m[2]), m[3], name) for m, name in found if m and f"{m[1]}.jsonl" == path.name)
    here = path.read_bytes() if parts and path.exists() else b""
    known = {name: part for begin, sha, name in parts if digest(part := here[begin : begin + sizes[name]]) == sha}
    known |= there.get([name for _, _, name in parts if name not in known])
    whole, end, wrong = [], 0, []
    for begin, sha, name in parts:
        if digest(known[name]) != sha:
            wrong.append(f"{name} is torn and left out{AGAIN.get(path.name, '')}")
            continue
        if begin != end:
            wrong.append(
                f"{name}: {'segments before it are missing' if begin > end else 'two have written to this run'}"
            )
        whole.append(known[name])
        end = begin + len(known[name])
    return b"".join(whole), wrong


def _join(there: Storage, path: Path, sizes: Mapping[str, int]) -> list[str]:
    """Make the copy hold all segments, and behind them the lines that only it had."""
    sent, wrong = segments(there, path, sizes)
    here = path.read_bytes() if path.exists() else b""
    if not here.startswith(sent):
        if being_written(path.parent):  # replaced under its writer, it would lose what that writes
            return [*wrong, f"{path.name}: the URL has lines that are not here yet, where another specbench writes"]
        seen = set(sent.split(b"\n"))
        keep(path, sent + b"".join(line + b"\n" for line in here.split(b"\n")[:-1] if line not in seen))
    return wrong


def keep(path: Path, content: bytes) -> None:
    """A file of the copy, replaced at once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.new")
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except OSError as error:
        raise InputError(
            f"cannot write {path}: {error.strerror}", hint="free some space, or set SPECBENCH_CACHE"
        ) from error


def bring(path: Path) -> None:
    """One file, if it is there; if it is not, there is no copy either. Nothing for a path."""
    if (where := url(path.parent)) is not None and path.parent not in OWN:
        try:
            keep(path, storage(where).get([path.name])[path.name])
        except FileNotFoundError:
            path.unlink(missing_ok=True)


def send(path: Path) -> None:
    """One file that was written here. Nothing for a path."""
    if (where := url(path.parent)) is not None:
        storage(where).put(path.name, path.read_bytes())


def has(path: Path) -> bool:
    """Whether there is such a file, here or at the URL."""
    where = url(path.parent)
    return path.is_file() if where is None else storage(where).exists(path.name)


def runs(root: Path) -> list[Path]:
    """The run folders below `root`, oldest first."""
    if (where := url(root)) is None:
        return sorted(path.parent for path in root.glob(f"*/{PLAN}"))
    there = storage(where)
    listed, folders = there.names(ROWS), {name for name, told in there.names().items() if "directory" in told} - {ROWS}
    return [root / name for name in sorted(folders) if f"{name}.json" in listed or there.exists(f"{name}/{PLAN}")]


def rows(results: Path) -> list[dict[str, Any]]:
    """What `runindex.rows` tells, also of runs at a URL: from the small objects that their writers leave."""
    if (where := url(results)) is None:
        return runindex.rows(results)
    there, objects = storage(where), {f"{path.name}.json": path for path in runs(results)}
    for path in [objects[name] for name in objects.keys() - there.names(ROWS).keys()]:  # copied there by other means
        fetch(path)
        with suppress(UnavailableError):  # keys that may only read
            send_row(path)
    stamps = there.names(ROWS)
    try:
        known = json.loads((results / INDEX).read_bytes())
        known = {name: known[name] for name in objects if known.get(name, [None])[0] == stamps.get(name, 0)}
    except (OSError, ValueError):
        known = {}
    if changed := [f"{ROWS}/{name}" for name in objects if name in stamps and name not in known]:
        with understood(f"{where}/{ROWS}", hint="delete that folder: it is made again from the runs"):
            for name, row in there.get(changed).items():
                known[name.partition("/")[2]] = [stamps[name.partition("/")[2]], dict(decoded(row))]
        keep(results / INDEX, json.dumps(known).encode())
    return [known[name][1] if name in known else runindex.row(path) for name, path in objects.items()]


def send_row(folder: Path) -> None:
    """What a list shows of a run at a URL."""
    storage(str(url(folder.parent))).put(f"{ROWS}/{folder.name}.json", json.dumps(runindex.row(folder)).encode())
