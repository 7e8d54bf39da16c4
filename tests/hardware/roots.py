"""Linux roots of other machines: only the files that detection reads. Where a value was seen stands beside it."""

import os
from pathlib import Path

PCI = "sys/bus/pci/devices"
KFD = "sys/class/kfd/kfd/topology/nodes"
GTT = 120 * 2**30


def plant(root: Path, files: dict[str, str]) -> Path:
    """Write files below the root; a text that begins with -> is a link."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("->"):
            path.symlink_to(text.removeprefix("->"))
        else:
            path.write_text(f"{text}\n")
    return root


def change(root: Path, name: str, old: str, new: str) -> None:
    """Replace text of one file, which must have it."""
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new))


def pci(address: str, ids: str, kind: str, *, driver: str | None = None, **files: str) -> dict[str, str]:
    """One PCI function; file names have __ for /."""
    vendor, device = ids.split(":")
    read = {"vendor": f"0x{vendor}", "device": f"0x{device}", "class": kind, **files}
    if driver:
        read["driver"] = f"->../../drivers/{driver}"
    return {f"{PCI}/{address}/{name.replace('__', '/')}": text for name, text in read.items()}


def node(number: int, **properties: int) -> dict[str, str]:
    """A node of the KFD topology, with the line that identifies one card."""
    lines = [f"{key} {value}" for key, value in {**properties, "unique_id": 1234567890123}.items()]
    return {f"{KFD}/{number}/properties": "\n".join(lines)}


def mi50_x2(root: Path) -> Path:
    """Two MI50 of 32 GB: simd_count 240 and version 90006 as real ones have; 4096 bits of HBM2 at 1000 MHz."""
    plant(root, node(0, cpu_cores_count=12, simd_count=0, gfx_target_version=0))
    plant(root, {"sys/module/amdgpu/version": "6.14.0"})
    for number, bus in enumerate((0x03, 0x43), 1):
        files = pci(
            f"0000:{bus:02x}:00.0",
            "1002:66a1",
            "0x038000",
            driver="amdgpu",
            revision="0x02",
            mem_info_vram_total="34342961152",
            mem_info_gtt_total="67430854656",
            current_link_speed="16.0 GT/s PCIe",
            current_link_width="16",
            max_link_speed="16.0 GT/s PCIe",
            max_link_width="16",
            hwmon__hwmon4__power1_cap="178000000",
            hwmon__hwmon4__power1_cap_default="225000000",
        )
        plant(root, files)
        plant(root, node(number, simd_count=240, gfx_target_version=90006, location_id=bus << 8, domain=0))
        plant(root, {f"{KFD}/{number}/mem_banks/0/properties": "heap_type 1\nwidth 4096\nmem_clk_max 1000"})
    plant(root, {f"{KFD}/1/p2p_links/0/properties": "type 2\nnode_from 1\nnode_to 2"})
    return root


def strix_halo(root: Path) -> Path:
    """Carve-out 512 MiB, GTT 120 GiB, version 110501: llama.cpp PR 20472, rocm-systems issue 5167."""
    files = pci(
        "0000:c5:00.0",
        "1002:1586",
        "0x038000",
        driver="amdgpu",
        revision="0xc1",
        mem_info_vram_total=str(512 * 2**20),
        mem_info_gtt_total=str(GTT),
    )
    plant(root, files)
    plant(root, node(0, cpu_cores_count=32, simd_count=0, gfx_target_version=0))
    plant(root, node(1, simd_count=80, gfx_target_version=110501, location_id=0xC500, domain=0))
    plant(root, {f"{KFD}/1/mem_banks/0/properties": "heap_type 1\nwidth 256\nmem_clk_max 1000"})
    return plant(root, {"sys/module/ttm/parameters/pages_limit": str(GTT // 4096)})


def mixed(root: Path) -> Path:
    """The GPU inside a Ryzen 7000 beside an RX 7900 XTX on its own bridge, an Arc, and what is no GPU."""
    plant(root, node(0, cpu_cores_count=16, simd_count=0, gfx_target_version=0))
    plant(root, node(1, simd_count=192, gfx_target_version=110000, location_id=0x0300, domain=0))
    plant(root, {f"{KFD}/1/mem_banks/0/properties": "heap_type 1\nwidth 384\nmem_clk_max 1249"})
    plant(root, node(2, simd_count=4, gfx_target_version=100306, location_id=0x1300, domain=0))
    link = {"current_link_speed": "16.0 GT/s PCIe", "max_link_speed": "16.0 GT/s PCIe", "max_link_width": "16"}
    plant(root, pci("0000:02:00.0", "1002:1479", "0x060400", **link, current_link_width="8"))
    vram = {"mem_info_vram_total": str(24 * 2**30), "mem_info_gtt_total": str(32 * 2**30)}
    plant(root, pci("0000:03:00.0", "1002:744c", "0x030000", driver="amdgpu", **link, **vram, current_link_width="16"))
    plant(root, pci("0000:03:00.1", "1002:ab30", "0x040300"))
    vram = {"mem_info_vram_total": str(2**29), "mem_info_gtt_total": str(16 * 2**30)}
    plant(root, pci("0000:13:00.0", "1002:164e", "0x030000", driver="amdgpu", **vram))
    plant(root, pci("0000:0a:00.0", "8086:e20b", "0x030000", driver="xe"))
    plant(root, pci("0000:0b:00.0", "8086:125c", "0x020000"))
    below = root / "sys/devices/pci0000:00/0000:00:01.1/0000:01:00.0/0000:02:00.0"
    below.mkdir(parents=True)
    os.rename(root / PCI / "0000:03:00.0", below / "0000:03:00.0")  # noqa: PTH104  a folder, with what is in it
    return plant(root, {f"{PCI}/0000:03:00.0": f"->../../../../{(below / '0000:03:00.0').relative_to(root)}"})


def tpu(root: Path, device: str, *, chips: int, functions: int = 1, subsystem: str = "0x0001") -> Path:
    """Chips of a Cloud TPU host, with its network card, which has the same vendor id."""
    for chip in range(chips):
        for function in range(functions):
            address = f"0000:00:{4 + chip:02x}.{function}"
            plant(root, pci(address, f"1ae0:{device}", "0xff0000", subsystem_device=subsystem))
    return plant(root, pci("0000:00:03.0", "1ae0:0042", "0x020000"))
