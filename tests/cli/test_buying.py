"""`specbench report --buy`, with the example list and with runs whose figures are invented."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from analysis.synthetic import contender, counts, drafted, generation, plan
from tiny_models import trunk, write
from typer.testing import CliRunner

from specbench import buying, datafiles, prediction, store
from specbench.analysis.comparison import compare
from specbench.analysis.prediction import reported, spread
from specbench.cli.main import app
from specbench.records import Accelerator, Machine
from specbench.report.buying import _answers, charts, remarks
from specbench.structs import replace, to_json

MIX = "code=0.6,rag-long=0.3,chat=0.1"
KNOWN = ("--model", "Qwen3.6-27B:Q4_K_M")
CARD = Accelerator(vendor="nvidia", pci_id="10de:2204", target="8.6", memory=25_769_803_776)  # an RTX 3090


def specbench(*argv: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "specbench", "report", *map(str, argv)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def bought(*argv: object) -> dict[str, Any]:
    """In this process: only what the command line does with errors needs one of its own."""
    done = CliRunner().invoke(app, ["report", "--buy", *map(str, argv), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def offer(found: dict[str, Any], name: str) -> dict[str, Any]:
    (one,) = (o for o in found["offers"] if o["name"] == name)
    assert isinstance(one, dict)
    return one


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 GB of Q8_0."""
    tensors = {**trunk(), "blk.0.ffn_gate.weight": (3_676_000, 4096)}
    return write(tmp_path_factory.mktemp("sparse") / "large.gguf", tensors=tensors)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    """On two RTX 3090."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    target = {"target_model": str(model), "target_label": "large"}
    contenders = (
        contender("none", **target),
        contender("mtp", "mtp", baseline="none", settings={"draft_tokens_max": 3}, **target),
    )
    results = [generation("none", f"code-{i}") for i in range(6)]
    results += [drafted(f"code-{i}", who="mtp", counts=counts(75, 60), draft_seconds=0.1) for i in range(6)]
    folder.mkdir()
    (folder / store.OPENINGS).touch()
    (folder / store.PLAN).write_bytes(to_json(replace(plan(results, contenders), name="synthetic")))
    (folder / store.MACHINE).write_bytes(to_json(Machine(system="Synthetic", accelerators=(CARD, CARD))))
    (folder / store.TRIALS).write_bytes(b"".join(to_json(r) + b"\n" for r in results))
    return folder


def test_the_question_is_answered_with_bands_and_the_prices_are_marked_as_examples() -> None:
    done = specbench("--buy", "--budget", 2500, "--mix", MIX, *KNOWN)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("EXAMPLE PRICES · What 2,500 dollars buy: Qwen3.6-27B Q4_K_M, 32k context")
    assert "insiderllm.com" in done.stdout
    assert "2026-02-28" in done.stdout
    found = bought("--budget", 2500, "--mix", MIX, *KNOWN)
    assert found["example"]
    assert "RTX 5090" in found["beyond"]
    assert [o["speed"]["value"] for o in found["offers"] if o["speed"]] == sorted(
        (o["speed"]["value"] for o in found["offers"] if o["speed"]), reverse=True
    )
    card = offer(found, "RTX 3090, used")
    assert card["figures"]["code"]["basis"] == "published"
    assert card["speed"]["low"] < card["speed"]["value"] < card["speed"]["high"]
    assert card["costs"]["per_million"]["low"] < card["costs"]["per_million"]["value"]
    small = offer(found, "RTX 4060 Ti 16 GB")
    assert (small["unknown"], small["speed"], small["costs"]["per_million"]) == ("does not fit", None, None)


def test_a_hosted_model_is_compared_at_writing_only_and_not_where_reading_is_the_work() -> None:
    """Its price a token read has nothing beside it: no figure of a machine holds the time of reading."""
    short = bought("--mix", "code=1", *KNOWN)
    assert short["api"]["value"] == 2.7
    assert "reading prompts is in neither figure" in specbench("--buy", "--mix", "code=1", *KNOWN).stdout
    long = bought("--mix", MIX, *KNOWN)
    assert (long["api"], long["api_name"]) == (None, None)
    assert any("rag-long reads far more than it writes" in text for text in long["notes"])


@pytest.mark.parametrize(
    ("name", "same"),
    [("my 14B", False), ("Qwen3.6-27B-Heretic-v2", False), ("Qwen3.6-35B-A3B", False), ("qwen3.6-27b IQ4_XS", True)],
)
def test_a_hosted_model_is_compared_with_the_same_model_only(name: str, tmp_path: Path, *, same: bool) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'name = "{name}"\nfile_bytes = 16e9\nkv_bytes_per_token = 65536\n', encoding="utf-8")
    found = bought("--mix", "code=1", "--model", file)
    assert (found["api"] is not None) == same
    told = f"API: Qwen3.6-27B, hosted is a price for Qwen3.6-27B, not for {name}: no verdict"
    assert (told in found["notes"]) != same
    page = tmp_path / "b.html"
    assert specbench("--buy", "--mix", "code=1", "--model", file, "--html", page).returncode == 0
    assert ("cheaper than the API" in page.read_text(encoding="utf-8")) == same


def test_a_model_is_compared_under_its_published_names() -> None:
    for known, same in (("Qwen3.6-27B-MTP:Q4_1", True), ("Qwen3.8-27B:Q4_K_M", False)):
        assert (bought("--mix", "code=1", "--model", known)["api"] is not None) == same


def test_a_card_of_which_only_a_doubtful_report_is_known_is_predicted() -> None:
    card = offer(bought("--mix", "chat=1", *KNOWN), "RTX 4090, used")
    assert card["figures"]["chat"]["basis"] == "predicted"  # the one report on it is of a virtual machine


def test_the_table_fits_80_columns() -> None:
    from specbench.report.buying import sections

    found = buying.buy(
        "Qwen3.6-27B:Q4_K_M", buying.prices(None), budget=None, mix=None, context=32768, runs=(), tau_from=None
    )
    first = sections(found)[0]
    shown = first.fitting(80)
    assert {"machine", "tok/s", "from", "to pay", "all in"} == {first.columns[i].name for i in shown}
    widths = (max(len(row[i]) for row in first.rows) for i in shown)
    assert sum(widths) + 2 * (len(shown) - 1) <= 80


def test_reports_are_as_far_from_each_other_as_their_interval_says() -> None:
    """Each project's reports on a machine, model and method that another reports on too, without its own."""
    reports = list(buying.published_reports(0))
    hits = [
        guess.low <= speed <= guess.high
        for key, source, speed, *_ in reports
        for guess in [reported(spread((k, s, v) for k, s, v, *_ in reports if (k, s) != (key, source)), key)]
        if guess is not None
    ]
    assert len(hits) > 20
    assert sum(hits) / len(hits) >= 0.9


