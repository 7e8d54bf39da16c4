"""What is exported for other tools comes back through their importers as the same figures. The runs are synthetic."""

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from analysis.synthetic import BASE, DRAFT, counts, drafted, generation, plan

from specbench import api
from specbench.errors import InputError, UnavailableError
from specbench.peers.formats import figures
from specbench.records import DraftCounts, Generation, Machine, Plan, Result, Step
from specbench.report.for_peers import acceptance_records, llama_bench
from specbench.store import create
from specbench.structs import replace

FILES = Path(__file__).parents[1] / "peers" / "files"
MACHINE = Machine(system="Linux", cpu="a CPU")
POSITIONS = counts(80, 60, accepted_by_position=(30, 20, 7, 2, 1))  # 39 steps with a draft


@pytest.fixture(scope="module")
def results() -> list[Result]:
    base = [generation("base", f"code-{i}", seconds=1 + 0.1 * i) for i in range(3)]
    return [*base, *(drafted(f"code-{i}", seconds=0.5, counts=POSITIONS) for i in range(3))]


@pytest.fixture(scope="module")
def made(results: list[Result]) -> Plan:
    return plan(results, (BASE, DRAFT))


def test_an_exported_llama_bench_file_has_the_columns_of_a_real_one(made: Plan, results: list[Result]) -> None:
    text, others = llama_bench(made, MACHINE, results)
    rows = json.loads(text)
    real = json.loads((FILES / "llama-bench.json").read_text())[0]
    assert [list(row) for row in rows] == [list(real)] * len(rows)
    assert {row["model_type"] for row in rows} == {"base"}  # such a file says that nothing was drafted
    assert others == 1


def test_an_exported_llama_bench_file_is_imported_as_the_same_figures(made: Plan, results: list[Result]) -> None:
    kind, found = figures(llama_bench(made, MACHINE, results)[0].encode())
    speeds: dict[bool, list[float]] = {True: [], False: []}
    for g in results:
        assert isinstance(g, Generation)
        if g.trial.contender == "base":
            assert g.prefilled_tokens
            assert g.prefill_seconds
            assert g.decode_seconds
            speeds[True].append(100 / g.decode_seconds)
            speeds[False].append(g.prefilled_tokens / g.prefill_seconds)
    assert kind == "llama-bench"
    mine = [f for f in found if f.machine == "a CPU" and f.model == "t.gguf"][:4]  # the first contender's
    for figure in mine:
        expected = speeds[figure.conditions["n_gen"] != "0"]
        value = sum(expected) / 3 if figure.metric == "avg_ts" else median(expected)
        assert figure.value == pytest.approx(value, rel=1e-6)
    assert {f.conditions["n_gen"] for f in mine} == {"0", "100"}


def test_acceptance_records_satisfy_the_sums_that_aiperf_checks(made: Plan, results: list[Result]) -> None:
    text, lacking = acceptance_records(made, results)
    records = [json.loads(line)["spec_decode_acceptance"] for line in text.splitlines()]
    assert (len(records), lacking) == (3, 0)
    for record in records:
        histogram = {int(j): n for j, n in record["acceptance_histogram"].items()}
        assert sum(histogram.values()) == record["num_spec_steps"] == 39
        assert sum(j * n for j, n in histogram.items()) == record["num_accepted_draft_tokens"] == 60
        assert histogram == {0: 9, 1: 10, 2: 13, 3: 5, 4: 1, 5: 1}
        assert record["num_draft_tokens"] == 80


def test_acceptance_records_come_back_as_the_same_figures(made: Plan, results: list[Result]) -> None:
    found = figures(acceptance_records(made, results)[0].encode())[1]
    assert {f.metric: f.value for f in found} == {
        "draft_acceptance_rate": pytest.approx(60 / 80),
        "mean_acceptance_length": pytest.approx(1 + 60 / 39),
    }
    assert {(f.engine, f.model, f.category) for f in found} == {("llama-server", "draft", "code")}


def test_steps_give_the_histogram_where_they_are_recorded(made: Plan) -> None:
    steps = tuple(Step(drafted=d, accepted=a, emitted=a + 1, seconds=0.1) for d, a in ((4, 4), (4, 0), (0, 0), (4, 1)))
    own = DraftCounts(emitted=9, prefill_tokens=1, drafted=12, accepted=5, verification_steps=4, drafted_steps=3)
    text, lacking = acceptance_records(made, [drafted("code-0", seconds=0.5, counts=own, steps=steps)])
    assert json.loads(text)["spec_decode_acceptance"]["acceptance_histogram"] == {"4": 1, "0": 1, "1": 1}
    assert lacking == 0


def test_a_trial_whose_counts_do_not_add_up_is_left_out_and_counted(made: Plan, results: list[Result]) -> None:
    bad = drafted("code-1", seconds=0.5, counts=counts(80, 60, accepted_by_position=(30, 20)))
    assert acceptance_records(made, [*results, bad])[1] == 1
    unknown = drafted("code-1", seconds=0.5, counts=replace(counts(80, 60), drafted_steps=None))
    assert acceptance_records(made, [*results, bad, unknown])[1] == 2
    with pytest.raises(InputError, match="by position"):
        acceptance_records(made, [bad])


@pytest.fixture
def run(tmp_path: Path, made: Plan, results: list[Result]) -> Path:
    with create(tmp_path, made, MACHINE) as folder:
        for result in results:
            folder.append(result)
    return folder.path


@pytest.mark.parametrize("form", ["csv", "llama-bench", "aiperf"])
def test_a_run_on_disk_is_exported(form: str, run: Path) -> None:
    content, left_out = api.export(run, form)
    assert content
    assert (left_out is None) == (form != "llama-bench")  # the drafting contender


def test_no_column_stands_twice(run: Path) -> None:
    header = api.export(run, "csv")[0].decode().splitlines()[0].split(",")
    assert len(set(header)) == len(header)
    assert "first_token" in header


def test_a_parquet_file_holds_the_table_of_trials(run: Path, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow.parquet", reason="pip install 'specbench[sql]'")
    (tmp_path / "x.parquet").write_bytes(api.export(run, "parquet")[0])
    table: Any = pyarrow.read_table(tmp_path / "x.parquet")
    assert table.num_rows == 6
    assert table.column_names == list(api.load(run).columns)
    assert sum(table["accepted"].to_pylist()[3:]) == 180


def test_without_pyarrow_parquet_says_how_to_get_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "fastparquet", None)
    with pytest.raises(UnavailableError) as caught:
        api.export(run, "parquet")
    assert "specbench[sql]" in caught.value.hint


def test_an_unknown_format_is_corrected(run: Path) -> None:
    with pytest.raises(InputError) as caught:
        api.export(run, "parqet")
    assert "parquet" in caught.value.hint
