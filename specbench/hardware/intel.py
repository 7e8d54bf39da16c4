"""Intel's GPUs, as far as the PCI bus tells; their memory is in the engine's own device list."""

from specbench.hardware import pci
from specbench.hardware.reading import Missing, Source
from specbench.records import Accelerator

_INTEGRATED = "0000:00:02.0"  # where every integrated one is


def read(source: Source, functions: list[pci.Function]) -> list[Accelerator]:
    """Integrated and Arc GPUs."""
    found = []
    for function in functions:
        if function.vendor == "intel" and function.gpu:
            facts = pci.facts(source, function)
            facts.put("unified", function.address == _INTEGRATED)
            facts.put("memory", Missing("unsupported: not read from Intel's drivers; see the engine's device list"))
            found.append(facts.accelerator("intel"))
    return found
