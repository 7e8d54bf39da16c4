import ctypes
import shutil
import subprocess
import tracemalloc
from pathlib import Path

import pytest

from specbench.hardware import bandwidth

COPIED = 2 * 20 * 256 * 2**20  # bytes read and written between two waits, which take 1 ms here


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    made = tmp_path_factory.mktemp("driver") / "libcuda.so.1"
    source = Path(__file__).with_name("fake_cuda.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(made), str(source)], check=True)
    return made


def drivers(library: Path) -> dict[str, tuple[str, str]]:
    return {"CUDA": (str(library), bandwidth.DRIVERS["CUDA"][1])}


def test_the_host_is_read_on_all_cores_and_on_one() -> None:
    for threads in (None, 1):
        readings = bandwidth.host(threads=threads, array_bytes=2**24)
        assert len(readings) >= 5
        assert 1e7 < max(readings) < 1e14


def test_the_arrays_fit_into_the_memory_of_a_container() -> None:
    tracemalloc.start()
    bandwidth.host(threads=1, array_bytes=2**24, memory_limit=6 * 2**20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 3 * 2**20 <= peak < 6 * 2**20


def test_copies_on_each_device_are_timed_between_waits(library: Path) -> None:
    reasons: dict[str, str] = {}
    found = bandwidth.devices(reasons, drivers(library))
    assert reasons == {}
    assert list(found) == ["0000:01:00.0", "0000:02:00.0"]
    for readings in found.values():
        assert len(readings) == bandwidth.REPEATS
        assert COPIED / 1.0 < max(readings) < COPIED / 0.001


def test_a_device_without_memory_to_spare_is_a_reason_and_nothing_stays_allocated(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = ctypes.CDLL(str(library))
    monkeypatch.setenv("FAKE_ALLOCATIONS", "0")
    ctypes.CDLL(None).setenv(b"FAKE_ALLOCATIONS", b"0", 1)
    reasons: dict[str, str] = {}
    try:
        assert bandwidth.devices(reasons, drivers(library)) == {}
    finally:
        ctypes.CDLL(None).unsetenv(b"FAKE_ALLOCATIONS")
    assert "cuMemAlloc_v2 answered 2" in reasons["device_bandwidth.CUDA"]
    assert loaded.still_held() == 0


def test_no_driver_and_another_library_are_reasons(library: Path) -> None:
    reasons: dict[str, str] = {}
    names = {"HIP": ("libnowhere.so.9", "hipInit"), "CUDA": (str(library), bandwidth.DRIVERS["HIP"][1])}
    assert bandwidth.devices(reasons, names) == {}
    assert "libnowhere.so.9" in reasons["device_bandwidth.HIP"]
    assert "hipInit" in reasons["device_bandwidth.CUDA"]
