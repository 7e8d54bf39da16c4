import json
import re
from functools import partial
from pathlib import Path

import pytest
from hardware import roots

from specbench import listings
from specbench.errors import InputError
from specbench.hardware.detect import detect
from specbench.hardware.profiles import FIGURES, match, parse_profile, profiles
from specbench.hardware.reading import Source
from specbench.records import Accelerator
from specbench.structs import replace

GIB, MIB = 2**30, 2**20
KNOWN = profiles()
NAMED = """
rtx3060-12gb rtx3090 rtx4060-laptop rtx4060ti-16gb rtx4070 rtx4080super rtx4090 rtx5060ti-16gb rtx5070ti rtx5080
rtx5090 rtxpro6000-ws rtxpro6000-maxq rtx6000ada rtxa6000 l4 a100-40-sxm a100-80-sxm h100-sxm h200-sxm b200 gb10
mi50-32gb mi60 mi100 mi210 mi300x rx7900xtx rx9070xt r9700 arc-b580 strix-halo-395 tpu-v4 tpu-v5e tpu-v5p tpu-v6e
tpu-7x m2-ultra m3-ultra m4-max
"""


Card = partial(Accelerator, vendor="nvidia")


def found(card: Accelerator) -> str | None:
    profile, reason = match(card, KNOWN)
    assert (profile is None) != (reason is None)
    return None if profile is None else profile.id


def test_every_device_that_was_promised_has_a_profile() -> None:
    assert set(NAMED.split()) - set(KNOWN) == set()


@pytest.mark.parametrize(
    ("profile", "figure", "right", "circulates"),
    [
        ("mi300x", "bandwidth", 5300e9, "10300 GB/s"),
        ("mi300x", "fp32", 163.4e12, "81.7"),
        ("b200", "memory", 180 * GIB, "90 GB, one of the two dies"),
        ("b200", "bandwidth", 8e12, "4.1 TB/s, one of the two dies"),
        ("mi210", "l2", 8 * MIB, "16"),
        ("a100-80-pcie", "l2", 40 * MIB, "80"),
        ("h200-sxm", "l2", 60 * MIB, "50"),
        ("rtx3090", "fp16", 71.2e12, "35.6, the vector rate"),
        ("rtx3090", "fp16_accumulating_fp16", 142.3e12, "the FP32-accumulate rate for both"),
        ("rx9070xt", "fp16", 194.6e12, "97.3, the vector rate"),
        ("rx9070xt", "bandwidth", 640e9, "644.6 GB/s"),
        ("h200-sxm", "bf16", 989e12, "241.3"),
        ("a100-80-sxm", "bf16", 312e12, "77.97"),
        ("h100-sxm", "bf16", 989e12, "1979, with sparsity"),
        ("tpu-v5p", "bandwidth", 2765e9, "4.8 TB/s, the interconnect"),
        ("tpu-v5e", "bandwidth", 819e9, "1.6 TB/s, the interconnect"),
        ("tpu-v6e", "bandwidth", 1638e9, "1600"),
        ("rtxpro6000-ws", "bus_width", 512, "384 bit"),
        ("rtxpro6000-maxq", "bandwidth", 1792e9, "1.5 TB/s"),
        ("mi50-32gb", "bandwidth", 1024e9, "512 GB/s"),
        ("h200-sxm", "bandwidth", 4800e9, "4917, by the memory clock"),
        ("strix-halo-395", "bandwidth", 256e9, "64, by the memory clock"),
        ("strix-halo-395", "fp16", 59.4e12, "29.7, the vector rate"),
    ],
)
def test_a_figure_that_circulates_wrongly_is_right(profile: str, figure: str, right: float, circulates: str) -> None:
    assert KNOWN[profile].figure(figure) == right, f"not {circulates}"


@pytest.mark.parametrize(
    ("profile", "figures"),
    [
        ("gb10", "fp16 fp8 bf16"),
        ("m2-ultra", "fp16 int8 bf16 fp32"),
        ("m3-ultra", "fp16 int8 bf16 fp32"),
        ("m4-max", "fp16 int8 bf16 fp32"),
        ("b200", "fp32 l2 launch_price"),
        ("arc-pro-b60", "l2"),
        ("tpu-v5e", "power"),
        ("tpu-7x", "power"),
        ("h100-sxm", "launch_price"),
        ("mi300x", "launch_price"),
        ("l4", "launch_price"),
    ],
)
def test_a_figure_that_nobody_knows_is_absent(profile: str, figures: str) -> None:
    assert [KNOWN[profile].figure(figure) for figure in figures.split()] == [None] * len(figures.split())


