"""The CPU's name and its vector extensions."""

import platform
import re
import subprocess
import sys
from pathlib import Path

# What ggml has kernels for, as /proc/cpuinfo spells it
_EXTENSIONS = re.compile(r"ssse3|sse4_|avx|amx_|fma$|f16c|bmi2|neon|asimd|i8mm|bf16|sve|sme")
_APPLE = {
    "FEAT_DotProd": "asimddp",
    "FEAT_FP16": "asimdhp",
    "FEAT_I8MM": "i8mm",
    "FEAT_BF16": "bf16",
    "FEAT_SME": "sme",
}
_TIMEOUT = 5.0


def read(root: Path, reasons: dict[str, str]) -> tuple[str | None, tuple[str, ...]]:
    """Name and extensions; what cannot be read is None or empty and has an entry in `reasons`."""
    if sys.platform == "linux":
        return _linux(root, reasons)
    if sys.platform == "darwin":
        return _apple(reasons)
    reasons["isa"] = "not read on this system"
    name = platform.processor() or None
    if name is None:
        reasons["cpu"] = "the system does not say"
    return name, ()


def _linux(root: Path, reasons: dict[str, str]) -> tuple[str | None, tuple[str, ...]]:
    file = root / "proc" / "cpuinfo"
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        reasons["cpu"] = reasons["isa"] = f"{file}: {error.strerror or error}"
        return None, ()
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            found.setdefault(key.strip().lower(), value.strip())
    name = found.get("model name") or found.get("hardware")
    flags = set((found.get("flags") or found.get("features") or "").split())
    if name is None:
        reasons["cpu"] = f"{file} names none"
    if not flags:
        reasons["isa"] = f"{file} lists no flags"
    return name, tuple(sorted(filter(_EXTENSIONS.match, flags)))


def _apple(reasons: dict[str, str]) -> tuple[str | None, tuple[str, ...]]:
    name = _sysctl("machdep.cpu.brand_string")
    if name is None:
        reasons["cpu"] = "sysctl does not say"
    found = [ours for theirs, ours in _APPLE.items() if _sysctl(f"hw.optional.arm.{theirs}") == "1"]
    if not found:
        reasons["isa"] = "sysctl does not say"
    return name, tuple(sorted(found))


def _sysctl(key: str) -> str | None:
    try:
        told = subprocess.run(
            ["/usr/sbin/sysctl", "-n", key], capture_output=True, text=True, timeout=_TIMEOUT, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip() or None
