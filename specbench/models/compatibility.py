"""Can one model draft for another? llama.cpp's rule, applied before anything loads."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from specbench.errors import InputError
from specbench.models.gguf import GgufHeader, PackedArray, read_header

_MOST_SIZE_DIFFERENCE = 128  # SPEC_VOCAB_MAX_SIZE_DIFFERENCE in llama.cpp's common/speculative.cpp
_FIRST_COMPARED = 5  # SPEC_VOCAB_CHECK_START_TOKEN_ID
_SPECIAL = ("bos", "eos")


def draft_fits(target: GgufHeader, draft: GgufHeader) -> str | None:
    """Why `draft` cannot draft for `target`; None when it can. What a file does not state is left to the engine."""
    return next(_reasons(target, draft), None)


def _reasons(target: GgufHeader, draft: GgufHeader) -> Iterator[str]:
    ours, theirs = (h.values.get("tokenizer.ggml.tokens") for h in (target, draft))
    if not isinstance(ours, PackedArray) or not isinstance(theirs, PackedArray):
        yield "one of the files has no vocabulary"
        return
    kinds = [h.values.get("tokenizer.ggml.model") for h in (target, draft)]
    if kinds[0] != kinds[1]:
        yield f"the tokenizers are of different kinds ({kinds[0]} and {kinds[1]})"
    for token in _SPECIAL:
        adds = [h.values.get(f"tokenizer.ggml.add_{token}_token") for h in (target, draft)]
        if None not in adds and adds[0] != adds[1]:
            yield f"one adds a {token} token and the other does not"
        ids = [h.values.get(f"tokenizer.ggml.{token}_token_id") for h in (target, draft)]
        if adds[0] and None not in ids and ids[0] != ids[1]:
            yield f"their {token} tokens differ ({ids[0]} and {ids[1]})"
    if abs(ours.count - theirs.count) > _MOST_SIZE_DIFFERENCE:
        yield f"the vocabularies have {ours.count} and {theirs.count} tokens"
    if ours.data == theirs.data:
        return
    pairs = zip(ours.strings(), theirs.strings(), strict=False)
    for index, (one, other) in enumerate(islice(pairs, _FIRST_COMPARED, None), _FIRST_COMPARED):
        if one != other:
            shown = " and ".join(repr(text.decode("utf-8", "replace")) for text in (one, other))
            yield f"token {index} differs ({shown})"
    return None


def require_same_vocabulary(target: Path, draft: Path) -> None:
    """InputError when the draft model cannot draft for the target."""
    if (reason := draft_fits(read_header(target), read_header(draft))) is not None:
        raise InputError(
            f"{draft.name} cannot draft for {target.name}, their vocabularies differ: {reason}",
            hint="take a draft model of the same family, with the same tokenizer",
        )
