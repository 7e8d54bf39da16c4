"""Machines to watch that are not there: a compiled NVML that the real nvidia-ml-py calls, and trees like /sys."""

import ctypes
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pynvml
import pytest

from specbench.records import Accelerator, Vendor

SOURCE = Path(__file__).with_name("watched_nvml.c")
CARD = {  # invented, but for the names of the readings
    "power": 250_000,
    "watts": 200,
    "limit": 350_000,
    "default_limit": 350_000,
    "sm": 1800,
    "sm_max": 2100,
    "mem": 9751,
    "temperature": 61,
    "throttle": 0x4,
    "utilization": 97,
    "used": 20 * 2**30,
    "pcie_generation": 4,
    "pcie_width": 8,
}


def library(folder: Path, *, old: bool = False) -> Path:
    """Compile it; skip where there is no compiler."""
    if (compiler := shutil.which("cc")) is None:
        pytest.skip("no C compiler")
    path = folder / ("old" if old else "new") / "libnvidia-ml.so.1"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = ["-shared", "-fPIC", "-w", *(["-DOLD_DRIVER"] if old else [])]
        subprocess.run([compiler, *flags, "-o", str(path), str(SOURCE)], check=True)
    return path


def install(monkeypatch: pytest.MonkeyPatch, path: Path, spec: Path) -> None:
    """From now on nvidia-ml-py talks to the library at `path`, which says what `spec` says."""
    monkeypatch.setenv("WATCHED_NVML", str(spec))
    monkeypatch.setattr(pynvml, "nvmlLib", ctypes.CDLL(str(path)))
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})


def write(spec: Path, *cards: Mapping[str, object]) -> None:
    """One line for each reading of each card."""
    lines = [f"-1.count={len(cards)}"]
    lines += [f"{index}.{key}={value}" for index, card in enumerate(cards) for key, value in card.items()]
    spec.write_text("\n".join(lines) + "\n")


def powercap(root: Path, zone: str, *, name: str, energy: object, wrap: object = 262_143_328_850) -> Path:
    """A RAPL zone below `root`; microjoules."""
    folder = root / "sys/class/powercap" / zone
    folder.mkdir(parents=True)
    for file, text in (("name", name), ("energy_uj", energy), ("max_energy_range_uj", wrap)):
        (folder / file).write_text(f"{text}\n")
    return folder


def card(root: Path, vendor: Vendor, address: str = "0000:03:00.0", **files: object) -> Accelerator:
    """An accelerator with its files below `root`; `hwmon__NAME` is a file of its sensors."""
    device = root / "sys/bus/pci/devices" / address
    (device / "hwmon/hwmon3").mkdir(parents=True)
    for name, text in files.items():
        (device / name.replace("hwmon__", "hwmon/hwmon3/")).write_text(f"{text}\n")
    return Accelerator(vendor=vendor, pci_address=address)
