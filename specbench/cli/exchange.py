"""`specbench import` and `export`: figures from and for other tools."""

import sys
from pathlib import Path

from specbench.cli import options as o
from specbench.errors import InputError
from specbench.remote import shown
from specbench.units import printable


def import_(
    files: o.ForeignFiles,
    *,
    format_: o.ForeignFormat = None,
    results: o.Results = Path("results"),
    json: o.Json = False,
) -> None:
    """Take in what other tools measured, with their own definitions; `report --with-imported` shows it."""
    from specbench import exchange  # noqa: PLC0415  --help must not wait for it
    from specbench.cli import sections  # noqa: PLC0415
    from specbench.report.beside import imported_section  # noqa: PLC0415

    found = [exchange.read(path, name=format_) for path in files]
    for one in found:
        print(printable(f"kept: {exchange.keep(one, results=results)}"), file=sys.stderr)
    if json:
        print("[" + ",\n".join(one.model_dump_json(indent=1) for one in found) + "]")
    else:
        sections.show(imported_section(one, None) for one in found)


def export(
    run: o.RunPath = None,
    *,
    format_: o.ExportFormat = "csv",
    output: o.Output = None,
    commit: o.EngineCommit = None,
    lake: o.Lake = None,
    results: o.Results = Path("results"),
) -> None:
    """Write a run's trials for other programs."""
    if commit is not None and format_ != "asv":
        raise InputError("--commit belongs to --format asv", hint="leave it out")
    if lake is not None:
        from specbench.lake import write  # noqa: PLC0415  --help must not wait for it

        trials, warnings, damaged = write([run or results], lake, results=results)
        told = f"{trials} trials are in {shown(lake)}" if trials else "there are no trials: nothing was written"
        for line in (*(f"warning: {warning}" for warning in warnings), told):
            print(printable(line), file=sys.stderr)
        sys.exit(int(damaged > 0))
    from specbench import api, pipeline  # noqa: PLC0415  --help must not wait for it
    from specbench.cli import flags  # noqa: PLC0415

    path = flags.run_folder(run, results=results)
    if format_ == "asv" and output is not None:
        content, left_out = None, api.export_asv(path, output, commit=commit, results=results)
    else:
        content, left_out = api.export(path, format_, results=results)
    if left_out:
        print(left_out, file=sys.stderr)
    if content is None:
        return
    if output is not None:
        pipeline.write(output, content)
    else:
        sys.stdout.buffer.write(content)
