"""Machines by their files: AMD, Google, Intel, and what is broken or closed."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hardware import roots

from specbench.hardware.detect import detect
from specbench.hardware.reading import Source
from specbench.records import Accelerator, Machine

GIB = 2**30


def on(root: Path, **environment: str) -> Machine:
    return detect(Source(root=root, live=False, environment=environment))


def test_two_mi50_are_told_without_amds_package(tmp_path: Path) -> None:
    machine = on(roots.mi50_x2(tmp_path))
    first, second = machine.accelerators
    assert first.identity() == second.identity() == ("amd", "1002:66a1", "gfx906", 34342961152, 60)
    assert (first.pci_address, second.pci_address) == ("0000:03:00.0", "0000:43:00.0")
    assert first.readings["bandwidth_reported"] == 1_024_000_000_000
    assert (first.readings["power_limit"], first.readings["power_limit_default"]) == (178, 225)
    assert (first.readings["pcie_generation"], first.readings["pcie_width_max"]) == (4, 16)
    assert first.unified is False
    assert first.reasons["power_limit_min"].startswith("unsupported")
    assert "not asked" in first.reasons["name"]
    assert machine.readings["amdgpu_driver"] == "6.14.0"
    (link,) = machine.links
    assert (link.a, link.b, link.readings["topology"]) == ("0000:03:00.0", "0000:43:00.0", "PCIe")


def test_an_mi60_differs_from_an_mi50_by_its_units_alone(tmp_path: Path) -> None:
    root = roots.mi50_x2(tmp_path)
    roots.change(root, f"{roots.KFD}/1/properties", "simd_count 240", "simd_count 256")
    first, second = on(root).accelerators
    assert (first.units, second.units) == (64, 60)
    assert first.pci_id == second.pci_id


def test_strix_halo_has_the_carve_out_and_what_it_may_map(tmp_path: Path) -> None:
    root = roots.strix_halo(tmp_path)
    (chip,) = on(root).accelerators
    assert (chip.memory, chip.unified, chip.target, chip.units) == (512 * 2**20 + 120 * GIB, True, "gfx1151", 40)
    assert chip.readings["memory_vram"] == 512 * 2**20
    assert chip.reasons["bandwidth_reported"].startswith("unsupported")  # LPDDR5X: 64 GB/s by the clock, 256 in truth
    roots.change(root, "sys/module/ttm/parameters/pages_limit", str(roots.GTT // 4096), str(64 * GIB // 4096))
    (limited,) = on(root).accelerators
    assert limited.memory == 512 * 2**20 + 64 * GIB
    roots.change(root, f"{roots.KFD}/1/properties", "110501", "110000")
    assert on(root).accelerators[0].memory == 512 * 2**20


def test_of_several_gpus_each_keeps_its_kind(tmp_path: Path) -> None:
    card, inside, arc = on(roots.mixed(tmp_path)).accelerators
    assert card.identity() == ("amd", "1002:744c", "gfx1100", 24 * GIB, 96)
    assert (inside.target, inside.units, inside.unified, inside.memory) == ("gfx1036", 2, True, GIB // 2 + 16 * GIB)
    assert card.reasons["bandwidth_reported"].startswith("unsupported")  # GDDR6: 120 GB/s by the clock, 960 in truth
    assert (arc.vendor, arc.pci_id, arc.unified, arc.memory) == ("intel", "8086:e20b", False, None)
    assert arc.reasons["memory"].startswith("unsupported")


def test_the_link_of_a_card_is_the_narrowest_part_up_to_its_own_bridge(tmp_path: Path) -> None:
    root = roots.mixed(tmp_path)
    assert on(root).accelerators[0].readings["pcie_width"] == 8
    roots.change(root, f"{roots.PCI}/0000:02:00.0/current_link_width", "8", "4")
    assert on(root).accelerators[0].readings["pcie_width"] == 4
    roots.change(root, f"{roots.PCI}/0000:02:00.0/vendor", "1002", "1022")  # the processor's bridge
    assert on(root).accelerators[0].readings["pcie_width"] == 16


@pytest.mark.parametrize(
    ("device", "chips", "functions", "target"),
    [("0063", 8, 1, "v5e"), ("006f", 4, 1, "v6e"), ("0076", 4, 2, "7x"), ("0062", 4, 1, "v5p"), ("005e", 4, 1, "v4")],
)
def test_tpu_chips_are_counted_by_slot(tmp_path: Path, device: str, chips: int, functions: int, target: str) -> None:
    machine = on(roots.tpu(tmp_path, device, chips=chips, functions=functions), TPU_ACCELERATOR_TYPE="a-type")
    assert [card.target for card in machine.accelerators] == [target] * chips
    assert {card.reasons["energy_counter"] for card in machine.accelerators} == {
        "unsupported: a TPU has no public power reading"
    }
    assert machine.environment == {"TPU_ACCELERATOR_TYPE": "a-type"}
    assert "tpu" not in machine.reasons


@pytest.mark.parametrize(("subsystem", "target"), [("0x004e", "v2"), ("0x004f", "v3"), ("0x0001", "v2 or v3")])
def test_the_older_tpus_differ_by_their_subsystem(tmp_path: Path, subsystem: str, target: str) -> None:
    (chip,) = on(roots.tpu(tmp_path, "0027", chips=1, subsystem=subsystem)).accelerators
    assert chip.target == target


def test_googles_network_card_alone_is_no_tpu_and_an_environment_that_says_so_is_told(tmp_path: Path) -> None:
    machine = on(roots.tpu(tmp_path, "0063", chips=0), TPU_ACCELERATOR_TYPE="v5litepod-8")
    assert machine.accelerators == ()
    assert machine.reasons["tpu"] == "no driver: the environment says v5litepod-8, but the PCI bus shows no chip"


def test_a_card_without_a_driver_says_so(tmp_path: Path) -> None:
    (card,) = on(roots.plant(tmp_path, roots.pci("0000:03:00.0", "1002:744c", "0x030000"))).accelerators
    assert (card.pci_id, card.memory, card.units, card.unified) == ("1002:744c", None, None, None)
    assert card.reasons["kernel_driver"] == "no driver: the kernel has none for it"
    assert card.reasons["target"] == "no driver: /sys/class/kfd does not list it"
    assert card.reasons["memory"].startswith("unsupported: there is no ")


@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        ("mem_info_vram_total", "", "memory"),
        ("mem_info_vram_total", "lots", "memory"),
        ("mem_info_vram_total", "0", "memory"),
        ("mem_info_vram_total", "-1", "memory"),
        ("mem_info_vram_total", "18446744073709551615", "memory"),
        ("current_link_speed", "Unknown", "pcie_generation"),
        ("current_link_width", "255", "pcie_width"),
        ("current_link_width", "0", "pcie_width"),
        ("hwmon/hwmon4/power1_cap", "4294967295", "power_limit"),
        ("hwmon/hwmon4/power1_cap", "0", "power_limit"),
    ],
)
def test_a_file_with_nonsense_is_an_error_and_never_a_value(tmp_path: Path, file: str, text: str, name: str) -> None:
    root = roots.mi50_x2(tmp_path)
    (root / roots.PCI / "0000:03:00.0" / file).write_text(f"{text}\n")
    broken, whole = on(root).accelerators
    for card, told in ((broken, False), (whole, True)):
        value = card.memory if name == "memory" else card.readings.get(name)
        assert (value is not None, name not in card.reasons) == (told, told)
    assert broken.reasons[name].startswith("error: ")


AS_NOBODY = """
import os, sys
from pathlib import Path
from specbench.hardware.detect import detect
from specbench.hardware.reading import Source
if os.geteuid() == 0:  # no mode closes a file to root
    os.setuid(65534)
machine = detect(Source(root=Path(sys.argv[1]), live=False))
print(machine.accelerators[0].reasons["memory"])
print(machine.reasons["rapl"])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="closes files as Linux does")
def test_files_that_may_not_be_read_are_told_as_such() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = roots.mi50_x2(Path(folder))
        roots.plant(root, {"sys/class/powercap/intel-rapl:0/energy_uj": "123456"})
        assert on(root).readings["rapl"] is True
        closed = ("sys/class/powercap/intel-rapl:0/energy_uj", f"{roots.PCI}/0000:03:00.0/mem_info_vram_total")
        for name in closed:
            (root / name).chmod(0)
        told = subprocess.run([sys.executable, "-c", AS_NOBODY, root], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines() == [f"no permission: {name}" for name in reversed(closed)]


@pytest.mark.hardware
def test_every_amd_gpu_of_this_machine_tells_its_identity() -> None:
    cards = [card for card in detect().accelerators if card.vendor == "amd"]
    if not cards:
        pytest.skip("the PCI bus shows no AMD GPU here")
    assert all(_known(card) for card in cards)


def _known(card: Accelerator) -> bool:
    return bool(card.memory and card.units and card.target and card.target.startswith("gfx"))
