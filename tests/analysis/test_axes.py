"""Synthetic records: speedups along an axis are chosen, so that the break-even can be computed in the head."""

import csv
import io
from collections.abc import Mapping

import pytest
from analysis.synthetic import PROMPTS, contender, counts, drafted, generation, plan
from hypothesis import given
from hypothesis import strategies as st

from specbench.analysis.axes import Curve, Point, break_even
from specbench.analysis.comparison import Comparison, compare
from specbench.analysis.stats import Estimate
from specbench.records import Result, Setting
from specbench.report import cells
from specbench.report.formats import FORMATS
from specbench.report.text import sections


def points(speedups: Mapping[Setting, float], *, within: float = 1.0) -> list[Point]:
    """Speedups whose intervals reach `within` times up and down."""
    return [
        Point(value, 6, None, None, None, None, Estimate(speedup, speedup / within, speedup * within, 6), None)
        for value, speedup in speedups.items()
    ]


@pytest.mark.parametrize(
    ("speedups", "value", "falls"),
    [
        ({1024: 2.0, 4096: 0.5}, 2048, True),
        ({4096: 0.5, 1024: 2.0}, 2048, True),
        ({1: 2.0, 2: 1.0, 4: 0.5}, 2, True),
        ({1: 0.5, 4: 2.0}, 2, False),
        ({1: 0.5, 4: 2.0, 16: 0.5}, 8, True),  # where it stops to pay matters more than where it begins
    ],
)
def test_break_even_lies_on_a_straight_line_in_log_space(
    speedups: dict[Setting, float], value: float, *, falls: bool
) -> None:
    found = break_even(points(speedups))
    assert found is not None
    assert (found.value, found.falls) == (pytest.approx(value), falls)


@pytest.mark.parametrize("speedups", [{1: 2.0, 2: 1.5}, {1: 0.5, 2: 0.9}, {"f16": 2.0, "q8_0": 0.5}, {1: 2.0}])
def test_where_nothing_is_crossed_nothing_is_said(speedups: dict[Setting, float]) -> None:
    assert break_even(points(speedups)) is None


def test_break_even_lies_between_what_is_clearly_above_1_and_what_is_clearly_below() -> None:
    speedups: dict[Setting, float] = {1: 2.0, 2: 1.1, 4: 0.9, 8: 1.05, 16: 0.5}
    found = break_even(points(speedups, within=1.2))
    assert found is not None
    assert (found.falls, found.low, found.high) == (True, 1, 16)
    assert 2 < found.value < 4
    assert break_even(points(speedups, within=2.1)) is None


def test_a_crossing_within_the_noise_is_no_break_even() -> None:
    line = points({1: 0.89, 2: 1.03}, within=1.2)
    curve = Curve("streams", "t", "draft", None, None, None, tuple(line), break_even(line))
    assert cells.break_even(curve) == (
        "all, draft: break-even not known, × 0.89 at 1 and × 1.03 at 2 are not both told from 1"
    )


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=8))
def test_break_even_lies_between_the_points_that_it_names(speedups: list[float]) -> None:
    found = break_even(points({2**i: speedup for i, speedup in enumerate(speedups)}))
    assert (found is None) == (min(speedups) >= 1 or max(speedups) <= 1)
    if found is not None:
        assert found.low <= found.value * (1 + 1e-9)
        assert found.value <= found.high * (1 + 1e-9)


@pytest.mark.parametrize(
    ("speedups", "value"),
    [
        ({0.0: 2.0, 0.5: 0.5, 1.0: 0.4}, 0.25),
        ({0: 0.5, 2: 2.0}, 1.0),
        ({-1: 4.0, 1: 2.0}, None),
    ],
)
def test_from_0_the_line_is_straight_in_the_value_itself_and_below_0_is_no_axis(
    speedups: dict[Setting, float], value: float | None
) -> None:
    curve = Curve(
        "temperature", "t", "draft", "code", None, None, tuple(points(speedups)), break_even(points(speedups))
    )
    assert (curve.break_even and curve.break_even.value) == (value and pytest.approx(value))
    said = cells.break_even(curve)
    assert said is None if value is None else said is not None and f"temperature {value:g} (×" in said


@pytest.fixture
def comparison() -> Comparison:
    """Draft length 1 and 4, each at fill 1k and 4k: acceptance falls with it, speedups are 2, 1.5 and 0.5, 0.75."""
    draft = [
        contender(f"draft draft_tokens_max={n}", "draft-model", baseline="none", settings={"draft_tokens_max": n})
        for n in (1, 4)
    ]
    speedups = {(1, 1024): 2.0, (4, 1024): 1.5, (1, 4096): 0.5, (4, 4096): 0.75}
    results: list[Result] = []
    for fill in (1024, 4096):
        results += [generation("none", p, fill=fill) for p in PROMPTS]
        positions = counts(80, 60, accepted_by_position=(39, 21) if fill == 1024 else (39, 13))
        for n in (1, 4):
            name, seconds = f"draft draft_tokens_max={n}", 1 / speedups[n, fill]
            results += [drafted(p, who=name, fill=fill, seconds=seconds, counts=positions) for p in PROMPTS]
    return compare(plan(results, (contender("none"), *draft)), results)


