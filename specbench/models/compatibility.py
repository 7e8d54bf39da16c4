"""Can one file draft for another? llama.cpp's rules, applied before anything loads."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from specbench.errors import InputError
from specbench.models.facts import DrafterKind, ModelFacts
from specbench.models.gguf import GgufHeader, read_header

KINDS: dict[DrafterKind | None, str] = {
    None: "draft model",
    "eagle": "EAGLE head",
    "eagle3": "EAGLE-3 head",
    "medusa": "set of Medusa heads",
    "dflash": "DFlash drafter",
    "dspark": "DSpark drafter",
    "domino": "Domino drafter",
    "mtp": "file of MTP heads",
}
_MOST_SIZE_DIFFERENCE = 128  # SPEC_VOCAB_MAX_SIZE_DIFFERENCE in llama.cpp's common/speculative.cpp
_FIRST_COMPARED = 5  # SPEC_VOCAB_CHECK_START_TOKEN_ID
_SPECIAL = ("bos", "eos")


def draft_fits(target: GgufHeader, draft: GgufHeader) -> str | None:
    """Why the model `draft` cannot draft for `target`; None when it can. What a file does not state is left open."""
    return next(_reasons(target, draft), None)


def head_fits(target: ModelFacts, head: ModelFacts) -> str | None:
    """Why a drafter with an own architecture is made for another target; None when nothing in the headers says so."""
    trunk = target.layers - target.nextn_declared if target.layers and target.format == "gguf" else target.layers
    if head.drafter == "mtp":
        if head.architecture not in (f"{target.architecture}-assistant", target.architecture):
            return f"its heads are those of {head.architecture}, and the target is {target.architecture}"
        if head.architecture == target.architecture and head.layers != (trunk or 0) + head.nextn_declared:
            return f"it follows {(head.layers or 0) - head.nextn_declared} layers, and the target has {trunk}"
    if None not in (a := target.hidden_size, b := head.target_hidden_size) and a != b:
        return f"it is made for a hidden size of {b}, and the target's is {a}"
    if head.target_taps and trunk is not None and (last := max(head.target_taps)) > trunk:
        return f"it reads layer {last} of the target, which has {trunk}"
    sizes = (head.vocabulary_size, target.vocabulary_size)
    if head.vocabulary_sha256 and None not in sizes and abs((sizes[0] or 0) - (sizes[1] or 0)) > _MOST_SIZE_DIFFERENCE:
        return f"its vocabulary has {sizes[0]} tokens, and the target's {sizes[1]}"
    return None


def require_target(facts: ModelFacts) -> None:
    """InputError when the file is a drafter: it cannot generate by itself."""
    if facts.drafter is not None:
        raise InputError(
            f"{Path(facts.path).name} is a drafter ({KINDS[facts.drafter]}), not a model that generates by itself",
            hint="give its target with --model, and this file with --drafter",
        )


def misfit(facts: ModelFacts, head: ModelFacts) -> str | None:
    """Why the file cannot draft for the target; None when nothing in the headers says so."""
    if facts.format != head.format:
        return f"it is in {head.format}, and the target in {facts.format}"
    if head.drafter is not None:
        return head_fits(facts, head)
    if head.format == "safetensors":
        return None if head.vocabulary_sha256 == facts.vocabulary_sha256 else "the vocabularies differ"
    return draft_fits(read_header(Path(facts.path)), read_header(Path(head.path)))


def require_fit(facts: ModelFacts, head: ModelFacts) -> None:
    """InputError when the file of `head` cannot draft for the target of `facts`."""
    target, drafter = Path(facts.path), Path(head.path)
    if (reason := misfit(facts, head)) is None:
        return
    if head.drafter is not None:
        raise InputError(
            f"{drafter.name} does not fit {target.name}: {reason}",
            hint=f"take the {KINDS[head.drafter]} that was made for this target",
        )
    raise InputError(
        f"{drafter.name} cannot draft for {target.name}, their vocabularies differ: {reason}",
        hint="take a draft model of the same family, with the same tokenizer",
    )


def _reasons(target: GgufHeader, draft: GgufHeader) -> Iterator[str]:
    ours, theirs = target.vocabulary, draft.vocabulary
    if ours is None or theirs is None:
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
