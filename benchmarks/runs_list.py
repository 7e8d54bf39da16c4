"""Seconds that `specbench runs list` takes with 10,000 synthetic runs: the first time, and when they are known."""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import synthetic

from specbench import store
from specbench.structs import replace


def main() -> None:
    """Make the runs, list them twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    count = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        whole = synthetic.plan(1)
        first = replace(whole.blocks[0], trials=whole.blocks[0].trials[:60])
        plan = replace(whole, blocks=(first,))
        with store.create(root / "model", plan, synthetic.MACHINE) as model:
            for generation in synthetic.generations(plan):
                model.append(generation)
        files = {name: (model.path / name).read_bytes() for name in (store.PLAN, store.MACHINE, store.TRIALS)}
        for number in range(count):
            path = root / "results" / f"20260101-{number:06d}-synthetic"
            path.mkdir(parents=True)
            for name, content in files.items():
                (path / name).write_bytes(content)
        for what in ("first", "again"):
            began = time.perf_counter()
            argv = [sys.executable, "-m", "specbench", "runs", "list", "--results", str(root / "results")]
            subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
            print(f"{count} runs, {what}: {time.perf_counter() - began:.2f} s")


if __name__ == "__main__":
    main()
