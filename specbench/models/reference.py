"""What a user calls a model -> the file: a path, a name of the embedded family, or `org/repo:quant` on Hugging Face."""

import hashlib
import importlib.util
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from specbench import datafiles
from specbench.errors import InputError, UnavailableError
from specbench.models import gguf, micro, micro_folders, safetensors
from specbench.models.discovery import hub_cache
from specbench.models.facts import ModelFacts
from specbench.untrusted import unicode

_BY_QUANT = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+):(?P<quant>[\w.-]+)")
_BY_FILE = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[\w./-]+\.gguf)")
_HEAD_BYTES, _TAIL_BYTES = 16 * 2**20, 2**20
_NO_TARGET = re.compile(r"(?:^|/)(?:mmproj|mtp)-|(?:^|/)MTP/|-(?!00001)\d{5}-of-\d{5}\.gguf$")


def find(name: str, *, environment: Mapping[str, str], home: Path, form: str = "gguf") -> Path:
    """The file or folder, absolute; not checked when it is a path. `form`: of a member of the embedded family."""
    if name in micro.NAMES:
        made = micro.model_file if form == "gguf" else micro_folders.model_folder
        return made(name, weights=datafiles.path("micro/weights"), cache=datafiles.cache_folder())
    path = Path(name).expanduser().absolute()
    if unicode(str(path)) != str(path):
        raise InputError(f"the path {path} is not UTF-8, as what is recorded of it must be", hint="rename it")
    reference = _BY_QUANT.fullmatch(name) or _BY_FILE.fullmatch(name)
    if reference is None or path.exists() or Path(name).parent.is_dir():
        return path
    return _on_hub(name, reference, hub_cache(environment, home))


def embedded_file(name: str) -> Path | None:
    """The member of the embedded family whose file has this name, derived when it is not there yet; None for others."""
    weights = datafiles.path("micro/weights")
    derived = re.fullmatch(r"micro-(.+)-[0-9a-f]{12}-v\d+\.gguf", name)
    made = micro.derive(derived[1], weights=weights, cache=datafiles.cache_folder()) if derived else weights / name
    return made if made.name == name and made.is_file() else None


def read_facts(path: Path) -> ModelFacts:
    """What the model is: a GGUF, or a folder in Hugging Face's layout."""
    return safetensors.read_facts(path) if path.is_dir() else gguf.read_facts(path)


def fingerprint(path: Path) -> str:
    """Sizes, first 16 MiB (the header with the vocabulary) and last MiB of a model's files: cheap at any size."""
    found = hashlib.sha256()
    for part in sorted(path.glob("*.*")) if path.is_dir() else gguf.parts(path):
        with part.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            found.update(f"{part.name} {size} ".encode())
            for start, length in ((0, _HEAD_BYTES), (max(0, size - _TAIL_BYTES), _TAIL_BYTES)):
                file.seek(start)
                found.update(file.read(length))
    return found.hexdigest()


def is_embedded(path: Path) -> bool:
    """Whether it is a member of the embedded family."""
    return path.is_relative_to(datafiles.path("micro/weights")) or path.is_relative_to(datafiles.cache_folder())


def folder(path: Path) -> Path:
    """Where drafters lie beside the model: derived files of the embedded family stay with their weights."""
    return datafiles.path("micro/weights") if is_embedded(path) and path.suffix == ".gguf" else path.parent


def _on_hub(name: str, reference: re.Match[str], cache: Path) -> Path:
    """From the local cache, otherwise from the network."""
    repo, wanted = reference["repo"], reference.groupdict().get("file")
    folder = cache / f"models--{repo.replace('/', '--')}"
    revision = folder / "refs" / "main"
    snapshot = folder / "snapshots" / (revision.read_text(encoding="utf-8").strip() if revision.is_file() else "")
    here = [file.relative_to(snapshot).as_posix() for file in sorted(snapshot.rglob("*.gguf"))]
    if (file := _chosen(here, wanted, reference.groupdict().get("quant"))) is not None:
        try:
            return gguf.parts(snapshot / file)[0]
        except InputError:
            pass  # some parts were not downloaded yet
    return _download(name, repo, wanted, reference.groupdict().get("quant"))


def _chosen(files: Iterable[str], wanted: str | None, quant: str | None) -> str | None:
    """The named file, or the first part of the shortest name with this quant."""
    if wanted is not None:
        return wanted if wanted in files else None
    marked = re.compile(rf"(?:^|[-._/]){re.escape(quant or '')}(?:[-./]|$)", re.IGNORECASE)
    fit = [file for file in files if file.endswith(".gguf") and marked.search(file) and not _NO_TARGET.search(file)]
    return min(fit, key=lambda file: (len(file), file), default=None)


def _download(name: str, repo: str, wanted: str | None, quant: str | None) -> Path:
    if importlib.util.find_spec("huggingface_hub") is None:
        raise UnavailableError(
            f"{name} is neither a file here nor in the Hugging Face cache",
            hint="pip install 'specbench[hub]' to download it",
        )
    import httpx2  # noqa: PLC0415  with the package
    import huggingface_hub as hub  # noqa: PLC0415  an extra, and slow to load

    try:
        files = hub.list_repo_files(repo)
        file = _chosen(files, wanted, quant)
        if file is None:
            shown = ", ".join(sorted(f for f in files if f.endswith(".gguf"))) or "none"
            raise InputError(f"{repo} has no GGUF for {wanted or quant}", hint=f"its files: {shown}")
        paths = [Path(hub.hf_hub_download(repo, part)) for part in _parts(file)]
    except hub.errors.RepositoryNotFoundError as error:
        raise InputError(
            f"there is no file {name}, and no such repository on Hugging Face, or it is private",
            hint="check the name; for a private or gated one: hf auth login",
        ) from error
    except (OSError, httpx2.HTTPError) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UnavailableError(
            f"{name} is not in the Hugging Face cache and cannot be downloaded: {told}",
            hint=f"with a network: hf download {repo} {wanted or f'--include *{quant}*.gguf'}",
        ) from error
    return paths[0]


def _parts(file: str) -> list[str]:
    match = re.search(r"-00001-of-(\d{5})\.gguf$", file)
    if match is None:
        return [file]
    return [f"{file[: match.start()]}-{i:05}-of-{match[1]}.gguf" for i in range(1, int(match[1]) + 1)]
