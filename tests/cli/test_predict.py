"""`specbench predict` on a run with invented figures and a model whose weights are a hole in the file."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from analysis.synthetic import contender, counts, drafted, generation, opening, plan
from tiny_models import trunk, write

from specbench import prediction, store
from specbench.analysis.comparison import compare
from specbench.measurements import HardwareMeasurement, VerificationPasses
from specbench.records import Machine
from specbench.report.predicted import predicted_section
from specbench.structs import replace, to_json


def specbench(*argv: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "specbench", *map(str, argv)]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 GB of Q8_0."""
    tensors = {**trunk(), "blk.0.ffn_gate.weight": (3_676_000, 4096)}
    return write(tmp_path_factory.mktemp("sparse") / "large.gguf", tensors=tensors)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    target = {"target_model": str(model), "target_label": "large"}
    contenders = (
        contender("none", **target),
        contender("mtp", "mtp", baseline="none", settings={"draft_tokens_max": 3}, **target),
    )
    results = [generation("none", f"code-{i}") for i in range(6)]
    results += [drafted(f"code-{i}", who="mtp", counts=counts(75, 60), draft_seconds=0.1) for i in range(6)]
    made = replace(plan(results, contenders), name="synthetic")
    folder.mkdir()
    (folder / store.OPENINGS).touch()
    (folder / store.PLAN).write_bytes(to_json(made))
    (folder / store.MACHINE).write_bytes(to_json(Machine(system="Synthetic")))
    (folder / store.TRIALS).write_bytes(b"".join(to_json(r) + b"\n" for r in results))
    return folder


def test_a_run_is_carried_over_to_other_hardware(run: Path) -> None:
    done = specbench("predict", run, "--on", "rtx3090,h100-sxm,rtx3060-12gb", "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    devices = {device["device"]: device for device in found["devices"]}
    assert devices["rtx3060-12gb"]["lacking"] > 0
    assert devices["rtx3060-12gb"]["guesses"] == []
    plain, code, *_ = devices["rtx3090"]["guesses"]
    assert plain["speed"]["basis"] == "published for this device"
    assert plain["speed"]["low"] < 936.2e9 * 0.62 / found["read_bytes"] < plain["speed"]["high"]
    assert code["category"] == "code"
    assert 1 < code["speedup"]["value"] < code["tokens_per_round"]
    assert code["speed"]["value"] == pytest.approx(plain["speed"]["value"] * code["speedup"]["value"])
    assert devices["h100-sxm"]["guesses"][0]["speed"]["basis"] == "other devices"


def test_each_fill_of_the_run_and_work_that_a_method_was_silent_in_are_told() -> None:
    where = {"target_label": "Qwen3.6-27B Q4_K_M"}
    both = (
        contender("base", **where),
        contender("mtp", "mtp", baseline="base", settings={"draft_tokens_max": 3}, **where),
    )
    results = [generation("base", f"chat-{i}") for i in range(6)]
    results += [generation("mtp", f"chat-{i}", counts=counts(0, 0)) for i in range(6)]
    for fill, accepted in ((1024, 70), (32768, 20)):
        results += [generation("base", f"rag-{i}", fill=fill) for i in range(6)]
        results += [
            drafted(f"rag-{i}", who="mtp", fill=fill, seconds=0.9, counts=counts(120, accepted)) for i in range(6)
        ]
    run = compare(plan(results, both), results)
    models = {"Qwen3.6-27B Q4_K_M": "Qwen3.6-27B:Q4_K_M"}
    (found,), _ = prediction.predict(models, run, on=["rtx3090"], context=4096)
    section = predicted_section(found)
    works = ["plain", "rag 1k, greedy", "rag 32k, greedy", "all (1/2), greedy"]
    assert [row[1] for row in section.rows] == works
    assert any(line.startswith("work with a fill: ") for line in section.footnotes)


def test_a_table_says_that_it_is_no_measurement(run: Path, model: Path) -> None:
    for argv in ((run,), ("--model", model)):
        done = specbench("predict", *argv, "--on", "rtx3090,rtx3060-12gb")
        assert done.returncode == 0, done.stderr
        assert "Predicted, not measured: large" in done.stdout
        assert "does not fit" in done.stdout


def test_a_target_that_is_a_folder_does_not_stop_the_others(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "large-folder"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}))
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    there = tmp_path / "both"
    shutil.copytree(run, there)
    plan_now = store.read(run).plan
    other = contender("other", target_model=str(folder), target_label="folder")
    (there / store.PLAN).write_bytes(to_json(replace(plan_now, contenders=(*plan_now.contenders, other))))
    done = specbench("predict", there, "--on", "rtx3090", "--json")
    assert done.returncode == 0, done.stderr
    assert [found["target"] for found in json.loads(done.stdout)] == ["large"]
    assert "warning: folder: large-folder is a folder of safetensors" in done.stderr


