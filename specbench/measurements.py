"""What `specbench hardware profile` measured, as it is written to disk."""

from typing import Literal

from msgspec import field

from specbench.records import SCHEMA_VERSION, Contender, Machine, Opening
from specbench.structs import Record


class VerificationPasses(Record):
    """Requests that made the target work through `positions` positions in each of `passes` forward passes.

    `seconds`: of all passes of a request, one entry a request. `spoilt`: requests whose drafts were not all accepted.
    """

    positions: int
    passes: int
    seconds: tuple[float, ...]
    spoilt: int = 0


class HardwareMeasurement(Record):
    """What `specbench hardware profile` measured: bandwidths in bytes per second, and the verification-cost curve.

    `device_bandwidth` is by PCI address. `verification`: in the order of measuring; a length may come twice.
    """

    schema_version: Literal[2] = SCHEMA_VERSION
    specbench_version: str
    started: float
    machine: Machine
    load_average: float | None
    host_bandwidth: tuple[float, ...]
    device_bandwidth: dict[str, tuple[float, ...]]
    contender: Contender
    opening: Opening
    model_bytes: int
    fill: int
    verification: tuple[VerificationPasses, ...]
    reasons: dict[str, str] = field(default_factory=dict)