def test_every_profile_has_a_bandwidth_and_uses_every_source_it_lists() -> None:
    for profile in KNOWN.values():
        assert profile.figure("bandwidth")
        assert set(profile.sources) - {"ids"} == {figure.source for figure in profile.figures.values()}, profile.id


def test_bandwidth_agrees_with_the_bus_wherever_both_are_known() -> None:
    for profile in KNOWN.values():
        bandwidth, bus = profile.figure("bandwidth"), profile.figure("bus_width")
        if bandwidth and bus:
            per_pin = bandwidth * 8 / bus
            assert 1.9e9 < per_pin < 30.1e9, profile.id  # HBM2 to GDDR7


MI50 = Card(vendor="amd", pci_id="1002:66a1", target="gfx906:sramecc+:xnack-", memory=32752 * MIB, units=60)
TI = Card(name="NVIDIA GeForce RTX 4060 Ti", pci_id="10de:2803", target="8.9", memory=16380 * MIB, units=34)
R3060 = Card(name="NVIDIA GeForce RTX 3060", pci_id="10de:2504", target="8.6", memory=12288 * MIB, units=28)


@pytest.mark.parametrize(
    ("card", "changes", "profile"),
    [
        (MI50, {}, "mi50-32gb"),
        (MI50, {"units": 64}, "mi60"),
        (MI50, {"memory": 16368 * MIB}, "mi50-16gb"),
        (MI50, {"units": None}, None),
        (MI50, {"target": "gfx90a"}, None),
        (MI50, {"vendor": "nvidia"}, None),
        (TI, {}, "rtx4060ti-16gb"),
        (TI, {"memory": 8188 * MIB}, None),
        (TI, {"memory": None}, None),
        (TI, {"name": "something else"}, "rtx4060ti-16gb"),
        (R3060, {}, "rtx3060-12gb"),
        (R3060, {"memory": 8192 * MIB}, None),
        (R3060, {"pci_id": "10de:24c7", "memory": 8192 * MIB}, None),
        (R3060, {"pci_id": None}, None),
        (Card(pci_id="10de:2b85", target="12.0", memory=32607 * MIB), {}, "rtx5090"),
        (Card(pci_id="10de:2335", target="9.0", memory=143771 * MIB), {}, "h200-sxm"),
        (Card(pci_id="10de:2e12", target="12.1", memory=119 * GIB), {}, "gb10"),
        (Card(vendor="amd", pci_id="1002:1586", target="gfx1151", memory=63 * GIB, units=40), {}, "strix-halo-395"),
        (Card(vendor="amd", pci_id="1002:7550", target="gfx1201", memory=16304 * MIB, units=56), {}, None),
        (Card(vendor="apple", name="Apple M4 Max", memory=64 * GIB, units=40), {}, "m4-max"),
        (Card(vendor="apple", name="Apple M4 Max", memory=64 * GIB, units=32), {}, None),
        (Card(vendor="google", pci_id="1ae0:0063", target="v5e"), {}, "tpu-v5e"),
        (Card(vendor="google", pci_id="1ae0:0063", target="v6e"), {}, None),
        (Card(vendor="intel", pci_id="8086:e20b"), {}, None),
    ],
)
def test_a_device_is_known_by_what_it_is(card: Accelerator, changes: dict[str, object], profile: str | None) -> None:
    assert found(replace(card, **changes)) == profile


def test_the_reason_for_no_match_names_what_differs() -> None:
    assert match(replace(TI, memory=8188 * MIB), KNOWN)[1] == (
        "10de:2803 is not rtx4060ti-16gb (it has 16 GiB, here 8 GiB)"
    )
    assert match(Card(pci_id="10de:ffff"), KNOWN)[1] == "no profile knows 10de:ffff"
    twice = {**KNOWN, "other": KNOWN["rtx4060ti-16gb"].model_copy(update={"id": "other"})}
    assert match(TI, twice) == (None, "10de:2803 fits rtx4060ti-16gb, other alike")