@pytest.mark.parametrize(("settings", "known"), [({"tree_budget": 22}, True), ({"draft_tokens_max": 3}, False)])
def test_dflash_is_predicted_with_a_draft_tree_and_not_without(
    settings: dict[str, int], run: Path, tmp_path: Path, *, known: bool
) -> None:
    there = tmp_path / "tree"
    shutil.copytree(run, there)
    made = store.read(run).plan
    plain, drafting = made.contenders
    tree = replace(drafting, method="dflash", settings=settings)
    (there / store.PLAN).write_bytes(to_json(replace(made, contenders=(plain, tree))))
    done = specbench("predict", there, "--on", "rtx3090", "--json")
    assert done.returncode == 0, done.stderr
    (device,) = json.loads(done.stdout)[0]["devices"]
    gains = [guess["speedup"]["value"] / guess["tokens_per_round"] for guess in device["guesses"][1:]]
    assert bool(gains) == known
    assert all(0.3 < gain < 0.6 for gain in gains)  # published rounds with a tree of 22: 1.9 to 3.0 plain steps


def test_a_model_that_is_published_needs_no_file() -> None:
    done = specbench("predict", "--model", "Qwen3.6-27B:Q4_K_M", "--on", "rtx3090", "--context", "32k", "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert found["read_bytes"] == 16.0e9 + 65536 * 32768


def test_the_backtest_is_a_command() -> None:
    done = specbench("predict", "--backtest")
    assert done.returncode == 0, done.stderr
    assert "plain speed" in done.stdout


@pytest.mark.parametrize(
    ("argv", "what", "fix"),
    [
        (["--model", "nowhere.gguf"], "nowhere.gguf is not there", "GGUF"),
        (["--model", "micro/weights/target-q8_0.gguf"], "so small a model", "or more"),
        (["--model", "MODEL", "--on", "rtx309"], "no hardware profile 'rtx309'", "rtx3090"),
    ],
)
def test_bad_input_is_told_in_two_lines(argv: list[str], what: str, fix: str, model: Path) -> None:
    done = specbench("predict", *(str(model) if word == "MODEL" else word for word in argv))
    assert done.returncode == 2
    assert what in done.stderr
    assert fix in done.stderr
    assert done.stderr.count("\n") == 2


def test_with_a_curve_a_round_costs_what_was_drafted_and_only_for_its_own_model(run: Path, tmp_path: Path) -> None:
    target = contender("none", target_label="large", target_model="large.gguf")
    passes = [VerificationPasses(positions=k, passes=1, seconds=(0.1 * k,) * 5) for k in (1, 4, 8)]
    measured = HardwareMeasurement(
        specbench_version="0", started=0.0, machine=Machine(system="Synthetic"), load_average=None, host_bandwidth=(),
        device_bandwidth={}, contender=target, opening=opening("none"), model_bytes=1, fill=0,
        verification=tuple(passes),
    )  # fmt: skip
    record = tmp_path / "curve.json"
    record.write_bytes(to_json(measured))
    done = specbench("predict", run, "--curve", record, "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    guess = found["devices"][0]["guesses"][0]
    assert (guess["speedup"]["low"], guess["speedup"]["high"]) == (None, None)
    drafting = 0.1 / 0.5 * guess["tokens_per_round"] / 2.0  # share of the round x its cost, at twice the speed
    verifying = 1 + 75 / 40  # of 1 + 3 asked for
    assert guess["speedup"]["value"] == pytest.approx(guess["tokens_per_round"] / (drafting + verifying))
    record.write_bytes(to_json(replace(measured, contender=replace(target, target_label="other"))))
    other = specbench("predict", run, "--curve", record)
    assert (other.returncode, "is the curve of other" in other.stderr) == (2, True)
    assert specbench("predict", run, "--curve", "nowhere.json").returncode == 2
