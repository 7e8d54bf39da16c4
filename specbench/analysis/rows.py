"""The row of a comparison."""

from dataclasses import dataclass
from typing import Literal

from specbench.analysis.lossless import Lossless
from specbench.analysis.stats import Estimate
from specbench.records import Setting

DecodeSource = Literal["decode_engine", "decode_client", "output_throughput"]


@dataclass(frozen=True)
class Row:
    """One contender in one category (None: all of them) at one temperature and context fill.

    `trials` were measured, of `planned`; `failed` went wrong. Without `speculating` a method drafted nothing: the row
    has no numbers and is no result of that method; `categories` counts those in the row, and all of the contender.
    `label` is what tables call the contender beside its target. Speedups are geometric means over prompts of this
    contender over its baseline, with `decode_source` for both; `bounded` is that with 1 for a prompt above
    1.25 times its tokens per step, which no method exceeds (of several streams it is the same); `round_cost` is a
    verification step in plain steps of the baseline (tokens per step / speedup, prompt by prompt), `prefill_cost`
    seconds per prefilled token over the baseline's. `stop`, `steps_source` and `verification_rule` are `mixed` when
    trials differ. `axes` holds all that can be swept but fill and temperature, which have fields of their own.
    `synthetic`: acceptance by dice, never a result of the method. Peak memory is that of the engine's processes in any
    trial.
    """

    target: str
    target_label: str
    contender: str
    label: str
    engine: str
    method: str
    baseline: str | None
    synthetic: bool
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
    bounded: Estimate | None
    end_to_end_speedup: Estimate | None
    round_cost: Estimate | None
    prefill_cost: Estimate | None
    lossless: Lossless | None
    checks_passed: int
    checks_judged: int
    axes: dict[str, Setting]
    peak_memory: float | None
    peak_device_memory: float | None

    @property
    def credible(self) -> bool:
        """False when a round is cheaper than a plain step, beyond noise: the speedup is above the tokens per step."""
        return self.round_cost is None or self.round_cost.high is None or self.round_cost.high >= 1

    @property
    def right(self) -> bool:
        """Whether the speedup can be believed and the output is the target model's: no speed makes up for another."""
        return self.credible and not (self.lossless is not None and self.lossless.kind == "diverged")

    @property
    def drafting_cost(self) -> float | None:
        """Plain steps that drafting takes in a round."""
        share = self.metrics["drafting_share"]
        return None if share is None or self.round_cost is None else share.value * self.round_cost.value

    @property
    def verifying_cost(self) -> float | None:
        """Plain steps of a round that are not drafting: verification, sampling, bookkeeping."""
        return (
            None
            if self.drafting_cost is None or self.round_cost is None
            else self.round_cost.value - self.drafting_cost
        )

    @property
    def decode(self) -> Estimate | None:
        """Decode tok/s by the clock that the speedup uses; of all streams where a run has several."""
        return self.metrics[self.decode_source]


def without_target(name: str, target_label: str) -> str:
    """What a contender's name says beside its target: the engine of several, the method, and what varies."""
    return f" · {name}".replace(f" · {target_label} · ", " · ", 1).removeprefix(" · ")