def test_two_cards_that_hold_a_layer_each_are_as_fast_as_one() -> None:
    """What is predicted for one card holds the published pairs that do not split tensors."""
    table, rows = prediction.names(), prediction.published()[0]
    known = buying.profiles()
    checked = 0
    for row in prediction.published_rows():
        pair, quant = row["hardware"] in table["pairs"], prediction.quant_of(row)
        split = "tensor" in row["engine"] + row["method"]
        if pair and quant in table["bytes"] and row["model"] in table["sizes"]["models"] and not split:
            if not row["baseline_tok_s"]:
                continue
            model = buying.described(f"{row['model']}:{quant}")
            there = prediction.on_device(
                known[table["cards"][row["hardware"]].removeprefix("2x ")], (), model, context=0, rows=rows, memory=1e12
            )
            speed = there.guesses[0].speed
            assert speed is not None
            assert speed.low <= float(row["baseline_tok_s"]) <= speed.high, row
            checked += 1
    assert checked > 10


def test_tensors_split_over_a_pair_are_named_wherever_their_speed_is_shown() -> None:
    """Two RTX 5060 Ti: 22 tok/s with a layer each, 36 with tensors split, which only some models are published with."""
    listed = buying.prices(None)
    split, layers = (
        buying.buy(f"Qwen3.8-27B:{q}", listed, budget=None, mix={"code": 1.0}, context=4096, runs=(), tau_from=None)
        for q in ("UD-Q4_K_XL", "Q4_K_M")
    )
    name = "2 × RTX 5060 Ti 16 GB"
    one, other = (next(o for o in b.offers if o.name == name) for b in (split, layers))
    assert one.figures["code"] is not None
    assert other.figures["code"] is not None
    assert (one.figures["code"].method, one.figures["code"].plain) == ("none, tensor split", True)
    assert (other.figures["code"].method, other.figures["code"].basis) == ("none", "predicted")
    assert one.plain is not None
    assert other.plain is not None
    assert one.plain.value > 1.5 * other.plain.value
    assert any(line.startswith("tensor split: ") and name in line for line in remarks(split))
    assert not any("tensor split" in line for line in remarks(layers))
    assert [s.label for chart in charts(split) for s in chart.series if name in s.label] == [
        f"{name}, tensor split"
    ] * 2
    pair = replace(split, offers=(one,))
    assert {answer["head"] for answer in _answers(pair) if answer} == {f"{name}, tensor split"}


