"""Published tables: every cell is a published figure, and the run's cell is what it says."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from analysis.synthetic import contender, counts, drafted, generation, plan

from specbench import datafiles, reproduction, store
from specbench.analysis.comparison import compare
from specbench.records import Machine

TABLES = reproduction.tables()
CSV = (datafiles.path("results/published") / "results.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TABLES)
def test_every_row_and_column_of_a_table_has_a_published_figure(name: str) -> None:
    section = reproduction.like(name, [])
    table = [row[2:] for row in section.rows]
    assert all(any(cell != "—" for cell in row) for row in table)
    own = [i for i, column in enumerate(TABLES[name].columns) if column.figure]
    assert own
    assert all(any(row[i] != "—" for row in table) for i in own)
    assert section.footnotes[0] == f"published: {TABLES[name].source}"


def test_published_cells_are_the_figures_of_results_csv() -> None:
    rows = [r for r in csv.DictReader(io.StringIO(CSV)) if r["system"] == "13-mtp-reality-check" and r["tok_s"]]
    shown = {row[0]: row[3:] for row in reproduction.like("mtp-quants", []).rows}
    assert len(rows) == 20
    for row in rows:
        cell = shown[row["quant"]][("code", "factual", "analysis", "creative").index(row["category"])]
        assert float(cell) == float(row["tok_s"])


def test_a_range_and_a_doubtful_row_are_seen() -> None:
    rows = [
        {"a": "x", "v": "2", "status": "ok"},
        {"a": "xy", "v": "3", "status": "lead"},
        {"a": "z", "v": "9", "status": "ok"},
    ]
    assert reproduction._published(rows, {"a": "x"}, "v") == "2–3 ?"
    assert reproduction._published(rows, {"a": "z"}, "v") == "9"
    assert reproduction._published(rows, {"a": "q"}, "v") == "—"


def test_the_fastest_row_that_fits_is_shown_and_a_quantisation_of_the_run_is_a_row_of_its_own(tmp_path: Path) -> None:
    who = {"target_quant": "IQ3_S"}
    made = (
        contender("base", **who),
        contender("two", "mtp", baseline="base", settings={"draft_tokens_max": 2}, **who),
        contender("four", "mtp", baseline="base", settings={"draft_tokens_max": 4}, **who),
    )
    results = [generation("base", "code-0"), drafted("code-0", who="two", seconds=0.5, counts=counts(80, 60))]
    results.append(drafted("code-0", who="four", seconds=0.25, counts=counts(80, 70)))
    planned = plan(results, made)
    run = store.Run(tmp_path / "mine", planned, Machine(system="Synthetic"), results)
    section = reproduction.like("mtp-quants", [(run, compare(planned, results))])
    assert section.rows[-1] == ("", "mine, greedy", "100", "400", "—", "—", "—")
    assert section.rows[-2][:2] == ("IQ3_S", "published")


def test_a_line_is_of_one_engine_although_another_is_faster_in_parts_of_it(tmp_path: Path) -> None:
    who = {"target_quant": "Q4_K_M"}
    made = (
        contender("slow", **who),
        contender("mtp", "mtp", baseline="slow", **who),
        contender("fast", engine="another", **who),  # plain only
    )
    results = [generation("slow", "code-0"), generation("fast", "code-0", seconds=0.01)]
    results.append(drafted("code-0", who="mtp", seconds=0.5, counts=counts(80, 60)))
    found = compare(plan(results, made), results)
    wanted = [
        ({"category": "code", "method": m}, shows)
        for m, shows in (("none", "decode"), ("mtp", "decode"), ("mtp", "speedup"))
    ]
    assert reproduction._mine(found, wanted) == (", greedy", ["100", "200", "2"])
    assert reproduction._mine(found, wanted[:1]) == (", greedy", ["10000"])


@pytest.mark.parametrize(
    ("settings", "beside"),
    [
        ({}, []),
        ({"cache_type": "f16"}, ["not compressed"]),
        ({"cache_type": "q8_0"}, []),
        ({"cache_type_k": "q8_0", "cache_type_v": "q5_1"}, ["q8_0 / q5_1"]),
    ],
)
def test_a_run_stands_beside_its_own_cache_types_only(
    tmp_path: Path, settings: dict[str, Any], beside: list[str]
) -> None:
    who = {"engine_settings": settings}
    made = (contender("base", **who), contender("fast", "dflash", baseline="base", **who))
    results = [generation("base", "code-0"), drafted("code-0", who="fast", seconds=0.5)]
    planned = plan(results, made)
    run = store.Run(tmp_path / "mine", planned, Machine(system="Synthetic"), results)
    section = reproduction.like("dflash-5090-kv", [(run, compare(planned, results))])
    pairs = zip(section.rows[::2], section.rows[1::2], strict=True)
    assert [row[0] for row, own in pairs if own[2:] != ("—", "—")] == beside
