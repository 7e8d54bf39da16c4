"""Byte-level BPE of 2,044 learned entries and four specials: what GGUF calls `gpt2` with pre-tokenizer `qwen2`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from .corpus import GENERATORS, Messages, document

SIZE = 2048
PAD, START, END, MASK = SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|mask|>")  # the last four ids
PAD_ID, START_ID, END_ID, MASK_ID = range(SIZE - 4, SIZE)
# The pattern behind `tokenizer.ggml.pre = qwen2`: both engines must split text alike.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def samples(per_category: int) -> Iterator[str]:
    for category in GENERATORS:
        r = Random(f"vocabulary-{category}")
        for _ in range(per_category if category != "copy" else per_category // 4):
            yield from (text for _, text in document(r, category))


def untrained(model: models.BPE) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def train(path: Path, *, per_category: int = 2500) -> Tokenizer:
    tokenizer = untrained(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE - len(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[],
        show_progress=False,
    )
    tokenizer.train_from_iterator(samples(per_category), trainer)
    tokenizer.add_special_tokens(list(SPECIALS))
    if [tokenizer.token_to_id(s) for s in SPECIALS] != [PAD_ID, START_ID, END_ID, MASK_ID]:
        raise ValueError(f"the corpus is too small for a vocabulary of {SIZE}; raise per_category")
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))
    return tokenizer


def from_parts(tokens: list[str], merges: list[tuple[str, str]]) -> Tokenizer:
    """The tokenizer that a GGUF file describes."""
    tokenizer = untrained(models.BPE(vocab={t: i for i, t in enumerate(tokens[: -len(SPECIALS)])}, merges=merges))
    tokenizer.add_special_tokens(list(SPECIALS))
    return tokenizer


def merges_of(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    pairs = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(p.split(" ")) if isinstance(p, str) else tuple(p) for p in pairs]


def load(path: Path) -> Tokenizer:
    return Tokenizer.from_file(str(path))


def chat_prompt(messages: Messages) -> str:
    """The text up to and including the header of the answer to come."""
    return "".join(f"{START}{role}\n{text}{END}\n" for role, text in messages) + f"{START}assistant\n"


def chat_pieces(messages: Messages) -> list[tuple[str, bool]]:
    """A whole document as (text, is it an answer) pieces; concatenated they are what an engine sees."""
    pieces: list[tuple[str, bool]] = []
    header = ""
    for role, text in messages:
        if role == "assistant":
            pieces += [(f"{header}{START}assistant\n", False), (text + END, True)]
            header = "\n"
        else:
            header += f"{START}{role}\n{text}{END}\n"
    return [*pieces, ("\n" + PAD, False)]
