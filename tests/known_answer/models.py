"""Write known-answer GGUFs: models whose next token is a table look-up, so that all counts can be computed.

One dimension a token: the embedding is the identity, the blocks add nothing, and the output head is the table. The
norm before the head makes the state sqrt(VOCABULARY_SIZE) times a unit vector, so the next token has p = 1 - 1e-6.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from known_answer.simulator import Maps, make_maps

HEADS, KEY_HEADS, HEAD_DIM, FEED_FORWARD = 3, 1, 128, 32
TARGET_LAYERS, DRAFT_LAYERS = 2, 1
CONTEXT = 4096

# ---------------------------------------------------------------------------------------------------- vocabulary
# A byte-level BPE in GPT-2's notation: the bytes, one merge for each syllable, padding, and the special tokens.

_PRINTABLE_BYTES = (*range(33, 127), *range(161, 173), *range(174, 256))
_OTHER_BYTES = tuple(byte for byte in range(256) if byte not in _PRINTABLE_BYTES)
_SYMBOLS = {byte: chr(byte) for byte in _PRINTABLE_BYTES} | {byte: chr(256 + i) for i, byte in enumerate(_OTHER_BYTES)}
MERGES = tuple(itertools.product("bcdfghjklmnpqrstvwxyz", "aeiou"))
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|mask|>")
_NORMAL = (*(_SYMBOLS[byte] for byte in range(256)), *(a + b for a, b in MERGES))
VOCABULARY_SIZE = HEADS * HEAD_DIM
_PADDING = tuple(f"<unused{i}>" for i in range(VOCABULARY_SIZE - len(_NORMAL) - len(SPECIAL)))
TOKENS = (*_NORMAL, *_PADDING, *SPECIAL)
PRINTABLE = (*range(33, 127), *range(256, len(_NORMAL)))
END_OF_TEXT, _, END_OF_TURN, MASK = range(VOCABULARY_SIZE - len(SPECIAL), VOCABULARY_SIZE)
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True)
class KnownAnswer:
    """The files of one family, and the maps that they walk."""

    maps: Maps
    target: Path
    draft: Path
    perfect_draft: Path


def write_models(folder: Path, *, cycle: int = 64, wrong: int = 16) -> KnownAnswer:
    """A target, a draft model that is wrong on `wrong` of `cycle` tokens, and one that is never wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    maps = make_maps(PRINTABLE, VOCABULARY_SIZE, cycle=cycle, wrong=wrong)
    return KnownAnswer(
        maps=maps,
        target=_write(folder / "target.gguf", layers=TARGET_LAYERS, following=maps.target),
        draft=_write(folder / "draft.gguf", layers=DRAFT_LAYERS, following=maps.drafter),
        perfect_draft=_write(folder / "perfect-draft.gguf", layers=DRAFT_LAYERS, following=maps.target),
    )


def _write(path: Path, *, layers: int, following: tuple[int, ...]) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(path.stem)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_block_count(layers)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(VOCABULARY_SIZE)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_vocab_size(VOCABULARY_SIZE)
    _add_tokenizer(writer)
    _add(writer, "token_embd", np.eye(VOCABULARY_SIZE))
    _add(writer, "output_norm", np.ones(VOCABULARY_SIZE))
    _add(writer, "output", table(following))
    for layer in range(layers):
        _add_inert_block(writer, f"blk.{layer}.")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def table(following: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """The head that names `following[i]` after token i."""
    head = np.zeros((VOCABULARY_SIZE, VOCABULARY_SIZE))
    head[following, np.arange(VOCABULARY_SIZE)] = 1
    return head


def _add(writer: gguf.GGUFWriter, name: str, values: np.ndarray[Any, Any]) -> None:
    """Matrices are F16, vectors F32. The shape is (outputs, inputs): GGUF shows it the other way round."""
    dtype = np.float32 if values.ndim == 1 else np.float16
    writer.add_tensor(f"{name}.weight", np.ascontiguousarray(values, dtype))


def _add_inert_block(writer: gguf.GGUFWriter, prefix: str) -> None:
    """Attention and feed-forward run, and their output projections are zero: the residual passes through."""
    dice = np.random.default_rng(0)
    width, queries, keys = VOCABULARY_SIZE, HEADS * HEAD_DIM, KEY_HEADS * HEAD_DIM
    attention = {"attn_q": queries, "attn_k": keys, "attn_v": keys}
    for name, outputs in {**attention, "ffn_gate": FEED_FORWARD, "ffn_up": FEED_FORWARD}.items():
        _add(writer, prefix + name, dice.standard_normal((outputs, width)) / width**0.5)
    _add(writer, prefix + "attn_output", np.zeros((width, queries)))
    _add(writer, prefix + "ffn_down", np.zeros((width, FEED_FORWARD)))
    _add(writer, prefix + "attn_norm", np.ones(width))
    _add(writer, prefix + "ffn_norm", np.ones(width))


def _add_tokenizer(writer: gguf.GGUFWriter) -> None:
    first_special = VOCABULARY_SIZE - len(SPECIAL)
    kinds = [gguf.TokenType.NORMAL if i < first_special else gguf.TokenType.CONTROL for i in range(VOCABULARY_SIZE)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(TOKENS)
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{a} {b}" for a, b in MERGES])
    writer.add_eos_token_id(END_OF_TURN)
    writer.add_eot_token_id(END_OF_TURN)
    writer.add_pad_token_id(END_OF_TEXT)
    writer.add_mask_token_id(MASK)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
