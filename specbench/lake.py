"""Many runs as one Parquet dataset, partitioned by machine, model, engine and date: facts and counts, docs/sql.md."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from specbench import history, remote, store
from specbench.analysis.conditions import fingerprint
from specbench.errors import InputError, UnavailableError
from specbench.records import Failure, Generation

PARTITIONS = ("machine", "model", "engine", "date")
TEXT = ("run", "cpu", "contender", "method", "baseline", "category", "prompt", "role", "stop_reason", "failure")
NUMBERS = ("repeat", "fill", "streams", "seed", "block", "order", "prompt_tokens", "cached_tokens", "prefilled_tokens",
           "output_tokens", "first_chunk_tokens")  # fmt: skip
COUNTS = ("emitted", "prefill_tokens", "drafted", "accepted", "verification_steps", "drafted_steps")
REALS = ("temperature", "started", "prefill_seconds", "decode_seconds", "draft_seconds", "first_token", "last_token",
         "total")  # fmt: skip

_TOO_LARGE = 2**63


def write(names: Sequence[Path], to: Path, *, results: Path) -> tuple[int, list[str], int]:
    """Runs to the dataset in `to`: how many trials, what was wrong with their files, and how many runs are left out."""
    try:
        import pyarrow as pa  # noqa: PLC0415  an optional package
        from pyarrow import dataset  # noqa: PLC0415
    except ImportError as error:
        raise UnavailableError("pyarrow is not installed", hint="pip install 'specbench[sql]'") from error
    kinds = {
        **dict.fromkeys((*TEXT, *PARTITIONS), pa.string()),
        **dict.fromkeys((*NUMBERS, *COUNTS), pa.int64()),
        **dict.fromkeys(REALS, pa.float64()),
        "synthetic": pa.bool_(),
        "accepted_by_position": pa.list_(pa.int64()),
    }
    schema = pa.schema(list(kinds.items()))
    parts = dataset.partitioning(pa.schema([schema.field(name) for name in PARTITIONS]), flavor="hive")
    trials, warnings, damaged = 0, [], 0
    written: set[Path] = set()
    exported: list[tuple[str, re.Pattern[str]]] = []
    paths = history.find(names, results=results)
    for path in paths:
        try:
            run = store.read(path)
        except InputError as error:
            if len(paths) == 1:
                raise
            warnings.append(f"{path.name} is left out: {error.message}")
            damaged += 1
            continue
        warnings += [f"{path.name}: {warning}" for warning in run.warnings]
        rows, strange = _rows(run)
        if strange:
            warnings.append(f"{path.name}: {len(strange)} trials that the lake cannot hold, the first is {strange[0]}")
        trials += len(rows)
        partition = f"machine={fingerprint(run.machine)}/"
        exported.append((partition, re.compile(rf"{re.escape(path.name)}-\d+\.parquet")))
        if not rows:
            continue
        try:
            dataset.write_dataset(
                pa.Table.from_pylist(rows, schema=schema), to, format="parquet", partitioning=parts,
                basename_template=f"{path.name}-{{i}}.parquet", existing_data_behavior="overwrite_or_ignore",
                file_visitor=lambda file: written.add(Path(file.path)), use_threads=False,
            )  # fmt: skip
        except OSError as error:
            raise InputError(f"cannot write {to}: {error}", hint="choose another place") from error
    _replaced(to, written, exported)
    return trials, warnings, damaged


def _replaced(to: Path, written: set[Path], exported: Sequence[tuple[str, re.Pattern[str]]]) -> None:
    """Send what was written, and delete what earlier exports wrote of the same runs: it is elsewhere now."""
    where = remote.url(to)
    there = None if where is None else remote.storage(where)
    now = {str(file.resolve().relative_to(to.resolve())) for file in written}
    for file in sorted(written) if there else ():
        remote.send(file)
        file.unlink()
    for name in there.sizes() if there else [str(file.relative_to(to)) for file in to.rglob("*.parquet")]:
        of_them = (name.startswith(begin) and end.fullmatch(name.rpartition("/")[2]) for begin, end in exported)
        if name not in now and any(of_them):
            there.delete(name) if there else (to / name).unlink()


def _rows(run: store.Run) -> tuple[list[dict[str, Any]], list[str]]:
    """A row for each trial, and the ids of those that are not in the plan or that no column can hold."""
    rows, strange = [], []
    for r in run.results:
        if isinstance(r, Generation | Failure) and r.trial.role != "warm-up":
            try:
                row = _row(run, r)
            except (KeyError, ValueError, OverflowError, OSError):  # the last three: a time that is no date
                strange.append(r.trial.id)
                continue
            whole = [row.get(name) for name in (*NUMBERS, *COUNTS)] + list(row.get("accepted_by_position") or ())
            if any(value is not None and not -_TOO_LARGE <= value < _TOO_LARGE for value in whole):
                strange.append(r.trial.id)
            else:
                rows.append(row)
    return rows, strange


def _row(run: store.Run, r: Generation | Failure) -> dict[str, Any]:
    contender = run.plan.contender(r.trial.contender)
    row: dict[str, Any] = {name: getattr(r, name, getattr(r.trial, name, None)) for name in (*TEXT, *NUMBERS, *REALS)}
    row |= {"run": run.path.name, "cpu": run.machine.cpu, "method": contender.method, "baseline": contender.baseline}
    row |= {"machine": fingerprint(run.machine), "model": contender.target_label, "engine": contender.engine}
    row |= {"date": f"{datetime.fromtimestamp(r.started, UTC):%Y-%m-%d}", "synthetic": contender.synthetic}
    if isinstance(r, Failure):
        return row | {"failure": r.reason}
    counts = {name: getattr(r.counts, name) for name in COUNTS}
    return row | counts | {"accepted_by_position": r.counts.accepted_by_position}
