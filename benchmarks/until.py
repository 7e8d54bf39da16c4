"""What `--until` saves: one run of the whole plan, and the rule replayed on its records.

The rule asks before each block and looks at the blocks before it only, so that the replay stops where a run would.
"""

import math
import tempfile
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import t

from specbench import pipeline, store
from specbench.analysis import until
from specbench.analysis.comparison import compare
from specbench.analysis.rows import Row
from specbench.planning.runfile import validate_runfile
from specbench.records import Enough, Generation, Plan
from specbench.structs import replace

NEVER = 1e-9


@dataclass(frozen=True)
class Saving:
    """Output tokens for one width: of the whole plan, of `--until`, and of the fewest prompts that were enough for all.

    `fixed` is known afterwards only. `oracle`: prompts of the whole plan over those of one who knows every spread
    beforehand and looks once. `cells`: contenders x categories, of which `stopped` did not run to their end.
    """

    width: float
    whole: int
    adaptive: int
    fixed: int
    fixed_prompts: int
    prompts: int
    oracle: float
    cells: int
    stopped: int


def measure(threads: int) -> Saving:
    """On the small embedded target, for the smallest width that the rule reaches everywhere."""
    runfile = validate_runfile(
        {
            "name": "until",
            "targets": [{"model": "micro", "drafters": ["micro-draft", "micro-eagle3", "micro-dflash"]}],
            "methods": ["draft-model", "eagle3", "dflash", "ngram-simple", "ngram-mod"],
            "output_tokens": 24,
            "temperatures": [0],
            "fill": 384,
            "engine_settings": {"threads": threads, "context_size": 2048},
            "until": NEVER,
        }
    )
    with tempfile.TemporaryDirectory() as name:
        outcome = pipeline.start(pipeline.plan_run(runfile), results=Path(name), observe=lambda _: None)
        run = store.read(outcome.path)
    return saving(run.plan, [r for r in run.results if isinstance(r, Generation)])


def saving(plan: Plan, results: Sequence[Generation]) -> Saving:
    """By the records of a plan that ran to its end."""
    width = max(found for row in drafted(plan, results) if (found := until.half_width(row.speedup)))
    asked = replace(plan, until=width)
    decided: list[Enough] = []
    for block in plan.blocks:
        decided += [e for e in until.enough(asked, block, results) if not set(e.trials) & until.spared(decided)]
    order = defaultdict[str, dict[str, None]](dict)
    for r in sorted(results, key=lambda r: r.order):
        order[r.trial.category][r.trial.prompt] = None
    most = max(map(len, order.values()))
    for n in range(5, most + 1):
        first = {prompt for prompts in order.values() for prompt in list(prompts)[:n]}
        kept = [r for r in results if r.trial.prompt in first]
        widths = [until.half_width(row.speedup) for row in drafted(replace(plan, until=None), kept)]
        if max(math.inf if w is None else w for w in widths) <= width:
            break
    spared = until.spared(decided)
    return Saving(
        width=width,
        whole=tokens(results),
        adaptive=tokens(results, without=spared),
        fixed=tokens(kept),
        fixed_prompts=n,
        prompts=most,
        oracle=oracle(drafted(replace(plan, until=None), results), width),
        cells=len(drafted(plan, results)),
        stopped=len({(e.contender, e.category) for e in decided if plan.contender(e.contender).baseline}),
    )


def oracle(rows: Sequence[Row], width: float) -> float:
    """Prompts of all cells over the fewest whose interval, with the spread that each has in the end, is `width` wide.

    A baseline needs as many as the contender that needs most.
    """
    needed = defaultdict[str | None, list[tuple[int, int]]](list)
    for row in rows:
        n, half = (row.speedup.n, until.half_width(row.speedup)) if row.speedup else (0, None)
        if half is not None:
            spread = math.log1p(half) / t.ppf(0.975, n - 1) * math.sqrt(n)
            enough = (k for k in range(5, n) if t.ppf(0.975, k - 1) * spread / math.sqrt(k) <= math.log1p(width))
            needed[row.category].append((next(enough, n), n))
    whole = sum(sum(n for _, n in cells) + max(n for _, n in cells) for cells in needed.values())
    return whole / sum(sum(k for k, _ in cells) + max(k for k, _ in cells) for cells in needed.values())


def drafted(plan: Plan, results: Sequence[Generation]) -> list[Row]:
    """Rows with a speedup."""
    return [row for row in compare(plan, results).rows if row.baseline is not None and row.speedup is not None]


def tokens(results: Sequence[Generation], *, without: Collection[str] = ()) -> int:
    """Output tokens of what was measured or was a control."""
    return sum(r.output_tokens or 0 for r in results if r.trial.role != "warm-up" and r.trial.id not in without)
