"""What a model file says about itself."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ModelFacts:
    """Read from the header of a GGUF. `quant` is the file type, e.g. Q4_K_M; None where neither is stated.

    `file_bytes` counts all parts of a split file. `nextn_layers` are multi-token-prediction blocks.
    `drafter`: what kind of drafter the file is; None for a model that generates by itself.
    """

    path: str
    architecture: str
    name: str | None
    parameters: int
    file_bytes: int
    quant: str | None
    quantised: bool
    context_length: int | None
    layers: int | None
    vocabulary_size: int | None
    vocabulary_sha256: str | None
    tokenizer_model: str | None
    has_chat_template: bool
    nextn_layers: int
    drafter: Literal["eagle3", "dflash", "dspark"] | None = None
