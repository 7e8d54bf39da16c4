"""What tuning found, as plain data for a terminal."""

from specbench.analysis.tuning import Tuned
from specbench.report import cells
from specbench.report.section import Column, Section
from specbench.units import percent


def tuned_sections(tuned: Tuned) -> list[Section]:
    """The winners, one setting for all, and the commands."""
    columns = (
        Column("category"),
        Column("fastest"),
        Column("speedup", "× (95 %)", "right"),
        Column("n", "", "right"),
        Column("rivals", "", "right"),
    )
    rows = tuple(
        (w.category, _named(w.contender), cells.with_interval(w.speedup), str(w.speedup.n), str(len(w.others)))
        for w in tuned.winners
    )
    counts = f"{tuned.trials} trials in {tuned.rounds} round(s); measuring everything takes {tuned.grid}"
    open_ = (f"{w.category}: not told apart from {', '.join(map(_named, w.others))}" for w in tuned.winners if w.others)
    halved = (
        f"{w.category}: slower on the few prompts they had, perhaps by chance: {', '.join(map(_named, w.halved))}"
        for w in tuned.winners
        if w.halved
    )
    title = f"Fastest setting, decode speedup: {tuned.target}, {cells.temperature(tuned.temperature)}"
    found = [Section(title, columns, rows, footnotes=(counts, *open_, *halved))]
    if tuned.single is not None:
        work = ", ".join(f"{name} {percent(share)}" for name, share in tuned.mix.items())
        lines = (
            f"one setting for all: {_named(tuned.single.contender)}, speed × {tuned.single.speedup:.2f}",
            f"the fastest for each category: speed × {tuned.single.per_category:.2f}",
            f"one setting for all costs {tuned.single.cost * 100:.1f} % more time",
        )
        found.append(Section(f"Your mix: {work}", lines=lines))
    commands = tuple(f"{_named(name)}: {line}" for name, line in tuned.commands.items())
    return [*found, Section("Commands", lines=commands)]


def _named(contender: str) -> str:
    return "switch it off (none)" if contender == "none" else contender
