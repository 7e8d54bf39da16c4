"""Drafter files that lie around a model: beside it, and in the folders where programs keep models. Headers only."""

import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from specbench.errors import InputError
from specbench.models import gguf, safetensors
from specbench.models.compatibility import draft_fits, head_fits, misfit
from specbench.models.facts import ModelFacts

_MOST_ENTRIES, _MOST_HEADERS = 20_000, 100  # of folders that are listed, and of headers that are read
_LARGEST_DRAFT = 0.25  # of the target's bytes; a larger draft model costs more than it can save
_NO_MODELS = ("clip", "t5encoder", "specbench-mtp")
_LATER_PART = re.compile(r"-(?!00001)\d{5}-of-\d{5}\.gguf$")
_OLLAMA_MODEL = "application/vnd.ollama.image.model"


@dataclass(frozen=True)
class Place:
    """A folder with models. `depth`: levels of folders below it that are looked into; `ollama`: it has manifests."""

    name: str
    folder: Path
    depth: int
    ollama: bool = False


@dataclass(frozen=True)
class Discovered:
    """The files to use, and what became of each file that was found: shown name -> sentence."""

    drafters: tuple[Path, ...] = ()
    remarks: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Candidate:
    rank: int
    bytes: int
    path: Path
    shown: str
    place: str


def hub_cache(environment: Mapping[str, str], home: Path) -> Path:
    """Where Hugging Face's library keeps what it downloaded."""
    if chosen := environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE"):
        return Path(chosen)
    caches = Path(environment.get("XDG_CACHE_HOME") or home / ".cache")
    return Path(environment.get("HF_HOME") or caches / "huggingface") / "hub"


def places(environment: Mapping[str, str], home: Path, *, root: Path = Path("/")) -> tuple[Place, ...]:
    """The usual folders, whether they exist or not."""
    caches = [Path(environment.get("XDG_CACHE_HOME") or home / ".cache"), home / "Library" / "Caches"]
    llama = [Path(chosen)] if (chosen := environment.get("LLAMA_CACHE")) else [cache / "llama.cpp" for cache in caches]
    ollama = [home / ".ollama" / "models", root / "usr" / "share" / "ollama" / ".ollama" / "models"]
    if own := environment.get("OLLAMA_MODELS"):
        ollama = [Path(own)]
    return (
        Place("the Hugging Face cache", hub_cache(environment, home), 4),
        *(Place("llama.cpp's cache", folder, 1) for folder in llama),
        *(Place("LM Studio", home / sub / "models", 3) for sub in (".lmstudio", ".cache/lm-studio")),
        *(Place("Ollama", folder, 4, ollama=True) for folder in ollama),
    )


def discover(
    target: Path,
    facts: ModelFacts,
    *,
    beside: Path,
    places: Collection[Place],
    kinds: Collection[str],
    given: Mapping[str, Path],
) -> Discovered:
    """Drafters for `target`, at most one of each of `kinds` that is not `given`; what lies around never is an error.

    Of two that fit, the one beside the model is taken, otherwise the smallest.
    """
    if not kinds:
        return Discovered()
    if facts.format == "safetensors":
        return _folders(facts, beside, kinds, given)
    header = gguf.read_header(target)
    fitting: dict[str, list[_Candidate]] = {}
    remarks: dict[str, str] = {}
    around = (Place("beside the model", beside, 1), *places)
    candidates = _candidates(around, known=(*gguf.parts(target), *given.values()), most_bytes=facts.file_bytes)
    for candidate in islice(candidates, _MOST_HEADERS):
        try:
            kind, reason = _judge(header, facts, candidate.path)
        except (InputError, OSError) as error:
            remarks[candidate.shown] = f"passed over: {error}"
            continue
        if kind in kinds and reason is None:
            fitting.setdefault(kind, []).append(candidate)
        elif kind in kinds:
            remarks[candidate.shown] = f"passed over as {kind}: {reason}"
    if next(candidates, None) is not None:
        remarks["and more"] = f"not looked at: {_MOST_HEADERS} files were read"
    chosen = []
    for kind, files in fitting.items():
        best, *others = sorted(files, key=lambda f: (f.rank > 0, f.bytes, f.rank, f.shown))
        if kind in given:
            others, why = files, f"{given[kind].name} was given"
        else:
            chosen.append(best.path)
            remarks[best.shown] = f"used as {kind}: found {'' if best.rank == 0 else 'in '}{best.place}"
            why = f"{best.path.name} " + ("lies beside the model" if best.rank == 0 else "is not larger")
        remarks |= {other.shown: f"passed over as {kind}: {why}" for other in others}
    return Discovered(tuple(chosen), remarks)


