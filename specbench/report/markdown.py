"""The report as Markdown (GitHub's tables)."""

from collections.abc import Iterable

from specbench.analysis.comparison import Comparison
from specbench.report.section import Section
from specbench.report.text import sections


def markdown(comparison: Comparison) -> str:
    """Every column of every section."""
    parts = [f"# {escaped(comparison.name)}", *(block for s in sections(comparison) for block in blocks(s))]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Text that a table cell shows as it is."""
    for character in "\\`*_[]|":
        text = text.replace(character, f"\\{character}")
    return text.replace("<", "&lt;").replace("\n", " ")


def blocks(section: Section) -> Iterable[str]:
    """Title, table, lines; alarms stand out."""
    yield f"## {escaped(section.title)}"
    if section.rows:
        marks = ("---:" if column.justify == "right" else "---" for column in section.columns)
        lines = [_line(escaped(column.title) for column in section.columns), _line(marks)]
        yield "\n".join([*lines, *(_line(map(escaped, row)) for row in section.rows)])
    for listed in (section.lines, section.alarms, section.footnotes):
        if listed:
            yield "\n".join(f"- {escaped(line)}" for line in listed)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
