"""Tuning replayed on a recorded grid, its prompts in random order: how many trials, and what the choice loses."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from specbench.analysis import tuning as deciding
from specbench.analysis.tuning import Ratios
from specbench.planning import tuning as planning
from specbench.records import Plan


@dataclass(frozen=True)
class Replayed:
    """`losses`: for each category of each replay, the speed of the grid's fastest over the chosen one, less 1."""

    trials: float
    losses: tuple[float, ...]


def replayed(grid: Plan, whole: Mapping[str, Ratios], *, times: int = 200, seed: int = 1) -> Replayed:
    """`whole` are the ratios of the grid by category and candidate."""
    dice, lines = random.Random(seed), planning.lines(grid.contenders)  # noqa: S311  no secret
    baseline = next(c.name for c in grid.contenders if c.baseline is None)
    trials, losses = list[int](), list[float]()
    for _ in range(times):
        count = 0
        for ratios in whole.values():
            prompts = sorted(set().union(*ratios.values()))
            dice.shuffle(prompts)
            chosen, used = _tuned(ratios, prompts, lines=lines, baseline=baseline)
            speeds = {s.contender: s.speedup for s in deciding.standings(ratios, look=1)}
            losses.append(max(speeds.values()) / speeds[chosen] - 1)
            count += used
        trials.append(count)
    return Replayed(fmean(trials), tuple(losses))


def _tuned(ratios: Ratios, prompts: list[str], *, lines: list[list[str]], baseline: str) -> tuple[str, int]:
    alive = tried = [name for line in lines for name in deciding.coarse(line, prompts=len(prompts))]
    seen: dict[str, dict[str, float]] = {}
    trials, look = 0, 1
    while len(alive) > 1 and (new := deciding.prompts_in_round(len(prompts), look)):
        for name in {*alive, baseline}:
            known = ratios.get(name, {})
            seen.setdefault(name, {}).update({p: known[p] for p in (prompts[i] for i in new) if p in known})
            trials += len(new)
        decided = deciding.decide(seen, alive, lines=lines, look=look)
        added = [name for name in decided.beside if name not in tried]
        tried, alive, look = tried + added, decided.left + added, look + 1
    left = (s.contender for s in deciding.standings(seen, look=1) if s.contender in alive)
    return next(left), trials
