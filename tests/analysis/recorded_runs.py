"""Recorded trials of the real engine as runs. Times and counts are real, the text and the rest of a trial are not."""

import csv
import gzip
from collections import defaultdict
from pathlib import Path

from analysis.synthetic import contender as named
from analysis.synthetic import counts, generation, machine, plan

from specbench.analysis.conditions import Measured
from specbench.records import Generation

CONTENDERS = (
    named("none"),
    named("ngram-simple", "ngram-simple", baseline="none"),
    named("draft-model", "draft-model", baseline="none"),
)


def recorded(name: str, *, scale: float = 1) -> list[Measured]:
    """The runs of a file in recorded/, oldest first. `scale` other than 1 makes synthetic times of them."""
    runs: dict[int, list[Generation]] = defaultdict(list)
    with gzip.open(Path(__file__).parent / "recorded" / f"{name}.csv.gz", "rt", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            told = {key: int(row[key]) if row[key] else None for key in ("drafted", "accepted", "drafted_steps")}
            runs[int(row["run"])].append(
                generation(
                    row["contender"],
                    row["prompt"],
                    category=row["category"],
                    repeat=int(row["repeat"]),
                    seconds=float(row["decode_seconds"]) * scale,
                    started=float(row["started"]),
                    output_tokens=int(row["output_tokens"]),
                    counts=counts(
                        emitted=int(row["output_tokens"]), **told, verification_steps=int(row["steps"] or 0) or None
                    ),
                    load_average=float(row["load"]),
                )
            )
    return [Measured(f"{name}-{n}", plan(run, CONTENDERS), machine(), run) for n, run in runs.items()]
