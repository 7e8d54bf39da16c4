from specbench.analysis.details import Steps, _phases
from specbench.records import Step
from specbench.report.figures import _with_phases


def step(seconds: float, phases: dict[str, float] | None) -> Step:
    return Step(drafted=4, accepted=2, emitted=3, seconds=seconds, phases=phases)


def test_shares_of_phases_are_sums_over_all_steps() -> None:
    steps = [step(1.0, {"draft": 0.5, "catch_up": 0.0}), step(3.0, {"draft": 0.5, "catch_up": 1.0})]
    shares = _phases(steps, 4.0)
    assert shares == (("draft", 0.25), ("catch up", 0.25))
    assert _with_phases(Steps("t", "mtp", 2, (), shares)) == "mtp (draft 25 %, catch up 25 %)"


def test_an_engine_that_tells_no_phases_has_none() -> None:
    assert _phases([step(1.0, None)], 1.0) == ()
    assert _with_phases(Steps("t", "mtp", 1, ())) == "mtp"
