"""What tests of real engines on known-answer models share: how a contender is made, asked and read."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from known_answer.models import BLOCK_SIZE, KnownAnswer
from known_answer.simulator import Counts

from specbench.engines import catalog
from specbench.engines.base import Answer, Request
from specbench.engines.profile import command, doubts, effective_settings
from specbench.records import Contender, DraftCounts, Setting

ROOT = Path(__file__).parents[2]
PROMPT_TOKENS = 20
Engine = tuple[str, str | None]  # name and executable


@dataclass(frozen=True)
class Drafter:
    """A method with its files, as attributes of KnownAnswer, and the longest draft that the file is made for."""

    method: str
    target: str = "target"
    file: str | None = None
    most: int = 10**6

    def map(self, models: KnownAnswer) -> tuple[int, ...]:
        """What it names after each token."""
        maps = models.maps
        return (maps.walk[0],) * len(maps.target) if self.method == "dflash" else maps.drafter


DRAFTERS = {
    "draft-model": Drafter("draft-model", file="draft"),
    "mtp": Drafter("mtp", target="mtp"),
    "mtp, three heads": Drafter("mtp", target="mtp_three_heads", most=3),
    "eagle3": Drafter("eagle3", file="eagle3"),
    "dspark": Drafter("dspark", file="dspark", most=BLOCK_SIZE),
    "dflash": Drafter("dflash", file="dflash", most=BLOCK_SIZE - 1),  # one of the block is the token before
}
PLAIN = Drafter("none")


def find_engine(name: str) -> Engine:
    """xllamacpp is a dependency, so it is never skipped."""
    if name == "xllamacpp":
        return name, None
    if name == "llama-cpp-python":
        python = os.environ.get("SPECBENCH_LLAMA_CPP_PYTHON") or str(ROOT / ".cache/llama-cpp-python/bin/python")
        if not Path(python).is_file():
            pytest.skip(
                "no llama-cpp-python: run `make engines`, or let SPECBENCH_LLAMA_CPP_PYTHON name a Python with it"
            )
        return name, python
    executable = os.environ.get("SPECBENCH_LLAMA_SERVER") or shutil.which("llama-server")
    if executable is None:
        pytest.skip("no llama-server: set SPECBENCH_LLAMA_SERVER, or put it on PATH")
    return name, executable


def contender(
    engine: Engine,
    models: KnownAnswer,
    drafter: Drafter = PLAIN,
    *,
    method: str | None = None,
    settings: dict[str, Setting] | None = None,
    engine_settings: dict[str, Setting] | None = None,
    engine_args: tuple[str, ...] = (),
) -> Contender:
    """A contender with the drafter's files; `method` where it is not the drafter alone."""
    name, executable = engine
    profile = catalog.profiles(None)[name]
    method = method or drafter.method
    chosen = effective_settings(profile, method, settings or {})
    of_engine: dict[str, Setting] = {"threads": 1, "context_size": 2048, **(engine_settings or {})}
    target = str(getattr(models, drafter.target))
    draft = None if drafter.file is None else str(getattr(models, drafter.file))
    argv, environment = command(
        profile,
        target_model=target,
        draft_model=draft,
        method=method,
        settings=chosen,
        engine_settings=of_engine,
        engine_args=engine_args,
    )
    return Contender(
        name=method,
        engine=name,
        kind=profile.kind,
        target_model=target,
        target_label="known answer",
        draft_model=draft,
        method=method,
        settings=chosen,
        engine_settings=of_engine,
        engine_args=engine_args,
        executable=executable or profile.executable,
        argv=argv,
        help=profile.help,
        environment=environment,
        doubts=doubts(profile, argv),
    )


def asked(models: KnownAnswer, output_tokens: int, *, steps: bool = False, temperature: float = 0.0) -> Request:
    """A generation behind the first tokens of the walk."""
    return Request(
        prompt=prompt(models),
        output_tokens=output_tokens,
        temperature=temperature,
        seed=1,
        ignore_eos=True,
        timeout=60.0,
        steps=steps,
        stream=True,  # the engine's count of decode passes needs the progress events
    )


def answer(chosen: Contender, request: Request, *, log: Path) -> Answer:
    with catalog.open_session(chosen, log=log, load_timeout=60.0) as session:
        return session.generate(request)


def prompt(models: KnownAnswer) -> tuple[int, ...]:
    walk = models.maps.walk
    return tuple(walk[i % len(walk)] for i in range(PROMPT_TOKENS))


def reported(counts: DraftCounts) -> tuple[int | None, ...]:
    return counts.emitted, counts.drafted, counts.accepted, counts.verification_steps, counts.drafted_steps


def simulated(counts: Counts) -> tuple[int, ...]:
    """The same counts of the simulator."""
    return counts.emitted, counts.drafted, counts.accepted, counts.verification_steps, counts.drafted_steps