def _folders(facts: ModelFacts, beside: Path, kinds: Collection[str], given: Mapping[str, Path]) -> Discovered:
    """Of models in Hugging Face's layout only those in the same folder as the target: the smallest of each kind."""
    found: dict[str, ModelFacts] = {}
    for config in sorted(beside.glob("*/config.json")):
        with suppress(InputError, OSError):
            head = safetensors.read_facts(config.parent)
            kind = head.drafter or "draft-model"
            smallest = min(h.file_bytes for h in (found.get(kind), facts) if h is not None)
            if kind in {*kinds} - given.keys() and head.file_bytes < smallest and misfit(facts, head) is None:
                found[kind] = head
    remarks = {head.path: f"used as {kind}: found beside the model" for kind, head in found.items()}
    return Discovered(tuple(Path(head.path) for head in found.values()), remarks)


def _candidates(places: Iterable[Place], *, known: Iterable[Path], most_bytes: int) -> Iterator[_Candidate]:
    """Files that are not `known` and not larger than the target, each once."""
    seen = {path.resolve() for path in known}
    entries = iter(range(_MOST_ENTRIES))
    for rank, place in enumerate(places):
        for shown, path in _files(place, entries):
            try:
                real, size = path.resolve(), path.stat().st_size
            except OSError:
                continue
            if real not in seen and size <= most_bytes and not _LATER_PART.search(path.name):
                seen.add(real)
                yield _Candidate(rank, size, path, shown, place.name)


def _judge(target: gguf.GgufHeader, facts: ModelFacts, path: Path) -> tuple[str, str | None]:
    """The kind of drafter that the file is ("" for what is none), and why it does not fit."""
    found = gguf.read_facts(path)
    if found.drafter is not None:
        if found.drafter == "mtp" and facts.nextn_layers:
            return "mtp", "the target has heads of its own"
        return found.drafter, head_fits(facts, found)
    if found.architecture in _NO_MODELS or found.tokenizer_model is None:
        return "", None
    if found.embeds:
        return "draft-model", "it makes embeddings"
    if found.file_bytes > facts.file_bytes * _LARGEST_DRAFT:
        return "draft-model", "it is larger than a quarter of the target"
    return "draft-model", draft_fits(target, gguf.read_header(path))


def _files(place: Place, entries: Iterator[int]) -> Iterator[tuple[str, Path]]:
    """Name as shown and path of the GGUFs of a place."""
    if not place.ollama:
        yield from ((str(path), path) for path in _walk(place.folder, place.depth, entries) if path.suffix == ".gguf")
        return
    for manifest in _walk(place.folder / "manifests", place.depth, entries):
        try:
            layers = json.loads(manifest.read_bytes()).get("layers", ())
            digests = [layer["digest"] for layer in layers if layer.get("mediaType") == _OLLAMA_MODEL]
        except (OSError, ValueError, AttributeError, TypeError, KeyError):
            continue
        for digest in digests[:1]:
            blob = place.folder / "blobs" / str(digest).replace(":", "-")
            if blob.is_file():
                yield f"ollama {manifest.parent.name}:{manifest.name}", blob


def _walk(folder: Path, depth: int, entries: Iterator[int]) -> Iterator[Path]:
    """Files below `folder` in the order of their names, down to `depth` levels, as long as there are `entries` left."""
    try:
        with os.scandir(folder) as listed:
            found = sorted((entry for entry, _ in zip(islice(listed, _MOST_ENTRIES), entries, strict=False)), key=_name)
    except OSError:
        return
    folders = []
    for entry in found:
        try:
            if entry.is_dir():
                folders.append(entry.path)
            elif entry.is_file():
                yield Path(entry.path)
        except OSError:
            continue
    if depth:
        for path in folders:
            if not Path(path).name.startswith((".", "blobs", "refs")):
                yield from _walk(Path(path), depth - 1, entries)


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name
