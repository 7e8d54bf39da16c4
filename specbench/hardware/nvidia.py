"""NVIDIA cards through NVML. What a card does not tell is left out of its table, with a reason."""

from collections.abc import Callable
from typing import Any


def read(reasons: dict[str, str]) -> tuple[dict[str, Any], ...]:
    """One table for each card; empty, with a reason, where there is no driver."""
    try:
        import pynvml  # noqa: PLC0415  absent on systems that never have such a card
    except ImportError:
        reasons["gpus"] = "NVIDIA: the package nvidia-ml-py is not installed"
        return ()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        reasons["gpus"] = f"NVIDIA: {error}"
        return ()
    try:
        return tuple(_card(pynvml, index, reasons) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError as error:
        reasons["gpus"] = f"NVIDIA: {error}"
        return ()
    finally:
        pynvml.nvmlShutdown()


def _card(nvml: Any, index: int, reasons: dict[str, str]) -> dict[str, Any]:
    """Name, memory in bytes, power limit in watts, PCIe link, compute capability and driver of one card."""
    card = nvml.nvmlDeviceGetHandleByIndex(index)
    readings: dict[str, Callable[[], Any]] = {
        "name": lambda: nvml.nvmlDeviceGetName(card),
        "memory": lambda: nvml.nvmlDeviceGetMemoryInfo(card).total,
        "power_limit": lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(card) / 1000,
        "compute_capability": lambda: ".".join(map(str, nvml.nvmlDeviceGetCudaComputeCapability(card))),
        "pcie_generation": lambda: nvml.nvmlDeviceGetMaxPcieLinkGeneration(card),
        "pcie_width": lambda: nvml.nvmlDeviceGetMaxPcieLinkWidth(card),
        "driver": nvml.nvmlSystemGetDriverVersion,
    }
    found: dict[str, Any] = {"vendor": "nvidia"}
    for key, reading in readings.items():
        try:
            found[key] = reading()
        except nvml.NVMLError as error:
            reasons[f"gpus[{index}].{key}"] = str(error)
    return found
