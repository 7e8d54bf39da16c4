import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from hardware import roots

from specbench.hardware import cpu, engines
from specbench.hardware.detect import detect
from specbench.hardware.reading import Facts, Missing, Source
from specbench.records import Machine
from specbench.structs import from_json, to_json

INTEL = (
    "processor\t: 0\nmodel name\t: Some CPU @ 3GHz\nflags\t\t: fpu ssse3 avx2 fma f16c avx512_vnni smep hypervisor\n"
)
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp sve sme2\nCPU part\t: 0xd4f\n"
CACHE = "sys/devices/system/cpu"
linux = pytest.mark.skipif(sys.platform != "linux", reason="compares with this machine's own /proc")


def test_this_machine_is_described_and_what_is_missing_has_a_reason() -> None:
    machine = detect(devices=True)
    assert machine.memory == psutil.virtual_memory().total
    assert machine.cores_logical == psutil.cpu_count()
    assert machine.cores_physical == psutil.cpu_count(logical=False)
    assert machine.system
    assert machine.hostname is None
    for key in ("cpu", "isa", "release", "architecture", "python"):
        assert bool(getattr(machine, key)) != (key in machine.reasons)
    assert from_json(Machine, to_json(machine)) == machine


@linux
def test_the_caches_of_this_machine_are_those_that_the_system_tells() -> None:
    told = subprocess.run(["getconf", "-a"], capture_output=True, text=True, check=True).stdout.split()
    readings = detect().readings
    for ours, theirs in {"cache_l1d": "LEVEL1_DCACHE_SIZE", "cache_l2": "LEVEL2_CACHE_SIZE"}.items():
        value = told[told.index(theirs) + 1]
        if value.isdigit() and int(value):
            assert readings[ours] == int(value)


def test_the_hostname_is_recorded_only_when_asked_for() -> None:
    assert detect(hostname=True).hostname


def told(root: Path) -> Facts:
    facts = Facts()
    cpu.read(Source(root=root, live=False), "Linux", facts)
    return facts


@pytest.mark.parametrize(
    ("cpuinfo", "name", "isa", "missing"),
    [
        (INTEL, "Some CPU @ 3GHz", ["avx2", "avx512_vnni", "f16c", "fma", "ssse3"], set()),
        (ARM, None, ["asimd", "asimddp", "sme2", "sve"], {"cpu"}),
        ("", None, None, {"cpu", "isa"}),
    ],
)
def test_the_cpu_is_read_from_proc(
    tmp_path: Path, cpuinfo: str, name: str | None, isa: list[str] | None, missing: set[str]
) -> None:
    facts = told(roots.plant(tmp_path, {"proc/cpuinfo": cpuinfo}))
    assert (facts.values.get("cpu"), facts.values.get("isa")) == (name, isa)
    assert facts.reasons.keys() & {"cpu", "isa"} == missing