def test_tensor_split_of_the_speculative_run_alone_says_nothing_of_the_plain_one() -> None:
    places = {place for *_, model, place in buying.published_reports(0) if model == ("Qwen3.6-27B-MTP", "Q4_1")}
    pair = ("mi50-32gb", 2)
    assert places == {(pair, None, "none"), (pair, "chat", "mtp"), (pair, "chat", "mtp, tensor split")}


@pytest.mark.parametrize("model", ["Qwen3.8-27B:UD-Q4_K_XL", "Qwen3.6-27B:Q4_K_M", "Qwen3.8-27B:UD-Q6_K_XL"])
def test_no_plain_speed_is_above_what_the_cards_that_are_read_can_give(model: str) -> None:
    known, facts = buying.profiles(), buying.described(model)
    assert facts.read_bytes is not None
    listed = {machine.name: machine for machine in buying.prices(None).machines}
    found = buying.buy(model, buying.prices(None), budget=None, mix=None, context=131072, runs=(), tau_from=None)
    checked = 0
    for one in found.offers:
        machine = listed[one.name]
        for category, figure in one.figures.items():
            if figure is None or not figure.plain:
                continue
            fill = 131072 if category == "rag-long" else 4096
            cards = machine.count if figure.method.endswith("tensor split") else 1
            bandwidth = known[machine.device].figure("bandwidth")
            assert bandwidth is not None
            ceiling = cards * bandwidth / (facts.read_bytes + facts.kv(fill))
            assert figure.speed.high <= ceiling * (1 + 1e-9), (one.name, category)
            checked += 1
    assert checked > 10


def test_every_kind_of_work_has_reports_and_the_longest_text_names_it() -> None:
    kinds = prediction.names()["categories"]
    assert {text: buying.kind_of(text, kinds) for texts in kinds.values() for text in texts} == {
        text: kind for kind, texts in kinds.items() for text in texts
    }
    assert {buying.kind_of(row["category"], kinds) for row in prediction.csv_rows()} >= set(kinds)
    (edits,) = (
        row for row in prediction.published_rows() if row["category"] == "code edits" and row["tok_s"] == "25.2"
    )
    assert edits["method"] == "MTP"
    card = ("mi50-32gb", 1)
    assert any((speed, place) == (25.2, (card, "edit", "mtp")) for _, _, speed, _, place in buying.published_reports(0))


