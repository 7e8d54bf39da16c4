"""What hangs on the PCI bus, by Linux's /sys: ids, driver and link, with or without a driver."""

from dataclasses import dataclass

from specbench.hardware.reading import Facts, Missing, Source

_FOLDER = "sys/bus/pci/devices"
GENERATIONS = {"2.5": 1, "5": 2, "5.0": 2, "8": 3, "8.0": 3, "16.0": 4, "32.0": 5, "64.0": 6}  # GT/s of a lane
_GPU = ("0x03", "0x12")  # display controllers, processing accelerators
_VENDORS = {"0x10de": "nvidia", "0x1002": "amd", "0x8086": "intel", "0x1ae0": "google"}


@dataclass(frozen=True)
class Function:
    """One PCI function of a vendor that makes accelerators; `folder` is below the root."""

    address: str
    vendor: str
    ids: str
    gpu: bool

    @property
    def folder(self) -> str:
        """Its folder in /sys."""
        return f"{_FOLDER}/{self.address}"


def functions(source: Source) -> list[Function]:
    """The functions of known vendors, in the order of their addresses."""
    found = []
    for address in source.names(_FOLDER):
        vendor = source.file(f"{_FOLDER}/{address}/vendor")
        if not isinstance(vendor, str) or vendor not in _VENDORS:
            continue
        device, kind = (source.file(f"{_FOLDER}/{address}/{name}") for name in ("device", "class"))
        if isinstance(device, str):
            gpu = isinstance(kind, str) and kind.startswith(_GPU)
            found.append(Function(address, _VENDORS[vendor], f"{vendor[2:]}:{device.removeprefix('0x')}", gpu))
    return found


def facts(source: Source, function: Function) -> Facts:
    """Ids, kernel driver and link. Behind a card's own bridges the narrowest part of the way is the link."""
    read = Facts()
    read.put("pci_id", function.ids)
    read.put("pci_address", function.address)
    driver = source.target(f"{function.folder}/driver")
    read.put("kernel_driver", driver if isinstance(driver, str) else Missing("no driver: the kernel has none for it"))
    vendor = source.file(f"{function.folder}/vendor")
    way = [function.folder]
    for bridge in source.bridges(function.folder):
        if source.file(f"{_FOLDER}/{bridge}/vendor") != vendor:
            break
        way.append(f"{_FOLDER}/{bridge}")
    for name, prefix in {"": "current", "_max": "max"}.items():
        speeds = [_generation(source, f"{folder}/{prefix}_link_speed") for folder in way]
        widths = [source.number(f"{folder}/{prefix}_link_width") for folder in way]
        read.put(f"pcie_generation{name}", _least(speeds))
        read.put(f"pcie_width{name}", _least(widths))
    return read


def _generation(source: Source, path: str) -> int | Missing:
    text = source.file(path)
    if isinstance(text, Missing):
        return text
    return GENERATIONS.get(text.partition(" ")[0]) or Missing(f"error: /{path} says {text[:40]!r}")


def _least(readings: list[int | Missing] | list[float | Missing]) -> float | Missing:
    missing = [reading for reading in readings if isinstance(reading, Missing)]
    return missing[0] if missing else min(reading for reading in readings if not isinstance(reading, Missing))
