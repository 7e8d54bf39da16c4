from collections.abc import Callable
from itertools import pairwise
from math import exp, log

import numpy as np
import pytest
from analysis.recorded_runs import recorded
from analysis.synthetic import BASE, DRAFT, contender, drafted, generation, prompt, trial
from numpy.typing import NDArray

from specbench.analysis import stats, until
from specbench.analysis.comparison import compare
from specbench.analysis.stats import Estimate
from specbench.records import Block, Contender, Enough, Generation, Plan, Result, Skip
from specbench.structs import replace

Array = NDArray[np.float64]
Dice = Callable[[np.random.Generator, tuple[int, int]], Array]
SIMULATED = 2000  # the Monte-Carlo error of 5 % is 0.5 %
ERROR = 0.015  # three of them


def normal(dice: np.random.Generator, shape: tuple[int, int]) -> Array:
    return dice.normal(size=shape)


def outliers(dice: np.random.Generator, shape: tuple[int, int]) -> Array:
    return dice.standard_t(3, size=shape)


def of_the_engine(dice: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Ratios of one recorded run's baseline over another's, prompt by prompt: the real noise of equal things."""
    rates = []
    for run in recorded("micro"):
        speeds = {
            (g.trial.prompt, g.trial.repeat): log(100 / (g.decode_seconds or 1))
            for g in run.results
            if isinstance(g, Generation) and g.trial.contender == "none"
        }
        rates.append(speeds)
    ratios = np.asarray([new[p] - old[p] for old, new in pairwise(rates) for p in old.keys() & new.keys()])
    return dice.choice(ratios - ratios.mean(), shape) / ratios.std()


def stopped(values: Array, sizes: list[int], width: float, looks: int) -> Estimate:
    """The interval with which one stops who looks after so many prompts."""
    for n in sizes:
        found = stats.geometric_mean(np.exp(values[:n]).tolist(), looks=looks)
        assert found is not None
        reached = until.half_width(found)
        if reached is not None and reached <= width:
            break
    return found


SIZES = {12: [6, 12], 22: [6, 11, 22], 88: [6, 11, 22, 44, 88]}


@pytest.mark.parametrize("prompts", SIZES)
@pytest.mark.parametrize("noise", [0.03, 0.08, 0.2])
@pytest.mark.parametrize("dice", [normal, outliers, of_the_engine])
def test_the_interval_at_which_a_category_stops_holds_the_truth_in_at_least_95_percent(
    prompts: int, noise: float, dice: Dice
) -> None:
    sizes, values = SIZES[prompts], 0.3 + noise * dice(np.random.default_rng(11), (SIMULATED, prompts))
    found = [stopped(row, sizes, 0.05, len(sizes)) for row in values]
    assert sum((e.low or 0) <= exp(0.3) <= (e.high or 0) for e in found) / SIMULATED >= 0.95 - ERROR


@pytest.mark.parametrize("prompts", SIZES)
@pytest.mark.parametrize("dice", [normal, outliers, of_the_engine])
def test_equal_contenders_are_told_apart_in_at_most_5_percent_however_often_one_looks(prompts: int, dice: Dice) -> None:
    values = 0.06 * dice(np.random.default_rng(12), (SIMULATED, prompts))
    alarms = [stats.p_value(stopped(row, SIZES[prompts], 0.05, len(SIZES[prompts]))) for row in values]
    assert sum(p is not None and p <= stats.ALARM for p in alarms) / SIMULATED <= 0.05 + ERROR


def test_the_plain_interval_would_not_survive_the_looks() -> None:
    values = 0.08 * normal(np.random.default_rng(13), (4 * SIMULATED, 88))
    found = [stopped(row, SIZES[88], 0.05, looks=1) for row in values]
    assert sum((e.low or 0) <= 1 <= (e.high or 0) for e in found) / len(found) < 0.935


def test_an_interval_over_categories_that_stopped_at_different_sizes_holds_the_mean_of_all() -> None:
    """Four categories of 22 prompts, each with its own noise and level: the loud ones have more prompts."""
    dice, held = np.random.default_rng(14), 0
    levels, noises = (0.0, 0.1, 0.2, 0.3), (0.01, 0.05, 0.1, 0.2)
    for _ in range(SIMULATED):
        ratios: list[float] = []
        weights: list[float] = []
        for level, noise in zip(levels, noises, strict=True):
            values = level + noise * dice.normal(size=22)
            n = stopped(values, SIZES[22], 0.06, 3).n
            ratios += np.exp(values[:n]).tolist()
            weights += [22 / n] * n
        found = stats.geometric_mean(ratios, weights=weights, looks=3)
        assert found is not None
        held += (found.low or 0) <= exp(0.15) <= (found.high or 0)
    assert held / SIMULATED >= 0.95 - ERROR


LOUD = contender("loud", "ngram-simple", baseline="base")


def planned(contenders: tuple[Contender, ...] = (BASE, DRAFT, LOUD), prompts: int = 12) -> Plan:
    """Two parts of a category, and a control of everything."""
    halves = [range(prompts // 2), range(prompts // 2, prompts)]
    trials = [(c.name, tuple(trial(c.name, f"code-{n}") for n in half)) for half in halves for c in contenders]
    control = tuple(trial("base", f"code-{n}", role="control") for n in range(prompts))
    return Plan(
        specbench_version="0",
        name="synthetic",
        suites={},
        contenders=contenders,
        prompts=tuple(prompt(f"code-{n}") for n in range(prompts)),
        blocks=tuple(
            Block(index=i, contender=name, trials=found) for i, (name, found) in enumerate([*trials, ("base", control)])
        ),
        until=0.1,
    )


def measured(plan: Plan, blocks: range, *, loud: float = 0.5) -> list[Result]:
    """The draft is twice as fast on every prompt; the loud one is so on average only."""
    found: list[Result] = []
    for block in plan.blocks[blocks.start : blocks.stop]:
        for n, t in enumerate(block.trials):
            own = {"planned": t, "block": block.index}
            if block.contender == "base":
                found.append(generation("base", t.prompt, **own))
            else:
                swing = 0.01 if block.contender == "draft" else loud
                found.append(drafted(t.prompt, who=block.contender, seconds=0.5 * exp(swing * (-1) ** n), **own))
    return found


def asked(plan: Plan, index: int, results: list[Result]) -> list[Enough]:
    return list(until.enough(plan, plan.blocks[index], results))


def test_a_contender_whose_speedup_is_known_stops_and_its_baseline_goes_on_for_the_others() -> None:
    plan = planned()
    results = measured(plan, range(3))
    assert asked(plan, 3, results) == []  # the baseline
    [draft] = asked(plan, 4, results)
    assert (draft.contender, draft.category) == ("draft", "code")
    assert draft.trials == tuple(t.id for t in plan.blocks[4].trials)
    assert draft.reason.startswith("speedup 2 known within ")
    assert asked(plan, 5, results) == []  # the loud one


def test_a_baseline_stops_with_the_last_contender_and_with_it_the_controls_of_what_was_not_run() -> None:
    plan = planned()
    [base] = asked(plan, 3, measured(plan, range(3), loud=0.02))
    unmeasured = {f"code-{n}" for n in range(6, 12)}
    assert set(base.trials) == {t.id for i in (3, 6) for t in plan.blocks[i].trials if t.prompt in unmeasured}


def test_what_later_blocks_measured_changes_no_decision() -> None:
    plan = planned()
    assert asked(plan, 5, measured(plan, range(6))) == asked(plan, 5, measured(plan, range(3))) == []


def test_a_contender_that_was_given_up_holds_no_baseline_and_one_that_may_still_come_does() -> None:
    plan = planned()
    results: list[Result] = [
        r for r in measured(plan, range(3)) if isinstance(r, Generation) and r.trial.contender != "loud"
    ]
    assert asked(plan, 3, results) == []
    results.append(Skip(contender="loud", block=None, reason="it is not here", hint="install it"))
    assert [e.contender for e in asked(plan, 3, results)] == ["base"]


def test_without_enough_prompts_for_an_interval_nothing_stops() -> None:
    plan = planned(prompts=8)
    assert asked(plan, 4, measured(plan, range(3))) == []


def test_a_plan_that_runs_to_its_end_is_never_asked() -> None:
    plan = replace(planned(), until=None)
    assert asked(plan, 4, measured(plan, range(3))) == []
    assert until.parts(plan) == {}


def test_the_report_has_the_interval_that_was_decided_by_and_says_what_was_not_run() -> None:
    plan = planned()
    results = measured(plan, range(3))
    decided = asked(plan, 4, results)
    rest = [r for r in measured(plan, range(6)) if isinstance(r, Generation) and r.trial.contender != "draft"]
    found = compare(plan, [*results[6:12], *rest, *decided])
    rows = {row.contender: row for row in found.rows}
    assert f"{until.half_width(rows['draft'].speedup):.1%}" in decided[0].reason
    assert (rows["draft"].trials, rows["draft"].planned) == (6, 6)
    assert (rows["loud"].trials, rows["loud"].planned) == (12, 12)
    notes = {n.code: n for n in found.notes}
    assert notes["STOPPED_EARLY"].contender == "draft"
    assert "6 trials were not run" in notes["STOPPED_EARLY"].message
    assert notes["TOO_WIDE"].contender == "loud"
    assert found.planned == found.measured == 30


def test_two_looks_make_every_interval_of_the_run_wider() -> None:
    plan = planned()
    results = measured(plan, range(6))
    one, two = (compare(p, results).rows[2].speedup for p in (replace(plan, until=None), plan))
    assert one is not None
    assert two is not None
    assert one.value == two.value
    assert (until.half_width(one) or 0) < (until.half_width(two) or 0)


def test_a_category_counts_as_much_as_it_was_planned_to() -> None:
    """Twelve prompts were planned in each; of code, twice as fast, half were enough."""
    four = tuple(f"{category}-{n}" for category in ("code", "json") for n in range(12))
    trials = {c.name: [trial(c.name, p) for p in four] for c in (BASE, DRAFT)}
    skipped = {f"code-{n}" for n in range(6, 12)}
    plan = Plan(
        specbench_version="0",
        name="synthetic",
        suites={},
        contenders=(BASE, DRAFT),
        prompts=tuple(prompt(p) for p in four),
        blocks=tuple(Block(index=i, contender=name, trials=tuple(ts)) for i, (name, ts) in enumerate(trials.items())),
        until=0.1,
    )
    kept = [p for p in four if p not in skipped]
    results: list[Result] = [generation("base", p) for p in kept]
    results += [drafted(p, seconds=0.5 if p.startswith("code") else 1.0) for p in kept]
    [overall] = [row for row in compare(plan, results).overall if row.contender == "draft"]
    assert overall.speedup is not None
    assert overall.speedup.value == pytest.approx(2**0.5)


def test_a_contender_that_stopped_is_compared_to_its_baseline_in_the_same_repeats() -> None:
    """The baseline went on for others, and was slower in its second repeat."""
    results: list[Result] = [drafted(f"code-{n}") for n in range(6)]
    results += [generation("base", f"code-{n}", repeat=r, seconds=1.0 + r) for n in range(6) for r in range(2)]
    found = compare(planned((BASE, DRAFT)), results).rows
    assert found[1].speedup is not None
    assert found[1].speedup.value == pytest.approx(2)