def test_a_cache_in_an_experimental_format_is_no_report_on_the_method() -> None:
    """TQ3 KV (32.6), TBQ4_0 KV (80 to 87) and turbo4 (41): only forks have them, and they slow decoding down."""
    speeds = {(place[0], speed) for _, _, speed, _, place in buying.published_reports(72000)}
    assert not speeds & {(("rtx3090", 1), 32.6), (("rtx3090", 1), 32.5), (("rtx3090", 1), 27.0)}
    assert not speeds & {(("rtx4090", 1), 80.0), (("rtx4090", 1), 87.0), (("rtx4090", 1), 41.0)}
    assert (("rtx4090", 1), 92.0) in speeds  # Q4_0 KV


@pytest.mark.parametrize("first", ["rented", "used"])
def test_of_machines_that_are_as_fast_the_one_to_buy_is_named_first(first: str) -> None:
    found = buying.buy(
        KNOWN[1], buying.prices(None), budget=None, mix={"code": 1.0}, context=4096, runs=(), tau_from=None
    )
    tied = sorted(
        (o for o in found.offers if o.name in {"RTX 3090, used", "RTX 3090, rented"}), key=lambda o: first not in o.name
    )
    assert tied[0].speed == tied[1].speed
    answers = {answer["question"]: answer for answer in _answers(replace(found, offers=tuple(tied))) if answer}
    for question in ("fastest on this work", "fastest when plain"):
        assert answers[question]["head"] == "RTX 3090, used"
        assert answers[question]["others"] == "not clearly before RTX 3090, rented"


def test_a_longer_context_slows_plain_decoding_down_by_the_bytes_that_it_reads() -> None:
    short, long = (
        offer(bought("--mix", "rag-long=1", "--context", k, *KNOWN), "MI50 32 GB, used") for k in ("4k", "64k")
    )
    share = (16.0e9 + 65536 * 4096) / (16.0e9 + 65536 * 65536)
    assert long["plain"]["value"] / short["plain"]["value"] == pytest.approx(share)
    assert long["lacking"] - short["lacking"] == 65536 * (65536 - 4096)


def test_a_run_on_a_machine_is_measured_and_gives_its_tokens_per_round_to_others(run: Path, model: Path) -> None:
    found = bought("--mix", "code=1", "--model", model, run)
    pair = offer(found, "2 × RTX 3090, used")
    assert (pair["figures"]["code"]["basis"], pair["figures"]["code"]["method"]) == ("measured", "mtp")
    other = offer(found, "RX 7900 XTX")
    assert (other["figures"]["code"]["basis"], other["figures"]["code"]["method"]) == ("predicted", "mtp")
    assert other["speed"]["value"] > other["plain"]["value"]
    plain = bought("--mix", "code=1", "--model", model)
    assert offer(plain, "RX 7900 XTX")["figures"]["code"]["method"] == "none"
    assert plain["notes"] == ["API: Qwen3.6-27B, hosted is a price for Qwen3.6-27B, not for large: no verdict"]


def test_the_plain_speed_of_a_run_of_two_engines_is_the_measured_one() -> None:
    where = {"target_label": "Qwen3.6-27B Q4_K_M"}
    contenders, results = [], []
    for engine, name in (("llama-server", "llama-server · none"), ("xllamacpp", "xllamacpp · none")):
        fast = name.replace("none", "mtp")
        contenders += [contender(name, engine=engine, **where), contender(fast, "mtp", baseline=name, **where)]
        results += [generation(name, f"code-{i}", seconds=4 + i / 100) for i in range(6)]
        results += [generation(name, f"chat-{i}", seconds=0.1 + i / 1000) for i in range(6)]
        results += [
            drafted(f"{work}-{i}", who=fast, seconds=2 + i / 100) for i in range(6) for work in ("code", "chat")
        ]
    made = plan(results, contenders)
    measured = store.Run(Path("two"), made, Machine(system="Synthetic", accelerators=(CARD,)), results)
    found = buying.buy(
        KNOWN[1], buying.prices(None), budget=None, mix={"code": 0.5, "chat": 0.5}, context=4096,
        runs=[(measured, compare(made, results))], tau_from=None,
    )  # fmt: skip
    (card,) = (o for o in found.offers if o.name == "RTX 3090, used")
    speeds = [600 / sum(each + i * step for i in range(6)) for each, step in ((4, 0.01), (0.1, 0.001))]
    assert card.plain is not None
    assert card.plain.value == pytest.approx(1 / sum(0.5 / speed for speed in speeds), rel=0.01)
    assert [f.method if f else None for f in card.figures.values()] == ["llama-server · mtp", "llama-server · none"]
    assert any("RTX 3090, used (chat)" in line for line in remarks(found))


