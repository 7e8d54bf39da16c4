"""The public API: `specbench.run`, `specbench.load`, `specbench.compare`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specbench import history, pipeline, store
from specbench.analysis import regression
from specbench.analysis.metrics import METRICS
from specbench.analysis.regression import Regression
from specbench.errors import InputError, UnavailableError
from specbench.faults import did_you_mean
from specbench.planning.runfile import validate_runfile
from specbench.records import Failure, Generation
from specbench.remote import place
from specbench.report import for_benchmarks, for_peers
from specbench.sharing import no_collection

if TYPE_CHECKING:  # 0.3 s; the command line does without
    import pandas as pd

Paths = str | Path | Sequence[str | Path]
_TRIAL = ("contender", "category", "prompt", "role", "repeat", "temperature", "fill", "streams", "seed")
_FACTS = (
    "block", "order", "started", "prompt_tokens", "cached_tokens", "prefilled_tokens", "output_tokens",
    "prefill_seconds", "decode_seconds", "draft_seconds", "first_token", "last_token", "total", "stop_reason",
)  # fmt: skip
_RUN = ("run", "target", "engine", "method", "synthetic")
EXPORTS = ("csv", "parquet", "llama-bench", "aiperf", "pyperf")
_SPEEDLESS = "trials without a speed of their own are not in it"
_COUNTS = ("emitted", "drafted", "accepted", "verification_steps", "drafted_steps")
_COLUMNS = [*dict.fromkeys((*_RUN, *_TRIAL, *_FACTS, *_COUNTS, *METRICS, "failure"))]  # first_token is in two


def run(*, results: str | Path = "results", engines: Path | None = None, **runfile: Any) -> Path:
    """Measure, and return the run folder. The keys are those of a run file (docs/runfile.md): targets, methods, ..."""
    plan = pipeline.plan_run(validate_runfile(runfile), engines=engines)
    return pipeline.start(plan, results=place(results), observe=lambda _: None).path


def load(paths: Paths, *, results: str | Path = "results") -> "pd.DataFrame":
    """A table with one row a trial, warm-ups left out. Columns and units: docs/api.md. Missing is NA."""
    import pandas as pd  # noqa: PLC0415  as above

    rows = [row for path in history.find(_paths(paths), results=place(results)) for row in _rows(store.read(path))]
    return pd.DataFrame(rows, columns=_COLUMNS).convert_dtypes()


def _rows(run: store.Run) -> list[dict[str, Any]]:
    contenders = {c.name: c for c in run.plan.contenders}
    rows = []
    for r in run.results:
        if not isinstance(r, Generation | Failure) or r.trial.role == "warm-up":
            continue
        c = contenders[r.trial.contender]
        told = (run.path.name, c.target_label, c.engine, c.method, c.synthetic)
        row = dict(zip(_RUN, told, strict=True)) | {key: getattr(r.trial, key) for key in _TRIAL}
        if isinstance(r, Generation):
            row |= {key: getattr(r, key) for key in _FACTS} | {key: getattr(r.counts, key) for key in _COUNTS}
            for name, metric in METRICS.items():
                parts = metric.parts(r)
                row[name] = None if parts is None or not parts[1] else parts[0] / parts[1]
        row["failure"] = r.reason if isinstance(r, Failure) else None
        rows.append(row)
    return rows


def export(run: str | Path, form: str, *, results: str | Path = "results") -> tuple[bytes, str | None]:
    """A run's trials as csv or parquet, or in another tool's format (EXPORTS); and what is not in it."""
    if form in ("csv", "parquet"):
        table = load(run, results=results)
        if form == "csv":
            return table.to_csv(index=False).encode(), None
        try:
            return table.to_parquet(index=False), None
        except ImportError as error:
            raise UnavailableError("pyarrow is not installed", hint="pip install 'specbench[sql]'") from error
    if form == "asv":
        raise InputError("asv reads a folder, not a file", hint="--output DIR, the results_dir of asv.conf.json")
    if form not in EXPORTS:
        raise InputError(f"there is no format {form!r}", hint=did_you_mean(form, [*EXPORTS, "asv"]))
    (path,) = history.find([place(run)], results=place(results))[:1]
    measured = store.read(path)
    if form == "pyperf":
        text, lacking = for_benchmarks.pyperf(measured.plan, measured.machine, measured.results)
        return text.encode(), f"{lacking} {_SPEEDLESS}" if lacking else None
    if form == "llama-bench":
        text, others = for_peers.llama_bench(measured.plan, measured.machine, measured.results)
        said = f"{others} contenders that draft, have several streams, or are not llama.cpp, are not in it"
        return text.encode(), said if others else None
    text, lacking = for_peers.acceptance_records(measured.plan, measured.results)
    return text.encode(), f"{lacking} trials lack counts by position and are not in it" if lacking else None


def export_asv(
    run: str | Path, folder: Path, *, commit: str | None = None, results: str | Path = "results"
) -> str | None:
    """A run's trials into asv's `results_dir`, for the engine's `commit` in full; and what is not in it."""
    (path,) = history.find([place(run)], results=place(results))[:1]
    measured = store.read(path)
    benchmarks = folder / "benchmarks.json"
    try:
        known = benchmarks.read_bytes() if benchmarks.is_file() else None
    except OSError as error:
        raise InputError(f"cannot read {benchmarks}: {error.strerror}", hint="check its permissions") from error
    parts = measured.plan, measured.machine, measured.results
    files, lacking = for_benchmarks.asv(*parts, commit=commit, known=known)
    for name, text in files.items():
        pipeline.write(folder / name, text.encode())
    return f"{lacking} {_SPEEDLESS}" if lacking else None


@no_collection()
def compare(
    base: Paths,
    new: Paths,
    *,
    fail_on: Sequence[str] = (),
    across: Sequence[str] = (),
    threshold: float | None = None,
    results: str | Path = "results",
) -> Regression:
    """Runs against earlier runs: `.changes`, `.gates`, `.exit_status`; docs/compare.md says what they mean."""
    found = history.sides(_paths(base), _paths(new), results=place(results))
    sides = [history.measured(side)[0] for side in found]
    return regression.judged(*sides, fail_on=fail_on, across=across, threshold=threshold)


def _paths(paths: Paths) -> list[Path]:
    return [place(p) for p in ([paths] if isinstance(paths, str | Path) else paths)]
