"""Hostile inputs, a few of each: the whole campaign is `torture.py --only hostile`, see docs/reliability.md."""

import gzip
import importlib
import io
import json
import os
import struct
import sys
import tarfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tiny_models as tiny

from specbench import datafiles
from specbench.analysis.comparison import compare
from specbench.cli import flags
from specbench.engines import logs
from specbench.engines.profile import flags_missing, parse_profile
from specbench.errors import InputError
from specbench.hardware import capture
from specbench.hardware.engines import listed
from specbench.models import gguf, safetensors
from specbench.peers.formats import figures
from specbench.planning.suites import parse_suite
from specbench.records import Generation
from specbench.report.json_report import json_report
from specbench.structs import replace
from specbench.untrusted import toml

ROOT = Path(__file__).resolve().parents[1]
INPUTS, SEED = 100, 3


@pytest.fixture(scope="module")
def hostile() -> ModuleType:
    """The campaign's module, which lies beside the package."""
    if sys.platform == "win32":
        pytest.skip("processor time is limited by a signal")
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        return importlib.import_module("hostile")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture(scope="module")
def valid(hostile: ModuleType) -> ModuleType:
    """What makes its valid inputs."""
    return sys.modules[hostile.parser.__module__]


def parsers() -> list[str]:
    known = tomllib.loads((ROOT / "specbench" / "peers" / "formats.toml").read_text(encoding="utf-8"))
    return [
        *("gguf", "safetensors", "stream", "timings", "prometheus", "engine log", "run file", "engine profile"),
        *("hardware profile", "suite", "price list", "model figures", "capture", "trials", "plan"),
        *(f"import {name}" for name in known),
    ]


def test_the_campaign_has_every_parser(hostile: ModuleType) -> None:
    assert list(hostile.NAMES) == parsers()


@pytest.mark.parametrize("name", parsers())
def test_a_valid_input_is_read_and_a_broken_one_is_read_or_refused(
    hostile: ModuleType, name: str, tmp_path: Path
) -> None:
    found = [hostile.verdict(name, data, tmp_path) for data in dict.fromkeys(hostile.parser(name).seeds)]
    assert found == ["read"] * (len(found) - (name == "capture")) + ["refused"] * (name == "capture")  # the bomb
    tally = hostile.tried(name, range(INPUTS), seed=SEED)
    assert not tally.wrong
    assert tally.read + tally.refused == INPUTS


def test_what_breaks_a_rule_is_seen(
    hostile: ModuleType, valid: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loops(_: bytes, __: Path) -> None:
        while True:
            pass

    for read, wanted in ((loops, "HANG"), (lambda *_: dict[str, int]()["x"], "KeyError")):
        monkeypatch.setattr(hostile, "parser", lambda _, read=read: valid.Parser((), read))
        monkeypatch.setattr(hostile, "SECONDS", 0.05)
        assert hostile.verdict("gguf", b"", tmp_path).startswith(wanted)


# --------------------------------------------------------------------------------------------- what the campaign found


@pytest.mark.parametrize("text", ["a." * 50_000 + "b = 1", "[" + "a." * 50_000 + "b]", "a = " + "[" * 50_000])
def test_toml_of_any_depth_is_refused_at_once(text: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        toml(text)
    assert toml("a.b.c = 1") == {"a": {"b": {"c": 1}}}


@pytest.mark.parametrize("text", ["seed = " + "9" * 5000, "seed = " + "[" * 3000, "a." * 3000 + "b = 1"])
def test_a_run_file_with_a_huge_number_or_deep_nesting_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(InputError, match="cannot be read as TOML"):
        flags.runfile(tmp_path / "run.toml", model=None, draft_model=None)


@pytest.mark.parametrize("key", ["repeats", "warmups"])
def test_a_billion_repeats_are_refused_before_they_are_planned(key: str, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(f'{key} = 1000000000\n[[targets]]\nmodel = "micro"\n')
    with pytest.raises(InputError, match=key):
        flags.runfile(tmp_path / "run.toml", model=None, draft_model=None)


@pytest.mark.parametrize(
    "text",
    [
        "without = [1]",
        "without = 7",
        'extends = "x"\nwithout = [["a"]]',
        'argv = ["$ x"]\nkind = "server"\nmethods = {}',
    ],
)
def test_an_engine_profile_of_wrong_kinds_is_refused(text: str) -> None:
    bases = {"x": 'kind = "server"\nmethods = {}'}
    with pytest.raises(InputError):
        parse_profile("mine", text, bases=bases)


@pytest.mark.parametrize("pattern", ["a{99999999999999999999}", "(" * 20_000, "[[a]"])
def test_a_suite_with_a_pattern_that_python_does_not_take_is_refused(pattern: str) -> None:
    head = 'name = "s"\nversion = "1"\nlicence = "MIT"\ndescription = "d"\ncategories = ["code"]'
    asks = '[[prompt]]\nid = "code-1"\ntags = []\nuser = "u"'
    check = f'{asks}\ncheck = {{ kind = "regex", pattern = {json.dumps(pattern)} }}'
    with pytest.raises(InputError, match="the pattern is wrong"):
        parse_suite(
            {"suite.toml": head, "code.toml": f'category = "code"\ndescription = "d"\noutput_tokens = 9\n{check}'}
        )


def archive(path: Path, members: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as packed:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    return path


def test_a_capture_that_grows_when_it_is_unpacked_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "bomb", {f"root/{n}": bytes(40 * 2**20) for n in range(2)})
    assert path.stat().st_size < 2**18
    with pytest.raises(InputError, match="more than 64 MiB"):
        capture.read(path)


@pytest.mark.parametrize(
    "readings",
    [{}, {"environment": {"value": [1]}}, {"platform system": {"value": 7}}, [], {"names sys": 3}, "[" * 9000],
)
def test_a_capture_without_what_detection_needs_is_refused(readings: Any, tmp_path: Path) -> None:
    data = (readings if isinstance(readings, str) else json.dumps(readings)).encode()
    with pytest.raises(InputError, match="is no capture"):
        capture.read(archive(tmp_path / "c", {"readings.json": data}))


def test_a_capture_is_not_written_anywhere(tmp_path: Path) -> None:
    told = {"environment": {"value": {}}, "platform system": {"value": "Linux"}}
    members = {"../../outside": b"x", "/srv/outside": b"x", "readings.json": json.dumps(told).encode()}
    capture.read(archive(tmp_path / "c", members))
    assert os.listdir(tmp_path) == ["c"]  # noqa: PTH208  names


CONFIG: dict[str, Any] = {"architectures": ["Qwen3ForCausalLM"], "num_hidden_layers": 2, "hidden_size": 128}
WEIGHTS = {"model.layers.0.self_attn.q_proj.weight": ("BF16", (4, 4))}


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_hidden_layers": [2]},
        {"text_config": 7},
        {"layer_types": 7},
        {"vocab_size": "many"},
        {"hidden_size": 10**400},
        {"quantization_config": 7},
    ],
)
def test_a_config_of_wrong_kinds_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError):
        safetensors.read_facts(tiny.checkpoint(tmp_path / "m", WEIGHTS, **(CONFIG | wrong)))


