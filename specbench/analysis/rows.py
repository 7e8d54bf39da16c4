"""The row of a comparison."""

from dataclasses import dataclass
from typing import Literal

from specbench.analysis.lossless import Lossless
from specbench.analysis.stats import Estimate

DecodeSource = Literal["decode_engine", "decode_client"]


@dataclass(frozen=True)
class Row:
    """One contender in one category (None: all of them) at one temperature and context fill.

    `trials` were measured, of `planned`; `failed` went wrong. Without `speculating` a method drafted nothing: the row
    has no numbers and is no result of that method; `categories` counts those in the row, and all of the contender.
    `label` is what tables call the contender beside its target. Speedups are geometric means over prompts of this
    contender over its baseline, with `decode_source` for both; `over_bound` is the speedup over the tokens per step,
    which bound it; `prefill_cost` is seconds per prefilled token over the baseline's. `stop`, `steps_source` and
    `verification_rule` are `mixed` when trials differ. Peak memory is that of the engine's processes in any trial.
    """

    target: str
    contender: str
    label: str
    engine: str
    method: str
    baseline: str | None
    category: str | None
    temperature: float
    fill: int | None
    categories: tuple[int, int]
    prompts: int
    trials: int
    planned: int
    failed: int
    speculating: bool
    stop: str | None
    decode_source: DecodeSource
    steps_source: str | None
    verification_rule: str | None
    metrics: dict[str, Estimate | None]
    accepted_by_position: tuple[float, ...] | None
    speedup: Estimate | None
    end_to_end_speedup: Estimate | None
    over_bound: Estimate | None
    prefill_cost: Estimate | None
    lossless: Lossless | None
    checks_passed: int
    checks_judged: int
    peak_memory: float | None
    peak_device_memory: float | None

    @property
    def credible(self) -> bool:
        """False when the speedup lies above its bound, beyond noise."""
        return self.over_bound is None or self.over_bound.low is None or self.over_bound.low <= 1

    @property
    def decode(self) -> Estimate | None:
        """Decode tok/s by the clock that the speedup uses."""
        return self.metrics[self.decode_source]
