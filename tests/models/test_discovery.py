import json
from collections.abc import Collection
from pathlib import Path

import pytest
import tiny_models as tiny

from specbench import datafiles
from specbench.models import discovery
from specbench.models.discovery import Discovered, discover, places
from specbench.models.gguf import read_facts

KINDS = ("draft-model", "eagle3", "dflash", "dspark", "mtp")
SMALL = {"tensors": tiny.trunk(1), "block_count": 1}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tiny.write(tmp_path / "models" / "target.gguf", tensors=tiny.trunk(24), block_count=24)


def look(
    target: Path, home: Path, *, kinds: Collection[str] = KINDS, given: dict[str, Path] | None = None
) -> Discovered:
    return discover(
        target,
        read_facts(target),
        beside=target.parent,
        places=places({}, home, root=home / "root"),
        kinds=kinds,
        given=given or {},
    )


def test_drafters_of_every_kind_beside_the_model_are_found(target: Path, tmp_path: Path) -> None:
    around = target.parent
    files = {
        "draft-model": tiny.write(around / "small.gguf", **SMALL),
        "eagle3": tiny.eagle3(around / "head.gguf"),
        "dflash": tiny.dflash(around / "sub" / "flash.gguf"),
        "dspark": tiny.dflash(around / "spark.gguf", markov=True),
    }
    found = look(target, tmp_path)
    assert set(found.drafters) == set(files.values())
    assert found.remarks == {str(path): f"used as {kind}: found beside the model" for kind, path in files.items()}
    assert look(target, tmp_path, kinds=["eagle3"]).drafters == (files["eagle3"],)


def test_the_usual_folders_are_looked_into(target: Path, tmp_path: Path) -> None:
    blob = tiny.write(tmp_path / ".ollama" / "models" / "blobs" / "sha256-ab", **SMALL)
    manifest = tmp_path / ".ollama/models/manifests/registry.ollama.ai/library/small/1b"
    manifest.parent.mkdir(parents=True)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:ab"}
    manifest.write_text(json.dumps({"layers": [{"mediaType": "x", "digest": "sha256:no"}, layer]}))
    files = {
        "eagle3": tiny.eagle3(tmp_path / ".cache/huggingface/hub/models--a--b/snapshots/0f/head.gguf"),
        "dflash": tiny.dflash(tmp_path / ".cache/llama.cpp/a_b_flash.gguf"),
        "dspark": tiny.dflash(tmp_path / ".lmstudio/models/a/b/spark.gguf", markov=True),
    }
    found = look(target, tmp_path)
    assert set(found.drafters) == {blob, *files.values()}
    assert found.remarks["ollama small:1b"] == "used as draft-model: found in Ollama"
    assert found.remarks[str(files["eagle3"])] == "used as eagle3: found in the Hugging Face cache"


def test_the_environment_moves_the_folders(tmp_path: Path) -> None:
    moved = {"HF_HOME": "/hf", "LLAMA_CACHE": "/lc", "OLLAMA_MODELS": "/om"}
    folders = {place.folder.as_posix() for place in places(moved, tmp_path)}
    assert {"/hf/hub", "/lc", "/om"} <= folders
    assert not any(".ollama" in folder or "llama.cpp" in folder for folder in folders)
    assert discovery.hub_cache({"HF_HUB_CACHE": "/hub", "HF_HOME": "/hf"}, tmp_path) == Path("/hub")


def test_what_does_not_fit_is_passed_over_with_the_reason(target: Path, tmp_path: Path) -> None:
    around = target.parent
    other = [f"word{i}" for i in range(300)]
    large = tiny.trunk(12)
    reasons = {
        tiny.write(around / "other.gguf", **SMALL, tokens=other): "draft-model: token 5 differs",
        tiny.write(around / "large.gguf", tensors=large, block_count=12): "draft-model: it is larger than a quarter",
        tiny.write(around / "embedding.gguf", **SMALL, pooling_type=3): "draft-model: it makes embeddings",
        tiny.eagle3(around / "wide.gguf", width=256): "eagle3: it is made for a hidden size of 256",
        tiny.dflash(around / "deep.gguf", taps=(1, 90)): "dflash: it reads layer 90",
    }
    tiny.write(around / "mmproj.gguf", "clip", tokens=None)
    damaged = around / "damaged.gguf"
    damaged.write_bytes(b"GGUF\x03\0\0\0" + b"\xff" * 40)
    (around / "pointer.gguf").write_text("version https://git-lfs.github.com/spec/v1\n")
    (around / "gone.gguf").symlink_to(around / "nowhere")
    found = look(target, tmp_path)
    assert found.drafters == ()
    for path, reason in reasons.items():
        assert found.remarks[str(path)].startswith(f"passed over as {reason}"), found.remarks
    assert "is truncated" in found.remarks[str(damaged)]
    assert "Git LFS pointer" in found.remarks[str(around / "pointer.gguf")]
    assert len(found.remarks) == len(reasons) + 2


