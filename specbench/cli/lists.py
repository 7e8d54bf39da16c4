"""Plain rows on standard output. Imports nothing that takes time: lists are asked for often, and --help too."""

import json as json_text
import sys
from typing import Any

from specbench.units import printable


def show_rows(title: str, rows: list[dict[str, Any]], *, json: bool) -> None:
    """Plain rows as a table, or as JSON."""
    if json:
        print(json_text.dumps(rows, indent=2))
        return
    if not rows:
        print(f"{title}: none")
        return
    from rich import box  # noqa: PLC0415  as above
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
    for key in rows[0]:
        table.add_column(key, overflow="fold")
    for row in rows:
        table.add_row(*(Text("—" if cell is None else printable(str(cell))) for cell in row.values()))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
