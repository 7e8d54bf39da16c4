"""NVIDIA's cards as the real nvidia-ml-py reads them from a stand-in for the driver's library."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hardware import roots

from specbench.records import Accelerator, Machine

OnRig = Callable[..., Machine]


def test_two_3090_are_told_with_their_limits_slots_and_p2p(on_rig: OnRig) -> None:
    machine = on_rig("rtx3090-x2")
    first, second = machine.accelerators
    assert first.identity() == second.identity() == ("nvidia", "10de:2204", "8.6", 24 * 2**30, 82)
    assert first.pci_address == "0000:01:00.0"
    assert (first.readings["power_limit"], first.readings["power_limit_default"]) == (280, 350)
    assert (first.readings["power_limit_min"], first.readings["power_limit_max"]) == (100, 366)
    assert [card.readings["pcie_width"] for card in (first, second)] == [16, 8]
    assert first.readings["bandwidth_reported"] == 936_096_000_000
    assert first.readings["energy_counter"] is True
    assert first.readings["laptop"] is False
    assert first.reasons == {"ecc": "unsupported: NVML: Not Supported", "mig": "unsupported: NVML: Not Supported"}
    assert (machine.readings["nvidia_driver"], machine.readings["cuda"]) == ("580.95.05", "13.0")
    (link,) = machine.links
    assert (link.a, link.b) == ("0000:01:00.0", "0000:05:00.0")
    assert link.readings == {"topology": "PHB", "p2p_read": "ok", "p2p_write": "ok", "p2p_nvlink": "unsupported"}


@pytest.mark.parametrize(
    ("rig", "identity", "bandwidth"),
    [
        ("rtx4090", ("nvidia", "10de:2684", "8.9", 25757220864, 128), 1_008_096_000_000),
        ("rtx5090", ("nvidia", "10de:2b85", "12.0", 34190917632, 170), 1_792_128_000_000),
        ("rtx4060-laptop", ("nvidia", "10de:28a0", "8.9", 8585740288, 24), 256_032_000_000),
    ],
)
def test_a_card_is_known_by_id_target_memory_and_units(
    on_rig: OnRig, rig: str, identity: tuple[object, ...], bandwidth: int
) -> None:
    (card,) = on_rig(rig).accelerators
    assert card.identity() == identity
    assert card.readings["bandwidth_reported"] == bandwidth


def test_a_card_of_pcie_4_in_a_slot_of_pcie_3_tells_both(on_rig: OnRig) -> None:
    (card,) = on_rig("rtx4090").accelerators
    assert (card.readings["pcie_generation_max"], card.readings["pcie_generation_card"]) == (3, 4)


def test_a_laptop_part_is_named_as_one_and_its_missing_default_has_a_reason(on_rig: OnRig) -> None:
    (card,) = on_rig("rtx4060-laptop").accelerators
    assert card.readings["laptop"] is True
    assert card.readings["power_limit"] == 80
    assert card.reasons["power_limit_default"] == "unsupported: NVML: Not Supported"
    desktop = {
        "0.name=NVIDIA GeForce RTX 4060 Laptop GPU": "0.name=NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition"
    }
    assert on_rig("rtx4060-laptop", desktop).accelerators[0].readings["laptop"] is False


def test_gb10_uses_the_systems_memory_and_nothing_of_it_is_zero(on_rig: OnRig, tmp_path: Path) -> None:
    root = roots.plant(tmp_path / "root", {"proc/meminfo": "MemTotal:       125513844 kB"})
    (card,) = on_rig("gb10", root=root).accelerators
    assert (card.memory, card.unified, card.target) == (125513844 * 1024, True, "12.1")
    assert card.pci_address == "000f:01:00.0"
    assert 0 not in {value for key, value in card.readings.items() if key != "index" and value is not False}
    for name in ("bandwidth_reported", "power_limit", "pcie_width", "energy_counter"):
        assert card.reasons[name].startswith("unsupported")


def test_a_discrete_card_without_memory_has_a_reason_and_not_the_systems(on_rig: OnRig) -> None:
    (card,) = on_rig("rtx4090", {"0.memory=25757220864": "0.memory=!3"}).accelerators
    assert (card.memory, card.unified) == (None, False)
    assert card.reasons["memory"] == "unsupported: NVML: Not Supported"


def test_under_mig_the_memory_is_the_instances(on_rig: OnRig) -> None:
    (card,) = on_rig("a100-mig").accelerators
    assert card.memory == 20937965568
    assert card.readings["memory_card"] == 42949672960
    assert (card.readings["mig"], card.readings["ecc"], card.readings["nvlinks"]) == (True, True, 2)
    assert on_rig("a100-mig", {"0.mig=1": "0.mig=0"}).accelerators[0].memory == 42949672960


@pytest.mark.parametrize(
    ("rig", "change", "name", "both"),
    [
        ("rtx3090-x2", {"0.power_enforced=280000": "0.power_enforced=350000"}, "power_limit", (280, 350)),
        ("rtx3090-x2", {"0.pcie_gen=1": "0.pcie_gen=4"}, "pcie_generation", (1, 4)),
        ("rtx3090-x2", {"0.nvlink.1=0": "0.nvlink.1=1"}, "nvlinks", (0, 1)),
        ("rtx3090-x2", {"0.persistence=1": "0.persistence=0"}, "persistence", (True, False)),
        ("rtx3090-x2", {"0.energy=123456789": "0.energy=!3"}, "energy_counter", (True, None)),
        ("rtx3090-x2", {"0.pcie_width=16": "0.pcie_width=65535"}, "pcie_width", (16, None)),
        ("rtx3090-x2", {"0.power_default=350000": "0.power_default=4294967295"}, "power_limit_default", (350, None)),
        ("rtx3090-x2", {"0.power_default=350000": "0.power_default=0"}, "power_limit_default", (350, None)),
        ("rtx4090", {"0.ecc=0": "0.ecc=1"}, "ecc", (False, True)),
        ("rtx4090", {"0.clock_max.2=10501": "0.clock_max.2=!4"}, "clock_memory_max", (10501 * 10**6, None)),
    ],
)
def test_one_changed_line_changes_the_answer(
    on_rig: OnRig, rig: str, change: dict[str, str], name: str, both: tuple[object, object]
) -> None:
    for changes, expected in zip((None, change), both, strict=True):
        card = on_rig(rig, changes).accelerators[0]
        assert card.readings.get(name) == expected
        assert (name in card.reasons) == (expected is None)


@pytest.mark.parametrize(
    ("status", "told"), [(0, "ok"), (1, "chipset not supported"), (4, "disabled"), (9, "status 9")]
)
def test_p2p_is_what_the_driver_says(on_rig: OnRig, status: int, told: str) -> None:
    (link,) = on_rig("rtx3090-x2", {"p2p.0.1.0=0": f"p2p.0.1.0={status}"}).links
    assert link.readings["p2p_read"] == told


def test_a_lost_card_keeps_its_place_and_the_others_their_readings(on_rig: OnRig, tmp_path: Path) -> None:
    root = roots.plant(tmp_path / "root", roots.pci("0000:01:00.0", "10de:2204", "0x030000", driver="nvidia"))
    roots.plant(root, roots.pci("0000:05:00.0", "10de:2204", "0x030000", driver="nvidia"))
    lost, other = on_rig("rtx3090-x2", {"count=2": "count=2\n0.handle=!15"}, root=root).accelerators
    assert (lost.name, lost.memory) == (None, None)
    assert lost.reasons["memory"] == "error: NVML: GPU is lost"
    assert (lost.pci_address, lost.pci_id) == ("0000:01:00.0", "10de:2204")
    assert other.memory == 24 * 2**30


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1, "no driver: NVML: Uninitialized"),
        (4, "no permission: NVML: Insufficient Permissions"),
        (9, "no driver: NVML: Driver Not Loaded"),
        (12, "no driver: NVML: NVML Shared Library Not Found"),
        (15, "error: NVML: GPU is lost"),
        (18, "no driver: NVML: RM has detected an NVML/RM version mismatch.; restart the machine"),
        (999, "error: NVML: Unknown Error"),
    ],
)
def test_a_driver_that_does_not_start_is_a_reason_of_the_machine_and_of_its_cards(
    on_rig: OnRig, tmp_path: Path, code: int, reason: str
) -> None:
    root = roots.plant(tmp_path / "root", roots.pci("0000:01:00.0", "10de:2684", "0x030000", driver="nouveau"))
    roots.plant(root, roots.pci("0000:01:00.1", "10de:22ba", "0x040300"))  # its sound
    machine = on_rig("rtx4090", {"count=1": f"count=1\ninit=!{code}"}, root=root)
    assert machine.reasons["nvidia"].startswith(reason)
    (card,) = machine.accelerators
    assert (card.pci_id, card.readings["kernel_driver"], card.memory) == ("10de:2684", "nouveau", None)
    for name in ("name", "target", "memory", "units"):
        assert card.reasons[name].startswith(reason)


def test_a_card_that_the_driver_does_not_list_is_told_all_the_same(on_rig: OnRig, tmp_path: Path) -> None:
    root = roots.plant(tmp_path / "root", roots.pci("0000:09:00.0", "10de:1b06", "0x030000", driver="vfio-pci"))
    listed, other = on_rig("rtx4090", root=root).accelerators
    assert listed.name == "NVIDIA GeForce RTX 4090"
    assert other.reasons["name"] == "no driver: NVML does not list this card"
    assert other.readings["kernel_driver"] == "vfio-pci"


def test_a_driver_that_lists_no_card_leaves_none(on_rig: OnRig) -> None:
    machine = on_rig("rtx4090", {"count=1": "count=0"})
    assert machine.accelerators == ()
    assert machine.readings["nvidia_driver"] == "580.95.05"


@pytest.mark.hardware
def test_every_card_of_this_machine_tells_its_identity() -> None:
    from specbench.hardware.detect import detect

    cards = [card for card in detect().accelerators if card.vendor == "nvidia" and card.name]
    if not cards:
        pytest.skip("NVML lists no card here")
    assert all(_known(card) for card in cards)
    assert len({card.pci_address for card in cards}) == len(cards)


def _known(card: Accelerator) -> bool:
    told = card.memory is not None and card.memory > 2**30 and card.target is not None
    return told and card.pci_id is not None and card.pci_id.startswith("10de:") and "units" not in card.reasons
