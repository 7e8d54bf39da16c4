from pathlib import Path
from typing import Any

import pytest
import tiny_models as tiny

from specbench.errors import InputError
from specbench.models.compatibility import head_fits, require_fit, require_target
from specbench.models.facts import KvCache, ModelFacts
from specbench.models.findings import findings
from specbench.models.gguf import read_facts

Q8_0 = 34 / 32  # bytes of a weight


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "m.gguf"


def codes(facts: ModelFacts) -> list[str]:
    return [finding.code for finding in findings(facts)]


# ------------------------------------------------------------------------------------------- bytes read per token


def test_a_token_reads_every_weight_but_the_embedding_table(file: Path) -> None:
    facts = read_facts(tiny.write(file))
    matrices = tiny.LAYERS * (2 * 128 * 128 + 2 * 64 * 128 + 2 * 256 * 128) + 300 * 128
    assert facts.read_bytes == matrices * Q8_0 + tiny.LAYERS * 128 * 4
    shapes = tiny.trunk()
    del shapes["output.weight"]
    assert read_facts(tiny.write(file, tensors=shapes)).read_bytes == facts.read_bytes, "it is the output head too"


def test_of_experts_only_the_used_ones_are_read(file: Path) -> None:
    shapes = tiny.trunk(experts=8)
    facts = read_facts(tiny.write(file, tensors=shapes, expert_count=8, expert_used_count=2))
    experts = tiny.LAYERS * 8 * 2 * 256 * 128 * Q8_0
    dense = read_facts(tiny.write(file, tensors=shapes, expert_count=8, expert_used_count=8)).read_bytes
    assert dense is not None
    assert facts.read_bytes == dense - experts * 6 / 8
    assert (facts.experts, facts.experts_used) == (8, 2)
    assert read_facts(tiny.write(file, tensors=shapes)).read_bytes is None, "how many are used is not stated"


def test_mtp_blocks_are_not_read_by_plain_decoding(file: Path) -> None:
    plain = read_facts(tiny.write(file, "mimo2")).read_bytes
    with_heads = tiny.write(file, "mimo2", tensors=tiny.trunk() | tiny.nextn(4), block_count=5, nextn_predict_layers=1)
    assert read_facts(with_heads).read_bytes == plain


# --------------------------------------------------------------------------------------------------- the KV cache

FULL = KvCache(elements=512, windowed_elements=0, layers=4, windowed_layers=0, recurrent_layers=0, window=None)
RECURRENT = {f"blk.{i}.{n}.weight": (128, 128) for i in (0, 1, 2) for n in ("attn_qkv", "ssm_out")} | tiny.block(3)


@pytest.mark.parametrize(
    ("architecture", "values", "tensors", "expected"),
    [
        ("qwen3", {}, None, FULL),
        ("qwen3", {"attention__key_length": 64, "attention__value_length": 16}, None, (4 * 2 * 80, 0, 4, 0, 0)),
        ("llama", {"attention__head_count_kv": [2, 2, 1, 1]}, None, (6 * 64, 0, 4, 0, 0)),
        ("gpt-oss", {"attention__sliding_window": 128}, None, (512, 256, 4, 2, 0)),
        (
            "gemma3",
            {"attention__sliding_window": 512, "attention__sliding_window_pattern": 4},
            None,
            (512, 384, 4, 3, 0),
        ),
        (
            "gemma4",
            {
                "attention__sliding_window": 512,
                "attention__sliding_window_pattern": [True, True, True, False],
                "attention__key_length_swa": 16,
                "attention__value_length_swa": 16,
            },
            None,
            (3 * 64 + 128, 3 * 64, 4, 3, 0),
        ),
        ("gemma4", {"attention__shared_kv_layers": 2}, None, (256, 0, 2, 0, 0)),
        (
            "deepseek2",
            {"attention__head_count_kv": 1, "attention__key_length": 96, "attention__key_length_mla": 48},
            None,
            (4 * 96, 0, 4, 0, 0),
        ),
        ("qwen35", {}, RECURRENT, (128, 0, 1, 0, 3)),
        ("mimo2", {"nextn_predict_layers": 1, "block_count": 5}, tiny.trunk() | tiny.nextn(4), FULL),
    ],
)
def test_the_cache_is_counted_by_layers(
    file: Path, architecture: str, values: dict[str, Any], tensors: tiny.Shapes | None, expected: Any
) -> None:
    """The figures of llama-server's own log for such files: full, windowed, hybrid, MTP."""
    kv = read_facts(tiny.write(file, architecture, tensors=tensors, **values)).kv
    assert kv is not None
    counted = (kv.elements, kv.windowed_elements, kv.layers, kv.windowed_layers, kv.recurrent_layers)
    assert counted == expected if isinstance(expected, tuple) else kv == expected


def test_a_pattern_of_more_layers_than_a_short_array_holds_is_read(file: Path) -> None:
    pattern = [True] * 69 + [False]
    values = {"block_count": 70, "attention__sliding_window": 64, "attention__sliding_window_pattern": pattern}
    kv = read_facts(tiny.write(file, "mimo2", tensors=tiny.trunk(70), **values)).kv
    assert kv is not None
    assert (kv.layers, kv.windowed_layers) == (70, 69)


