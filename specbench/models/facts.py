"""What a model file says about itself, whatever its format."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass as checked

# "mtp": heads in a file of their own: a Gemma 4 assistant, or what llama.cpp's converter writes with --mtp
DrafterKind = Literal["eagle", "eagle3", "medusa", "dflash", "dspark", "mtp", "domino"]
Role = Literal["lookup", "expert", "head", "other"]
Count = Annotated[int, Field(ge=0, lt=2**63)]  # a file may state anything

KV_BYTES = {"f16": 2.0, "q8_0": 34 / 32}  # of one element


@dataclass(frozen=True)
class Weight:
    """A tensor. `bytes` is None where its type's size is not known.

    `role`: `lookup` is an embedding of which a token reads one row (one that is the output head too is `other`),
    `expert` is read in part, `head` belongs to MTP.
    """

    name: str
    type: str
    elements: int
    bytes: int | None
    matrix: bool
    role: Role


@checked(frozen=True)
class KvCache:
    """What one more token of context adds, in elements of keys and values: while it lies within the window, and beyond.

    `windowed_layers` keep only the last `window` tokens; `recurrent_layers` keep a state of fixed size.
    """

    elements: Count
    windowed_elements: Count
    layers: Count
    windowed_layers: Count
    recurrent_layers: Count
    window: Count | None


@checked(frozen=True)
class ModelFacts:
    """Read from the header of a GGUF, or from a folder with config.json and safetensors.

    `quant`: a GGUF's file type, e.g. Q4_K_M; None where neither is stated. `types`: elements by tensor type.
    `file_bytes` counts all `files` of a split model. `read_bytes`: weights that decoding one token reads, of experts
    only those that are used; None when it cannot be said. `kv` is None when it cannot be said, for the reason
    `kv_unknown`. `layers` include the MTP blocks of a GGUF.

    `nextn_layers` are multi-token-prediction blocks whose tensors are there, `nextn_declared` those that the header
    promises; `nextn_drafts`: llama.cpp drafts with such blocks in this architecture. `head_types` and `head_bits` (the
    lowest bits a weight) are those of the matrices of the heads, or of the whole drafter.

    `drafter`: what kind of drafter the file is; None for a model that generates by itself. A drafter is made for a
    target of `target_hidden_size` and reads its layers `target_taps`; one that drafts in
    blocks drafts at most `draft_tokens_most` tokens. `embeds`: the model makes embeddings, not text.
    """

    path: str
    architecture: str
    name: str | None
    parameters: Count | None
    file_bytes: Count
    quant: str | None
    quantised: bool
    context_length: Count | None
    layers: Count | None
    vocabulary_size: Count | None
    vocabulary_sha256: str | None
    tokenizer_model: str | None
    has_chat_template: bool
    nextn_layers: Count
    drafter: DrafterKind | None = None
    format: Literal["gguf", "safetensors"] = "gguf"
    files: Count = 1
    types: tuple[tuple[str, Count], ...] = ()
    hidden_size: Count | None = None
    experts: Count | None = None
    experts_used: Count | None = None
    read_bytes: Count | None = None
    kv: KvCache | None = None
    kv_unknown: str | None = None
    nextn_declared: Count = 0
    nextn_drafts: bool = True
    head_types: tuple[str, ...] = ()
    head_bits: float | None = None
    target_hidden_size: Count | None = None
    target_taps: tuple[Count, ...] | None = None
    draft_tokens_most: Count | None = None
    embeds: bool = False


def elements_by_type(weights: Iterable[Weight]) -> tuple[tuple[str, int], ...]:
    """The most frequent type first."""
    found: dict[str, int] = {}
    for weight in weights:
        if weight.elements:
            found[weight.type] = found.get(weight.type, 0) + weight.elements
    return tuple(sorted(found.items(), key=lambda item: -item[1]))


def read_bytes(weights: Iterable[Weight], *, expert_share: float | None) -> int | None:
    """Bytes of weights that one plain decode step of one token reads."""
    total = 0.0
    for weight in weights:
        share = {"lookup": 0.0, "head": 0.0, "expert": expert_share, "other": 1.0}[weight.role]
        if share is None or (weight.bytes is None and share):
            return None
        total += (weight.bytes or 0) * share
    return round(total) or None


def head_quant(weights: Iterable[Weight], *, drafter: bool) -> tuple[tuple[str, ...], float | None]:
    """Types and lowest bits a weight of the head's matrices; of all matrices but the embedding in a drafter's file."""
    heads = [w for w in weights if w.matrix and (w.role == "head" or (drafter and w.role != "lookup"))]
    bits = [w.bytes * 8 / w.elements for w in heads if w.bytes is not None and w.elements]
    return tuple(kind for kind, _ in elements_by_type(heads)), min(bits, default=None)
