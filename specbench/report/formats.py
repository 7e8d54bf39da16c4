"""Report formats by name. To add one: a module, and a line here."""

from collections.abc import Callable, Sequence

from specbench.analysis.comparison import Comparison
from specbench.errors import InputError
from specbench.report.csv_table import csv_table
from specbench.report.json_report import json_report
from specbench.report.markdown import blocks, markdown
from specbench.report.section import Section
from specbench.units import printable

FORMATS: dict[str, Callable[[Comparison], str]] = {
    "markdown": markdown,
    "csv": csv_table,
    "json": json_report,
}


def rendered(name: str, comparison: Comparison, others: Sequence[Section]) -> str:
    """The report in a format, and after it what others measured. InputError for an unknown format."""
    if name not in FORMATS:
        raise InputError(f"unknown format {name!r}", hint=f"known: text, {', '.join(FORMATS)}")
    if others and name != "markdown":
        raise InputError(f"figures of others do not go into {name}", hint="use text, markdown or --html")
    text = "\n".join([FORMATS[name](comparison), *("\n\n".join(blocks(section)) + "\n" for section in others)])
    return printable(text) if name == "markdown" else text  # the others are read by programs
