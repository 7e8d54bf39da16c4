"""Imported and published figures stand beside the run's own, never among them. The run is synthetic."""

import csv
import tomllib

import pytest
from analysis.synthetic import contender, counts, drafted, generation, plan

from specbench import datafiles, prediction
from specbench.analysis.comparison import Comparison, compare
from specbench.errors import InputError
from specbench.hardware.profiles import profiles
from specbench.peers.figure import Figure, Imported
from specbench.records import Accelerator, Machine, Result
from specbench.report.beside import imported_section, published_section
from specbench.report.formats import rendered
from specbench.report.section import MISSING, Section

FOLDER = datafiles.path("results/published")
TABLE = tomllib.loads((FOLDER / "prediction.toml").read_text(encoding="utf-8"))
RTX3090 = Accelerator(vendor="nvidia", pci_id="10de:2204", target="8.6", memory=25_769_803_776)


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    names = {"target_label": "Qwen3.6-27B-Q4_K_M"}
    contenders = (contender("none", **names), contender("mtp", "mtp", baseline="none", **names))
    results: list[Result] = []
    for i in range(5):
        results += [
            generation("none", f"code-{i}", seconds=2.0),
            drafted(f"code-{i}", who="mtp", seconds=1.0, counts=counts(80, 60)),
        ]
    return compare(plan(results, contenders), results)


def figure(**facts: object) -> Figure:
    plain = {"tool": "tool", "metric": "rate", "definition": "accepted / drafted", "value": 70.0, "unit": "%"}
    return Figure(**plain | facts)  # type: ignore[arg-type]


def section(comparison: Comparison | None, *figures: Figure) -> Section:
    return imported_section(
        Imported(specbench_version="1", file="x.json", sha256="0", format="f", figures=figures), comparison
    )


def cell(shown: Section, column: str, row: int = 0) -> str:
    return shown.rows[row][[c.name for c in shown.columns].index(column)]


def test_ours_is_shown_where_the_definition_is_the_same_and_in_the_unit_of_the_other(comparison: Comparison) -> None:
    same = {"same_as": "draft_acceptance_rate", "scale": 0.01}
    shown = section(comparison, figure(**same), figure(metric="other"), figure(method="eagle3", **same))
    assert [cell(shown, "here", i) for i in range(3)] == ["75", MISSING, MISSING]
    assert "not measured by specbench" in shown.title
    assert "rate: accepted / drafted (our draft_acceptance_rate)" in shown.footnotes


def test_columns_that_a_tool_does_not_tell_are_left_out() -> None:
    assert [c.name for c in section(None, figure()).columns] == ["tool", "metric", "value", "unit"]


def test_published_rows_of_the_same_card_method_and_model_stand_after_the_runs_own(comparison: Comparison) -> None:
    shown = prediction.published_beside(Machine(system="Linux", accelerators=(RTX3090,)), comparison)
    assert shown.title == "Published about rtx3090, not measured by specbench"
    names = [row[0] for row in shown.rows]
    own = [i for i, name in enumerate(names) if name.startswith("this run: ")]
    assert own[0] == 0
    assert all(names[i].startswith("MTP") for i in range(own[-1] + 1, len(names)))
    assert {cell(shown, "model", i).removesuffix("-Q4_K_M").removesuffix("-MTP") for i in range(len(names))} == {
        "Qwen3.6-27B"
    }
    assert all(cell(shown, "source", i) != MISSING for i in range(len(names)) if i not in own)
    assert cell(shown, "status", 0) == "measured"
    assert cell(shown, "baseline", 0) != MISSING


def test_two_cards_are_not_one_and_a_machine_without_a_card_says_why(comparison: Comparison) -> None:
    two = prediction.published_beside(Machine(system="Linux", accelerators=(RTX3090, RTX3090)), comparison)
    assert "2x rtx3090" in two.title
    none = prediction.published_beside(Machine(system="Linux"), comparison)
    assert none.lines == ("no row is about this machine: it has no card",)


def test_retracted_rows_are_never_shown(comparison: Comparison) -> None:
    with (FOLDER / "results.csv").open(encoding="utf-8", newline="") as file:
        gone = next(row for row in csv.DictReader(file) if row["status"] == "retracted")
    card = next(p for p in profiles().values() if p.id == TABLE["devices"].get(gone["hardware"], "mi50-32gb"))
    device = Accelerator(
        vendor=card.vendor,  # type: ignore[arg-type]
        pci_id=card.identity.pci_ids[0],
        target=card.identity.target,
        memory=int(card.figure("memory") or 0),
        units=card.identity.units,
    )
    shown = prediction.published_beside(Machine(system="Linux", accelerators=(device,)), comparison)
    assert shown.rows
    assert not any(gone["tok_s"] in row for row in shown.rows)


def test_a_method_of_which_nothing_is_published_says_so(comparison: Comparison) -> None:
    assert published_section("card", [], comparison).lines == ("nothing is published for this run's methods",)


def test_every_name_in_the_tables_occurs_and_every_method_is_ours() -> None:
    with (FOLDER / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert set(TABLE["cards"]) <= {row["hardware"] for row in rows}
    assert not set(TABLE["cards"]) & set(TABLE["devices"])
    assert all(any(row["method"].startswith(begin) for row in rows) for begin in TABLE["methods"])


def test_markdown_takes_what_others_measured_and_csv_refuses_it(comparison: Comparison) -> None:
    shown = section(comparison, figure())
    assert "Imported, not measured by specbench: x.json" in rendered("markdown", comparison, [shown])
    assert rendered("csv", comparison, [])
    with pytest.raises(InputError, match="csv"):
        rendered("csv", comparison, [shown])
