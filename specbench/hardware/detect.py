"""What this machine is. Every reading is a value, or a reason why there is none."""

import hashlib
import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path

from specbench.hardware import amd, apple, cpu, engines, intel, nvidia, pci, tpu
from specbench.hardware.reading import Facts, Missing, Source
from specbench.records import Machine

_TELLING = ("OMP_", "GOMP_", "KMP_", "GGML_", "LLAMA_")  # environment that changes how fast an engine is
_ALSO = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "TPU_ACCELERATOR_TYPE", "TPU_TOPOLOGY")
_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_UUID = re.compile(r"(?<=GPU-|MIG-)[0-9a-f][0-9a-f-]{7,}")
_CONTAINERS = {".dockerenv": "docker", "run/.containerenv": "podman"}


def detect(source: Source | None = None, *, hostname: bool = False, devices: bool = False) -> Machine:
    """This machine, or what `source` describes. `devices` asks the engines for their lists too.

    The host's name is recorded only on request.
    """
    source = source or Source(environment=os.environ)
    facts = Facts()
    system, *versions = (
        source.ask(f"platform {name}", getattr(platform, name))
        for name in ("system", "release", "machine", "python_version")
    )
    system = "Linux" if isinstance(system, Missing) else system  # a root of another machine
    for name, version in zip(("release", "architecture", "python"), versions, strict=True):
        facts.put(name, version)
    cpu.read(source, system, facts)
    _surroundings(source, facts)
    variables = source.ask("environment", lambda: _variables(source.environment), file=True)
    functions = pci.functions(source)
    nvidia_cards, nvidia_links = nvidia.read(source, functions, facts)
    amd_cards, amd_links = amd.read(source, functions, facts)
    accelerators = [
        *nvidia_cards,
        *amd_cards,
        *intel.read(source, functions),
        *tpu.read(source, functions, variables, facts),
        *(apple.read(source, facts) if system == "Darwin" else ()),
    ]
    told = ("release", "architecture", "python", "cpu", "cores_physical", "cores_logical", "memory")
    return Machine(
        system=system,
        isa=tuple(facts.values.pop("isa", ())),
        **{name: facts.values.pop(name, None) for name in told},
        accelerators=tuple(accelerators),
        links=(*nvidia_links, *amd_links),
        engine_devices=engines.read(source, facts.reasons) if devices else {},
        hostname=platform.node() if hostname else None,
        environment=variables,
        readings=facts.values,
        reasons=facts.reasons,
    )


def _surroundings(source: Source, facts: Facts) -> None:
    """Whether the kernel is WSL's, and in what container this runs."""
    release = source.file("proc/sys/kernel/osrelease")
    facts.put("wsl", source.exists("dev/dxg") or (isinstance(release, str) and "microsoft" in release.lower()))
    marks = [name for path, name in _CONTAINERS.items() if source.exists(path)]
    marks += ["kubernetes"] if source.exists("var/run/secrets/kubernetes.io") else []
    facts.put("container", marks[0] if marks else Missing("unsupported: no sign of one"))


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that tell; no secrets, cards by a hash of their UUID, and the home folder as ~."""
    return {
        key: _UUID.sub(lambda uuid: hashlib.sha256(uuid[0].encode()).hexdigest()[:8], value).replace(
            str(Path.home()), "~"
        )
        for key, value in sorted(environment.items())
        if (key.startswith(_TELLING) or key in _ALSO) and not any(word in key for word in _SECRET)
    }
