import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import xllamacpp

from specbench.engines import catalog

CHILD = Path(catalog.__file__).with_name("xllamacpp.py")


@pytest.fixture(scope="module")
def child() -> ModuleType:
    spec = importlib.util.spec_from_file_location("child", CHILD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("pair", "shown"),
    [
        ("n_ctx=2048", 2048),
        ("endpoint_metrics=true", True),
        ("model.path=a=b $port.gguf", "a=b $port.gguf"),
        ("cache_type_k=q8_0", xllamacpp.ggml_type.GGML_TYPE_Q8_0),
        ("cache_type_v=f16", xllamacpp.ggml_type.GGML_TYPE_F16),
        ("flash_attn_type=enabled", xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED),
        ("load_mode=mlock", xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_MLOCK),
        ("load_mode=mmap-mlock", xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_MMAP_MLOCK),
        ("split_mode=row", xllamacpp.llama_split_mode.LLAMA_SPLIT_MODE_ROW),
        (
            "speculative.types=ngram-mod,draft-simple",
            [
                xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_MOD,
                xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE,
            ],
        ),
        ("tensor_split=3,1", [3.0, 1.0] + [0.0] * 126),
        ("speculative.draft.p_min=0.5", 0.5),
    ],
)
def test_a_value_takes_the_type_of_its_attribute(child: ModuleType, pair: str, shown: object) -> None:
    params = xllamacpp.CommonParams()
    child.assign(params, pair)
    value = params
    for name in pair.partition("=")[0].split("."):
        value = getattr(value, name)
    assert value == shown


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("n_ctx", "is not ATTRIBUTE=VALUE"),
        ("n_contexts=1", "has no n_contexts"),
        ("model.paths=1", r"has no model\.paths"),
        ("n_ctx=many", "n_ctx cannot be 'many'"),
        ("endpoint_metrics=yes", "true or false"),
        ("cache_type_k=q9", "cache_type_k cannot be 'q9'"),
        ("cache_type_k=0", "cache_type_k cannot be '0'"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_words(child: ModuleType, pair: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        child.assign(xllamacpp.CommonParams(), pair)


def test_the_program_ends_with_a_sentence_when_it_cannot_serve() -> None:
    words = [sys.executable, "-P", str(CHILD), "n_contexts=1"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.strip() == "error: this version of xllamacpp has no n_contexts"


def test_the_profile_fits_this_version_of_the_package(child: ModuleType) -> None:
    profile = catalog.profiles(None)["xllamacpp"]
    fragments = [*profile.settings.values(), *(f for m in profile.methods.values() for f in m.settings.values())]
    lists = [words for f in fragments for words in (f.values() if isinstance(f, dict) else [f])]
    pairs = {pair for words in [*lists, profile.argv, *(m.argv for m in profile.methods.values())] for pair in words}
    for pair in sorted(pairs):
        path, _, value = pair.partition("=")
        if "$" not in value:
            child.assign(xllamacpp.CommonParams(), pair)
        holder = xllamacpp.CommonParams()
        for name in path.split("."):
            holder = getattr(holder, name)
