"""Which machine of a fleet measures what.

A plan falls into units that stay on one machine, since they are compared: a baseline and its contenders in a category.
Different machines measure every unit, machines that are the same share them.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from specbench.records import Block, Contender, Machine, Plan, Skip, Trial
from specbench.structs import replace

Unit = tuple[int, ...]  # indices of blocks


@dataclass(frozen=True)
class Node:
    """A machine of the fleet; `id` and `resources` are Ray's. `contenders`: as they are started there.

    `lacks`: why a contender cannot run there.
    """

    id: str
    name: str
    resources: Mapping[str, float]
    machine: Machine
    contenders: tuple[Contender, ...]
    lacks: Mapping[str, Skip]


def kinds(nodes: Iterable[Node]) -> list[list[Node]]:
    """Nodes whose figures are each other's, together."""
    found: dict[tuple[object, ...], list[Node]] = defaultdict(list)
    for node in nodes:
        found[node.machine.identity()].append(node)
    return list(found.values())


def _by_category(block: Block) -> dict[str, list[Trial]]:
    found: dict[str, list[Trial]] = defaultdict(list)
    for trial in block.trials:
        if trial.role != "warm-up":
            found[trial.category].append(trial)
    return found


def apart(plan: Plan) -> Plan:
    """The plan with a control block for each category, unless the baseline was measured otherwise."""
    parts: list[tuple[str, tuple[Trial, ...]]] = []
    tied = set()
    for block in plan.blocks:
        categories, name = _by_category(block), block.contender
        if len(categories) == 1 or name in tied or any(t.role == "measured" for t in block.trials):
            parts.append((name, block.trials))
            tied |= {name} if len(categories) > 1 else set()
        else:
            warm_ups = [t for t in block.trials if t.role == "warm-up"]
            parts += [(name, (*warm_ups, *trials)) for trials in categories.values()]
    blocks = (Block(index=index, contender=name, trials=trials) for index, (name, trials) in enumerate(parts))
    return replace(plan, blocks=tuple(blocks))


def units(plan: Plan) -> list[Unit]:
    """The blocks of each unit. Where a block has several categories, all of its baseline's are one unit.

    A target's contenders, with all their baselines, stay together where they share answers before later turns.
    """
    shared = any(prompt.after for prompt in plan.prompts)
    baselines = {c.name: c.target_label if shared else c.baseline or c.name for c in plan.contenders}
    blocks = [(block.index, baselines[block.contender], list(_by_category(block))) for block in plan.blocks]
    tied = {baseline for _, baseline, categories in blocks if len(categories) > 1}
    found: dict[tuple[str, str | None], list[int]] = defaultdict(list)
    for index, baseline, categories in blocks:
        found[baseline, None if baseline in tied else categories[0]].append(index)
    return [tuple(indices) for indices in found.values()]


def place(
    plan: Plan,
    asked: Iterable[Unit],
    nodes: Sequence[Node],
    *,
    left: Collection[str],
    busy: Collection[tuple[str, Unit]] = (),
) -> list[tuple[Node, list[Unit]]]:
    """Unit by unit, the longest first, to the machine that lacks least for it and, of those, has least to do.

    `left`: ids of the trials that are not measured yet; a unit without any goes nowhere. `busy`: what nodes, by their
    ids, have to do already.
    """
    tokens = [sum(t.output_tokens for t in block.trials if t.id in left) for block in plan.blocks]
    work = {unit: sum(tokens[i] for i in unit) for unit in asked}
    lacking = [frozenset(node.lacks) for node in nodes]
    load = [sum(tokens[i] for name, unit in busy if name == node.id for i in unit) for node in nodes]
    placed: dict[int, list[Unit]] = defaultdict(list)
    for unit in sorted(filter(work.get, work), key=lambda unit: (-work[unit], unit)):
        names = {plan.blocks[i].contender for i in unit}
        chosen = min(range(len(nodes)), key=lambda n: (len(lacking[n] & names), load[n]))
        placed[chosen].append(unit)
        load[chosen] += work[unit]
    return [(nodes[n], units) for n, units in placed.items()]


def started_there(c: Contender, *, programs: Mapping[str, str], files: Mapping[str, str]) -> Contender:
    """The contender with the programs and the model files (path in the plan -> path there) of another machine."""
    any_file = re.compile("|".join(map(re.escape, sorted(files, key=len, reverse=True))) or "$^")

    def there(text: str) -> str:
        return any_file.sub(lambda found: files[found[0]], text)

    return replace(
        c,
        executable=programs.get(c.engine, c.executable),
        target_model=there(c.target_model),
        draft_model=c.draft_model and there(c.draft_model),
        argv=tuple(map(there, c.argv)),
    )
