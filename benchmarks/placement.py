"""Seconds that placing a large plan on many fake machines takes: nothing is measured on them, and no Ray is started."""

import argparse
import time

from specbench import pipeline
from specbench.planning import placement
from specbench.planning.placement import Node
from specbench.planning.runfile import validate_runfile
from specbench.records import Machine, Skip


def main() -> None:
    """Place, then place again what a tenth of the machines had when they are lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--kinds", type=int, default=10, help="of different machines among them")
    parser.add_argument("--copies", type=int, default=20, help="of the default plan's targets")
    asked = parser.parse_args()
    targets = [{"model": "micro", "drafters": ["micro-draft"], "label": f"target-{i}"} for i in range(asked.copies)]
    runfile = {"targets": targets, "tags": ["micro"], "prompts_per_category": 5, "output_tokens": 24, "fill": 384}
    plan = placement.apart(pipeline.plan_run(validate_runfile(runfile)))
    skips = {c.name: Skip(contender=c.name, block=None, reason="fake", hint="fake") for c in plan.contenders}
    nodes = [
        Node(
            id=f"{i:056x}", name=f"fake-{i}", resources={"CPU": 8},
            machine=Machine(system="Linux", cpu=f"fake CPU {i % asked.kinds}", cores_logical=8), contenders=(),
            lacks={n: skip for n, skip in skips.items() if hash((n, i)) % 50 == 0},
        )
        for i in range(asked.nodes)
    ]  # fmt: skip
    left = {t.id for block in plan.blocks for t in block.trials if t.role != "warm-up"}
    began = time.perf_counter()
    units, kinds = placement.units(plan), placement.kinds(nodes)
    placed = [placement.place(plan, units, kind, left=left) for kind in kinds]
    first = time.perf_counter() - began
    assert all(sorted(u for _, mine in found for u in mine) == sorted(units) for found in placed)
    began = time.perf_counter()
    for found, kind in zip(placed, kinds, strict=True):
        lost = {node.id for node in kind[::10]}
        again = [unit for node, mine in found if node.id in lost for unit in mine]
        placement.place(plan, again, [node for node in kind if node.id not in lost], left=left)
    second = time.perf_counter() - began
    print(
        f"{len(left)} trials in {len(plan.blocks)} blocks and {len(units)} units, {asked.nodes} fake nodes of "
        f"{asked.kinds} kinds: placed in {first:.2f} s; a tenth lost: placed again in {second:.2f} s"
    )


if __name__ == "__main__":
    main()
