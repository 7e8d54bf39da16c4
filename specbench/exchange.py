"""To and from other tools: their files are read and kept in RESULTS/imported/, and shown beside runs."""

from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

import specbench
from specbench import pipeline
from specbench.analysis.comparison import Comparison
from specbench.errors import InputError
from specbench.peers import formats
from specbench.peers.figure import Imported
from specbench.records import from_json, to_json
from specbench.report.beside import imported_section
from specbench.report.section import Section

FOLDER = "imported"
_MOST = 2**28  # bytes of a file that are read


def read(path: Path, *, name: str | None = None) -> Imported:
    """The figures of another tool's file. InputError when it is none, with the file's name."""
    try:
        if path.stat().st_size > _MOST:
            raise InputError(f"{path} is larger than {_MOST >> 20} MiB", hint="give the tool's summary")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", hint="check the path") from error
    try:
        kind, figures = formats.figures(data, name=name)
    except InputError as error:
        raise InputError(f"{path}: {error.message}", hint=error.hint) from error
    return Imported(
        specbench_version=specbench.__version__, file=path.name, sha256=sha256(data).hexdigest(), format=kind,
        figures=tuple(figures),
    )  # fmt: skip


def keep(found: Imported, *, results: Path) -> Path:
    """Write it down; the same file again replaces itself."""
    path = results / FOLDER / f"{Path(found.file).stem}-{found.sha256[:8]}.json"
    pipeline.write(path, to_json(found, indent=1))
    return path


def kept(results: Path) -> list[Imported]:
    """All that was imported. InputError for a file that is damaged, and when there is none."""
    found = []
    for path in sorted((results / FOLDER).glob("*.json")):
        try:
            found.append(from_json(Imported, path.read_bytes()))
        except (OSError, ValidationError) as error:
            raise InputError(f"{path} is damaged", hint="delete it and import the file again") from error
    if not found:
        raise InputError(f"nothing was imported to {results}", hint="specbench import FILE...")
    return found


def beside(comparison: Comparison, *, results: Path) -> list[Section]:
    """What was imported, for a report of a run."""
    return [imported_section(found, comparison) for found in kept(results)]
