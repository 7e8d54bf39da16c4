"""Google's TPUs by their PCI ids. The vendor's id alone is not one: its network cards and disks have it too."""

from collections.abc import Mapping

from specbench.hardware import pci
from specbench.hardware.reading import Facts, Missing, Source
from specbench.records import Accelerator

# As tpu-info 0.14.2 (device.py) and jax 0.10.2 (hardware_utils.py) have them
_CHIPS = {"005e": "v4", "0062": "v5p", "0063": "v5e", "006f": "v6e", "0076": "7x"}
_V2_V3 = "0027", {"0x004e": "v2", "0x004f": "v3"}  # one device id; the subsystem's tells them apart


def read(
    source: Source, functions: list[pci.Function], variables: Mapping[str, str], system: Facts
) -> list[Accelerator]:
    """One entry a chip, counted by PCI slot: a 7x chip shows two functions."""
    chips: dict[str, Accelerator] = {}
    for function in functions:
        device, slot = function.ids.partition(":")[2], function.address.rpartition(".")[0]
        target = _CHIPS.get(device)
        if device == _V2_V3[0]:
            target = _V2_V3[1].get(str(source.file(f"{function.folder}/subsystem_device")), "v2 or v3")
        if function.vendor != "google" or target is None or slot in chips:
            continue
        facts = pci.facts(source, function)
        facts.put("name", f"TPU {target}")
        facts.put("target", target)
        facts.put("unified", False)
        facts.put("memory", Missing("unsupported: the PCI bus does not tell; see the hardware profile"))
        facts.put("energy_counter", Missing("unsupported: a TPU has no public power reading"))
        chips[slot] = facts.accelerator("google")
    kind = variables.get("TPU_ACCELERATOR_TYPE")
    if kind and not chips:
        system.put("tpu", Missing(f"no driver: the environment says {kind}, but the PCI bus shows no chip"))
    return list(chips.values())
