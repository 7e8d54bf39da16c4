"""Published figures of devices, each with its source (hardware_profiles/*.toml), and which of them a device is."""

import tomllib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from specbench import datafiles, faults
from specbench.errors import InputError
from specbench.records import Accelerator
from specbench.units import size
from specbench.untrusted import toml

# Figure -> its unit. All rates are dense; `fp16` accumulates in FP32. Prices are those at launch.
FIGURES: Mapping[str, str] = MappingProxyType(
    {
        "memory": "B",
        "bandwidth": "B/s",
        "bus_width": "bit",
        "fp32": "FLOP/s",
        "fp16": "FLOP/s",
        "fp16_accumulating_fp16": "FLOP/s",
        "bf16": "FLOP/s",
        "int8": "OP/s",
        "fp8": "FLOP/s",
        "fp4": "FLOP/s",
        "l2": "B",
        "l3": "B",
        "power": "W",
        "pcie_generation": "",
        "pcie_lanes": "",
        "launch_price": "USD",
        "launched": "date",
    }
)
RECALLED = "recalled"  # the source of a figure that was written down from memory
_LEAST, _MOST = 0.9, 1.03  # of the nominal memory: what a driver shows for it


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(_Table):
    """A published number in base units; `source` names an entry of the profile's sources."""

    value: Annotated[float, Field(gt=0, allow_inf_nan=False)] | str
    unit: str = ""
    source: str


class Identity(_Table):
    """What the device says of itself. `units` where models share the PCI id and the memory size.

    `names` are keys only for devices without a PCI id, and then only together with `units`.
    """

    pci_ids: tuple[Annotated[str, Field(pattern="^[0-9a-f]{4}:[0-9a-f]{4}$")], ...] = ()
    target: str | None = None
    units: int | None = None
    names: tuple[str, ...] = ()


class DeviceProfile(_Table):
    """One device. A figure that is not known is absent."""

    id: str
    name: str
    vendor: Literal["nvidia", "amd", "intel", "google", "apple", "cpu"]
    kind: Literal["consumer", "laptop", "workstation", "datacenter", "soc", "apu", "tpu", "cpu"] = Field(alias="class")
    architecture: str
    memory_type: str | None = None
    unified_memory: bool
    confidence: Literal["high", "medium", "low"]
    notes: str | None = None
    identity: Identity = Identity()
    sources: dict[str, str]
    figures: dict[str, Figure]

    @model_validator(mode="after")
    def _known(self) -> Self:
        for key, figure in self.figures.items():
            if key not in FIGURES:
                raise ValueError(f"unknown figure {key!r}: {faults.did_you_mean(key, FIGURES)}")
            if figure.unit != FIGURES[key]:
                raise ValueError(f"{key} is in {figure.unit!r}: it is written in {FIGURES[key]!r}")
            if isinstance(figure.value, str) != (FIGURES[key] == "date"):
                raise ValueError(f"{key} cannot be {figure.value!r}")
            if figure.source not in self.sources:
                raise ValueError(
                    f"{key}: no source {figure.source!r}: {faults.did_you_mean(figure.source, self.sources)}"
                )
        return self

    def figure(self, key: str) -> float | None:
        """The number in base units; None where it is not known."""
        found = self.figures.get(key)
        return None if found is None or isinstance(found.value, str) else found.value


def parse_profile(name: str, text: str) -> DeviceProfile:
    """The profile in `text` (TOML). InputError for anything wrong in it."""
    try:
        return DeviceProfile.model_validate({"id": name, **toml(text)})
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"hardware profile {name!r} is not TOML: {error}", hint="correct the file") from error
    except ValidationError as error:
        wrong = faults.lines(error, {"": DeviceProfile, "identity": Identity, "figures": Figure})
        raise InputError(
            f"hardware profile {name!r}: {'; '.join(wrong)}", hint="hardware_profiles/README.md explains every key"
        ) from error


def profiles() -> dict[str, DeviceProfile]:
    """The packaged profiles by name."""
    texts = datafiles.texts(datafiles.path("hardware_profiles"))
    return {name: parse_profile(name, text) for name, text in ((file[:-5], text) for file, text in texts.items())}


def match(device: Accelerator, known: Mapping[str, DeviceProfile]) -> tuple[DeviceProfile | None, str | None]:
    """The profile of a device, or the reason why none is certain. A name alone decides nothing."""
    named = device.pci_id or device.name or "a device without PCI id and name"
    like = [p for p in known.values() if p.vendor == device.vendor and _key(device, p)]
    if not like:
        return None, f"no profile knows {named}"
    against = {profile.id: _difference(device, profile) for profile in like}
    fits = [profile for profile in like if against[profile.id] is None]
    if len(fits) == 1:
        return fits[0], None
    if fits:
        return None, f"{named} fits {', '.join(p.id for p in fits)} alike"
    return None, f"{named} is not " + ", nor ".join(f"{name} ({why})" for name, why in against.items())


def _key(device: Accelerator, profile: DeviceProfile) -> bool:
    if profile.identity.pci_ids:
        return device.pci_id in profile.identity.pci_ids
    return device.name in profile.identity.names


def _difference(device: Accelerator, profile: DeviceProfile) -> str | None:
    """What speaks against the profile: a fact that differs, or one that it needs and that was not read."""
    wanted, memory = profile.identity, profile.figure("memory")
    target = None if device.target is None else device.target.partition(":")[0]  # gfx906:sramecc+ is gfx906
    if wanted.pci_ids and None not in (wanted.target, target) and wanted.target != target:
        return f"its target is {wanted.target}, here {target}"
    if wanted.units is not None and device.units != wanted.units:
        return f"it has {wanted.units} units, here {'not read' if device.units is None else device.units}"
    if memory is not None and not profile.unified_memory:  # unified memory comes in many sizes
        if device.memory is None:  # a generation of TPUs has one size
            return None if profile.kind == "tpu" else f"it has {size(memory)}, here not read"
        if not _LEAST <= device.memory / memory <= _MOST:
            return f"it has {size(memory)}, here {size(device.memory)}"
    return None
