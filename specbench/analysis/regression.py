"""Did it become slower? Runs against earlier runs, cell by cell, prompt by prompt, above the noise of starts."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, log, log1p
from typing import Literal

import numpy as np

from specbench.analysis import comparison, conditions, crossed, stats
from specbench.analysis.conditions import Difference, Kind, Measured
from specbench.analysis.crossed import Effect, Floor
from specbench.analysis.metrics import METRICS
from specbench.analysis.pairing import Cell
from specbench.analysis.stats import ALARM, MINIMUM, Array
from specbench.errors import InputError
from specbench.records import Failure, Generation

Verdict = Literal["faster", "slower", "higher", "lower", "equivalent", "inconclusive", "not comparable"]
_By_Prompt = Mapping[str, Sequence[Generation]]


@dataclass(frozen=True)
class Measure:
    """What is compared: one of METRICS, the first that both sides have. `relative`: as a ratio, else as a difference.

    `mean`: the geometric mean over prompts, else the ratio of sums. `counted`: from counts, which no start disturbs.
    """

    metrics: tuple[str, ...]
    relative: bool = True
    mean: bool = True
    counted: bool = False


MEASURES: dict[str, Measure] = {
    "decode_speed": Measure(("decode_engine", "decode_client")),
    "end_to_end_speed": Measure(("end_to_end",)),
    "prefill_speed": Measure(("prefill",)),
    "acceptance": Measure(("draft_acceptance_rate",), relative=False, mean=False, counted=True),
    "tokens_per_step": Measure(("mean_acceptance_length",), mean=False, counted=True),
    "step_seconds": Measure(("step_seconds",), mean=False),
}
THRESHOLD, SHARE_THRESHOLD = 0.05, 0.02


@dataclass(frozen=True)
class Gate:
    """Fails when `measure` changed by more than `limit` in its direction; `lossless` when another output is produced."""

    text: str
    measure: str
    limit: float


@dataclass(frozen=True)
class Change:
    """One measure of one contender in one category (None: all). Relative ends are fractions: -0.05 is 5 % less.

    `floor`: what alike sides differ by; `detectable`: the least that is found with a power of 80 %. `needed`: runs a
    side and prompts that would decide. `cause`: what a slower or faster decode comes from.
    """

    measure: str
    contender: str
    category: str | None
    temperature: float
    fill: int | None
    prompts: int
    verdict: Verdict
    reason: str
    threshold: float
    base: float | None = None
    new: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    floor: float | None = None
    detectable: float | None = None
    needed: tuple[int, int] | None = None
    cause: str | None = None


@dataclass(frozen=True)
class GateResult:
    """`where`: the cells that decided it, in words."""

    gate: str
    outcome: Literal["passed", "failed", "inconclusive"]
    where: tuple[str, ...]


@dataclass(frozen=True)
class Regression:
    """All that follows from runs against runs."""

    base: tuple[str, ...]
    new: tuple[str, ...]
    changes: tuple[Change, ...]
    gates: tuple[GateResult, ...]
    differences: tuple[Difference, ...]
    across: tuple[Kind, ...]
    family: int
    noise: str
    notes: tuple[str, ...]

    @property
    def exit_status(self) -> int:
        """0 every gate passed, 1 one failed, 5 none failed and one is inconclusive."""
        outcomes = {gate.outcome for gate in self.gates}
        return 1 if "failed" in outcomes else 5 if "inconclusive" in outcomes else 0


def regression(
    base: Sequence[Measured],
    new: Sequence[Measured],
    *,
    gates: Sequence[Gate] = (),
    across: Sequence[Kind] = (),
    thresholds: Mapping[str, float] | None = None,
) -> Regression:
    """BASE against NEW, for the measures of the gates (decode speed without any).

    InputError for runs that do not belong together. A claim needs Holm's p value below 5 % over all cells and measures
    and a change above the threshold.
    """
    differing = conditions.differences(base, new)
    if refused := [d for d in differing if d.kind is not None and d.kind not in across]:
        first = refused[0]
        raise InputError(
            f"these runs cannot be compared: {first.what} is {first.base} in BASE and {first.new} in NEW"
            + (f" (and {len(refused) - 1} more differences)" if len(refused) > 1 else ""),
            hint=f"measure both sides alike, or say --across {first.kind} if that is what you compare",
        )
    measures = list(dict.fromkeys(gate.measure for gate in gates if gate.measure in MEASURES)) or ["decode_speed"]
    limits = {
        name: SHARE_THRESHOLD if not MEASURES[name].relative else THRESHOLD for name in MEASURES
    } | dict(thresholds or {})
    for gate in gates:
        if gate.measure in MEASURES:
            limits[gate.measure] = abs(gate.limit)
    sides = _Sides.of(base, new)
    found = [change for name in measures for change in _changes(name, sides, limits[name])]
    judged = _judged(found, limits)
    if "decode_speed" in measures:
        judged = [_attributed(change, sides, judged) for change in judged]
    return Regression(
        base=tuple(run.name for run in base),
        new=tuple(run.name for run in new),
        changes=tuple(change for change, _ in judged),
        gates=tuple(_gate(gate, judged, new) for gate in gates),
        differences=tuple(differing),
        across=tuple(kind for kind in across if any(d.kind == kind for d in differing)),
        family=sum(change.p is not None for change, _ in judged),
        noise=sides.noise,
        notes=tuple(_notes(base, new)),
    )