def test_cores_are_counted_by_socket_and_core(tmp_path: Path) -> None:
    entry = "processor\t: {}\nphysical id\t: {}\ncore id\t\t: {}\n"
    cpuinfo = "".join(entry.format(n, n // 4, n % 2) for n in range(8))  # two sockets of two cores with two threads
    values = told(roots.plant(tmp_path, {"proc/cpuinfo": cpuinfo})).values
    assert (values["cores_physical"], values["cores_logical"]) == (4, 8)


def test_each_l3_is_counted_once(tmp_path: Path) -> None:
    for number in range(4):
        for index, level, size, shared in (
            (0, 1, "32K", str(number)),
            (3, 3, "32768K", "0-1" if number < 2 else "2,3"),
        ):
            files = {"level": str(level), "type": "Data", "size": size, "shared_cpu_list": shared}
            roots.plant(tmp_path, {f"{CACHE}/cpu{number}/cache/index{index}/{k}": v for k, v in files.items()})
    facts = told(tmp_path)
    assert (facts.values["cache_l1d"], facts.values["cache_l3"]) == (32 * 2**10, 2 * 32 * 2**20)
    roots.change(tmp_path, f"{CACHE}/cpu2/cache/index3/size", "32768K", "much")
    half = told(tmp_path)
    assert "cache_l3" not in half.values  # the sum of the others would be wrong
    assert half.reasons["cache_l3"] == "error: a cache size is 'much'"
    assert facts.reasons["cache_l2"].startswith("unsupported")


@pytest.mark.parametrize(
    ("quota", "memory", "cores", "limit"),
    [
        ("150000 100000", "4294967296", 1.5, 2**32),
        ("max 100000", "max", None, None),
        ("nonsense", "", None, None),
        ("5 0", "0", None, None),
    ],
)
def test_the_limits_of_a_container_are_read(
    tmp_path: Path, quota: str, memory: str, cores: float | None, limit: int | None
) -> None:
    files = {"sys/fs/cgroup/cpu.max": quota, "sys/fs/cgroup/memory.max": memory, ".dockerenv": ""}
    machine = detect(Source(root=roots.plant(tmp_path, files), live=False))
    assert (machine.readings.get("cores_quota"), machine.readings.get("memory_limit")) == (cores, limit)
    assert machine.readings["container"] == "docker"
    assert ("cores_quota" in machine.reasons) == (cores is None)


@pytest.mark.parametrize(
    ("files", "wsl"),
    [
        ({"proc/sys/kernel/osrelease": "6.6.87.2-microsoft-standard-WSL2"}, True),
        ({"dev/dxg": ""}, True),
        ({"proc/sys/kernel/osrelease": "6.18.0"}, False),
    ],
)
def test_wsl_is_known_by_its_kernel(tmp_path: Path, files: dict[str, str], wsl: bool) -> None:  # noqa: FBT001  a case
    machine = detect(Source(root=roots.plant(tmp_path, files), live=False))
    assert machine.readings["wsl"] is wsl


def test_a_system_without_proc_has_a_reason(tmp_path: Path) -> None:
    machine = detect(Source(root=tmp_path, live=False))
    assert machine.reasons["cpu"] == "unsupported: there is no proc/cpuinfo"
    assert machine.memory is None
    assert machine.reasons["memory"].startswith("not asked")


def test_only_variables_that_change_speed_are_recorded_and_never_a_secret() -> None:
    environment = {
        "OMP_NUM_THREADS": "2",
        "GGML_CUDA_FORCE_MMQ": "1",
        "CUDA_VISIBLE_DEVICES": "0",
        "LLAMA_API_KEY": "secret",
        "HOME": "somewhere",
    }
    found = detect(Source(environment=environment)).environment
    assert found == {"CUDA_VISIBLE_DEVICES": "0", "GGML_CUDA_FORCE_MMQ": "1", "OMP_NUM_THREADS": "2"}


@pytest.mark.parametrize("value", [65535, 2**32 - 1, 2**64 - 1, 0, -1, "N/A", "", "[N/A]", "Unknown"])
def test_a_value_that_cannot_be_is_a_reason(value: float | str) -> None:
    facts = Facts()
    facts.put("power_limit", value)
    assert facts.values == {}
    assert facts.reasons["power_limit"].startswith(("error", "unsupported"))


def test_a_reason_never_replaces_a_value() -> None:
    facts = Facts()
    facts.put("units", Missing("unsupported: not here"))
    facts.put("units", 82)
    facts.put("units", Missing("error: later"))
    assert (facts.values, facts.reasons) == ({"units": 82}, {})


def test_the_embedded_engine_lists_the_cpu_and_llama_server_what_it_found() -> None:
    machine = detect(devices=True)
    assert machine.engine_devices["xllamacpp"][0]["name"] == "CPU"
    assert ("llama-server" in machine.engine_devices) != ("engine_llama-server" in machine.reasons)


def test_an_engine_that_fails_has_a_reason(tmp_path: Path) -> None:
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\nprintf '\\377\\n' && echo 'error: cannot load libcuda' >&2\nexit 3\n")
    program.chmod(0o755)
    code = "from specbench.hardware.detect import detect; print(detect(devices=True).reasons['engine_llama-server'])"
    environment = {**os.environ, "PATH": f"{tmp_path}:/bin"}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout == "error: it ended with 3: error: cannot load libcuda\n"


@pytest.mark.parametrize("answer", ["", "ggml: a word too many", '[["CPU"]]', "7", "[7]"])
def test_an_answer_that_is_no_list_of_devices_is_a_reason(answer: str) -> None:
    reasons: dict[str, str] = {}
    recorded = {"program xllamacpp": answer, "program llama-server": "Available devices:"}
    assert engines.read(Source(recorded=recorded), reasons) == {"llama-server": ()}
    assert reasons == {"engine_xllamacpp": f"error: its answer is {answer!r}"}


def test_the_lines_of_llama_server_are_devices() -> None:
    text = (
        "Available devices:\n"
        "  CUDA0: NVIDIA GeForce RTX 3080 Ti (11909 MiB, 11650 MiB free)\n"  # ollama issue 16508
        "  Vulkan1: AMD Radeon Graphics (RADV VEGA20) (32768 MiB, 32737 MiB free)\n"
        "  Vulkan0: Intel(R) UHD Graphics 630 (CFL GT2) (23947 MiB, 19538 MiB free)\n"
    )
    assert engines.listed(text) == [
        {"name": "CUDA0", "description": "NVIDIA GeForce RTX 3080 Ti", "memory": 11909 * 2**20},
        {"name": "Vulkan1", "description": "AMD Radeon Graphics (RADV VEGA20)", "memory": 32768 * 2**20},
        {"name": "Vulkan0", "description": "Intel(R) UHD Graphics 630 (CFL GT2)", "memory": 23947 * 2**20},
    ]
    assert engines.listed("Available devices:\n  (none)\n") == []
