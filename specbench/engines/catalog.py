"""Name -> how to open it: the engine profiles, whether an engine can run here, and opening one."""

import hashlib
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from specbench.engines import profile_files, recipes, server, vllm_cpu
from specbench.engines.base import EngineInfo, OpeningError, Rule, Session, TrialError
from specbench.engines.llamacpp import LlamaCppSession
from specbench.engines.openai import OpenAISession
from specbench.engines.profile import Profile, command, flags_missing
from specbench.errors import InputError
from specbench.records import Contender, Setting, Skip

_CHILD = Path(__file__).with_name("xllamacpp.py")
_CHILDREN = Path(__file__).with_name("children")
_HELP_TIMEOUT = 30.0
_IMPORT_TIMEOUT = 120.0
_SAID = 8  # lines

profiles = profile_files.profiles


def check_available(contender: Contender) -> Skip | None:
    """Why the contender cannot run here, as far as that is known before anything loads."""

    def skip(reason: str, hint: str, log_tail: str | None = None) -> Skip:
        return Skip(contender=contender.name, block=None, reason=reason, hint=hint, log_tail=log_tail)

    if contender.kind == "attach":
        return None if contender.url else skip("there is no address to attach to", "give it with --url")
    if contender.kind == "xllamacpp":
        if importlib.util.find_spec("xllamacpp") is None:
            return skip("the package xllamacpp is not installed", "pip install xllamacpp")
        return None
    if contender.kind == "python" and (program := _executable(contender)) is not None:
        package = python_package(program, contender.argv[0])
        return skip(package.fault, package.fix, package.said) if package.fault else None
    found = _program_lacks(contender)
    return None if found is None else skip(*found)


def _program_lacks(contender: Contender) -> tuple[str, str] | None:
    """What the engine's program cannot do, or that there is none, and what helps."""
    executable = _executable(contender)
    known = profiles(None).get(contender.engine)
    if executable is None:
        name = contender.executable or contender.engine
        found = known.install if known is not None and known.executable == name else None
        where = "not there" if "/" in name else "not on PATH"
        return (f"{name} is {where}", found or "give its path with --engine-path, or use --engine xllamacpp")
    if (reason := vllm_cpu.refusal(executable, contender.method)) is not None:
        return (reason, "leave the method out, or run it where there is one")
    stat = executable.stat()
    help_text = _help(executable, contender.help, stat.st_mtime_ns, stat.st_size) if contender.help else None
    if help_text and (missing := flags_missing(contender.argv, help_text)):
        extra = [word for word in contender.engine_args if word.partition("=")[0] in missing]
        other = _dialect(contender, help_text) or "use a newer build, or leave the setting out"
        hint = f"leave out {' '.join(f'--engine-arg={word}' for word in extra)}" if extra else other
        return (f"{executable.name} has no {', '.join(missing)}", hint)
    return None


@dataclass(frozen=True)
class Package:
    """An engine's package in an interpreter, or why it cannot be imported there, what helps and what it said last.

    `file`: the library that does the work.
    """

    version: str | None = None
    file: str | None = None
    fault: str = ""
    fix: str = ""
    said: str | None = None


