"""Golden reports of a synthetic comparison: its figures are made up."""

import csv
import io
import json
import re
from itertools import pairwise

import pytest
from analysis.synthetic import contender, counts, drafted, failure, generation, ids, plan
from syrupy.assertion import SnapshotAssertion

from specbench.analysis.comparison import Comparison, compare
from specbench.analysis.lossless import Lossless
from specbench.analysis.stats import Estimate
from specbench.records import Result, Skip
from specbench.report import cells
from specbench.report.formats import FORMATS
from specbench.report.markdown import escaped
from specbench.report.section import GAP, MISSING, Section
from specbench.report.text import sections
from specbench.structs import replace

METHODS = ("none", "draft-model", "ngram-mod", "ngram-cache")
TARGET = {"target_label": "micro-f16", "target_note": "ballast: a synthetic target"}
CONTENDERS = tuple(contender(m, m, baseline=None if m == "none" else "none", **TARGET) for m in METHODS)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    results: list[Result] = []
    for category, pace in (("code", 0.5), ("summarise", 1.3), ("creative", 1.2)):
        for i in range(6):
            prompt = f"{category}-{i}"
            for temperature in (0.0, 0.8):
                sampled = {"temperature": temperature}
                positions = counts(80, 60, accepted_by_position=(30, 20, 7, 2, 1))
                results += [
                    generation("none", prompt, **sampled),
                    drafted(
                        prompt,
                        who="draft-model",
                        seconds=pace + 0.02 * i,
                        counts=positions,
                        draft_seconds=0.1,
                        **sampled,
                    ),
                    drafted(prompt, who="ngram-mod", seconds=0.9 * pace + 0.02 * i, counts=counts(0, 0), **sampled),
                ]
            results.append(generation("none", prompt, role="control"))
    results[1] = drafted("code-0", who="draft-model", seconds=0.5, output_ids=ids(63))
    results.append(failure("draft-model", "code-6"))
    results.append(Skip(contender="ngram-cache", block=None, reason="the engine has no such method", hint="update it"))
    return compare(plan(results, CONTENDERS), results)


@pytest.mark.parametrize("name", FORMATS)
def test_a_report_looks_as_agreed(name: str, comparison: Comparison, snapshot: SnapshotAssertion) -> None:
    assert steady(FORMATS[name](comparison)) == snapshot


def steady(text: str) -> str:
    """Without the last digits, in which processors differ."""
    return re.sub(r"\d+\.\d{8,}", lambda found: f"{float(found[0]):.10g}", text)


@pytest.mark.parametrize("width", [80, 160])
def test_the_terminal_shows_what_fits(width: int, comparison: Comparison, snapshot: SnapshotAssertion) -> None:
    assert "\n\n".join(drawn(section, width) for section in sections(comparison)) == snapshot


def drawn(section: Section, width: int) -> str:
    """As the command line draws it, without its lines."""
    shown = section.fitting(width)
    columns = [section.columns[i] for i in shown]
    units = [[c.unit for c in columns]] if any(c.unit for c in columns) else []
    table = [[c.name for c in columns], *units, *([row[i] for i in shown] for row in section.rows)]
    widths = [max(len(row[k]) for row in table) for k in range(len(shown))]
    sides = [section.columns[i].justify for i in shown]
    lines = [
        (" " * GAP).join(t.ljust(w) if s == "left" else t.rjust(w) for t, w, s in zip(row, widths, sides, strict=True))
        for row in table
    ]
    return "\n".join([section.title, *section.lines, *(line.rstrip() for line in lines if shown), *section.footnotes])


def test_the_first_lines_say_what_to_do(comparison: Comparison) -> None:
    first = sections(comparison)[0]
    assert first.title.startswith("Fastest method")
    assert [row[0] for row in first.rows] == ["code", "summarise", "creative", "all"]
    assert first.rows[1][1].startswith("switch it off")


def test_tables_of_a_plain_run_fit_into_80_columns(comparison: Comparison) -> None:
    for section in sections(comparison)[:3]:
        shown = section.fitting(80)
        assert max(len(line) for line in drawn(replace(section, title="", footnotes=()), 80).splitlines()) <= 80
        assert all(i in shown for i, column in enumerate(section.columns) if column.priority == 0)


def test_fixed_and_natural_lengths_are_not_mixed_in_silence() -> None:
    results: list[Result] = [generation("none", "json-0"), generation("none", "json-1", ignore_eos=False)]
    (note,) = sections(compare(plan(results, CONTENDERS[:1]), results))[0].footnotes
    assert note == "json: answers of fixed length and answers that end by themselves are in one row"


