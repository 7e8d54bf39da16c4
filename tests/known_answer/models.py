"""Write known-answer GGUFs: models whose next token is a table look-up, so that all counts can be computed.

One dimension a token: the embedding is the identity, the blocks add nothing, and the output head is the table. The
norm before the head makes the state sqrt(VOCABULARY_SIZE) times a unit vector, so the next token has p = 1 - 1e-6.
"""

import itertools
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from known_answer.simulator import Maps, make_maps

HEADS, HEAD_DIM, FEED_FORWARD = 1, 32, 32
TARGET_LAYERS, DRAFT_LAYERS = 3, 1
CONTEXT = 4096
BLOCK_SIZE = 8  # of the DFlash and DSpark drafters

Matrix = np.ndarray[Any, Any]

# ---------------------------------------------------------------------------------------------------- vocabulary
# A byte-level BPE in GPT-2's notation: the bytes, one merge for each syllable, padding, and the special tokens.

_PRINTABLE_BYTES = (*range(33, 127), *range(161, 173), *range(174, 256))
_OTHER_BYTES = tuple(byte for byte in range(256) if byte not in _PRINTABLE_BYTES)
_SYMBOLS = {byte: chr(byte) for byte in _PRINTABLE_BYTES} | {byte: chr(256 + i) for i, byte in enumerate(_OTHER_BYTES)}
MERGES = tuple(itertools.product("bcdfghjklmnpqrstvwxyz", "aeiou"))
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|mask|>")
_NORMAL = (*(_SYMBOLS[byte] for byte in range(256)), *(a + b for a, b in MERGES))
VOCABULARY_SIZE = 384  # and the width
_PADDING = tuple(f"<unused{i}>" for i in range(VOCABULARY_SIZE - len(_NORMAL) - len(SPECIAL)))
TOKENS = (*_NORMAL, *_PADDING, *SPECIAL)
PRINTABLE = (*range(33, 127), *range(256, len(_NORMAL)))
END_OF_TEXT, _, END_OF_TURN, MASK = range(VOCABULARY_SIZE - len(SPECIAL), VOCABULARY_SIZE)
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


UNSURE = 0.1  # of the usual logit where a drafter is wrong: below 0.5 among the ten likeliest, for tests of p_min
LIKELIER = 0.7  # what follows at temperature 1 on a forking target; otherwise the token after it


@dataclass(frozen=True)
class KnownAnswer:
    """The files of one family, and the maps that they walk. `mtp` and `mtp_three_heads` are targets with a drafter."""

    maps: Maps
    target: Path
    draft: Path
    mtp: Path
    mtp_three_heads: Path
    eagle3: Path
    dspark: Path
    dflash: Path


def write_models(folder: Path, *, cycle: int = 64, wrong: int = 16, forking: bool = False) -> KnownAnswer:
    """A target, and drafters that are wrong on `wrong` of `cycle` tokens; `dflash` always names the walk's first token.

    `forking`: at temperature 1 target and drafters alike leave a token of the walk out with p = 1 - LIKELIER.
    """
    folder.mkdir(parents=True, exist_ok=True)
    maps = make_maps(PRINTABLE, VOCABULARY_SIZE, cycle=cycle, wrong=wrong)
    head = forked(maps.target) if forking else table(maps.target)
    draft_head = forked(maps.drafter) if forking else table(maps.drafter, unsure=maps.mistakes)
    return KnownAnswer(
        maps=maps,
        target=_plain(folder / "target.gguf", layers=TARGET_LAYERS, head=head),
        draft=_plain(folder / "draft.gguf", layers=DRAFT_LAYERS, head=draft_head),
        mtp=_mtp(folder / "mtp.gguf", heads=1, head=head, draft_head=draft_head),
        mtp_three_heads=_mtp(folder / "mtp-three-heads.gguf", heads=3, head=head, draft_head=draft_head),
        eagle3=_eagle3(folder / "eagle3.gguf", following=maps.target, draft_head=draft_head),
        dspark=_block_drafter(folder / "dspark.gguf", markov=draft_head, unsure=maps.mistakes),
        dflash=_block_drafter(folder / "dflash.gguf"),
    )


def table(following: tuple[int, ...], *, unsure: Collection[int] = ()) -> Matrix:
    """The head that names `following[i]` after token i, with little confidence after the tokens of `unsure`."""
    head = np.zeros((VOCABULARY_SIZE, VOCABULARY_SIZE))
    head[following, np.arange(VOCABULARY_SIZE)] = [UNSURE if i in unsure else 1 for i in range(VOCABULARY_SIZE)]
    return head


def forked(following: tuple[int, ...]) -> Matrix:
    """The head that also names what follows `following[i]`, so much less that the two have LIKELIER and the rest."""
    head = table(following)
    second = np.take(following, following)
    head[second, np.arange(VOCABULARY_SIZE)] = 1 - np.log(LIKELIER / (1 - LIKELIER)) / VOCABULARY_SIZE**0.5
    return head


def _plain(path: Path, *, layers: int, head: Matrix) -> Path:
    with _writer(path, "llama", layers=layers) as writer:
        _add_trunk(writer, head)
        for layer in range(layers):
            _add_inert_block(writer, layer)
    return path


