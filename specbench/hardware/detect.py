"""What this machine is. Every reading is a value, or a reason why there is none."""

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from specbench.hardware import cpu, nvidia
from specbench.records import Machine

_TELLING = ("OMP_", "GOMP_", "KMP_", "GGML_", "LLAMA_")  # environment that changes how fast an engine is
_ALSO = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")
_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")


def detect(*, root: Path = Path("/"), hostname: bool = False, environment: Mapping[str, str] | None = None) -> Machine:
    """This machine. `root` is where /proc is looked for; the host's name is recorded only on request."""
    import psutil  # noqa: PLC0415  the command line must start without it

    reasons: dict[str, str] = {}
    name, isa = cpu.read(root, reasons)
    physical = psutil.cpu_count(logical=False)
    logical = psutil.cpu_count()
    for key, value in {"cores_physical": physical, "cores_logical": logical}.items():
        if value is None:
            reasons[key] = "the system does not say"
    variables = os.environ if environment is None else environment
    return Machine(
        system=platform.system() or sys.platform,
        release=platform.release(),
        architecture=platform.machine(),
        python=platform.python_version(),
        cpu=name,
        cores_physical=physical,
        cores_logical=logical,
        memory=psutil.virtual_memory().total,
        isa=isa,
        gpus=nvidia.read(reasons),
        hostname=platform.node() if hostname else None,
        environment={key: value for key, value in sorted(variables.items()) if _tells(key)},
        reasons=reasons,
    )


def _tells(key: str) -> bool:
    return (key.startswith(_TELLING) or key in _ALSO) and not any(word in key for word in _SECRET)