@cache
def python_package(program: Path, script: str) -> Package:
    """The package that a script of `children` imports; the interpreter is asked, so that a crash ends only it."""
    argv = [str(program), str(_CHILDREN / script), "--check"]
    try:
        shown = subprocess.run(
            argv, capture_output=True, text=True, timeout=_IMPORT_TIMEOUT, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Package(fault=f"{program} does not start: {error}", fix="give a Python interpreter: --engine NAME=PATH")
    said = (shown.stderr.strip() or shown.stdout.strip()).splitlines()
    try:
        return Package(**json.loads(shown.stdout.splitlines()[-1]))
    except (IndexError, TypeError, ValueError):
        fix = said.pop().removeprefix("hint: ") if said and said[-1].startswith("hint: ") else ""
        ended = f"signal {-shown.returncode}" if shown.returncode < 0 else f"exit status {shown.returncode}"
        last = f": {said[-1].removeprefix('error: ')}" if said else ""
        return Package(
            fault=f"{program} cannot load the engine ({ended}){last}",
            fix=fix or f"run `{shlex.join(argv)}` and read what it says",
            said="\n".join(said[-_SAID:]) or None,
        )


def ailment(profile: Profile, program: Path) -> tuple[str, str] | None:
    """What is wrong with an engine's program as it lies there, and what helps."""
    stat = program.stat()
    if profile.help and _help(program, profile.help, stat.st_mtime_ns, stat.st_size) is None:
        return f"{program} does not start", f"run `{program} --help` and read what it says"
    return vllm_cpu.sampling_fault(program, "any")


def _dialect(contender: Contender, help_text: str) -> str | None:
    """The packaged profile that asks the same of this build in flags that it has; llama.cpp's own profiles first."""

    def rank(profile: Profile) -> tuple[bool, int]:
        return not profile.name.startswith("llama-server"), -len(profile.methods)

    for profile in sorted(profiles(None).values(), key=rank):
        try:
            argv, _ = command(
                profile,
                target_model=contender.target_model,
                draft_model=contender.draft_model,
                method=contender.method,
                settings=contender.settings,
                engine_settings=contender.engine_settings,
                engine_args=(),
            )
        except InputError:
            continue
        if profile.kind == "server" and not flags_missing(argv, help_text):
            new = [word for word in argv if word.startswith("--") and word not in contender.argv]
            return (f"this build has {new[-1]}: " if new else "") + f"use --engine {profile.name}"
    return None


@contextmanager
def open_session(contender: Contender, *, log: Path, load_timeout: float) -> Iterator[Session]:
    """Open the contender's engine, and close it at the end whatever happens. OpeningError when it cannot be opened."""
    with KINDS[contender.kind](contender, log, load_timeout) as running:
        try:
            session = PROTOCOLS[contender.protocol](running, contender)
        except TrialError as error:
            raise OpeningError(error.message, hint=error.hint, log_tail=running.log_tail()) from error
        yield session


def _sampling_rule(contender: Contender) -> Rule | None:
    """How drafts are verified above temperature 0; None where others may have decided it."""
    if contender.method == "orthrus":
        return "rejection-sampling"
    if asked := contender.values_of("draft_sampling"):
        return "rejection-sampling" if "probabilistic" in asked else "greedy-match"
    passed = any("draft-sampling" in word or "draft.probabilistic" in word for word in contender.engine_args)
    return None if passed or contender.kind == "attach" else "greedy-match"


def _open_server(contender: Contender, log: Path, load_timeout: float) -> AbstractContextManager[server.Running]:
    executable = _executable(contender)
    if executable is None:
        raise OpeningError(f"{contender.executable} is not on PATH", hint="give its path with --engine-path")
    return _started([str(executable), *contender.argv], contender, log, load_timeout, foreign=True)


def _open_xllamacpp(contender: Contender, log: Path, load_timeout: float) -> AbstractContextManager[server.Running]:
    # -P: neither the working directory nor this folder may stand in for the package xllamacpp.
    return _started([sys.executable, "-P", str(_CHILD), *contender.argv], contender, log, load_timeout, foreign=False)


def _open_python(contender: Contender, log: Path, load_timeout: float) -> AbstractContextManager[server.Running]:
    return _started(python_command(contender), contender, log, load_timeout, foreign=False)


def python_command(contender: Contender) -> list[str]:
    """What starts an engine of the kind `python`."""
    script, *words = contender.argv
    return [
        str(_executable(contender) or contender.executable) if contender.executable else sys.executable,
        str(_CHILDREN / script),
        *words,
    ]


def _started(
    command: list[str], contender: Contender, log: Path, load_timeout: float, *, foreign: bool
) -> AbstractContextManager[server.Running]:
    port = contender.engine_settings.get("port")
    return server.started(
        command,
        environment=contender.environment,
        port=None if port is None else int(port),
        log=log,
        load_timeout=load_timeout,
        foreign=foreign,
    )


@contextmanager
def _attach(contender: Contender, log: Path, load_timeout: float) -> Iterator[server.Running]:  # noqa: ARG001  a kind
    url = contender.url or ""
    yield server.attached(url.rstrip("/").removesuffix("/v1") if contender.protocol == "openai" else url)


KINDS: dict[str, Callable[[Contender, Path, float], AbstractContextManager[server.Running]]] = {
    "server": _open_server,
    "xllamacpp": _open_xllamacpp,
    "python": _open_python,
    "attach": _attach,
}


def _llama_cpp(running: server.Running, contender: Contender) -> Session:
    return LlamaCppSession(running, info=_identity(contender), sampling_rule=_sampling_rule(contender))


def _openai(running: server.Running, contender: Contender) -> Session:
    named = contender.kind == "attach" and contender.target_model != contender.url
    program = None if contender.kind == "attach" else _executable(contender)
    return OpenAISession(
        running,
        info=_identity(contender),
        model=contender.target_model if named else None,
        fault=None if program is None else vllm_cpu.sampling_fault(program, contender.method),
    )


PROTOCOLS: dict[str, Callable[[server.Running, Contender], Session]] = {"llama.cpp": _llama_cpp, "openai": _openai}


def _identity(contender: Contender) -> EngineInfo:
    """What the files say about the engine; its own answers are added by the session."""
    if contender.kind == "attach":
        return EngineInfo()
    observed: dict[str, Setting] = {}
    version: str | None = None
    if contender.kind == "xllamacpp":
        spec = importlib.util.find_spec("xllamacpp")
        folder = Path(spec.origin).parent if spec is not None and spec.origin is not None else None
        binary = (
            next(iter(sorted(folder.glob("xllamacpp*.so")) + sorted(folder.glob("xllamacpp*.pyd"))), None)
            if folder
            else None
        )
        version = metadata.version("xllamacpp")
    elif contender.kind == "python" and (program := _executable(contender)) is not None:
        package = python_package(program, contender.argv[0])
        binary, version = Path(package.file) if package.file else program, package.version
    else:
        binary = _executable(contender)
        beside = sorted(binary.resolve().parent.glob("libllama.*")) if binary is not None else []
        if beside:
            observed["libllama_sha256"] = _sha256(beside[0].resolve())
    return EngineInfo(
        version=version,
        executable=None if binary is None else str(binary),
        executable_sha256=None if binary is None else _sha256(binary),
        observed=observed,
    )


def _executable(contender: Contender) -> Path | None:
    name = contender.executable or (sys.executable if contender.kind == "python" else contender.engine)
    name = os.path.expanduser(name)  # noqa: PTH111  Path would drop the ./ of ./name
    found = shutil.which(name) or recipes.installed(name)
    return None if found is None else Path(found).absolute()


def _sha256(path: Path) -> str:
    stat = path.stat()
    return _sha256_of_version(path, stat.st_mtime_ns, stat.st_size)


@cache
def _sha256_of_version(path: Path, modified: int, size: int) -> str:  # noqa: ARG001  the cache's key
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _help(executable: Path, words: tuple[str, ...], modified: int, size: int) -> str | None:  # noqa: ARG001  the key
    """What it prints when asked with `words`; None when the program does not say."""
    try:
        shown = subprocess.run(
            [executable, *words], capture_output=True, timeout=_HELP_TIMEOUT, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    text = (shown.stdout + shown.stderr).decode("utf-8", errors="replace")
    return text if shown.returncode == 0 and "--" in text else None