def _mtp(path: Path, *, heads: int, head: Matrix, draft_head: Matrix) -> Path:
    """Each head sees the token's embedding and the target's state, and passes the embedding on to its own output."""
    layers = TARGET_LAYERS + heads
    with _writer(path, "mimo2", layers=layers) as writer:
        writer.add_nextn_predict_layers(heads)
        writer.add_expert_feed_forward_length(FEED_FORWARD)
        writer.add_sliding_window(512)
        writer.add_array("mimo2.attention.sliding_window_pattern", [bool(layer % 2) for layer in range(layers)])
        _add_trunk(writer, head)
        for layer in range(layers):
            _add_inert_block(writer, layer, fused=True)
        for layer in range(TARGET_LAYERS, layers):
            prefix = f"blk.{layer}.nextn."
            _add(writer, prefix + "eh_proj", np.eye(VOCABULARY_SIZE, 2 * VOCABULARY_SIZE))
            _add(writer, prefix + "shared_head_head", draft_head)
            for norm in ("enorm", "hnorm", "shared_head_norm"):
                _add(writer, prefix + norm, np.ones(VOCABULARY_SIZE))
    return path


def _eagle3(path: Path, *, following: tuple[int, ...], draft_head: Matrix) -> Path:
    """The state g belongs to the token before, so the feed-forward adds (P - I) g, P being the walk: together P g."""
    width = VOCABULARY_SIZE
    with _writer(path, "eagle3", layers=1, feed_forward=width) as writer:
        writer.add_array("eagle3.target_layers", list(range(TARGET_LAYERS)))
        writer.add_uint32("eagle3.target_hidden_size", width)
        _add(writer, "fc", np.eye(width, TARGET_LAYERS * width))
        _add(writer, "output_norm", np.ones(width))
        _add(writer, "output", draft_head)
        _add(writer, "blk.0.attn_norm_2", np.ones(width))
        _add_attention(writer, 0, inputs=2 * width)
        _add(writer, "blk.0.ffn_norm", np.ones(width))
        _add(writer, "blk.0.ffn_gate", np.ones((width, width)))
        _add(writer, "blk.0.ffn_up", table(following) - np.eye(width))
        _add(writer, "blk.0.ffn_down", np.eye(width) / width)
    return path


def _block_drafter(path: Path, *, markov: Matrix | None = None, unsure: Collection[int] = ()) -> Path:
    """DFlash: a masked position keeps the mask's embedding, which the target's head maps to the start of the walk.

    With `markov` it is DSpark: the state is multiplied by zero, and that head alone decides from the token before.
    Another one says how confident it is.
    """
    width = VOCABULARY_SIZE
    with _writer(path, "dflash", layers=1) as writer:
        writer.add_array("dflash.target_layers", list(range(TARGET_LAYERS)))
        writer.add_uint32("dflash.block_size", BLOCK_SIZE)
        _add(writer, "fc", np.eye(width, TARGET_LAYERS * width))
        _add(writer, "enc.output_norm", np.ones(width))
        _add(writer, "output_norm", np.full(width, 1 if markov is None else 0))
        _add_inert_block(writer, 0)
        _add(writer, "blk.0.attn_q_norm", np.ones(HEAD_DIM))
        _add(writer, "blk.0.attn_k_norm", np.ones(HEAD_DIM))
        if markov is not None:
            _add(writer, "markov_w1", np.eye(width))
            _add(writer, "markov_w2", width**0.5 * markov)
            _add(writer, "conf_proj", np.array([[0] * width + [-5 if i in unsure else 5 for i in range(width)]]))
    return path


@contextmanager
def _writer(path: Path, architecture: str, *, layers: int, feed_forward: int = FEED_FORWARD) -> Iterator[Any]:
    """A GGUF with the vocabulary and the sizes; what is added to it is written at the end."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(path.stem)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_block_count(layers)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(VOCABULARY_SIZE)
    writer.add_feed_forward_length(feed_forward)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_key_length(HEAD_DIM)
    writer.add_value_length(HEAD_DIM)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e4)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_vocab_size(VOCABULARY_SIZE)
    _add_tokenizer(writer)
    yield writer
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add(writer: gguf.GGUFWriter, name: str, values: Matrix) -> None:
    """Matrices are F16, vectors F32. The shape is (outputs, inputs): GGUF shows it the other way round."""
    dtype = np.float32 if values.ndim == 1 else np.float16
    writer.add_tensor(f"{name}.weight", np.ascontiguousarray(values, dtype))


def _add_trunk(writer: gguf.GGUFWriter, head: Matrix) -> None:
    _add(writer, "token_embd", np.eye(VOCABULARY_SIZE))
    _add(writer, "output_norm", np.ones(VOCABULARY_SIZE))
    _add(writer, "output", head)


def _add_inert_block(writer: gguf.GGUFWriter, layer: int, *, fused: bool = False) -> None:
    """Attention and feed-forward run, and their output projections are zero: the residual passes through."""
    prefix = f"blk.{layer}."
    _add_attention(writer, layer, inputs=VOCABULARY_SIZE, fused=fused)
    _add(writer, prefix + "ffn_norm", np.ones(VOCABULARY_SIZE))
    for name in ("ffn_gate", "ffn_up"):
        _add(writer, prefix + name, _random(FEED_FORWARD, VOCABULARY_SIZE))
    _add(writer, prefix + "ffn_down", np.zeros((VOCABULARY_SIZE, FEED_FORWARD)))


def _add_attention(writer: gguf.GGUFWriter, layer: int, *, inputs: int, fused: bool = False) -> None:
    """Runs, and adds nothing."""
    prefix, outputs = f"blk.{layer}.", HEADS * HEAD_DIM
    for name in ("q", "k", "v") if not fused else ("qkv",):
        _add(writer, f"{prefix}attn_{name}", _random(len(name) * outputs, inputs))
    _add(writer, prefix + "attn_output", np.zeros((VOCABULARY_SIZE, outputs)))
    _add(writer, prefix + "attn_norm", np.ones(VOCABULARY_SIZE))


def _random(outputs: int, inputs: int) -> Matrix:
    return np.random.default_rng(0).standard_normal((outputs, inputs)) / inputs**0.5


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
