"""Many runs as one Parquet dataset, partitioned by machine, model, engine and date: facts and counts, docs/sql.md."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from specbench import history, remote, store
from specbench.errors import InputError, UnavailableError
from specbench.records import Failure, Generation

PARTITIONS = ("machine", "model", "engine", "date")
TEXT = ("run", "cpu", "contender", "method", "baseline", "category", "prompt", "role", "stop_reason", "failure")
NUMBERS = ("repeat", "fill", "streams", "seed", "block", "order", "prompt_tokens", "cached_tokens", "prefilled_tokens",
           "output_tokens", "first_chunk_tokens")  # fmt: skip
COUNTS = ("emitted", "prefill_tokens", "drafted", "accepted", "verification_steps", "drafted_steps")
REALS = ("temperature", "started", "prefill_seconds", "decode_seconds", "draft_seconds", "first_token", "last_token",
         "total")  # fmt: skip


def write(names: Sequence[Path], to: Path, *, results: Path) -> tuple[int, list[str]]:
    """Runs to the dataset in `to`: how many trials, and what was wrong with their files."""
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
    trials, warnings, written = 0, [], []
    for path in history.find(names, results=results):
        run = store.read(path)
        warnings += [f"{path.name}: {warning}" for warning in run.warnings]
        rows = [_row(run, r) for r in run.results if isinstance(r, Generation | Failure) and r.trial.role != "warm-up"]
        trials += len(rows)
        try:
            dataset.write_dataset(
                pa.Table.from_pylist(rows, schema=schema), to, format="parquet", partitioning=parts,
                basename_template=f"{path.name}-{{i}}.parquet", existing_data_behavior="overwrite_or_ignore",
                file_visitor=lambda file: written.append(Path(file.path)),
            )  # fmt: skip
        except OSError as error:
            raise InputError(f"cannot write {to}: {error}", hint="choose another place") from error
    for file in written if remote.url(to) is not None else ():
        remote.send(file)
        file.unlink()
    return trials, warnings


def _row(run: store.Run, r: Generation | Failure) -> dict[str, Any]:
    contender = run.plan.contender(r.trial.contender)
    row: dict[str, Any] = {name: getattr(r, name, getattr(r.trial, name, None)) for name in (*TEXT, *NUMBERS, *REALS)}
    row |= {"run": run.path.name, "cpu": run.machine.cpu, "method": contender.method, "baseline": contender.baseline}
    row |= {"machine": history.fingerprint(run.machine), "model": contender.target_label, "engine": contender.engine}
    row |= {"date": f"{datetime.fromtimestamp(r.started, UTC):%Y-%m-%d}", "synthetic": contender.synthetic}
    if isinstance(r, Failure):
        return row | {"failure": r.reason}
    counts = {name: getattr(r.counts, name) for name in COUNTS}
    return row | counts | {"accepted_by_position": r.counts.accepted_by_position}
