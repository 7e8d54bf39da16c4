"""A machine in a file: the readings of one detection, to be replayed elsewhere. A bug report and a fixture in one."""

import gzip
import io
import json
import os
import tarfile
import zlib
from pathlib import Path
from typing import Any

from specbench.errors import InputError
from specbench.hardware.detect import detect
from specbench.hardware.reading import Missing, Source
from specbench.untrusted import MISFITS, decoded

_READINGS = "readings.json"
_LARGEST = 64 * 2**20


def write(path: Path, source: Source | None = None) -> int:
    """Detect, and keep what was asked: files as they are below root/, everything else in readings.json. Their number.

    Serials, UUIDs and the host's name are not in it, because detection never holds them.
    """
    source = source or Source(environment=os.environ)
    detect(source, devices=True)
    files = {
        f"root/{key[5:]}": text
        for key, text in source.seen.items()
        if key.startswith("file ") and isinstance(text, str)
    }
    answers = {
        key: {"missing": answer.reason} if isinstance(answer, Missing) else {"value": answer}
        for key, answer in source.seen.items()
        if f"root/{key[5:]}" not in files
    }
    try:
        with tarfile.open(path, "w:gz") as archive:
            for name, text in {_READINGS: json.dumps(answers, indent=1), **files}.items():
                member = tarfile.TarInfo(name)
                member.size = len(data := text.encode())
                archive.addfile(member, io.BytesIO(data))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", hint="choose another file") from error
    return len(source.seen)


def read(path: Path) -> Source:
    """A source that answers as the captured machine did; nothing is unpacked to disk."""
    recorded: dict[str, Any] = {}
    source = Source(recorded=recorded)
    try:
        with tarfile.open(fileobj=io.BytesIO(_unpacked(path))) as archive:
            for member in archive:
                if (file := archive.extractfile(member)) is None:
                    continue
                text = file.read().decode()
                if member.name == _READINGS:
                    answers = decoded(text).items()
                    recorded |= {k: Missing(v["missing"]) if "missing" in v else v["value"] for k, v in answers}
                else:
                    recorded[f"file {member.name.removeprefix('root/')}"] = text
        detect(source, devices=True)  # a reading of the wrong kind shows here
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, *MISFITS) as error:
        raise InputError(f"{path} is no capture: {error}", hint="make one with `specbench hardware capture`") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", hint="check the path") from error
    return source


def _unpacked(path: Path) -> bytes:
    with gzip.open(path) as packed:
        data = packed.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise InputError(f"{path} holds more than {_LARGEST >> 20} MiB", hint="it is no capture; do not unpack it")
    return data


def source(root: Path | None, capture: Path | None) -> Source | None:
    """Where to read from: a capture, files below `root`, or None: this machine."""
    if root is not None and capture is not None:
        raise InputError("--root and --from-capture exclude each other", hint="give one of them")
    if root is not None and not root.is_dir():
        raise InputError(f"there is no folder {root}", hint="give a folder that holds sys/ and proc/")
    return read(capture) if capture is not None else Source(root=root, live=False) if root is not None else None
