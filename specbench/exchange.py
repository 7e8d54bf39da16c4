"""To and from other tools: their files are read and kept in RESULTS/imported/, and shown beside runs."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

import specbench
from specbench import pipeline, remote
from specbench.analysis.comparison import Comparison
from specbench.errors import InputError
from specbench.peers import formats
from specbench.peers.documents import decode
from specbench.peers.figure import Imported
from specbench.planning.foreign import converted, shape
from specbench.planning.suites import Suite, parse_suite
from specbench.report.beside import imported_section
from specbench.report.section import Section
from specbench.untrusted import unicode

FOLDER = "imported"
_MOST = 2**28  # bytes of a file that are read


def read(path: Path, *, name: str | None = None) -> Imported:
    """The figures of another tool's file. InputError when it is none, with the file's name."""
    data = _bytes(path)
    with _named(path):
        kind, figures = formats.figures(data, name=name)
    return Imported(
        specbench_version=specbench.__version__, file=path.name, sha256=sha256(data).hexdigest(), format=kind,
        figures=tuple(figures),
    )  # fmt: skip


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST:
            raise InputError(f"{path} is larger than {_MOST >> 20} MiB", hint="give a part of it, or a summary")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", hint="check the path") from error


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """The file's name before what is wrong with it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error.message}", hint=error.hint) from error


def keep(found: Imported, *, results: Path) -> Path:
    """Write it down; the same file again replaces itself."""
    path = results / FOLDER / f"{Path(found.file).stem}-{found.sha256[:8]}.json"
    pipeline.write(path, json.dumps(unicode(found.model_dump()), ensure_ascii=False, indent=1).encode())
    return path


def kept(results: Path) -> list[Imported]:
    """All that was imported. InputError for a file that is damaged, and when there is none."""
    found = []
    remote.fetch(results / FOLDER)
    for path in sorted((results / FOLDER).glob("*.json")):
        try:
            found.append(Imported.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError) as error:
            raise InputError(f"{path} is damaged", hint="delete it and import the file again") from error
    if not found:
        raise InputError(f"nothing was imported to {remote.shown(results)}", hint="specbench import FILE...")
    return found


def beside(comparison: Comparison, *, results: Path) -> list[Section]:
    """What was imported, for a report of a run."""
    return [imported_section(found, comparison) for found in kept(results)]


def import_suite(
    path: Path, folder: Path, *, name: str, columns: Mapping[str, object], licence: str | None, output_tokens: int
) -> tuple[Suite, int]:
    """Another benchmark's prompts as a suite in a new folder, and how many turns are not in it."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists", hint="name a new folder")
    if output_tokens < 1:
        raise InputError(f"answers of {output_tokens} tokens cannot be", hint="--output-tokens 256")
    form = shape(name, columns, licence=licence)
    data = _bytes(path)
    with _named(path):
        document = decode(data)
        rows = [document] if isinstance(document, dict) else document
        files, later = converted(rows, form, name=folder.resolve().name, output_tokens=output_tokens)
    suite = parse_suite(files)
    for file, text in files.items():
        pipeline.write(folder / file, text.encode())
    return suite, later
