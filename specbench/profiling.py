"""Measure this machine: memory bandwidths, and the verification-cost curve of one engine with one model."""

import hashlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import specbench
from specbench import datafiles, passages, pipeline
from specbench.analysis.verification import curve, title
from specbench.engines import catalog
from specbench.engines.profile import choose
from specbench.errors import EngineError, InputError, UnavailableError
from specbench.execution import verification
from specbench.execution.blocks import opening
from specbench.hardware import bandwidth
from specbench.hardware.detect import detect
from specbench.measurements import HardwareMeasurement, VerificationPasses
from specbench.models import gguf
from specbench.planning.contenders import BASELINE, contenders
from specbench.planning.runfile import validate_runfile
from specbench.records import Contender, Opening, Passages
from specbench.report import charts
from specbench.structs import to_json
from specbench.units import decimal

_CHARACTERS_A_TOKEN = 12  # more than any tokenizer takes of prose: the text is cut to size as tokens
_LEAST_TEXT = 2000  # characters
_TEXTS = 8  # tried in turn: a small model may go on in circles that no drafter can follow
_MARGIN = 256  # tokens of context beyond the fill, for what is decoded


def measure(
    asked: dict[str, object], *, fill: int, seconds: float, engines: Path | None, observe: Callable[[str], None]
) -> HardwareMeasurement:
    """Measure bandwidths and the curve. `asked` are a run file's target and engine; `observe` is told what happens.

    UnavailableError when the engine cannot run here, EngineError when no number of positions could be measured.
    """
    chosen = _contenders(asked, fill=fill, engines=engines)
    if (skip := catalog.check_available(chosen[0])) is not None:
        raise UnavailableError(skip.reason, hint=skip.hint)
    machine, reasons, started = detect(), dict[str, str](), time.time()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    if load is not None and load > 0.5 * (machine.cores_logical or 1):
        observe(f"warning: the load average is {load:.1f} on {machine.cores_logical} cores; stop what else runs")
    observe("memory bandwidth of the host, and of devices whose driver is here")
    limit = machine.readings.get("memory_limit")
    host = bandwidth.host(memory_limit=limit if isinstance(limit, int) else None)
    devices = bandwidth.devices(reasons)
    frames = pipeline.find_suite("core").passages or {}
    texts = [
        passages.render(
            frames, Passages(needles=(), question="", seed=seed), characters=fill * _CHARACTERS_A_TOKEN + _LEAST_TEXT
        )
        for seed in range(_TEXTS)
    ]
    found: list[VerificationPasses] = []
    opened: Opening | None = None
    with TemporaryDirectory() as logs:
        for contender in chosen:
            positions = 1 + int(contender.settings.get("draft_tokens_max", 0))
            try:
                point, info = verification.passes(
                    contender, texts=texts, fill=fill, log=Path(logs) / "log", seconds=seconds / 2, clock=time.monotonic
                )
            except EngineError as error:
                reasons[f"verification.{positions}"] = error.message
                observe(f"{positions} positions: {error.message}")
                continue
            opened = opened or opening(info, contender, 0, started)
            found.append(point)
            each = min(point.seconds) / point.passes
            observe(f"{positions} positions: {decimal(each * 1000, 'ms')} at best, {len(point.seconds)} requests")
    if opened is None or all(point.positions != 1 for point in found):
        raise EngineError("no pass over one position could be measured", hint="; ".join(reasons.values()))
    return HardwareMeasurement(
        specbench_version=specbench.__version__,
        started=started,
        machine=machine,
        load_average=load,
        host_bandwidth=host,
        device_bandwidth=devices,
        contender=chosen[0],
        opening=opened,
        model_bytes=gguf.read_facts(Path(chosen[0].target_model)).file_bytes,
        fill=fill,
        verification=tuple(found),
        reasons=reasons,
    )


def _contenders(asked: dict[str, object], *, fill: int, engines: Path | None) -> list[Contender]:
    """One for each number of positions, up and down again: a machine that grows slower does so for all of them."""
    lengths = [positions - 1 for positions in verification.POSITIONS if positions > 1]
    drafter = {"draft_tokens_max": lengths, "draft_tokens_min": 1, "ngram_match": verification.NGRAM}
    methods = {BASELINE: {}, verification.DRAFTER: drafter}
    runfile = pipeline.with_model_files(validate_runfile({**asked, "methods": methods, "fill": fill}))
    profiles = catalog.profiles(engines)
    profile = profiles[choose(runfile.engine_name, profiles, what="engine")]
    if profile.kind == "attach":
        raise InputError("the curve needs engines of its own, started anew", hint="name an engine that is a program")
    model = runfile.targets[0].model
    facts = gguf.read_facts(Path(model))
    if fill < verification.NGRAM:
        raise InputError(f"a context of {fill} tokens is too short", hint=f"--fill {verification.NGRAM} or more")
    if facts.context_length is not None and fill + verification.SPAN > facts.context_length:
        raise InputError(
            f"the model was trained for {facts.context_length} tokens", hint=f"ask for less --fill than {fill}"
        )
    found, _ = contenders(runfile, profile=profile, facts={model: facts}, context_sizes={model: fill + _MARGIN})
    return [*found, *reversed(found)]


def save(measured: HardwareMeasurement) -> tuple[Path, Path]:
    """Write the record and the chart to the cache, under machine, engine build, model, settings and fill."""
    contender, opened = measured.contender, measured.opening
    key = (
        measured.machine.identity(),
        (opened.engine_version, opened.executable_sha256, opened.observed.get("libllama_sha256")),
        (Path(contender.target_model).name, measured.model_bytes),
        (sorted(contender.engine_settings.items()), contender.engine_args),
    )
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:10]
    name = f"{contender.engine}-{contender.target_label}-fill{measured.fill}-{digest}"
    record = datafiles.cache_folder() / "hardware" / (re.sub(r"[^A-Za-z0-9._-]+", "-", name) + ".json")
    chart = record.with_suffix(".png")
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_bytes(to_json(measured, indent=2))
        chart.write_bytes(charts.verification_cost(curve(measured), title=title(measured)))
    except OSError as error:
        raise UnavailableError(
            f"cannot write {record}: {error.strerror}",
            hint="free some space, or name another folder in SPECBENCH_CACHE",
        ) from error
    return record, chart
