"""`specbench inspect`, and runs that are planned from `--model` alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_models as tiny

from specbench import datafiles, pipeline, store
from specbench.errors import InputError
from specbench.hardware.detect import detect
from specbench.inspection import inspect_model
from specbench.planning.runfile import validate_runfile
from specbench.records import Plan
from specbench.report.inspection import Drafting, Inspection, as_json, sections
from specbench.structs import from_json, to_json

ROOT = Path(__file__).resolve().parents[1]
SMALL = {"tensors": tiny.trunk(1), "block_count": 1}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tiny.write(tmp_path / "m" / "target.gguf", tensors=tiny.trunk(24), block_count=24, context_length=131072)


def inspect(path: Path | str, *, drafters: tuple[str, ...] = (), discover: bool = True) -> Inspection:
    home = Path(path).parent / "home"
    return inspect_model(str(path), drafters=drafters, discover=discover, environment={}, home=home)


def of_llama_cpp(found: Inspection) -> list[Drafting]:
    able = [engine for engine in found.engines if engine.engine in ("llama-server", "xllamacpp")]
    assert len(able) == 2
    return able


def plan(target: Path, **asked: object) -> Plan:
    targets = [{"model": str(target), "drafters": asked.pop("drafters", ())}]
    runfile = validate_runfile({"targets": targets, "categories": ["code"], "prompts_per_category": 1, **asked})
    return pipeline.plan_run(runfile, environment={}, home=target.parent / "home")


def test_the_methods_of_each_engine_follow_from_the_file_and_the_drafters(target: Path) -> None:
    tiny.write(target.parent / "small.gguf", **SMALL)
    wide = tiny.eagle3(target.parent / "wide.gguf", width=256)
    found = inspect(target)
    for engine in of_llama_cpp(found):
        assert engine.possible["draft-model"] == "small"
        assert "EAGLE-3" in engine.impossible["eagle3"]
    assert "hidden size of 256" in (found.drafters or {})[str(wide)]
    alone = inspect(target, discover=False)
    assert alone.drafters == {}
    assert all("draft-model" in engine.impossible for engine in of_llama_cpp(alone))


def test_drafters_that_are_given_are_judged(target: Path, tmp_path: Path) -> None:
    fits = tiny.eagle3(tmp_path / "elsewhere" / "head.gguf")
    wide = tiny.eagle3(tmp_path / "elsewhere" / "wide.gguf", width=256)
    found = inspect(target, drafters=(str(fits), str(wide)))
    assert (found.drafters or {})[str(fits)] == "given as eagle3: fits"
    assert "does not fit, it is made for a hidden size of 256" in (found.drafters or {})[str(wide)]
    assert of_llama_cpp(found)[0].possible["eagle3"] == "head"


def test_of_two_drafters_of_a_kind_that_are_given_the_first_is_used(target: Path, tmp_path: Path) -> None:
    heads = [str(tiny.eagle3(tmp_path / "elsewhere" / f"{name}.gguf")) for name in ("first", "second")]
    found = inspect(target, drafters=tuple(heads))
    assert (found.drafters or {})[heads[0]] == "given as eagle3: fits"
    assert (found.drafters or {})[heads[1]] == "given as eagle3: fits, but first.gguf was given before it"
    assert of_llama_cpp(found)[0].possible["eagle3"] == "first"


def test_a_drafter_and_a_checkpoint_are_shown_for_what_they_are(tmp_path: Path) -> None:
    head = inspect(tiny.eagle3(tmp_path / "head.gguf"))
    assert head.engines == ()
    assert (
        "EAGLE-3 head for a target of hidden size 128, reads its layers 1, 2, 3"
        in dict(sections(head)[0].rows)["drafter"]
    )
    folder = tiny.checkpoint(
        tmp_path / "hf",
        {
            "model.embed_tokens.weight": ("BF16", (300, 128)),
            "model.layers.0.self_attn.k_proj.weight": ("BF16", (64, 128)),
        },
        architectures=["Qwen3ForCausalLM"],
        num_hidden_layers=1,
        hidden_size=128,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    found = inspect(folder)
    assert all(not engine.possible for engine in of_llama_cpp(found))
    assert any("reads gguf" in line for line in sections(found)[-1].footnotes)
    eagle = tiny.checkpoint(
        tmp_path / "eagle", {"fc.weight": ("BF16", (64, 192))}, architectures=["Eagle3"], hidden_size=64
    )
    judged = inspect(folder, drafters=(str(eagle), str(tmp_path / "head.gguf"))).drafters or {}
    assert "hidden size of 64, and the target's is 128" in judged[str(eagle)]
    assert "does not fit, it is in gguf" in judged[str(tmp_path / "head.gguf")]


def test_what_is_shown_says_bytes_heads_and_alarms(tmp_path: Path) -> None:
    dropped = tiny.write(
        tmp_path / "m.gguf", "mimo2", nextn_predict_layers=1, block_count=5, attention__sliding_window=64
    )
    found = inspect(dropped)
    first, *_ = sections(found)
    rows = dict(first.rows)
    assert rows["MTP heads"] == "0 of 1 declared"
    assert rows["KV per token"].startswith("not known: which layers of mimo2")
    assert rows["quant"].startswith("Q8_0: Q8_0 100 %")
    assert first.alarms[0].startswith("HEADS_DROPPED heads were dropped by the conversion")
    data = json.loads(as_json(found))
    assert (data["kv_bytes_per_token"], data["findings"][0]["code"]) == (None, "HEADS_DROPPED")
    assert json.loads(as_json(inspect(tiny.write(tmp_path / "n.gguf"))))["kv_bytes_per_token"] == {
        "f16": 1024,
        "q8_0": 544,
    }


def test_a_run_of_a_model_alone_plans_what_lies_around(target: Path) -> None:
    small = tiny.write(target.parent / "small.gguf", **SMALL)
    head = tiny.eagle3(target.parent / "head.gguf")
    wide = tiny.dflash(target.parent / "deep.gguf", taps=(90,))
    made = plan(target)
    assert {c.method: c.draft_model for c in made.contenders if c.draft_model} == {
        "draft-model": str(small),
        "eagle3": str(head),
    }
    assert made.drafters_found[str(small)] == "used as draft-model: found beside the model"
    assert "reads layer 90" in made.drafters_found[str(wide)]
    assert "dflash" in made.left_out
    assert from_json(Plan, to_json(made)) == made
    assert plan(target, discover=False).drafters_found == {}
    assert plan(target, methods=["ngram-mod"]).drafters_found == {}
    given = plan(target, drafters=[str(tiny.eagle3(target.parent / "mine" / "own.gguf"))])
    assert given.contender("eagle3").draft_label == "own"
    assert "own.gguf was given" in given.drafters_found[str(head)]


def test_heads_of_their_own_file_reach_the_command_line(tmp_path: Path) -> None:
    heads = tiny.write(tmp_path / "h.gguf", "mimo2", tensors=tiny.nextn(4), nextn_predict_layers=1, block_count=5)
    made = plan(tiny.write(tmp_path / "t.gguf", "mimo2"), engine="llama-server", drafters=[str(heads)], methods=["mtp"])
    assert made.contender("mtp").argv[-4:] == ("--spec-draft-model", str(heads), "--spec-draft-n-max", "3")


def test_files_that_cannot_be_targets_or_do_not_fit_stop_the_plan(target: Path) -> None:
    head, other = tiny.eagle3(target.parent / "head.gguf"), tiny.eagle3(target.parent / "other.gguf")
    with pytest.raises(InputError, match=r"head.gguf is a drafter \(EAGLE-3 head\)"):
        plan(head)
    with pytest.raises(InputError, match="head and other are both drafters of the kind eagle3"):
        plan(target, drafters=[str(head), str(other)])
    wide = tiny.eagle3(target.parent / "wide.gguf", width=256)
    with pytest.raises(InputError, match=r"wide.gguf does not fit target.gguf: .* hidden size of 256"):
        plan(target, drafters=[str(wide)])


@pytest.mark.parametrize("at", [40, -1])
def test_a_run_does_not_go_on_with_a_model_file_that_changed(target: Path, tmp_path: Path, at: int) -> None:
    small = tiny.write(target.parent / "small.gguf", **SMALL)
    with store.create(tmp_path / "results", plan(target), detect()) as folder:
        assert folder.plan.model_files.keys() == {str(target), str(small)}
    changed = bytearray(small.read_bytes())
    changed[at] ^= 1
    small.write_bytes(changed)
    with pytest.raises(InputError, match=r"small.gguf is not the file that the run was planned with"):
        pipeline.resume(folder.path, observe=lambda _: None)
    small.unlink()
    with pytest.raises(InputError, match=r"small.gguf is gone"):
        pipeline.resume(folder.path, observe=lambda _: None)


def specbench(*words: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HOME": str(cwd), "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-m", "specbench", *map(str, words)]
    return subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_the_commands_show_files_plans_and_errors(target: Path, tmp_path: Path) -> None:
    small = tiny.write(target.parent / "small.gguf", **SMALL)
    shown = specbench("inspect", "micro", cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "draft-q8_0.gguf  " in shown.stdout
    assert "used as draft-model: fits" in shown.stdout
    assert any(
        line.startswith("llama-server ") and "draft-model (draft-q8_0)" in line for line in shown.stdout.split("\n")
    )
    assert "KV per token    2 KiB f16, 1.06 KiB q8_0; 4 layers" in shown.stdout
    weights = datafiles.path("micro/weights/target-q8_0.gguf")
    assert json.loads(specbench("inspect", weights, "--json", cwd=tmp_path).stdout)["facts"]["parameters"] == 3672832
    dry = specbench("run", "--model", target, "--categories", "code", "--dry-run", cwd=tmp_path)
    assert f"{small}: used as draft-model: found beside the model" in dry.stdout, dry.stderr
    off = specbench("run", "--model", target, "--categories", "code", "--dry-run", "--no-discover", cwd=tmp_path)
    assert str(small) not in off.stdout
    missing = specbench("inspect", "nowhere.gguf", cwd=tmp_path)
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "fix: check the path" in missing.stderr
