"""`specbench compare`: runs against earlier runs, and the gate of a nightly job."""

import os
import sys
from pathlib import Path

import typer

from specbench.cli import options as o


def compare(
    runs: o.Runs,
    *,
    base: o.MoreBase = None,
    fail_on: o.FailOn = None,
    across: o.Across = None,
    threshold: o.Threshold = None,
    format_: o.ComparedFormat = "text",
    output: o.Output = None,
    results: o.Results = Path("results"),
) -> None:
    """Compare runs with earlier runs, prompt by prompt: faster, slower, equivalent or inconclusive.

    Several runs of each side, measured in turns, tell a change from noise. Exit status 1: a --fail-on condition holds;
    5: none holds, and the runs do not tell of one. Without --fail-on it is 0.
    """
    from specbench import history  # noqa: PLC0415  --help must not wait for it
    from specbench.analysis.regression import judged  # noqa: PLC0415
    from specbench.cli import flags, sections  # noqa: PLC0415
    from specbench.errors import InputError  # noqa: PLC0415
    from specbench.report import regression as report  # noqa: PLC0415
    from specbench.sharing import no_collection  # noqa: PLC0415

    if format_ != "text" and format_ not in report.FORMATS:
        raise InputError(f"unknown format {format_!r}", hint=f"known: text, {', '.join(report.FORMATS)}")
    if len(runs) == 1:
        raise InputError(
            f"{runs[0]} has nothing to be compared with",
            hint="specbench compare BASE NEW, or specbench compare baseline NEW",
        )
    with no_collection():
        (old, old_warnings), (new, new_warnings) = map(
            history.measured, history.sides([runs[0], *(base or ())], runs[1:], results=results)
        )
        for warning in (*old_warnings, *new_warnings):
            print(f"warning: {warning}", file=sys.stderr)
        found = judged(old, new, fail_on=fail_on or (), across=flags.names(across) or (), threshold=threshold)
        with flags.reader_may_leave():
            if format_ == "text":
                sections.show(report.sections(found), output)
            else:
                flags.write(report.FORMATS[format_](found), output)
        if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            try:
                flags.write(report.markdown(found), Path(summary), append=True)
            except InputError as error:  # what was found still holds
                print(f"warning: {error.message}", file=sys.stderr)
        if format_ != "text" or output is not None:
            for line in report.gate_reasons(found):
                print(line, file=sys.stderr)
        raise typer.Exit(found.exit_status)
