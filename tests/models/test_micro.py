import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from specbench import datafiles
from specbench.engines import catalog, xllamacpp
from specbench.engines.base import Request
from specbench.errors import InputError, UnavailableError
from specbench.models import micro
from specbench.models.compatibility import require_fit
from specbench.models.gguf import read_facts
from specbench.planning.plan import make_plan
from specbench.planning.runfile import validate_runfile
from specbench.planning.suites import parse_suite, select
from specbench.structs import replace


@pytest.fixture(scope="module")
def weights() -> Path:
    return datafiles.path("micro/weights")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def tensors(path: Path) -> dict[str, np.ndarray]:
    return {t.name: gguf.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(path).tensors}


def test_every_member_of_the_family_is_a_whole_model_and_the_draft_fits(weights: Path, cache: Path) -> None:
    files = {name: micro.model_file(name, weights=weights, cache=cache) for name in micro.NAMES}
    quants = {name: read_facts(file).quant for name, file in files.items()}
    others = {"micro-f16": "F16", "micro-f32": "F32", "ballast": "F32", "ballast-mtp": "F32"}
    assert quants == dict.fromkeys(micro.NAMES, "Q8_0") | others
    for name in ("micro", "micro-f16", "ballast", "ballast-mtp"):
        require_fit(read_facts(files[name]), read_facts(files["micro-draft"]))


def test_a_derived_file_says_what_it_is_and_keeps_tokenizer_and_template(weights: Path, cache: Path) -> None:
    source, made = (read_facts(micro.model_file(n, weights=weights, cache=cache)) for n in ("micro", "ballast"))
    assert made.name is not None
    assert made.name.endswith("ballast-8")
    same = {"parameters": 0, "file_bytes": 0, "path": "", "name": None, "quant": None, "quantised": False}
    same |= {"types": (), "read_bytes": None}
    assert replace(made, **same) == replace(source, **same)
    assert made.parameters > 4 * source.parameters


def test_f32_holds_the_values_of_the_source(weights: Path, cache: Path) -> None:
    source = tensors(weights / "target-q8_0.gguf")
    for name, values in tensors(micro.derive("f32", weights=weights, cache=cache)).items():
        np.testing.assert_array_equal(values, source[name])


def test_ballast_computes_the_same_feed_forward(weights: Path, cache: Path) -> None:
    plain, wide = (tensors(micro.derive(kind, weights=weights, cache=cache)) for kind in ("f32", "ballast-4"))
    state = np.random.default_rng(1).standard_normal(plain["blk.0.ffn_up.weight"].shape[1]).astype(np.float64)

    def feed_forward(of: dict[str, np.ndarray]) -> np.ndarray:
        gate, up, down = (of[f"blk.0.ffn_{part}.weight"].astype(np.float64) for part in ("gate", "up", "down"))
        gated = gate @ state
        result: np.ndarray = down @ (gated / (1 + np.exp(-gated)) * (up @ state))
        return result

    assert wide["blk.0.ffn_up.weight"].shape[0] == 4 * plain["blk.0.ffn_up.weight"].shape[0]
    np.testing.assert_allclose(feed_forward(wide), feed_forward(plain), rtol=1e-6, atol=1e-6)


def test_the_container_with_the_mtp_block_adds_nothing_to_the_target(weights: Path, cache: Path) -> None:
    plain, made = (tensors(micro.derive(kind, weights=weights, cache=cache)) for kind in ("f32", "f32-mtp"))
    assert read_facts(micro.derive("f32-mtp", weights=weights, cache=cache)).nextn_layers == 1
    for name in ("ssm_out", "ffn_down"):
        assert not made[f"blk.0.{name}.weight"].any(), "the recurrent layer must not change the residual stream"
    query, gate = np.split(made["blk.1.attn_q.weight"].reshape(4, 128, 256), 2, axis=1)
    np.testing.assert_array_equal(query.reshape(256, 256), plain["blk.0.attn_q.weight"])
    assert not gate.any(), "a gate of 0 lets half through"
    np.testing.assert_array_equal(made["blk.1.attn_output.weight"], 2 * plain["blk.0.attn_output.weight"])


def test_q8_0_survives_the_container_bit_by_bit(weights: Path, cache: Path) -> None:
    source, made = (
        tensors(weights / "target-q8_0.gguf"),
        tensors(micro.derive("q8_0-mtp", weights=weights, cache=cache)),
    )
    for name in ("ffn_up", "ffn_down", "attn_k", "attn_v"):
        np.testing.assert_array_equal(made[f"blk.4.{name}.weight"], source[f"blk.3.{name}.weight"])
    block = tensors(weights / "mtp-q8_0.gguf")
    np.testing.assert_array_equal(made["blk.5.nextn.eh_proj.weight"], block["nextn.eh_proj.weight"])


def test_ballast_leaves_the_mtp_block_as_it_is(weights: Path, cache: Path) -> None:
    block, wide = (
        tensors(weights / "mtp-q8_0.gguf"),
        tensors(micro.derive("ballast-4-mtp", weights=weights, cache=cache)),
    )
    neurons = block["blk.0.ffn_up.weight"].shape[0]
    np.testing.assert_array_equal(wide["blk.5.ffn_up.weight"][:neurons], block["blk.0.ffn_up.weight"])
    assert not wide["blk.5.ffn_up.weight"][neurons:].any()


