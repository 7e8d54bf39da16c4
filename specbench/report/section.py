"""A part of a report as plain data: the command line draws it and decides nothing."""

from dataclasses import dataclass
from typing import Literal

MISSING = "—"
GAP = 2  # spaces between columns


@dataclass(frozen=True)
class Column:
    """Priority 0 is always shown; where it is narrow, the highest priority goes first. `wraps`: onto further lines."""

    name: str
    unit: str = ""
    justify: Literal["left", "right"] = "left"
    priority: int = 0
    wraps: bool = False

    @property
    def title(self) -> str:
        """The name, and its unit on a second line."""
        return f"{self.name}\n{self.unit}" if self.unit else self.name


@dataclass(frozen=True)
class Section:
    """A title, lines, a table, `alarms` in red, footnotes. `rules` are rows after which a thin line helps the eye."""

    title: str
    columns: tuple[Column, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    rules: tuple[int, ...] = ()
    lines: tuple[str, ...] = ()
    footnotes: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()

    def fitting(self, width: int) -> tuple[int, ...]:
        """Indexes of the columns that fit into `width` characters, with `GAP` between them."""
        needed = [max(map(len, (c.name, c.unit, *(row[i] for row in self.rows)))) for i, c in enumerate(self.columns)]
        shown = list(range(len(self.columns)))
        while sum(needed[i] for i in shown) + GAP * (len(shown) - 1) > width:
            last = max(shown, key=lambda i: (self.columns[i].priority, i), default=None)
            if last is None or self.columns[last].priority == 0:
                break
            shown.remove(last)
        return tuple(shown)
