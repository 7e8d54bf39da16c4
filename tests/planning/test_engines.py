"""One run file for several engines."""

import pytest

from specbench.engines import catalog
from specbench.errors import InputError
from specbench.planning.engines import per_engine
from specbench.planning.runfile import RunFile

PROFILES = [catalog.profiles(None)[name] for name in ("llama-server", "vllm")]


def test_each_engine_gets_the_methods_that_it_has() -> None:
    asked = RunFile.model_validate({"targets": [{"model": "m", "methods": ["none", "ngram-mod", "ngram"]}]})
    parts = [part.targets[0].methods for part, _ in per_engine(asked, PROFILES, {})]
    assert parts == [("none", "ngram-mod"), ("none", "ngram")]


def test_a_setting_that_no_engine_knows_is_an_error() -> None:
    asked = RunFile.model_validate(
        {"targets": [{"model": "m"}], "method_settings": {"draft-model": {"draft_tokns_max": 3}}}
    )
    with pytest.raises(InputError, match="draft_tokns_max") as caught:
        list(per_engine(asked, PROFILES, {}))
    assert "draft_tokens_max" in caught.value.hint