@pytest.mark.parametrize(
    ("values", "tensors", "reason"),
    [
        ({"attention__sliding_window": 128}, None, "which layers of new"),
        ({}, tiny.trunk() | {"blk.0.indexer.k_proj.weight": (64, 128)}, "keeps an index"),
        ({}, tiny.trunk(3) | {"blk.3.novelty.weight": (64, 128)}, "layer 3 has no attention"),
    ],
)
def test_a_cache_that_cannot_be_said_is_none_with_the_reason(
    file: Path, values: dict[str, Any], tensors: tiny.Shapes | None, reason: str
) -> None:
    facts = read_facts(tiny.write(file, "new", tensors=tensors, **values))
    assert facts.kv is None
    assert reason in (facts.kv_unknown or "")


# ------------------------------------------------------------------------------------------------ heads and drafters


def test_heads_that_the_header_promises_and_the_file_lacks_are_an_alarm(file: Path) -> None:
    facts = read_facts(tiny.write(file, "mimo2", nextn_predict_layers=1, block_count=5))
    assert (facts.nextn_declared, facts.nextn_layers) == (1, 0)
    (found,) = findings(facts)
    assert (found.code, found.severe) == ("HEADS_DROPPED", True)
    assert "dropped by the conversion" in found.message


def with_heads(file: Path, architecture: str, types: dict[str, str]) -> ModelFacts:
    shapes = tiny.trunk() | tiny.nextn(4)
    return read_facts(
        tiny.write(file, architecture, tensors=shapes, types=types, nextn_predict_layers=1, block_count=5)
    )


def test_heads_of_few_bits_and_heads_that_cannot_draft_are_notes(file: Path) -> None:
    assert codes(with_heads(file, "mimo2", {})) == []
    assert codes(with_heads(file, "mimo2", {"blk.0": "Q4_0"})) == [], "blocks of the model are no heads"
    low = with_heads(file, "mimo2", {"eh_proj": "Q4_0"})
    assert (low.head_types, low.head_bits, codes(low)) == (("Q8_0", "Q4_0"), 4.5, ["HEAD_QUANT_LOW"])
    assert codes(with_heads(file, "glm4", {})) == ["HEADS_UNUSED"]


def test_each_kind_of_drafter_is_told_by_its_header(tmp_path: Path) -> None:
    kinds = {
        None: tiny.write(tmp_path / "plain.gguf"),
        "eagle3": tiny.eagle3(tmp_path / "eagle3.gguf"),
        "dflash": tiny.dflash(tmp_path / "dflash.gguf"),
        "dspark": tiny.dflash(tmp_path / "dspark.gguf", markov=True),
        "mtp": tiny.write(tmp_path / "mtp.gguf", "mimo2", tensors=tiny.nextn(4), nextn_predict_layers=1),
    }
    assert {kind: read_facts(path).drafter for kind, path in kinds.items()} == {kind: kind for kind in kinds}
    assistant = tiny.write(tmp_path / "a.gguf", "gemma4-assistant", embedding_length_out=256, nextn_predict_layers=4)
    facts = read_facts(assistant)
    assert (facts.drafter, facts.target_hidden_size) == ("mtp", 256)
    for path in [*list(kinds.values())[1:], assistant]:
        with pytest.raises(InputError, match="is a drafter"):
            require_target(read_facts(path))


def test_a_head_says_which_dimension_does_not_fit(tmp_path: Path) -> None:
    target = read_facts(tiny.write(tmp_path / "target.gguf"))
    words = {
        None: tiny.eagle3(tmp_path / "fits.gguf", taps=(0, 2, tiny.LAYERS)),
        "hidden size of 256, and the target's is 128": tiny.eagle3(tmp_path / "wide.gguf", width=256),
        "reads layer 5 of the target, which has 4": tiny.dflash(tmp_path / "deep.gguf", taps=(1, 5)),
        "vocabulary has 500 tokens": tiny.eagle3(tmp_path / "words.gguf", tokens=[f"t{i}" for i in range(500)]),
        "those of mimo2": tiny.write(
            tmp_path / "mtp.gguf", "mimo2", tensors=tiny.nextn(4), nextn_predict_layers=1, block_count=5
        ),
    }
    for reason, path in words.items():
        told = head_fits(target, read_facts(path))
        assert told is None if reason is None else reason in (told or "")
    with pytest.raises(InputError, match=r"does not fit target\.gguf: it is made for a hidden size") as caught:
        require_fit(target, read_facts(tmp_path / "wide.gguf"))
    assert "EAGLE-3 head that was made for this target" in caught.value.hint


def test_mtp_heads_of_their_own_file_follow_the_targets_layers(tmp_path: Path) -> None:
    heads = {"tensors": tiny.nextn(4), "nextn_predict_layers": 1}
    target = read_facts(tiny.write(tmp_path / "t.gguf", "mimo2"))
    assert head_fits(target, read_facts(tiny.write(tmp_path / "a.gguf", "mimo2", block_count=5, **heads))) is None
    told = head_fits(target, read_facts(tiny.write(tmp_path / "b.gguf", "mimo2", block_count=7, **heads)))
    assert told == "it follows 6 layers, and the target has 4"


# -------------------------------------------------------------------------------------------------------- bad files


def test_a_pointer_of_git_lfs_and_a_newer_version_say_what_to_do(file: Path) -> None:
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(InputError, match="is a Git LFS pointer, not the model") as caught:
        read_facts(file)
    assert "git lfs pull" in caught.value.hint
    tiny.write(file)
    file.write_bytes(b"GGUF\x04" + file.read_bytes()[5:])
    with pytest.raises(InputError, match="version 4, newer than the 3") as caught:
        read_facts(file)
    assert "newer specbench" in caught.value.hint
