"""A number that another tool told, in that tool's words."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat, PositiveFloat


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Figure(_Record):
    """`metric`, `definition`, `value` and `unit` are the tool's own, and so are the names of what was measured.

    `same_as`: our metric of the very same definition, of which `value * scale` is a value; None where there is none.
    """

    tool: str
    metric: str
    definition: str
    value: FiniteFloat
    unit: str
    same_as: str | None = None
    scale: PositiveFloat = 1.0
    machine: str | None = None
    engine: str | None = None
    model: str | None = None
    method: str | None = None
    category: str | None = None
    conditions: dict[str, str] = {}


class Imported(_Record):
    """The figures of one file of another tool."""

    kind: Literal["imported"] = "imported"
    schema_version: Literal[1] = 1
    specbench_version: str
    file: str
    sha256: str
    format: str
    figures: tuple[Figure, ...]
