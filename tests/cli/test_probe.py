"""`specbench probe` on a real engine: what acts, and a setting that llama.cpp takes and never reads."""

import json
from pathlib import Path

import pytest
from cli.test_bad_input import specbench

from specbench import store

pytestmark = pytest.mark.engine


def test_settings_that_act_and_one_that_the_engine_ignores_are_told_apart(tmp_path: Path) -> None:
    done = specbench("probe", "-m", "micro", "-M", "draft-model,ngram-simple", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    verdicts = {(row["method"], row["setting"]): row["verdict"] for row in json.loads(done.stdout)}
    assert verdicts == {
        ("draft-model", "draft_tokens_max"): "acts",
        ("draft-model", "draft_tokens_min"): "acts",
        ("draft-model", "p_min"): "acts",
        ("draft-model", "p_split"): "SETTING_IGNORED",
        ("ngram-simple", "ngram_draft_size"): "acts",
        ("ngram-simple", "ngram_size"): "acts",
    }
    (path,) = store.runs(tmp_path / "results")
    assert store.read(path).plan.name == "probe"


@pytest.mark.parametrize("words", [("-M", "ngram-simple+draft-model"), ("-e", "xllamacpp", "-e", "llama-server")])
def test_one_engine_and_plain_methods_are_probed(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = specbench("probe", "-m", "micro", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert "probe takes one engine" in done.stderr


def test_an_engine_without_a_setting_to_probe_is_told_so(tmp_path: Path) -> None:
    done = specbench("probe", "-m", "micro", "-M", "none", cwd=tmp_path)
    assert done.returncode == 2
    assert "there is no setting that could be probed" in done.stderr
