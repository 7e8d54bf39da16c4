"""Models with code of their own, in the interfaces of Orthrus and Domino, written for the tests.

The target is the embedded one. Both draft what it would say itself, made wrong at every text position that `WRONG`
divides: every count is known beforehand. The released models' code is not here; nothing of it was copied.
"""

import json
import shutil
from pathlib import Path

import numpy as np

from specbench.models.micro_folders import save

BLOCK, WRONG = 6, 5

_ORTHRUS = """
import torch
from transformers import DynamicCache, Qwen3Config, Qwen3ForCausalLM


def rolled_out(target, ids, cache, most):
    '''What the target says next, token by token; the cache is left as it was.'''
    found, fresh, before = [], ids, cache.get_seq_length()
    for _ in range(most):
        hidden = target.model(input_ids=fresh, past_key_values=cache, use_cache=True).last_hidden_state
        fresh = target.lm_head(hidden[:, -1:]).argmax(-1)
        found.append(int(fresh))
    if found:
        cache.crop(before - cache.get_seq_length())
    return found


def spoilt(tokens, start):
    return [(t + 1) % 2000 if (start + i) % WRONG == 0 else t for i, t in enumerate(tokens)]


class OrthrusConfig(Qwen3Config):
    model_type = "orthrus"


class OrthrusLM(Qwen3ForCausalLM):
    config_class = OrthrusConfig

    def forward(self, input_ids=None, is_diffusion_pass=False, ar_seq_len=None, past_key_values=None, **more):
        if not is_diffusion_pass:
            return super().forward(input_ids=input_ids, past_key_values=past_key_values, **more)
        return spoilt(rolled_out(self, input_ids[:, :1], past_key_values, input_ids.shape[1] - 1), ar_seq_len + 1)

    @torch.inference_mode()
    def generate(self, input_ids, max_new_tokens=None, temperature=0.0, top_k=20, top_p=0.8, eos_token_id=None,
                 use_diffusion_mode=True, **more):
        assert use_diffusion_mode and temperature == 0
        end, cache, start = input_ids.shape[1] + max_new_tokens, DynamicCache(), input_ids.shape[1]
        out = input_ids[0].tolist()
        first = self(input_ids=input_ids, position_ids=torch.arange(start)[None], past_key_values=cache, use_cache=True)
        out.append(int(first.logits[0, -1].argmax()))
        while start < end - 1 and eos_token_id not in out[input_ids.shape[1]:]:
            size = min(self.config.block_size, end - start)
            places = torch.arange(start, start + size)[None]
            block = torch.full((1, size), 7)
            block[0, 0] = out[start]
            draft = self(input_ids=block, position_ids=places, past_key_values=cache, is_diffusion_pass=True,
                         ar_seq_len=start)
            block = torch.tensor([[out[start], *draft]])
            logits = self(input_ids=block, position_ids=places, past_key_values=cache, use_cache=True).logits
            own = logits[0].argmax(-1).tolist()
            kept = 0
            while kept < len(draft) and draft[kept] == own[kept]:
                kept += 1
            out = out[: start + 1] + own[: kept + 1]
            cache.crop(start + kept + 1 - cache.get_seq_length()) if kept + 1 < size else None
            start += kept + 1
        answer = out[input_ids.shape[1] : end]
        if eos_token_id in answer:
            answer = answer[: answer.index(eos_token_id) + 1]
        return torch.tensor([input_ids[0].tolist() + answer])
"""

_DOMINO = """
import sys

import torch
from torch import nn
from transformers import DynamicCache, PreTrainedModel, Qwen3Config


class DominoDrafter(PreTrainedModel):
    config_class = Qwen3Config

    def __init__(self, config):
        super().__init__(config)
        self.fc = nn.Linear(4, 4, bias=False)
        self.post_init()

    def forward(self, target=None, token=None, cache=None, most=0):
        found, fresh, before = [], token, cache.get_seq_length()
        for _ in range(most):
            hidden = target.model(input_ids=fresh, past_key_values=cache, use_cache=True).last_hidden_state
            fresh = target.lm_head(hidden[:, -1:]).argmax(-1)
            found.append(int(fresh))
        cache.crop(before - cache.get_seq_length())
        return [(t + 1) % 2000 if (before + 1 + i) % WRONG == 0 else t for i, t in enumerate(found)]

    @torch.inference_mode()
    def spec_generate(self, input_ids, target, max_new_tokens=2048, temperature=0.0, stop_token_ids=None,
                      block_size=None):
        assert temperature == 0
        size, start = block_size or self.config.block_size, input_ids.shape[1]
        end, cache, lengths = start + max_new_tokens, DynamicCache(), []
        out = input_ids[0].tolist()
        first = target(input_ids, position_ids=torch.arange(start)[None], past_key_values=cache, use_cache=True)
        out.append(int(first.logits[0, -1].argmax()))
        while start < end:  # also once more where only the last token is there, as on CUDA
            draft = self(target=target, token=torch.tensor([[out[start]]]), cache=cache, most=size - 1)
            block = torch.tensor([[out[start], *draft]])
            places = torch.arange(start, start + size)[None]
            own = target(block, position_ids=places, past_key_values=cache, use_cache=True).logits[0].argmax(-1)
            own, kept = own.tolist(), 0
            while kept < size - 1 and draft[kept] == own[kept]:
                kept += 1
            lengths.append(kept + 1)
            out = out[: start + 1] + own[: kept + 1]
            if kept + 1 < size:
                cache.crop(start + kept + 1 - cache.get_seq_length())
            start += kept + 1
            if stop_token_ids and {*out[input_ids.shape[1] :]} & {*stop_token_ids}:
                break
        print("acceptance_lengths", lengths, file=sys.stderr, flush=True)
        return torch.tensor([out[:end]])
"""


def _described(folder: Path, code: str, **more: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "block_size": BLOCK, **more}))
    (folder / "modeling.py").write_text(f"WRONG = {WRONG}\n{code}")


def orthrus(folder: Path, target: Path) -> Path:
    """The embedded target as a model with a diffusion path."""
    shutil.copytree(target, folder)
    auto = {"AutoConfig": "modeling.OrthrusConfig", "AutoModelForCausalLM": "modeling.OrthrusLM"}
    _described(folder, _ORTHRUS, architectures=["OrthrusLM"], model_type="orthrus", auto_map=auto)
    return folder


def domino(folder: Path, target: Path) -> Path:
    """A drafter of no weight for the embedded target."""
    folder.mkdir(parents=True)
    shutil.copy(target / "config.json", folder)
    auto = {"AutoModel": "modeling.DominoDrafter"}
    own = {"projector_type": "domino", "mask_token_id": 7}
    _described(folder, _DOMINO, architectures=["DFlashDraftModel"], auto_map=auto, dflash_config=own)
    save({"fc.weight": np.zeros((4, 4), np.float32)}, folder / "model.safetensors")
    return folder


def kept(start: int, left: int) -> tuple[int, int]:
    """Drafted and accepted of a round after `start` text tokens and the one it starts from, with `left` places."""
    drafted = min(BLOCK - 1, left - 1)
    places = range(start + 1, start + BLOCK)
    right = next((i for i, place in enumerate(places) if place % WRONG == 0), BLOCK - 1)
    return drafted, min(right, drafted)