def test_of_two_that_fit_the_one_beside_the_model_is_taken_and_then_the_smallest(target: Path, tmp_path: Path) -> None:
    cache = tmp_path / ".cache" / "llama.cpp"
    smallest = tiny.write(cache / "a.gguf", **SMALL)
    larger = tiny.write(cache / "b.gguf", tensors=tiny.trunk(2), block_count=2)
    found = look(target, tmp_path)
    assert found.drafters == (smallest,)
    assert found.remarks[str(larger)] == "passed over as draft-model: a.gguf is not larger"
    beside = tiny.write(target.parent / "c.gguf", tensors=tiny.trunk(2), block_count=2)
    found = look(target, tmp_path)
    assert found.drafters == (beside,)
    assert found.remarks[str(smallest)] == "passed over as draft-model: c.gguf lies beside the model"


def test_a_drafter_that_was_given_wins(target: Path, tmp_path: Path) -> None:
    small = tiny.write(target.parent / "small.gguf", **SMALL)
    mine = tiny.write(target.parent / "mine.gguf", tensors=tiny.trunk(2), block_count=2)
    found = look(target, tmp_path, given={"draft-model": mine})
    assert (found.drafters, found.remarks) == (
        (),
        {str(small): "passed over as draft-model: mine.gguf was given"},
    )


def test_the_target_itself_its_parts_and_later_parts_are_no_candidates(tmp_path: Path) -> None:
    parts = [tmp_path / f"m-{i:05}-of-00002.gguf" for i in (1, 2)]
    tiny.write(parts[0], tensors=tiny.trunk(24), block_count=24)
    tiny.write(parts[1], tensors=tiny.block(30))
    (tmp_path / "same.gguf").symlink_to(parts[0])
    assert look(parts[0], tmp_path) == Discovered()


def test_heads_in_the_target_win_over_a_file_of_heads(tmp_path: Path) -> None:
    heads = {"nextn_predict_layers": 1, "block_count": 25}
    beside = tiny.write(tmp_path / "mtp-m.gguf", "mimo2", tensors=tiny.nextn(24), **heads)
    bare = tiny.write(tmp_path / "bare.gguf", "mimo2", tensors=tiny.trunk(24), block_count=24)
    full = tiny.write(tmp_path / "full.gguf", "mimo2", tensors=tiny.trunk(24) | tiny.nextn(24), **heads)
    assert look(bare, tmp_path).drafters == (beside,)
    assert look(full, tmp_path).remarks[str(beside)] == "passed over as mtp: the target has heads of its own"


def test_searching_ends_after_so_many_files_and_folders(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(4):
        tiny.eagle3(target.parent / f"{i}.gguf", width=256)
    tiny.eagle3(target.parent / "a" / "b" / "deep.gguf")
    monkeypatch.setattr(discovery, "_MOST_HEADERS", 3)
    found = look(target, tmp_path)
    assert found.remarks.pop("and more") == "not looked at: 3 files were read"
    assert len(found.remarks) == 3
    monkeypatch.setattr(discovery, "_MOST_ENTRIES", 2)
    assert len(look(target, tmp_path).remarks) <= 2


def test_beside_the_embedded_target_lie_its_drafters_and_a_bare_mtp_block_is_no_draft_model(tmp_path: Path) -> None:
    embedded = datafiles.path("micro/weights") / "target-q8_0.gguf"
    found = look(embedded, tmp_path)
    assert {path.name for path in found.drafters} == {f"{kind}-q8_0.gguf" for kind in ("eagle3", "dflash", "dspark")}
    assert {Path(name).name for name in found.remarks} - {path.name for path in found.drafters} == {"draft-q8_0.gguf"}