def test_a_measurement_without_an_interval_is_told_and_not_used(run: Path, model: Path, tmp_path: Path) -> None:
    few = tmp_path / "few"
    shutil.copytree(run, few)
    lines = (few / store.TRIALS).read_bytes().splitlines(keepends=True)
    (few / store.TRIALS).write_bytes(b"".join(lines[:4] + lines[6:10]))  # 4 of 6 prompts of each method
    found = bought("--mix", "code=1", "--model", model, few)
    assert offer(found, "2 × RTX 3090, used")["figures"]["code"]["basis"] == "predicted"
    assert "few: no interval in code" in found["notes"][0]


def test_nothing_is_predicted_where_llama_cpp_does_not_run(tmp_path: Path) -> None:
    text = (datafiles.path("prices") / "example.toml").read_text(encoding="utf-8")
    (tmp_path / "list.toml").write_text(text.replace('device = "h100-pcie"', 'device = "tpu-v6e"'), encoding="utf-8")
    found = offer(bought("--mix", "code=1", *KNOWN, "--prices", tmp_path / "list.toml"), "H100 PCIe, rented")
    assert (found["unknown"], found["speed"]) == ("no basis", None)


def test_tokens_per_round_of_another_model_are_used_only_when_asked_for_and_said(run: Path) -> None:
    without = bought("--mix", "code=1", *KNOWN, run)
    assert "has no target Qwen3.6-27B Q4_K_M" in without["notes"][0]
    assert offer(without, "RX 7900 XTX")["figures"]["code"]["method"] == "none"
    with_tau = bought("--mix", "code=1", *KNOWN, "--tau-from", run)
    assert offer(with_tau, "RX 7900 XTX")["figures"]["code"]["method"] == "mtp"
    assert any("accepts drafts as large did in run" in line for line in with_tau["assumed"])


def test_a_model_can_be_described_and_what_is_assumed_is_said(tmp_path: Path) -> None:
    text = 'name = "my 14B"\nparameters = 14.8e9\nbytes_per_parameter = 0.61\nkv_bytes_per_token = 163840\n'
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    found = bought("--mix", "code=1", "--model", tmp_path / "mine.toml")
    assert found["assumed"] == [
        "the size of my 14B is as mine.toml says: 9.0 GB",
        "a token reads all of it",
    ]
    assert offer(found, "RTX 4060 Ti 16 GB")["lacking"] == pytest.approx(14.8e9 * 0.61 + 163840 * 32768 - 16 * 2**30)
    (tmp_path / "experts.toml").write_text(text + "dense = false\n", encoding="utf-8")
    sparse = bought("--mix", "code=1", "--model", tmp_path / "experts.toml")
    assert all(o["speed"] is None for o in sparse["offers"])
    assert "nothing is predicted: my 14B: nothing that could be tested" in sparse["notes"][0]


def test_page_and_charts_are_written(tmp_path: Path) -> None:
    done = specbench("--buy", *KNOWN, "--html", tmp_path / "b.html", "--charts", tmp_path / "charts")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (tmp_path / "b.html").read_text(encoding="utf-8").count("EXAMPLE PRICES") >= 4
    assert sorted(file.name for file in (tmp_path / "charts").iterdir()) == [
        f"{what}-qwen3.6-27b-q4-k-m.{form}" for what in ("power", "price") for form in ("png", "svg")
    ]