def test_columns_leave_by_priority() -> None:
    wide = sections_of_one()
    assert set(wide.fitting(1)) == {i for i, c in enumerate(wide.columns) if c.priority == 0}
    assert wide.fitting(10_000) == tuple(range(len(wide.columns)))
    shown = [set(wide.fitting(width)) for width in range(200)]
    assert all(one <= other for one, other in pairwise(shown))


def sections_of_one() -> Section:
    results: list[Result] = [generation("none", "code-0")]
    return sections(compare(plan(results, CONTENDERS[:1]), results))[-2]


def test_a_method_that_did_not_draft_shows_no_figure(comparison: Comparison) -> None:
    lines = [row for s in sections(comparison) for row in s.rows if len(row) > 1 and row[1] == "ngram-mod"]
    assert lines
    for line in lines:
        assert "did not draft" in line
        assert set(line[3:]) == {"did not draft", MISSING}


def test_json_is_strict_and_says_null_for_what_is_missing(comparison: Comparison) -> None:
    read = json.loads(FORMATS["json"](comparison))
    assert read["schema_version"] == 1
    silent = next(r for r in read["rows"] if r["contender"] == "ngram-mod")
    assert silent["speedup"] is None
    assert set(silent["metrics"].values()) == {None}


def test_csv_has_a_line_for_each_row_and_empty_cells_for_what_is_missing(comparison: Comparison) -> None:
    lines = list(csv.DictReader(io.StringIO(FORMATS["csv"](comparison))))
    assert len(lines) == len(comparison.rows) + len(comparison.overall)
    assert {line["speedup"] for line in lines if line["contender"] == "ngram-mod"} == {""}
    assert {line["category"] for line in lines} == {"code", "summarise", "creative", ""}


def test_pipes_and_markup_in_names_stay_text() -> None:
    assert escaped("a|b <i>*x*\n") == r"a\|b &lt;i>\*x\* "


@pytest.mark.parametrize(
    ("found", "short", "long"),
    [
        (None, "—", "not judged"),
        (Lossless(3, 3, kind="identical"), "yes", "yes"),
        (Lossless(3, 2, tie_flips=1, kind="tie flips"), "1 tie", "tie flips 1"),
        (Lossless(9, 7, first=63, kind="late divergence"), "late 64", "late divergence at token 64 (2 of 9 differ)"),
        (Lossless(9, 7, first=11, kind="diverged"), "no @12", "no: diverged at token 12"),
        (
            Lossless(9, 7, first=3, control_judged=6, control_differing=2, kind="engine not deterministic"),
            "not det.",
            "engine not deterministic: 2 of 6 control runs differ",
        ),
    ],
)
def test_losslessness_is_said_short_and_in_full(found: Lossless | None, short: str, long: str) -> None:
    assert cells.lossless_short(found) == short
    assert cells.lossless(found) == long


def test_numbers_have_no_false_precision() -> None:
    assert cells.with_interval(Estimate(1.3123, 1.1249, 1.5201, 9)) == "1.31 (1.12\N{EN DASH}1.52)"
    assert cells.with_interval(Estimate(1.3123, None, None, 2)) == "1.31"
    assert cells.rate(Estimate(1234.5, None, None, 2)) == "1230"
    assert cells.category("rag-long", 32768) == "rag-long 32k"
    assert cells.category("rag-long", 3000) == "rag-long 3000"


def test_energy_and_memory_have_columns_only_where_they_were_measured(comparison: Comparison) -> None:
    joules, tokens = Estimate(1.25, None, None, 1), Estimate(2.88e6, None, None, 1)
    row = comparison.rows[0]
    metrics = {**row.metrics, "energy_per_token": joules, "tokens_per_kwh": tokens}
    watched = replace(row, metrics=metrics, peak_memory=2.0**30, peak_device_memory=17.5 * 2**30)
    (section,) = (s for s in sections(replace(comparison, rows=(watched,), overall=())) if s.title.endswith("greedy"))
    shown = {(c.name, c.unit): cell for c, cell in zip(section.columns, section.rows[0], strict=True)}
    assert shown["energy", "J/tok"] == "1.25"
    assert shown["per kWh", "ktok"] == "2880"
    assert (shown["memory", "MiB"], shown["on GPU", "MiB"]) == ("1020", "17900")
    assert not {"energy", "per kWh", "memory", "on GPU"} & {c.name for c in sections_of_one().columns}
