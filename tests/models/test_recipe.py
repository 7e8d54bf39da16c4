"""What the recipe derives from the committed weights. It runs where the recipe's packages are installed."""

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the recipe's packages are not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

WEIGHTS = Path(__file__).resolve().parents[2] / "micro" / "weights"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from micro.recipe import huggingface

    out = tmp_path_factory.mktemp("hf")
    huggingface.write(WEIGHTS, out)
    return out


@pytest.mark.parametrize("name", ["target", "draft"])
def test_transformers_computes_what_the_recipe_computes(folders: Path, name: str) -> None:
    from micro.recipe import probe, weights

    loaded = weights.read(WEIGHTS / f"{name}-q8_0.gguf")
    ours = loaded.model()
    for parameter in ours.parameters():
        parameter.data = parameter.data.bfloat16().float()  # the folder's precision
    theirs: Any
    theirs, told = transformers.AutoModelForCausalLM.from_pretrained(
        folders / name, dtype=torch.float32, output_loading_info=True
    )
    assert not any(told.values())
    assert theirs.config.rope_parameters["rope_theta"] == loaded.shape.theta
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders / name)
    for category in probe.CATEGORIES:
        (document,) = probe.held_out(category, 1)
        messages = [{"role": role, "content": text} for role, text in document]
        ids = tokenizer.apply_chat_template(messages, tokenize=True, add_generation_prompt=True, return_dict=False)
        assert ids == loaded.tokenizer.encode(probe.chat_prompt(document)).ids
        x = torch.tensor([ids])
        with torch.no_grad():
            torch.testing.assert_close(theirs(x).logits, ours(x), atol=2e-3, rtol=0)


def test_the_folders_name_the_architectures_that_engines_know(folders: Path) -> None:
    configs = {folder.name: json.loads((folder / "config.json").read_text()) for folder in folders.iterdir()}
    assert {name: config["architectures"] for name, config in configs.items()} == {
        "target": ["Qwen3ForCausalLM"],
        "draft": ["Qwen3ForCausalLM"],
        "eagle3": ["LlamaForCausalLMEagle3"],
        "dflash": ["DFlashDraftModel"],
    }
