"""What a user should know about a model file before anything loads."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from specbench.models.facts import ModelFacts

LOW_BITS = 6.0  # a weight; Q6_K has 6.6, Q5_K 5.5. docs/inspect.md says why


@dataclass(frozen=True)
class Finding:
    """A code as in the notes of a run, what is the case, what to do. `severe`: something that was meant is missing."""

    code: Literal["HEADS_DROPPED", "HEADS_UNUSED", "HEAD_QUANT_LOW", "TEMPLATE_MISSING"]
    message: str
    hint: str
    severe: bool = False


def findings(facts: ModelFacts) -> Iterator[Finding]:
    """All that the header gives reason to say."""
    if facts.drafter is None and facts.nextn_layers < facts.nextn_declared:
        yield Finding(
            "HEADS_DROPPED",
            f"heads were dropped by the conversion: {facts.nextn_layers} of the {facts.nextn_declared} MTP blocks that "
            "the file declares are there",
            "take a conversion that keeps the MTP tensors; with this one an engine aborts, or starts and never drafts",
            severe=True,
        )
    if facts.nextn_layers and not facts.nextn_drafts:
        yield Finding(
            "HEADS_UNUSED",
            f"llama.cpp loads the MTP heads of {facts.architecture} and cannot draft with them",
            "use another method, or an engine that does",
        )
    if facts.head_bits is not None and facts.head_bits < LOW_BITS:
        what = "the drafter" if facts.drafter else "the MTP heads"
        yield Finding(
            "HEAD_QUANT_LOW",
            f"matrices of {what} have {facts.head_bits:.2g} bits a weight ({', '.join(facts.head_types)})",
            "if little is accepted, try a file whose heads have 8 bits; they are a small part of its bytes",
        )
    if facts.drafter is None and not facts.has_chat_template:
        yield Finding(
            "TEMPLATE_MISSING",
            "there is no chat template",
            "the engine falls back to one that the model may not know; for a chat model take another conversion",
        )