def test_several_runs_are_compared_machine_by_machine(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    (other / store.MACHINE).write_bytes(to_json(Machine(system="Synthetic", cpu="another")))
    text = specbench(run, other)
    assert text.returncode == 0, text.stderr
    assert "Who is faster at what: large, greedy" in text.stdout
    assert "B: other, another" in text.stdout
    assert specbench(run, other, "--format", "markdown").stdout.startswith("## Who is faster at what: large, greedy")
    found = json.loads(specbench(run, other, "--json").stdout)
    assert {s["drafter"]["value"] for s in found["standings"] if s["run"] == 1 and s["label"] == "mtp"} == {1.0}
    assert specbench(run, other, "--html", tmp_path / "m.html").stdout == ""
    assert "Drafter or hardware" in (tmp_path / "m.html").read_text(encoding="utf-8")
    wrong = specbench(run, other, "--format", "csv")
    assert (wrong.returncode, "this report has no format 'csv'" in wrong.stderr) == (2, True)


def test_a_run_is_laid_out_as_a_published_table(run: Path, tmp_path: Path) -> None:
    found = json.loads(specbench(run, "--like", "mtp-quants", "--json").stdout)
    assert found["rows"][0][:3] == ["Q4_K_M", "published", "15.1"]
    assert found["rows"][-2:] == [["F16", "published", "6.6", "17.9", "14.9", "12.6", "11"],
                                  ["", "run, greedy", "100", "200", "—", "—", "—"]]  # fmt: skip
    assert any("holds F16; none, mtp" in line for line in found["footnotes"])
    assert specbench(run, "--like", "mtp-quants", "--html", tmp_path / "like.html").returncode == 0
    assert "froggeric" in (tmp_path / "like.html").read_text(encoding="utf-8")
    wrong = specbench(run, "--like", "mtp-quant")
    assert (wrong.returncode, "did you mean 'mtp-quants'?" in wrong.stderr) == (2, True)


@pytest.mark.parametrize(
    ("argv", "what"),
    [
        (["--buy"], "--buy needs a model"),
        (["--buy", "--model", "Qwen3.6-27B:Q4"], "Qwen3.6-27B:Q4 is not there"),
        (["--buy", *KNOWN, "--mix", "cod=1"], "the mix has 'cod'"),
        (["--buy", *KNOWN, "--budget", "0"], "a budget of 0 dollars"),
        (["--buy", *KNOWN, "--budget", "nan"], "a budget of nan dollars"),
        (["--buy", *KNOWN, "--budget", "inf"], "a budget of inf dollars"),
        (["--buy", *KNOWN, "--prices", "nowhere.toml"], "nowhere.toml cannot be read"),
        (["--buy", *KNOWN, "--context", "many"], "'many' is not a number"),
        (["--buy", *KNOWN, "--format", "csv"], "this report has no format 'csv'"),
        (["--budget", "100"], "belong to --buy"),
    ],
)
def test_bad_input_is_told_in_two_lines(argv: list[str], what: str) -> None:
    done = specbench(*argv)
    assert done.returncode == 2
    assert what in done.stderr
    assert done.stderr.count("\n") == 2


def test_a_device_without_a_profile_is_named(tmp_path: Path) -> None:
    text = (datafiles.path("prices") / "example.toml").read_text(encoding="utf-8")
    (tmp_path / "list.toml").write_text(text.replace('device = "rtx4090"', 'device = "rtx409"'), encoding="utf-8")
    done = specbench("--buy", *KNOWN, "--prices", tmp_path / "list.toml")
    assert done.returncode == 2
    assert "RTX 4090, used: there is no hardware profile 'rtx409'" in done.stderr
    assert "did you mean 'rtx4090'?" in done.stderr
