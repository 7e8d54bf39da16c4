"""When the speedup of a category is known well enough, so that the rest of its planned trials need not run.

One looks before each block, at what the blocks before it measured. The looks are as many as the plan says, and every
interval of the run is made for all of them together (Bonferroni's bound: whatever stops a category, and however looks
depend on each other, the last interval misses the truth in at most 5 % of runs). Simulations: docs/compare.md.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from math import sqrt

from specbench.analysis import pairing
from specbench.analysis.checks import Note, note
from specbench.analysis.pairing import Cell
from specbench.analysis.rows import Row
from specbench.analysis.stats import Estimate
from specbench.records import Block, Enough, Generation, Plan, Result


def parts(plan: Plan) -> dict[Cell, tuple[int, int]]:
    """Of each cell, the blocks in which it is measured and its prompts; empty for a plan that runs to its end."""
    blocks: dict[Cell, set[int]] = defaultdict(set)
    prompts: dict[Cell, set[str]] = defaultdict(set)
    for block in plan.blocks if plan.until is not None else ():
        for t in block.trials:
            if t.role == "measured":
                blocks[Cell.of(t)].add(block.index)
                prompts[Cell.of(t)].add(t.prompt)
    return {cell: (len(blocks[cell]), len(found)) for cell, found in prompts.items()}


def half_width(e: Estimate | None) -> float | None:
    """Of an interval of a ratio, as a fraction of its value."""
    return None if e is None or e.low is None or e.high is None else sqrt(e.high / e.low) - 1


def enough(plan: Plan, block: Block, results: Iterable[Result]) -> Iterator[Enough]:
    """The cells that `block` would go on with although the blocks before it have shown enough.

    A baseline goes on for as long as a contender that it is compared to. One that was given up does not ask.
    With several repeats it goes on to its end: its looks, at other data than the contenders', would be further ones.
    """
    if plan.until is None:
        return
    repeated = any(t.repeat for b in plan.blocks for t in b.trials)
    if repeated and plan.contender(block.contender).baseline is None:
        return
    measured: dict[Cell, list[Generation]] = defaultdict(list)
    given_up: set[str] = set()
    for r in results:
        if r.kind == "skip":
            given_up.add(r.contender)
        elif isinstance(r, Generation) and r.trial.role == "measured" and r.block < block.index:
            measured[Cell.of(r.trial)].append(r)
    planned = parts(plan)
    own = plan.contender(block.contender)
    for cell in dict.fromkeys(Cell.of(t) for t in block.trials if t.role == "measured"):
        known = list(_speedups(plan, cell, measured, given_up, planned))
        widths = [width for e in known if (width := half_width(e)) is not None]
        if known and len(widths) == len(known) and max(widths) <= plan.until:
            prompts = len({g.trial.prompt for g in measured[cell]})
            speedup = "" if own.baseline is None or known[0] is None else f" {known[0].value:.3g}"
            reason = f"speedup{speedup} known within {max(widths):.1%} after {prompts} prompts"
            trials = tuple(_rest(plan, cell, block.index))
            yield Enough(contender=cell.contender, category=cell.category, reason=reason, trials=trials)


def _speedups(
    plan: Plan,
    cell: Cell,
    measured: Mapping[Cell, Sequence[Generation]],
    given_up: Collection[str],
    planned: Mapping[Cell, tuple[int, int]],
) -> Iterator[Estimate | None]:
    """Of the cell's contender, or of all that are compared to it; None for one of which nothing is known yet."""
    for c in plan.contenders:
        other = cell._replace(contender=c.name)
        if c.baseline is None or cell.contender not in (c.name, c.baseline) or other not in planned:
            continue
        if measured.get(other):
            yield _speedup(measured[other], measured.get(cell._replace(contender=c.baseline), ()), planned)
        elif c.name not in given_up:
            yield None


def _speedup(
    mine: Sequence[Generation], baseline: Sequence[Generation], planned: Mapping[Cell, tuple[int, int]]
) -> Estimate | None:
    tallies = pairing.tallies(mine, pairing.tallies(baseline, None))
    return pairing.speedup(pairing.decode_clock(tallies), pairing.grouped({Cell.of(mine[0].trial): tallies}, planned))


def _rest(plan: Plan, cell: Cell, first: int) -> Iterator[str]:
    """Ids of the cell's trials from the block `first` on, and of controls of prompts that no earlier block has."""
    trials = [(b.index, t) for b in plan.blocks for t in b.trials if t.role != "warm-up" and Cell.of(t) == cell]
    before = {t.prompt for index, t in trials if index < first and t.role == "measured"}
    yield from (t.id for index, t in trials if index >= first and (t.role == "measured" or t.prompt not in before))


def spared(results: Iterable[Result]) -> set[str]:
    """Ids of the trials that need not run."""
    return {name for r in results if isinstance(r, Enough) for name in r.trials}


def notes(plan: Plan, rows: Iterable[Row], results: Iterable[Result]) -> Iterator[Note]:
    """What was not run, and what is not known as well as was asked for although everything was."""
    if plan.until is None:
        return
    for r in results:
        if isinstance(r, Enough):
            text = f"{r.reason}: {len(r.trials)} trials were not run"
            yield note("STOPPED_EARLY", text, contender=r.contender, category=r.category)
    for row in rows:
        width = half_width(row.speedup)
        if row.baseline is not None and width is not None and width > plan.until and row.trials == row.planned:
            text = f"speedup known within {width:.1%} only after all {row.prompts} prompts, not within {plan.until:.1%}"
            yield note("TOO_WIDE", text, contender=row.contender, category=row.category)
