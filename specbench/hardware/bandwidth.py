"""Measured memory bandwidth of the host, and of devices whose driver can be asked to copy. Bytes per second."""

import ctypes
import os
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MappingProxyType
from typing import Any

from specbench.errors import UnavailableError

REPEATS = 20
_LEAST, _LONG = 5, 5.0  # readings of the host, and seconds after which they are enough on a machine that is busy
_HOST_BYTES = 256 * 2**20  # of each array; the three together are far larger than the caches of a desktop
_DEVICE_BYTES = 256 * 2**20
_COPIES = 20  # of one reading, so that the start of the copies does not count
# The same functions of two drivers, in the order of _FUNCTIONS
_FUNCTIONS = "init count get address retain release use allocate copy wait free"
_CUDA = (
    "cuInit cuDeviceGetCount cuDeviceGet cuDeviceGetPCIBusId cuDevicePrimaryCtxRetain cuDevicePrimaryCtxRelease_v2 "
    "cuCtxSetCurrent cuMemAlloc_v2 cuMemcpyDtoD_v2 cuCtxSynchronize cuMemFree_v2"
)
_HIP = (
    "hipInit hipGetDeviceCount hipDeviceGet hipDeviceGetPCIBusId hipDevicePrimaryCtxRetain hipDevicePrimaryCtxRelease "
    "hipCtxSetCurrent hipMalloc hipMemcpyDtoD hipDeviceSynchronize hipFree"
)
DRIVERS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "CUDA": ("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1", _CUDA),
        "HIP": ("amdhip64.dll" if sys.platform == "win32" else "libamdhip64.so", _HIP),
    }
)


def host(
    *, threads: int | None = None, array_bytes: int = _HOST_BYTES, memory_limit: int | None = None
) -> tuple[float, ...]:
    """Readings of a = b + c on all cores that this process may use: the Add kernel of STREAM, counted as STREAM does.

    Each thread first writes its part of the arrays, so that on NUMA machines it lies near. STREAM reports the best.
    `memory_limit` is the container's, which the system's free memory does not show.
    """
    import numpy as np  # noqa: PLC0415  the command line must start without it
    import psutil  # noqa: PLC0415

    free = psutil.virtual_memory().available
    count = min(array_bytes, min(free, memory_limit or free) // 6) // 8
    threads = threads or len(os.sched_getaffinity(0) if sys.platform == "linux" else range(os.cpu_count() or 1))
    a, b, c = (np.empty(count) for _ in range(3))
    parts = [slice(count * i // threads, count * (i + 1) // threads) for i in range(threads)]

    def touch(part: slice) -> None:
        a[part], b[part], c[part] = 0, 1, 2

    def add(part: slice) -> None:
        np.add(b[part], c[part], out=a[part])

    found: list[float] = []
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(touch, parts))
        began = time.perf_counter()
        while len(found) <= _LEAST or (len(found) <= REPEATS and time.perf_counter() < began + _LONG):
            start = time.perf_counter()
            list(pool.map(add, parts))
            found.append(3 * 8 * count / (time.perf_counter() - start))
    return tuple(found[1:])


def devices(reasons: dict[str, str], drivers: Mapping[str, tuple[str, str]] = DRIVERS) -> dict[str, tuple[float, ...]]:
    """Readings of copies within each device by PCI address, counted as a read and a write; why not in `reasons`."""
    found: dict[str, tuple[float, ...]] = {}
    for driver, (library, symbols) in drivers.items():
        try:
            call = _functions(library, symbols)
            number = ctypes.c_int()
            call["init"](ctypes.c_uint(0))
            call["count"](ctypes.byref(number))
            for index in range(number.value):
                found |= _copies(call, index)
        except (OSError, AttributeError, UnavailableError) as error:
            reasons[f"device_bandwidth.{driver}"] = str(error)
    return found


def _functions(library: str, symbols: str) -> dict[str, Callable[..., None]]:
    """The driver's functions; each raises UnavailableError for a status other than 0."""
    loaded = ctypes.CDLL(library)
    return {
        name: partial(_checked, getattr(loaded, symbol))
        for name, symbol in zip(_FUNCTIONS.split(), symbols.split(), strict=True)
    }


def _checked(function: Any, *arguments: Any) -> None:
    if status := function(*arguments):
        raise UnavailableError(f"{function.__name__} answered {status}", hint="look at the driver's own tools")


def _copies(call: Mapping[str, Callable[..., None]], index: int) -> dict[str, tuple[float, ...]]:
    device, context, address = ctypes.c_int(), ctypes.c_void_p(), ctypes.create_string_buffer(64)
    call["get"](ctypes.byref(device), ctypes.c_int(index))
    call["address"](address, ctypes.c_int(64), device)
    call["retain"](ctypes.byref(context), device)
    buffers, size = [ctypes.c_void_p(), ctypes.c_void_p()], ctypes.c_size_t(_DEVICE_BYTES)
    found: list[float] = []
    try:
        call["use"](context)
        for buffer in buffers:
            call["allocate"](ctypes.byref(buffer), size)
        for _ in range(REPEATS + 1):
            call["wait"]()
            start = time.perf_counter()
            for _ in range(_COPIES):
                call["copy"](*buffers, size)
            call["wait"]()
            found.append(2 * _DEVICE_BYTES * _COPIES / (time.perf_counter() - start))
    finally:
        for buffer in buffers:
            if buffer.value:
                call["free"](buffer)
        call["release"](device)
    return {address.value.decode().lower(): tuple(found[1:])}
