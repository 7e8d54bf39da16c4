"""Documents -> token sequences of one length, with the kind of each token; one file per phase."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from .corpus import CATEGORIES, Messages, Phase, held_out, stream
from .vocabulary import PAD_ID, chat_pieces

PADDING, PROMPT, ANSWER = 0, 1, 2
Encoded = tuple[list[int], list[int]]  # tokens, kinds


def encode(tokenizer: Tokenizer, documents: list[Messages]) -> list[Encoded]:
    pieces = [chat_pieces(d) for d in documents]
    flat = tokenizer.encode_batch_fast([text for p in pieces for text, _ in p])
    ids = iter(flat)
    out: list[Encoded] = []
    for p in pieces:
        tokens: list[int] = []
        kinds: list[int] = []
        for _, answer in p:
            piece = next(ids).ids
            tokens += piece
            kinds += [ANSWER if answer else PROMPT] * len(piece)
        out.append((tokens, kinds))
    return out


class Packer:
    """Fills rows of length + 1 tokens with the longest waiting document that fits; cuts one only when none does."""

    def __init__(self, length: int, *, waiting: int = 48) -> None:
        self.room, self.waiting = length + 1, waiting
        self.pool: list[Encoded] = []
        self.rows: list[Encoded] = []
        self.current: Encoded = ([], [])

    def add(self, document: Encoded) -> None:
        self.pool.append(document)
        if len(self.pool) >= self.waiting:
            self._place()

    def _place(self) -> None:
        tokens, kinds = self.current
        left = self.room - len(tokens)
        oldest_first = not tokens  # a row begins with the document that has waited longest
        fitting = [i for i, d in enumerate(self.pool) if len(d[0]) <= left]
        if oldest_first:
            index = 0
        elif fitting:
            index = max(fitting, key=lambda i: len(self.pool[i][0]))
        elif left < 40:
            index = -1
        else:
            index = 0
        if index >= 0:
            document = self.pool.pop(index)
            tokens += document[0][:left]
            kinds += document[1][:left]
        if index < 0 or len(tokens) >= self.room:
            padding = self.room - len(tokens)
            self.rows.append((tokens + [PAD_ID] * padding, kinds + [PADDING] * padding))
            self.current = ([], [])


def as_tensors(rows: list[Encoded]) -> tuple[torch.Tensor, torch.Tensor]:
    """-> tokens int16 [rows, length + 1], kinds uint8 [rows, length] (the kind of the token to predict)."""
    tokens = torch.from_numpy(np.array([t for t, _ in rows], dtype=np.int16))
    kinds = torch.from_numpy(np.array([k[1:] for _, k in rows], dtype=np.uint8))
    return tokens, kinds


def pack(tokenizer: Tokenizer, phase: Phase, tokens: int, path: Path, *, seed: int = 0) -> None:
    """Write `tokens` tokens for one phase."""
    documents = stream(phase, seed=seed)
    packer = Packer(phase.length)
    while len(packer.rows) * phase.length < tokens:
        for document in encode(tokenizer, [m for _, m in islice(documents, 2000)]):
            packer.add(document)
    order = torch.randperm(len(packer.rows), generator=torch.Generator().manual_seed(seed))
    x, kinds = as_tensors(packer.rows)
    partial = path.with_suffix(".tmp")
    torch.save((x[order].clone(), kinds[order].clone()), partial)
    partial.rename(path)
    padding, answers = (float((kinds == k).float().mean()) for k in (PADDING, ANSWER))
    print(f"{path.name}: {len(x)} sequences, {padding:.3f} padding, {answers:.2f} answers", flush=True)


def held_out_sequences(
    tokenizer: Tokenizer, *, count: int = 24, length: int = 512
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """One document per sequence, so that the loss is that of a single chat."""
    result = {}
    for category in CATEGORIES:
        rows = []
        for tokens, kinds in encode(tokenizer, held_out(category, count)):
            padding = max(0, length + 1 - len(tokens))
            rows.append((tokens[: length + 1] + [PAD_ID] * padding, kinds[: length + 1] + [PADDING] * padding))
        longest = max(sum(k != PADDING for k in kinds) for _, kinds in rows)
        result[category] = as_tensors([(t[:longest], k[:longest]) for t, k in rows])
    return result
