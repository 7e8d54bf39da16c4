"""`specbench import` and `export`: figures from and for other tools."""

import sys
from pathlib import Path

from specbench.cli import options as o


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
        print(f"kept: {exchange.keep(one, results=results)}", file=sys.stderr)
    if json:
        print("[" + ",\n".join(one.model_dump_json(indent=1) for one in found) + "]")
    else:
        sections.show(imported_section(one, None) for one in found)
