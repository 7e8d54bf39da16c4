"""Sections of a report on a terminal: what is said is decided elsewhere, here it is drawn."""

import sys
from collections.abc import Iterable
from io import StringIO
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from specbench.cli import flags
from specbench.report.section import GAP, Section
from specbench.units import printable


def show(sections: Iterable[Section], path: Path | None = None) -> None:
    """Sections on standard output, as wide as the terminal; or in a file."""
    console = Console(width=None if sys.stdout.isatty() and path is None else 160, record=path is not None)
    if path is not None:
        console.file = StringIO()
    for section in sections:
        _draw(console, section)
    if path is not None:
        flags.write(console.export_text(), path)


def _draw(console: Console, section: Section) -> None:
    console.print(Text(printable(section.title), style="bold"))
    for line in section.lines:
        console.print(Text(printable(f"- {line}")), soft_wrap=False)
    if section.columns:
        shown = section.fitting(console.width)
        titled = any(section.columns[index].title for index in shown)
        table = Table(
            box=box.SIMPLE_HEAD, show_edge=False, show_header=titled, pad_edge=False, padding=(0, GAP - 1, 0, 0)
        )
        for index in shown:
            column = section.columns[index]
            table.add_column(column.title, justify=column.justify, no_wrap=column.priority == 0 and not column.wraps)
        for number, row in enumerate(section.rows):
            table.add_row(*(Text(printable(row[index])) for index in shown), end_section=number in section.rules)
        console.print(table)
    for alarm in section.alarms:
        console.print(Text(printable(alarm), style="bold red"))
    for note in section.footnotes:
        console.print(Text(printable(note), style="dim"))
    console.print()
