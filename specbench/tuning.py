"""Tuning: rounds of a few prompts, each planned from what the rounds before it showed, in one run folder."""

import shlex
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from string import Template
from typing import Protocol

from specbench import pipeline, store
from specbench.analysis import tuning as deciding
from specbench.analysis.comparison import compare
from specbench.analysis.tuning import Tuned
from specbench.engines import catalog
from specbench.engines.profile import choose, command
from specbench.errors import InputError
from specbench.hardware.detect import detect
from specbench.pipeline import Observer, Outcome
from specbench.planning import tuning as planning
from specbench.planning.runfile import RunFile
from specbench.records import Block, Contender, Generation, Plan
from specbench.structs import replace


class Shown(Protocol):
    """Shows the progress of one round."""

    @property
    def observe(self) -> Observer: ...


def grid(runfile: RunFile, *, engines: Path | None = None, temperature: float | None = None) -> Plan:
    """All that could be measured: every candidate on every prompt."""
    profiles = catalog.profiles(engines)
    profile = profiles[choose(runfile.engine_name, profiles, what="engine")]
    plan = pipeline.plan_run(planning.candidates(runfile, profile, temperature=temperature), engines=engines)
    if [c.baseline for c in plan.contenders].count(None) != 1 or len(plan.contenders) == 1:
        raise InputError("there is nothing to choose from", hint="give a draft model, or methods that need none")
    return plan


def tune(
    grid: Plan,
    *,
    results: Path,
    progress: Callable[[Plan], AbstractContextManager[Shown]],
    mix: Mapping[str, float] | None = None,
    engines: Path | None = None,
    resume: Path | None = None,
) -> tuple[Outcome, Tuned]:
    """Measure until one candidate is left in each category, the prompts are used up, or the plan's budget is.

    The run in the folder `resume` goes on: its rounds are decided again, from what they had measured.
    """
    prompts: dict[str, dict[str, None]] = {}
    for trial in (t for block in grid.blocks for t in block.trials if t.role == "measured"):
        prompts.setdefault(trial.category, {})[trial.prompt] = None
    shares = planning.shares(mix, list(prompts))
    lines = planning.lines(grid.contenders)
    tried = {
        category: [name for line in lines for name in deciding.coarse(line, prompts=len(names))]
        for category, names in prompts.items()
    }
    alive = {category: list(names) for category, names in tried.items()}
    halved: dict[str, list[str]] = defaultdict(list)
    deadline, look = pipeline.deadline(grid.budget), 1
    blocks = _round(grid, alive, prompts, look, first=0)
    begun = pipeline.reopened(resume) if resume else store.create(results, replace(grid, blocks=blocks), detect())
    with begun as opened:
        if (opened.plan.contenders, opened.plan.blocks[: len(blocks)]) != (grid.contenders, blocks):
            raise InputError(f"{opened.path} tuned something else", hint="repeat its command, and add --resume")
        folder = replace(opened, plan=replace(grid, blocks=blocks))
        while True:
            with progress(replace(grid, blocks=blocks)) as shown:
                outcome = pipeline.carry_out(folder, observe=shown.observe, deadline=deadline)
            planned = {t.id for block in folder.plan.blocks for t in block.trials}
            found = [r for r in store.read(folder.path).results if isinstance(r, Generation) and r.trial.id in planned]
            wrong = {(r.category, r.contender) for r in compare(folder.plan, found).rows if not r.right}
            right = {
                category: {name: r for name, r in by_name.items() if r and (category, name) not in wrong}
                for category, by_name in deciding.ratios(grid.contenders, found).items()
            }
            for category, names in alive.items():
                last = not deciding.prompts_in_round(len(prompts[category]), look + 1)
                decided = deciding.decide(right.get(category, {}), names, lines=lines, look=look, last=last)
                new = [name for name in decided.beside if name not in tried[category]]
                tried[category] += new
                halved[category] += decided.halved
                alive[category] = decided.left + new
            blocks = _round(grid, alive, prompts, look + 1, first=len(folder.plan.blocks))
            if outcome.stopped or not blocks:
                break
            look += 1
            folder = store.extended(folder, replace(grid, blocks=(*folder.plan.blocks, *blocks)))
    winners = deciding.winners(right, alive, halved, plain=_plain(grid))
    speedups = {
        category: {s.contender: s.speedup for s in deciding.standings(by_name, look=1)}
        for category, by_name in right.items()
    }
    best = {w.category: w.contender for w in winners}
    single = deciding.single(speedups, best, seconds=deciding.plain_seconds(grid.contenders, found), mix=shares)
    chosen = dict.fromkeys([*(w.contender for w in winners), *([single.contender] if single else [])])
    return outcome, Tuned(
        target=grid.contenders[0].target_label,
        temperature=next(t.temperature for block in grid.blocks for t in block.trials),
        winners=winners,
        mix=shares,
        single=single,
        commands={name: command_line(grid.contender(name), engines=engines) for name in chosen},
        rounds=look,
        trials=len(store.planned(folder.plan)),
        grid=len(store.planned(grid)),
    )


def _plain(grid: Plan) -> str:
    return next(c.name for c in grid.contenders if c.baseline is None)


def _round(
    grid: Plan,
    alive: Mapping[str, Collection[str]],
    prompts: Mapping[str, Mapping[str, None]],
    look: int,
    *,
    first: int,
) -> tuple[Block, ...]:
    """What the `look`-th round measures; nothing when the candidates or the prompts are used up."""
    contenders = {category: {_plain(grid), *names} for category, names in alive.items() if len(names) > 1}
    chosen = {c: [list(prompts[c])[i] for i in deciding.prompts_in_round(len(prompts[c]), look)] for c in contenders}
    return planning.round_blocks(grid, contenders, chosen, look=look, first=first)


def command_line(contender: Contender, *, engines: Path | None = None) -> str:
    """What starts the engine as it was measured; for the embedded engine, what starts llama-server the same way."""
    argv, executable = contender.argv, contender.executable
    if contender.kind == "xllamacpp":
        profile = catalog.profiles(engines)["llama-server"]
        executable = profile.executable
        argv, _ = command(
            profile,
            target_model=contender.target_model,
            draft_model=contender.draft_model,
            method=contender.method,
            settings=contender.settings,
            engine_settings=contender.engine_settings,
            engine_args=contender.engine_args,
            streams=contender.streams,
        )
    if contender.kind == "python":
        executable, *words = catalog.python_command(contender)
        argv = tuple(words)
    words = [executable or contender.engine, *(Template(word).safe_substitute(port="8080") for word in argv)]
    return shlex.join(words)