@pytest.mark.parametrize(
    "tokenizer", ["[" * 9000, '{"model": [1]}', '{"model": {"vocab": [1]}}', '{"added_tokens": [{"id": 1}]}']
)
def test_a_tokenizer_of_wrong_kinds_is_refused(tokenizer: str, tmp_path: Path) -> None:
    folder = tiny.checkpoint(tmp_path / "m", WEIGHTS, **CONFIG)
    (folder / "tokenizer.json").write_text(tokenizer)
    with pytest.raises(InputError):
        safetensors.read_facts(folder)


@pytest.mark.parametrize("named", ["../model.safetensors", "x" * 3000, "a\0b"])
def test_an_index_names_files_of_its_folder_only(named: str, tmp_path: Path) -> None:
    folder = tiny.checkpoint(tmp_path / "m", WEIGHTS, **CONFIG)
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": named}}))
    with pytest.raises(InputError, match="not there"):
        safetensors.read_facts(folder)


def model(**values: tuple[int, bytes]) -> bytes:
    """A GGUF without tensors whose pairs are of any type."""
    pairs = {"general.architecture": (8, struct.pack("<Q", 5) + b"qwen3")} | {
        key.replace("__", "."): value for key, value in values.items()
    }
    body = b"".join(struct.pack("<Q", len(k)) + k.encode() + struct.pack("<I", t) + v for k, (t, v) in pairs.items())
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + body


@pytest.mark.parametrize(
    "values",
    [
        {"qwen3__context_length": (8, struct.pack("<Q", 1) + b"x")},
        {"qwen3__context_length": (11, struct.pack("<q", -1))},
        {"general__name": (9, struct.pack("<IQ", 4, 0))},
        {"qwen3__block_count": (8, struct.pack("<Q", 1) + b"x"), "qwen3__embedding_length": (4, b"\0\0\0\1")},
        {"qwen3__target_layers": (4, b"\0\0\0\1")},
    ],
)
def test_a_gguf_whose_values_are_of_wrong_kinds_is_refused(
    values: dict[str, tuple[int, bytes]], tmp_path: Path
) -> None:
    (tmp_path / "m.gguf").write_bytes(model(**values))
    with pytest.raises(InputError, match="is not built as it should be"):
        gguf.read_facts(tmp_path / "m.gguf")


