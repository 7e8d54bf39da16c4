import sys
from pathlib import Path

import pytest

from specbench.hardware import cpu, nvidia
from specbench.hardware.detect import detect
from specbench.records import Machine, from_json, to_json

INTEL = "processor\t: 0\nmodel name\t: Some CPU @ 3GHz\nflags\t\t: fpu ssse3 avx2 fma f16c avx512_vnni hypervisor\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp sve\nCPU part\t: 0xd4f\n"
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc/cpuinfo")


def fake(root: Path, cpuinfo: str) -> Path:
    (root / "proc").mkdir()
    (root / "proc" / "cpuinfo").write_text(cpuinfo)
    return root


def test_this_machine_is_described_and_what_is_missing_has_a_reason() -> None:
    machine = detect()
    assert machine.memory is not None
    assert machine.memory > 0
    assert machine.system
    assert machine.hostname is None
    for key, value in {"cpu": machine.cpu, "isa": machine.isa, "cores_physical": machine.cores_physical}.items():
        assert bool(value) != (key in machine.reasons)
    assert from_json(Machine, to_json(machine)) == machine


def test_the_hostname_is_recorded_only_when_asked_for() -> None:
    assert detect(hostname=True).hostname


@linux
@pytest.mark.parametrize(
    ("cpuinfo", "name", "isa", "missing"),
    [
        (INTEL, "Some CPU @ 3GHz", ("avx2", "avx512_vnni", "f16c", "fma", "ssse3"), set()),
        (ARM, None, ("asimd", "asimddp", "sve"), {"cpu"}),
        ("", None, (), {"cpu", "isa"}),
    ],
)
def test_the_cpu_is_read_from_proc(
    tmp_path: Path, cpuinfo: str, name: str | None, isa: tuple[str, ...], missing: set[str]
) -> None:
    reasons: dict[str, str] = {}
    assert cpu.read(fake(tmp_path, cpuinfo), reasons) == (name, isa)
    assert reasons.keys() == missing


@linux
def test_a_system_without_proc_has_a_reason(tmp_path: Path) -> None:
    assert "No such file" in detect(root=tmp_path).reasons["cpu"]


def test_only_variables_that_change_speed_are_recorded_and_never_a_secret() -> None:
    environment = {
        "OMP_NUM_THREADS": "2",
        "GGML_CUDA_FORCE_MMQ": "1",
        "CUDA_VISIBLE_DEVICES": "0",
        "LLAMA_API_KEY": "secret",
        "HOME": "somewhere",
    }
    found = detect(environment=environment).environment
    assert found == {"CUDA_VISIBLE_DEVICES": "0", "GGML_CUDA_FORCE_MMQ": "1", "OMP_NUM_THREADS": "2"}


def test_cards_are_listed_or_there_is_a_reason() -> None:
    reasons: dict[str, str] = {}
    cards = nvidia.read(reasons)
    assert bool(cards) != ("gpus" in reasons)
    assert all(card["vendor"] == "nvidia" for card in cards)
