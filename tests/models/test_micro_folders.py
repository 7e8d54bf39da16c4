"""The embedded family as folders: that vLLM generates the same with them is tested in engines/test_vllm.py."""

from pathlib import Path

import pytest

from specbench import datafiles
from specbench.errors import InputError
from specbench.models import compatibility, micro_folders
from specbench.models.gguf import read_facts as read_gguf
from specbench.models.safetensors import read_facts

WEIGHTS = datafiles.path("micro/weights")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_the_folders_have_the_facts_of_the_files_and_the_drafters_fit(cache: Path) -> None:
    target = read_facts(micro_folders.model_folder("micro", weights=WEIGHTS, cache=cache))
    for name, file in micro_folders.NAMES.items():
        made = read_facts(micro_folders.model_folder(name, weights=WEIGHTS, cache=cache))
        source = read_gguf(WEIGHTS / f"{file}-q8_0.gguf")
        assert (made.drafter, made.vocabulary_size, made.context_length) == (
            source.drafter,
            source.vocabulary_size,
            source.context_length,
        )
        if name != "micro":
            assert compatibility.misfit(target, made) is None


def test_the_family_is_made_once(cache: Path) -> None:
    made = micro_folders.model_folder("micro", weights=WEIGHTS, cache=cache)
    written = (made / "model.safetensors").stat().st_mtime_ns
    again = micro_folders.model_folder("micro-draft", weights=WEIGHTS, cache=cache)
    assert again.parent == made.parent
    assert (made / "model.safetensors").stat().st_mtime_ns == written


def test_a_member_without_a_folder_is_refused(cache: Path) -> None:
    with pytest.raises(InputError, match="ballast exists as GGUF only"):
        micro_folders.model_folder("ballast", weights=WEIGHTS, cache=cache)