def test_a_file_is_derived_once(weights: Path, tmp_path: Path) -> None:
    made = micro.derive("f16", weights=weights, cache=tmp_path)
    before = made.stat().st_mtime_ns
    assert micro.derive("f16", weights=weights, cache=tmp_path) == made
    assert made.stat().st_mtime_ns == before
    assert list(tmp_path.iterdir()) == [made]


@pytest.mark.parametrize("kind", ["f17", "ballast-", "ballast-0", "ballast-x", "", "q8_0", "mtp", "f17-mtp"])
def test_an_unknown_kind_is_refused(weights: Path, tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputError, match="unknown derived model"):
        micro.derive(kind, weights=weights, cache=tmp_path)


def test_a_cache_that_cannot_be_written_says_what_to_do(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError) as caught:
        micro.derive("f16", weights=weights, cache=tmp_path / "file")
    assert "SPECBENCH_CACHE" in caught.value.hint
    with pytest.raises(InputError, match="cannot read"):
        micro.derive("f16", weights=tmp_path, cache=tmp_path)


@pytest.mark.engine
@pytest.mark.parametrize("names", [("micro-f32", "ballast"), ("ballast", "ballast-mtp")])
def test_a_derived_target_gives_the_greedy_answers_of_f32_through_a_real_engine(
    weights: Path, cache: Path, tmp_path: Path, names: tuple[str, str]
) -> None:
    suite = parse_suite(datafiles.texts(datafiles.path("suites/core")))
    prompts = [prompt for prompt in select(suite, tags=["smoke"], limit=1) if prompt.messages]
    targets = [{"model": str(micro.model_file(n, weights=weights, cache=cache))} for n in names]
    plan = make_plan(
        validate_runfile({"targets": targets, "methods": ["none"], "engine_settings": {"threads": 1}}),
        suite=suite,
        profiles=catalog.profiles(None),
        facts={},
        version="0",
    )
    answers = []
    for contender in plan.contenders:
        with catalog.open_session(contender, log=tmp_path / "engine.log", load_timeout=60) as session:
            texts = [session.apply_template(prompt.messages, thinking=None) for prompt in prompts]
            answers.append([session.generate(greedy(text)) for text in texts])
    assert len(answers[0]) == 7
    for plain, wide in zip(*answers, strict=True):
        assert plain.output_ids is not None
        assert wide.output_ids is not None
        assert plain.top_two_gaps is not None
        pairs = zip(plain.output_ids, wide.output_ids, plain.top_two_gaps, strict=True)
        gap = next((gap for one, other, gap in pairs if one != other), 0)  # at the first difference
        assert gap is not None
        assert gap < 0.01, "only the order of additions may differ"


def greedy(text: str) -> Request:
    return Request(prompt=text, output_tokens=32, temperature=0, seed=1, ignore_eos=True, timeout=60, top_two=True)


@pytest.mark.engine
@pytest.mark.parametrize(
    ("kind", "target", "drafter"),
    [
        ("simple", "micro", "micro-draft"),
        ("eagle3", "micro", "micro-eagle3"),
        ("eagle3", "ballast", "micro-eagle3"),
        ("dflash", "micro", "micro-dflash"),
        ("dspark", "micro", "micro-dspark"),
        ("mtp", "micro-mtp", None),
        ("mtp", "ballast-mtp", None),
    ],
)
def test_a_drafter_drafts_and_the_target_accepts(
    weights: Path, cache: Path, kind: str, target: str, drafter: str | None
) -> None:
    pairs = [
        f"model.path={micro.model_file(target, weights=weights, cache=cache)}",
        f"speculative.types=draft-{kind}",
        "speculative.draft.n_max=3",
    ]
    if drafter:
        pairs.append(f"speculative.draft.mparams.path={micro.model_file(drafter, weights=weights, cache=cache)}")
    prompt = "<|im_start|>user\nWrite a Python function that adds two numbers.<|im_end|>\n<|im_start|>assistant\n"
    with serving(*pairs) as address:
        timings = post(f"{address}/completion", {"prompt": prompt, "n_predict": 48, "temperature": 0})["timings"]
    assert timings["draft_n"] > timings["draft_n_accepted"] / 2 > 0


@contextmanager
def serving(*pairs: str) -> Iterator[str]:
    """The address of an xllamacpp server with these attributes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [sys.executable, "-P", xllamacpp.__file__, f"port={port}", "n_ctx=2048", "n_parallel=1", *pairs]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet) as child:
        assert child.stdin
        try:
            wait_until_healthy(f"http://127.0.0.1:{port}", child)
            yield f"http://127.0.0.1:{port}"
        finally:
            child.stdin.close()


def wait_until_healthy(address: str, child: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        assert child.poll() is None, "the engine ended"
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):  # noqa: S310  our own server
                return
        except urllib.error.URLError:
            time.sleep(0.1)
    pytest.fail("the engine did not start within a minute")


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310  our own server
    with urllib.request.urlopen(request, timeout=60) as reply:  # noqa: S310  our own server
        found: dict[str, Any] = json.load(reply)
        return found
