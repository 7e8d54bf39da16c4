"""Report formats by name. To add one: a module, and a line here."""

from collections.abc import Callable

from specbench.analysis.comparison import Comparison
from specbench.report.csv_table import csv_table
from specbench.report.json_report import json_report
from specbench.report.markdown import markdown

FORMATS: dict[str, Callable[[Comparison], str]] = {
    "markdown": markdown,
    "csv": csv_table,
    "json": json_report,
}
