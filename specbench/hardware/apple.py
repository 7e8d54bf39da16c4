"""Apple's GPU, by sysctl and the I/O registry. It shares the system's memory."""

import re

from specbench.hardware.cpu import sysctl
from specbench.hardware.reading import Facts, Missing, Source
from specbench.records import Accelerator

_MIB = 2**20


def read(source: Source, system: Facts) -> list[Accelerator]:
    """The GPU of an Apple chip; Intel Macs have none that counts."""
    name = sysctl(source, "machdep.cpu.brand_string")
    if not (isinstance(name, str) and name.startswith("Apple")):
        return []
    facts = Facts()
    facts.put("name", name)
    facts.put("unified", True)
    registry = source.program("ioreg", ["/usr/sbin/ioreg", "-rc", "AGXAccelerator", "-d", "1"])
    cores = re.search(r'"gpu-core-count" = (\d+)', registry) if isinstance(registry, str) else None
    facts.put("units", int(cores[1]) if cores else Missing("unsupported: the I/O registry does not say"))
    facts.put("memory", system.values.get("memory", Missing("error: the system's memory was not read")))
    wired = sysctl(source, "iogpu.wired_limit_mb")  # 0: macOS decides
    limit = int(wired) * _MIB if isinstance(wired, str) and wired.isdigit() else 0
    facts.put("memory_wired_limit", limit or Missing("unsupported: none is set, macOS decides"))
    facts.put("energy_counter", Missing("no permission: macOS tells power to powermetrics, which only root may run"))
    for key in ("pci_id", "pci_address", "target"):
        facts.put(key, Missing("unsupported: Apple's GPU has none"))
    return [facts.accelerator("apple")]