def test_four_billion_layers_are_not_counted_out(tmp_path: Path) -> None:
    number = (10, struct.pack("<Q", 2**40))
    (tmp_path / "m.gguf").write_bytes(model(qwen3__block_count=number, qwen3__embedding_length=number))
    assert gguf.read_facts(tmp_path / "m.gguf").kv_unknown == "the header states no layers or no width"


@pytest.mark.parametrize(
    "piece",
    ["spec  - n_max=", "spec ", "statistics a: ", "[spec-decode] tokens=1 ", "llama_kv_cache: size =  K ("],
)
def test_a_log_of_one_endless_line_is_read_at_once(hostile: ModuleType, piece: str) -> None:
    log = piece * (2**20 // len(piece))
    with hostile.limited(hostile.SECONDS):
        logs.settings_shown(log)
        logs.drafting_seconds(log)
        logs.counts(log)


def test_numbers_in_a_log_that_are_none_are_left_out() -> None:
    assert logs.settings_shown("system_info: n_threads = " + "9" * 5000) == {}
    assert logs.settings_shown("system_info: n_threads = 12\n") == {"threads": 12}
    assert logs.drafting_seconds("statistics x: dur(b,g,a) = 1.0, ..., 2.0 ms") is None
    assert "p_min" not in logs.settings_shown("spec x - p_min=...")


def test_help_and_lists_of_devices_with_endless_spaces_are_read_at_once(hostile: ModuleType) -> None:
    with hostile.limited(hostile.SECONDS):
        assert flags_missing(["--a"], "  -x" + " " * 2**18 + "-y\n  --a") == ()
        assert listed("\n" * 2**18) == []


@pytest.mark.parametrize(("tensors", "values"), [(0, 2**40), (2**40, 0)])
def test_a_sparse_file_of_zeros_that_promises_much_is_refused_at_once(
    hostile: ModuleType, tensors: int, values: int, tmp_path: Path
) -> None:
    path = tmp_path / "m.gguf"
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, tensors, values))
        file.truncate(2**30)
    with hostile.limited(hostile.SECONDS), pytest.raises(InputError, match="twice"):
        gguf.read_header(path)


def test_a_sparse_file_that_promises_a_list_of_a_trillion_texts_is_refused_at_once(
    hostile: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / "m.gguf"
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<QcIIQ", 1, b"k", 9, 8, 2**40))
        file.truncate(2**30)
    with hostile.limited(hostile.SECONDS), pytest.raises(InputError, match="texts"):
        gguf.read_header(path)


def test_a_table_of_a_million_rows_is_refused() -> None:
    head = "| Card | Baseline | With flag | n-max | Acceptance | Contributor |\n"
    with pytest.raises(InputError, match="more than"):
        figures((head + "|a|1|2|3|0.5|b|\n" * 20_000).encode())


def test_a_plan_without_a_contender_of_its_trials_is_told(valid: ModuleType) -> None:
    plan = valid.small_plan()
    for lost in (0, 1):
        broken = replace(plan, contenders=tuple(c for n, c in enumerate(plan.contenders) if n != lost))
        with pytest.raises(InputError, match="trials of unknown contender"):
            compare(broken, [])
    nameless = tuple(replace(c, baseline="") if c.baseline else c for c in plan.contenders)
    with pytest.raises(InputError, match="trials of unknown contender"):
        compare(replace(plan, contenders=nameless), [])


@pytest.mark.parametrize(
    "key", ["output_tokens", "prefilled_tokens", "prompt_tokens", "emitted", "accepted", "drafted"]
)
def test_counts_below_zero_do_not_stop_a_report(valid: ModuleType, key: str) -> None:
    plan = valid.small_plan()

    def miscounted(g: Generation) -> Generation:
        return replace(g, counts=replace(g.counts, **{key: -1})) if hasattr(g.counts, key) else replace(g, **{key: -1})

    trials = valid.synthetic.generations(plan)
    results = [g if g.trial.contender == "synthetic/none" else miscounted(g) for g in trials]
    assert json_report(compare(plan, results))


@pytest.mark.parametrize("number", ["1e999", "5e-324", "-1.0", "1e308"])
@pytest.mark.parametrize("key", ["decode_seconds", "first_token", "total", "prefill_seconds"])
def test_times_that_cannot_be_do_not_stop_a_report(
    hostile: ModuleType, valid: ModuleType, key: str, number: str, tmp_path: Path
) -> None:
    lines = []
    for line in valid.records()[0].splitlines():
        value = json.loads(line) | {key: "number"}
        lines.append(json.dumps(value).replace('"number"', number))
    assert hostile.verdict("trials", "\n".join(lines).encode(), tmp_path) == "read"


def test_a_packed_input_is_not_taken_for_another(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(gzip.compress(b"no archive"))
    with pytest.raises(InputError):
        capture.read(tmp_path / "c")


def test_published_data_are_still_read() -> None:
    assert toml(datafiles.path("prices/example.toml").read_text(encoding="utf-8"))
