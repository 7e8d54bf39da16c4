"""The CPU: name, cores, vector extensions, caches, memory, and what limits their use."""

import platform
import re
from functools import partial

from specbench.hardware.reading import Facts, Missing, Source

# What ggml has kernels for, as /proc/cpuinfo spells it
_EXTENSIONS = re.compile(r"ssse3|sse4_|avx|amx_|fma$|f16c|bmi2|neon|asimd|i8mm|bf16|sve|sme(?!p)")
_APPLE = {
    "FEAT_DotProd": "asimddp",
    "FEAT_FP16": "asimdhp",
    "FEAT_I8MM": "i8mm",
    "FEAT_BF16": "bf16",
    "FEAT_SME": "sme",
}
_CPUS = "sys/devices/system/cpu"
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


def read(source: Source, system: str, facts: Facts) -> None:
    """Put what is known of the CPU and the memory into `facts`."""
    if system == "Linux":
        _linux(source, facts)
    elif system == "Darwin":
        _apple(source, facts)
    else:
        facts.put("cpu", source.ask("processor", platform.processor))
        facts.put("isa", Missing("unsupported: not read on this system"))
    for name in ("cores_physical", "cores_logical", "cores_usable", "memory"):
        if name not in facts.values:
            facts.put(name, source.ask(name, partial(_psutil, name)))


def sysctl(source: Source, key: str) -> str | Missing:
    """A value of macOS's kernel."""
    return source.program(f"sysctl {key}", ["/usr/sbin/sysctl", "-n", key], timeout=5.0)


def _psutil(name: str) -> int | Missing:
    import psutil  # noqa: PLC0415  the command line must start without it

    if name == "memory":
        return psutil.virtual_memory().total
    if name == "cores_usable":
        affinity = getattr(psutil.Process(), "cpu_affinity", None)
        cores = len(affinity()) if affinity else None
    else:
        cores = psutil.cpu_count(logical=name == "cores_logical")
    return cores or Missing("unsupported: the system does not say")


def _linux(source: Source, facts: Facts) -> None:
    text = source.file("proc/cpuinfo")
    if isinstance(text, Missing):
        facts.put("cpu", text)
        facts.put("isa", text)
    else:
        _cpuinfo(text, facts)
    meminfo = source.file("proc/meminfo")
    total = re.search(r"^MemTotal:\s+(\d+) kB", meminfo, re.MULTILINE) if isinstance(meminfo, str) else None
    if total:
        facts.put("memory", int(total[1]) * 1024)
    _caches(source, facts)
    nodes = [name for name in source.names("sys/devices/system/node") if re.fullmatch(r"node\d+", name)]
    facts.put("numa_nodes", len(nodes) or Missing("unsupported: the kernel lists none"))
    facts.put("governor", source.file(f"{_CPUS}/cpu0/cpufreq/scaling_governor"))
    zones = [name for name in source.names("sys/class/powercap") if re.fullmatch(r"intel-rapl:\d+", name)]
    energy = source.number(f"sys/class/powercap/{zones[0]}/energy_uj") if zones else None
    none = Missing("unsupported: the kernel lists no RAPL zone")
    facts.put("rapl", none if energy is None else energy if isinstance(energy, Missing) else True)
    facts.put("memory_limit", _limit(source.file("sys/fs/cgroup/memory.max")))
    quota = source.file("sys/fs/cgroup/cpu.max")  # microseconds of a period, and the period
    shares = re.fullmatch(r"(\d+) ([1-9]\d*)", quota) if isinstance(quota, str) else None
    facts.put("cores_quota", int(shares[1]) / int(shares[2]) if shares else _limit(quota))


def _limit(text: str | Missing) -> int | Missing:
    if isinstance(text, str) and text.isdigit():
        return int(text)
    return text if isinstance(text, Missing) else Missing("unsupported: there is no limit")


def _cpuinfo(text: str, facts: Facts) -> None:
    found: dict[str, str] = {}
    processors, cores, socket = 0, set(), ""
    for line in text.splitlines():
        key, colon, value = (part.strip() for part in line.partition(":"))
        if colon:
            found.setdefault(key.lower(), value)
        processors += key == "processor"
        socket = value if key == "physical id" else socket
        if key == "core id":
            cores.add((socket, value))
    flags = set((found.get("flags") or found.get("features") or "").split())
    name = found.get("model name") or found.get("hardware")
    facts.put("cpu", name or Missing("unsupported: /proc/cpuinfo names none"))
    facts.put("isa", sorted(filter(_EXTENSIONS.match, flags)) or Missing("unsupported: /proc/cpuinfo lists no flags"))
    if processors:
        facts.put("cores_logical", processors)
    if cores:
        facts.put("cores_physical", len(cores))


def _caches(source: Source, facts: Facts) -> None:
    """L1d and L2 of the first core; L3 of all: each is counted once, by the CPUs that share it."""
    covered: set[int] = set()
    level3: list[int] = []
    for name in ("cache_l1d", "cache_l2"):
        facts.put(name, Missing("unsupported: the kernel lists none"))
    for cpu in sorted(int(n[3:]) for n in source.names(_CPUS) if re.fullmatch(r"cpu\d+", n)):
        if cpu in covered:
            continue
        for index in source.names(f"{_CPUS}/cpu{cpu}/cache"):
            folder = f"{_CPUS}/cpu{cpu}/cache/{index}"
            level, size = source.file(f"{folder}/level"), _size(source.file(f"{folder}/size"))
            kind = source.file(f"{folder}/type") if level == "1" else "Data"
            if level == "3":
                if isinstance(size, Missing):  # a sum without it would be wrong
                    return facts.put("cache_l3", size)
                level3.append(size)
                covered |= _cpu_list(source.file(f"{folder}/shared_cpu_list"))
            elif level in ("1", "2") and kind != "Instruction" and cpu == 0:
                facts.put({"1": "cache_l1d", "2": "cache_l2"}[level], size)
        if cpu not in covered:  # no L3 to count
            break
    return facts.put("cache_l3", sum(level3) if level3 else Missing("unsupported: the kernel lists none"))


def _size(text: str | Missing) -> int | Missing:
    if isinstance(text, Missing):
        return text
    parts = re.fullmatch(r"(\d+)([KMG])", text)
    return int(parts[1]) * _UNITS[parts[2]] if parts else Missing(f"error: a cache size is {text[:40]!r}")


def _cpu_list(text: str | Missing) -> set[int]:
    """`0-3,8` as numbers."""
    spans = re.findall(r"(\d+)(?:-(\d+))?", text if isinstance(text, str) else "")
    return {n for first, last in spans for n in range(int(first), int(last or first) + 1)}


def _apple(source: Source, facts: Facts) -> None:
    facts.put("cpu", sysctl(source, "machdep.cpu.brand_string"))
    found = [ours for theirs, ours in _APPLE.items() if sysctl(source, f"hw.optional.arm.{theirs}") == "1"]
    facts.put("isa", sorted(found) or Missing("unsupported: sysctl does not say"))