def test_each_profile_finds_itself_and_no_other() -> None:
    for profile in KNOWN.values():
        wanted = profile.identity
        if wanted.pci_ids or wanted.names:
            memory = profile.figure("memory")
            for key in wanted.pci_ids or wanted.names:
                named = {"pci_id": key} if wanted.pci_ids else {"name": key}
                facts = {"target": wanted.target, "memory": int(memory or 0), "units": wanted.units}
                assert found(Card(vendor=profile.vendor, **named, **facts)) == profile.id


GOOD = """
name = "A card"
vendor = "nvidia"
class = "consumer"
architecture = "Ampere"
unified_memory = false
confidence = "high"
[identity]
pci_ids = ["10de:2204"]
[sources]
specs = "a page"
[figures]
bandwidth = { value = 936.2e9, unit = "B/s", source = "specs" }
"""


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ('name = "A card"', 'nam = "A card"', "unknown key 'nam': did you mean 'name'?"),
        ("pci_ids", "pci_id", "unknown key 'identity.pci_id': did you mean 'pci_ids'?"),
        ("bandwidth =", "bandwith =", "unknown figure 'bandwith': did you mean 'bandwidth'?"),
        ('unit = "B/s"', 'unit = "GB/s"', "bandwidth is in 'GB/s': it is written in 'B/s'"),
        ('source = "specs"', 'source = "spec"', "bandwidth: no source 'spec': did you mean 'specs'?"),
        ("936.2e9", "0", "greater than 0"),
        ("936.2e9", '"fast"', "bandwidth cannot be 'fast'"),
        ("10de:2204", "0x2204", "should match pattern"),
        ("[sources]", "[sources", "is not TOML"),
    ],
)
def test_a_fault_in_a_profile_is_explained(right: str, wrong: str, says: str) -> None:
    assert parse_profile("card", GOOD).figure("bandwidth") == 936.2e9
    with pytest.raises(InputError, match=re.escape(says)) as raised:
        parse_profile("card", GOOD.replace(right, wrong))
    assert "\n" not in raised.value.message + raised.value.hint


def test_the_list_marks_what_is_from_memory_and_leaves_out_what_is_unknown() -> None:
    rows = {row["profile"]: row for row in listings.hardware_rows(None, raw=False)}
    assert rows["arc-b580"]["16 bit T"] == "116.5*"
    assert rows["rtx3090"]["GB/s"] == "936.2"
    assert rows["gb10"]["16 bit T"] is None
    assert rows["tpu-v5e"]["16 bit T"] == "197"


def test_a_machine_is_shown_with_the_profile_of_each_accelerator_or_why_there_is_none(tmp_path: Path) -> None:
    machine = detect(Source(root=roots.mixed(tmp_path), live=False))
    title = "Published figures (T: 10^12 dense operations a second; * from memory)"
    card, inside, arc = listings.machine_rows(machine)[title]
    assert (card["profile"], card["GB/s"], card["why not"]) == ("rx7900xtx", "960", None)
    assert (inside["profile"], inside["why not"]) == (None, "no profile knows 1002:164e")
    assert arc["why not"] == "8086:e20b is not arc-b580 (it has 12 GiB, here not read)"
    told = json.loads(listings.machine_json(machine))
    assert told["machine"]["accelerators"][0]["pci_id"] == "1002:744c"
    assert told["profiles"][0]["profile"]["figures"]["bandwidth"]["value"] == 960e9
    assert told["profiles"][1] == {"profile": None, "reason": "no profile knows 1002:164e"}


def test_a_machine_without_accelerators_says_so(tmp_path: Path) -> None:
    machine = detect(Source(root=tmp_path, live=False))
    sections = listings.machine_rows(machine)
    assert list(sections) == ["Machine", "Accelerators"]
    assert (sections["Accelerators"], json.loads(listings.machine_json(machine))["profiles"]) == ([], [])


def test_one_profile_is_listed_with_the_source_of_every_figure() -> None:
    rows = {row["figure"]: row for row in listings.hardware_rows("rtx3090", raw=False)}
    assert rows["bandwidth"]["value"] == "936.2 GB/s"
    assert rows["memory"]["value"] == "24 GiB"
    assert "techpowerup" in rows["bandwidth"]["source"]
    assert rows["launched"]["source"] == "from memory, not checked"
    assert list(rows) == [key for key in FIGURES if key in rows]
