"""Files of other tools: their figures keep their definitions, and nothing but a clear error comes of anything else."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specbench.analysis.metrics import METRICS
from specbench.errors import InputError
from specbench.peers.documents import decode
from specbench.peers.figure import Figure
from specbench.peers.formats import FORMATS, figures, number

FILES = {p.name: p.read_bytes() for p in sorted((Path(__file__).parent / "files").iterdir()) if p.suffix != ".md"}
FILES["qwen38-mtp.md"] = (Path(__file__).parent / "files" / "qwen38-mtp.md").read_bytes()


def values(name: str) -> dict[str, float]:
    return {f.metric: f.value for f in figures(FILES[name])[1]}


def test_every_format_has_a_file_and_every_file_is_told_by_its_content() -> None:
    found = {figures(data)[0] for data in FILES.values()}
    assert found == set(FORMATS)


@pytest.mark.parametrize("name", FILES)
def test_every_figure_has_a_definition_and_what_it_equals_exists(name: str) -> None:
    for figure in figures(FILES[name])[1]:
        assert figure.definition
        assert figure.unit
        assert figure.same_as in {None, *METRICS}


def test_llama_bench_tells_both_its_own_mean_and_the_median_of_the_samples() -> None:
    document = json.loads(FILES["llama-bench.json"])
    found = {f.metric: f.value for f in figures(FILES["llama-bench.json"])[1] if f.conditions["n_gen"] == "32"}
    assert found["avg_ts"] == document[1]["avg_ts"]
    middle = sorted(document[1]["samples_ns"])[1]
    assert found["n / median(samples_ns)"] == pytest.approx(32 / middle * 1e9)


def test_the_four_outputs_of_llama_bench_say_the_same_of_the_conditions() -> None:
    names = [f"llama-bench.{kind}" for kind in ("json", "jsonl", "csv", "sql")]
    told_by = [[f for f in figures(FILES[name])[1] if f.metric == "avg_ts"] for name in names]
    about = [[f.model_dump(exclude={"value"}) for f in found] for found in told_by]
    for other in about[1:]:
        assert other == about[0]
    assert about[0][1]["conditions"]["n_gen"] == "32"
    assert about[0][1]["model"] == "target-q8_0.gguf"


def test_a_percentage_stays_one_and_says_what_it_is_of_ours() -> None:
    rate = next(f for f in figures(FILES["vllm-serve.json"])[1] if f.metric == "spec_decode_acceptance_rate")
    assert (rate.value, rate.unit, rate.same_as) == (62.5, "%", "draft_acceptance_rate")
    assert rate.value * rate.scale == pytest.approx(300 / 480)


def test_what_peers_got_wrong_is_not_taken_as_ours() -> None:
    assert {"max_output_tokens_per_s", "max_concurrent_requests"}.isdisjoint(values("vllm-serve.json"))
    tpot = next(f for f in figures(FILES["guidellm.json"])[1] if f.metric == "time_per_output_token_ms")
    assert tpot.same_as is None
    assert "first token is in it" in tpot.definition


def test_printed_and_saved_results_of_mtp_bench_agree_and_failed_requests_are_no_figures() -> None:
    printed, saved = (figures(FILES[f"mtp-bench.{kind}"])[1] for kind in ("txt", "json"))
    assert printed == saved
    assert {f.category for f in saved} == {"code_python", "creative_short x3", None}


def test_a_range_is_no_figure() -> None:
    found = [f for f in figures(FILES["qwen38-mtp.md"])[1] if f.machine == "Toy APU (64GB)"]
    assert [(f.metric, f.value) for f in found] == [("With flag", 21.5)]


def test_acceptance_records_are_summed_before_they_are_divided() -> None:
    assert values("aiperf-records.jsonl") == {"draft_acceptance_rate": 20 / 40, "mean_acceptance_length": 1 + 20 / 10}


def test_an_unknown_unit_of_aiperf_is_left_out() -> None:
    document = json.loads(FILES["aiperf.json"])
    document["time_to_first_token"]["unit"] = "sec"
    found = figures(json.dumps(document).encode())[1]
    assert "time_to_first_token" not in {f.metric for f in found}


def test_the_log_of_sglang_is_summed_up_by_its_median() -> None:
    assert values("sglang.log") == {"accept len": 3.0, "gen throughput": 100.0}


def test_utf_16_as_windows_writes_it_is_read() -> None:
    assert figures(FILES["speed-bench.json"].decode().encode("utf-16")) == figures(FILES["speed-bench.json"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "nan", "1e999", 10**400, None, True, [], {}, "", "x"])
def test_what_is_no_number_makes_no_figure(value: object) -> None:
    assert number(value) is None


def test_a_rate_of_0_is_how_tools_write_none_and_a_share_of_0_is_a_share() -> None:
    document = json.loads(FILES["vllm-serve.json"]) | {"mean_tpot_ms": 0.0, "spec_decode_acceptance_rate": 0.0}
    found = {f.metric: f.value for f in figures(json.dumps(document).encode())[1]}
    assert "mean_tpot_ms" not in found
    assert found["spec_decode_acceptance_rate"] == 0


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no format that is known"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "no text"),
        (b'{"a": 1}', "no format that is known"),
        (FILES["speed-bench.json"][:-20], "broken JSON"),
        (FILES["llama-bench.jsonl"][:-20], "broken JSON"),
        (b"[" * 100_000, "no format that is known"),
        (b'[{"a":' * 100_000, "broken JSON"),
        (b'[{"n_prompt": 1, "n_gen": 0, "avg_ts": NaN}]', "has no figure"),
        (b'[{"n_prompt": 1, "n_gen": 0, "avg_ts": 1e999, "samples_ns": [0, -1]}]', "has no figure"),
    ],
)
def test_anything_else_is_refused_with_what_and_what_to_do(data: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        figures(data)
    assert "\n" not in caught.value.message + caught.value.hint


def test_a_wrong_format_name_is_corrected_and_a_file_of_another_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        figures(FILES["dflash.txt"], name="llama-bech")
    assert "llama-bench" in caught.value.hint
    with pytest.raises(InputError, match="not a file of guidellm"):
        figures(FILES["dflash.txt"], name="guidellm")


def only_figures(data: bytes) -> None:
    try:
        found = figures(data)[1]
    except InputError:
        return
    assert all(isinstance(figure, Figure) for figure in found)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace"))))
def test_arbitrary_bytes_raise_nothing_but_input_errors(data: bytes) -> None:
    only_figures(data)


JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)


def altered(value: object, draw: st.DrawFn) -> object:
    """The document with some of its values exchanged for junk."""
    if draw(st.integers(0, 19)) == 0:
        return draw(JUNK)
    if isinstance(value, dict):
        return {key: altered(inner, draw) for key, inner in value.items()}
    return [altered(inner, draw) for inner in value] if isinstance(value, list) else value


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([name for name in FILES if name.endswith(".json")]), st.data())
def test_files_with_wrong_values_in_the_right_places_raise_nothing_else(name: str, data: st.DataObject) -> None:
    document = altered(json.loads(FILES[name]), data.draw)
    only_figures(json.dumps(document).encode())


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([*FILES]), st.data())
def test_files_with_bytes_cut_out_raise_nothing_else(name: str, data: st.DataObject) -> None:
    content = FILES[name]
    begin = data.draw(st.integers(0, len(content)))
    only_figures(
        content[:begin] + data.draw(st.binary(max_size=5)) + content[data.draw(st.integers(begin, len(content))) :]
    )


@pytest.mark.parametrize(
    "piece",
    [b" ", b"a ", b"'", b"x pred=", b"INSERT INTO a (b) VALUES ('", b"| 1 ", b'{"', b"Decode batch ", b"1,", b"''"],
)
def test_long_repetitions_take_no_longer_than_their_length_allows(piece: bytes) -> None:
    for head in (b"", b"INSERT INTO a (b) VALUES (", b"  x pred= 1 draft= ", b"pred= draft= tok/s=\n a"):
        only_figures(head + piece * (200_000 // len(piece)))


@pytest.mark.parametrize(
    ("text", "value"),
    [("1,234.5", 1234.5), ("12,345", 12345.0), ("27,5", None), ("1,23,456", None), ("**45.1**", 45.1), ("78%", None)],
)
def test_a_comma_stands_between_groups_of_three_digits_or_there_is_no_number(text: str, value: float | None) -> None:
    assert number(text) == value


def test_json_lines_may_hold_what_other_programs_take_for_an_end_of_line() -> None:
    lines = [{"prompt": f"one{sign}two"} for sign in ("\u2028", "\u2029", "\u0085")]
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    assert decode(text.encode()) == lines