def test_each_axis_is_followed_with_all_others_fixed(comparison: Comparison) -> None:
    found = {
        (c.axis, c.label, c.category, c.fill): [p.speedup.value if p.speedup else None for p in c.points]
        for c in comparison.curves
    }
    assert found == {
        ("draft_tokens_max", "draft", "code", 1024): [2.0, 1.5],
        ("draft_tokens_max", "draft", "code", 4096): [0.5, pytest.approx(0.75)],
        ("draft_tokens_max", "draft", None, None): [pytest.approx(1.0), pytest.approx((1.5 * 0.75) ** 0.5)],
        ("fill", "none", "code", None): [None, None],
        ("fill", "draft draft_tokens_max=1", "code", None): [2.0, 0.5],
        ("fill", "draft draft_tokens_max=4", "code", None): [1.5, pytest.approx(0.75)],
    }
    drift = next(c for c in comparison.curves if c.label == "draft draft_tokens_max=4")
    first = [p.accepted_by_position for p in drift.points]
    assert first == [(1, 21 / 39), (1, 13 / 39)]


def test_the_report_has_a_table_for_each_axis_and_says_where_it_stops_to_pay(comparison: Comparison) -> None:
    along = {s.title: s for s in sections(comparison) if s.title.startswith("Along")}
    assert list(along) == ["Along draft_tokens_max: target, greedy", "Along fill: target, greedy"]
    fill = along["Along fill: target, greedy"]
    assert [row[:3] for row in fill.rows][2:4] == [("code", "draft draft_tokens_max=1", "1k"), ("", "", "4k")]
    assert fill.footnotes[0] == "code, draft draft_tokens_max=1: pays below fill 2050 (× 2.00 at 1k, × 0.50 at 4k)"
    never = along["Along draft_tokens_max: target, greedy"].footnotes
    assert never[0] == "code 1k, draft: break-even not reached, at worst × 1.50 at 4"
    assert never[1] == "code 4k, draft: break-even not reached, at best × 0.75 at 4"
    assert "Along fill" in FORMATS["markdown"](comparison)
    assert ",draft_tokens_max\n" in FORMATS["csv"](comparison)
    assert '"break_even": {' in FORMATS["json"](comparison)


def test_two_temperatures_are_no_axis_and_three_are() -> None:
    def axes(*temperatures: float) -> set[str]:
        results: list[Result] = [generation("none", p, temperature=t) for t in temperatures for p in PROMPTS]
        return {c.axis for c in compare(plan(results, (contender("none"),)), results).curves}

    assert (axes(0, 0.8), axes(0, 0.4, 0.8)) == (set(), {"temperature"})


@pytest.mark.parametrize(
    ("files", "title", "values"),
    [
        ({"m-Q4_K_M": "Q4_K_M", "m-Q8_0": "Q8_0"}, "Along quant: m, greedy", ["Q4_K_M", "Q8_0"]),
        ({"m": "Q8_0", "m-f16": "F16"}, "Along quant: m, greedy", ["Q8_0", "F16"]),  # as the embedded ones are called
        ({"m-UD-Q4_K_XL": "Q4_K_M", "m-Q4_K_M": "Q4_K_M"}, "Along quant: m, greedy", ["UD-Q4_K_XL", "Q4_K_M"]),
        ({"m-Q8_0": "Q8_0", "n-Q4_0": "Q4_0"}, None, []),
        ({"m": None, "m-F16": "F16"}, None, []),
    ],
)
def test_files_of_one_target_that_differ_in_quantisation_stand_side_by_side(
    files: dict[str, str | None], title: str | None, values: list[str]
) -> None:
    both = [
        contender(f"{label} · {method}", method, baseline=baseline, target_label=label, target_quant=quant)
        for label, quant in files.items()
        for method, baseline in (("none", None), ("draft-model", f"{label} · none"))
    ]
    results: list[Result] = [generation(c.name, p) for c in both for p in PROMPTS if c.method == "none"]
    results += [drafted(p, who=c.name, seconds=0.5) for c in both for p in PROMPTS if c.method != "none"]
    found = {s.title: s for s in sections(compare(plan(results, both), results)) if s.title.startswith("Along")}
    assert list(found) == ([title] if title else [])
    table = [*csv.DictReader(io.StringIO(FORMATS["csv"](compare(plan(results, both), results))))]
    assert {(row["target"], row.get("quant")) for row in table} == set(zip(files, values or [None, None], strict=True))
    if title:
        rows = found[title].rows
        assert [row[:3] for row in rows[:2]] == [("code", "none", values[0]), ("", "", values[1])]
        assert [row[1:3] for row in rows[2:4]] == [("draft-model", values[0]), ("", values[1])]


def test_several_engines_and_several_files_give_a_curve_along_quant_for_each_engine() -> None:
    both = [
        contender(f"{engine} · {label} · {method}", method, engine=engine, target_label=label,
                  baseline=f"{engine} · {label} · none" if method != "none" else None)
        for engine in ("llama-server", "server") for label in ("server-Q4_0", "server-Q8_0")
        for method in ("none", "draft-model")
    ]  # fmt: skip
    results: list[Result] = [generation(c.name, p) for c in both for p in PROMPTS if c.method == "none"]
    results += [drafted(p, who=c.name, seconds=0.5) for c in both for p in PROMPTS if c.method != "none"]
    found = {(c.axis, c.target, c.label, len(c.points)) for c in compare(plan(results, both), results).curves}
    assert found == {
        ("quant", "server", f"{engine} · {method}", 2)
        for engine in ("llama-server", "server")
        for method in ("none", "draft-model")
    }


def test_values_are_written_as_a_user_writes_them() -> None:
    shown = [cells.setting("fill", 32768), cells.setting("fill", 3000), cells.setting("template", value=True)]
    assert shown == ["32k", "3000", "true"]
    assert [cells.setting("p_min", value) for value in (0.5, 1, "q8_0")] == ["0.5", "1", "q8_0"]
