import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specbench.errors import InputError
from specbench.models.compatibility import draft_fits, require_fit
from specbench.models.gguf import PackedArray, parts, read_facts, read_header
from specbench.structs import replace

TOKENS = [f"token{i}" for i in range(300)]


Value = str | int | Sequence[str]  # bool is an int


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def pair(key: str, value: Value) -> bytes:
    if isinstance(value, bool):
        return text(key) + struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return text(key) + struct.pack("<II", 4, value)
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    return text(key) + struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))


def model(*, tokens: Sequence[str] = TOKENS, kind: int = 8, cut: int = 0, **values: str | int | bool) -> bytes:
    """A GGUF of one tensor of 64 x 2 elements, written by hand; keys use `__` for a dot."""
    pairs = [
        pair("general.architecture", "qwen3"),
        pair("qwen3.context_length", 512),
        pair("qwen3.block_count", 2),
        pair("tokenizer.ggml.model", "gpt2"),
        pair("tokenizer.ggml.tokens", tokens),
        *(pair(key.replace("__", "."), value) for key, value in values.items()),
    ]
    size = {0: 512, 1: 256, 8: 136, 12: 72}[kind]
    tensor = text("blk.0.weight") + struct.pack("<IQQIQ", 2, 64, 2, kind, 0)
    header = b"GGUF" + struct.pack("<IQQ", 3, 1, len(pairs)) + b"".join(pairs) + tensor
    whole = header + bytes(-len(header) % 32) + bytes(size)
    return whole[: len(whole) - cut]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "m.gguf"


def test_facts_are_read_from_the_header(file: Path) -> None:
    file.write_bytes(model())
    facts = read_facts(file)
    assert (facts.architecture, facts.context_length, facts.layers) == ("qwen3", 512, 2)
    assert (facts.parameters, facts.vocabulary_size, facts.file_bytes) == (128, 300, file.stat().st_size)
    assert (facts.quant, facts.quantised, facts.has_chat_template, facts.nextn_layers) == ("Q8_0", True, False, 0)


@pytest.mark.parametrize(
    ("kind", "stated", "quant", "quantised"),
    [
        (12, 15, "Q4_K_M", True),
        (8, 1, "Q8_0", True),
        (1, 1, "F16", False),
        (1, 7, "F16", False),
        (0, 999, "F32", False),
    ],
)
def test_the_stated_file_type_counts_unless_the_tensors_say_otherwise(
    file: Path, kind: int, stated: int, quant: str, *, quantised: bool
) -> None:
    file.write_bytes(model(kind=kind, general__file_type=stated))
    facts = read_facts(file)
    assert (facts.quant, facts.quantised) == (quant, quantised)


def test_a_vocabulary_stays_packed_and_its_hash_depends_on_the_tokens_alone(file: Path) -> None:
    file.write_bytes(model())
    vocabulary = read_header(file).value("tokenizer.ggml.tokens")
    assert isinstance(vocabulary, PackedArray)
    assert list(vocabulary) == TOKENS
    before = read_facts(file).vocabulary_sha256
    file.write_bytes(model(general__name="other"))
    assert read_facts(file).vocabulary_sha256 == before
    file.write_bytes(model(tokens=[*TOKENS[:-1], "x"]))
    assert read_facts(file).vocabulary_sha256 != before


def test_a_file_cut_anywhere_is_refused_as_truncated_or_no_gguf(file: Path) -> None:
    whole = model(tokens=TOKENS[:9])
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"is truncated|is not a GGUF"):
            read_header(file)


@given(st.integers(0, 200), st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_a_damaged_header_gives_a_clear_error_or_a_header(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int
) -> None:
    data = bytearray(model(tokens=TOKENS[:3]))
    data[place] = byte
    file = tmp_path_factory.getbasetemp() / "damaged.gguf"
    file.write_bytes(bytes(data))
    with suppress(InputError):
        assert read_facts(file).path == str(file)


def test_what_is_no_model_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text("hello world")
    for path, words in (
        (tmp_path / "m.txt", "not a GGUF"),
        (tmp_path / "none.gguf", "no model file"),
        (tmp_path, "is a folder"),
    ):
        with pytest.raises(InputError, match=words):
            read_facts(path)


def test_another_version_and_another_byte_order_are_refused(file: Path) -> None:
    whole = model()
    for version, words in ((struct.pack("<I", 1), "version 1"), (struct.pack(">I", 3), "big-endian")):
        file.write_bytes(whole[:4] + version + whole[8:])
        with pytest.raises(InputError, match=words):
            read_header(file)


def test_every_part_of_a_split_model_is_checked(tmp_path: Path) -> None:
    files = [tmp_path / f"m-{i:05}-of-00002.gguf" for i in (1, 2)]
    files[0].write_bytes(model())
    with pytest.raises(InputError, match=r"missing: m-00002-of-00002\.gguf"):
        read_facts(files[0])
    files[1].write_bytes(model())
    assert parts(files[0]) == tuple(files)
    assert read_facts(files[0]).parameters == 256
    with pytest.raises(InputError) as caught:
        read_facts(files[1])
    assert "m-00001-of-00002.gguf" in caught.value.hint
    files[1].write_bytes(model(cut=10))
    with pytest.raises(InputError, match="truncated"):
        read_facts(files[0])


@pytest.mark.parametrize(
    ("target", "draft", "reason"),
    [
        ({}, {}, None),
        ({}, {"tokens": ["x"] * 5 + TOKENS[5:]}, None),
        ({}, {"tokens": TOKENS[:180]}, None),
        ({}, {"tokens": TOKENS[:160]}, "300 and 160 tokens"),
        ({}, {"tokens": [*TOKENS[:9], "x", *TOKENS[10:]]}, r"token 9 differs \('token9' and 'x'\)"),
        ({"tokenizer__ggml__add_bos_token": True}, {"tokenizer__ggml__add_bos_token": False}, "adds a bos"),
        (
            {"tokenizer__ggml__add_bos_token": True, "tokenizer__ggml__bos_token_id": 1},
            {"tokenizer__ggml__add_bos_token": True, "tokenizer__ggml__bos_token_id": 2},
            "bos tokens differ",
        ),
        (
            {"tokenizer__ggml__add_bos_token": False, "tokenizer__ggml__bos_token_id": 1},
            {"tokenizer__ggml__add_bos_token": False, "tokenizer__ggml__bos_token_id": 2},
            None,
        ),
    ],
)
def test_a_draft_model_must_have_the_targets_vocabulary(
    tmp_path: Path, target: dict[str, bool], draft: dict[str, bool], reason: str | None
) -> None:
    big, small = tmp_path / "big.gguf", tmp_path / "small.gguf"
    big.write_bytes(model(**target))
    small.write_bytes(model(**draft))
    if reason is None:
        require_fit(read_facts(big), read_facts(small))
    else:
        with pytest.raises(InputError, match=reason):
            require_fit(read_facts(big), read_facts(small))


def test_models_with_tokenizers_of_different_kinds_or_none_do_not_fit(file: Path) -> None:
    file.write_bytes(model())
    header = read_header(file)
    other = replace(header, values={**header.values, "tokenizer.ggml.model": "llama"})
    assert "different kinds (gpt2 and llama)" in (draft_fits(header, other) or "")
    assert "no vocabulary" in (draft_fits(header, replace(header, values={})) or "")
