"""What the user asks for: one model checks a run file and the command line's flags."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from specbench import faults
from specbench.errors import InputError
from specbench.planning.tables import AsTable
from specbench.records import Sampling, Setting
from specbench.units import parse_duration

_COUNTS = ("draft_tokens_max", "threads", "parallel_slots")


def _seconds(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


def _fraction(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"ci\s*=\s*([0-9.]+)\s*%", value.strip())
    if found is None:
        raise ValueError(f"{value!r} is not a width, write it as ci=3%")
    return float(found[1]) / 100


def _counts(settings: dict[str, tuple[Setting, ...]]) -> dict[str, tuple[Setting, ...]]:
    """Settings whose other values end an engine without a word that helps."""
    for key, values in settings.items():
        for value in values if key.rpartition(".")[2] in _COUNTS else ():
            known = value == "auto" or (key, value) == ("threads", -1)
            if not known and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"{key}={value} is no count: give a whole number above 0")
    return settings


def _listed(value: Any) -> Any:
    return () if value is None else value if isinstance(value, list | tuple) else (value,)


def _flat(value: Any) -> Any:
    """The tables of a combination's parts as PART.KEY: TOML reads an unquoted dot so."""
    if not isinstance(value, dict):
        return value
    tables = {key: table if isinstance(table, dict) else {None: table} for key, table in value.items()}
    return {key if k is None else f"{key}.{k}": v for key, table in tables.items() for k, v in table.items()}


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, allow_inf_nan=False)]
Temperature = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Values = Annotated[tuple[Setting, ...], BeforeValidator(_listed), Field(min_length=1)]  # more than one is a sweep


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Target(_Table):
    """A model to measure, with the files of its drafters. `note` is shown with its results.

    `drafters`: a draft model, EAGLE-3 head, DFlash or DSpark drafter; which one a file is, its header says.

    `methods`, `temperatures`: those for this target only, where it shall not have all of the run's.
    """

    model: str
    drafters: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    methods: tuple[str, ...] | None = Field(default=None, min_length=1)
    temperatures: Annotated[tuple[Temperature, ...], BeforeValidator(_listed)] | None = None
    label: str | None = None
    note: str | None = None


class RunFile(_Table):
    """All that can be asked for; what is left None is decided by the suite, the engine's profile or the model.

    A `[methods.NAME]` table names a method and its settings; `methods = [...]` with `method_settings` says the same.
    `order`: `by-category` opens an engine for each category and repeat, so that contenders alternate often; `by-repeat`
    once for each repeat, for models that load slowly. By default the model's size decides. `fill` is for prompts whose
    text is generated. A list of values is a sweep; each family of engine settings and template has its own baseline.
    `discover`: look for drafters beside the model and in the usual folders. `engine`: NAME, or NAME=PROGRAM; several
    engines share targets, settings and methods as far as each knows them, and each has baselines of its own.
    `trust_remote_code`: engines may run Python code that lies beside a model's weights.
    `until`: `ci=3%` ends a category for a contender once its speedup is known within 3 % to either side.
    """

    name: str | None = None
    targets: tuple[Target, ...] = ()
    discover: bool = True
    engine: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    engine_path: str | None = None
    url: str | None = None
    engine_settings: Annotated[dict[str, Values], AfterValidator(_counts)] = {}
    engine_args: tuple[str, ...] = ()
    trust_remote_code: bool = False
    methods: tuple[str, ...] | None = Field(default=None, min_length=1)
    method_settings: dict[str, Annotated[dict[str, Values], BeforeValidator(_flat), AfterValidator(_counts)]] = {}
    suite: str = "core"
    categories: tuple[str, ...] | None = None
    tags: tuple[str, ...] = ()
    prompts_per_category: int | None = Field(default=None, ge=1)
    output_tokens: int | None = Field(default=None, ge=2)
    ignore_eos: bool = True
    temperatures: Annotated[tuple[Temperature, ...], BeforeValidator(_listed), Field(min_length=1)] = (0.0, 0.8)
    sampling: Annotated[Sampling, AsTable()] = Sampling()
    fill: Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_listed), Field(min_length=1)] = (1024,)
    template: Annotated[tuple[bool, ...], BeforeValidator(_listed), Field(min_length=1)] = (True,)
    streams: Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_listed), Field(min_length=1)] = (1,)
    thinking: bool | None = None
    seed: int = Field(default=1, ge=0)
    repeats: int = Field(default=1, ge=1, le=10_000)
    warmups: int = Field(default=1, ge=0, le=10_000)
    control: bool = True
    order: Literal["by-category", "by-repeat"] | None = None
    record_steps: bool = False
    stream: bool = False
    telemetry: bool = True
    budget: Seconds | None = None
    until: Annotated[float, BeforeValidator(_fraction), Field(gt=0, lt=1)] | None = None
    trial_timeout: Seconds = 600.0
    load_timeout: Seconds = 600.0

    @property
    def engines(self) -> dict[str, str | None]:
        """The profiles asked for, with their programs; else what `url` or `engine_path` implies, or xllamacpp."""
        implied = "attach" if self.url else "llama-server" if self.engine_path else "xllamacpp"
        named = [text.partition("=") for text in self.engine or (implied,)]
        return {name: program or self.engine_path for name, _, program in named}

    @property
    def engine_name(self) -> str:
        """The engine, where one is enough: the first."""
        return next(iter(self.engines))

    @model_validator(mode="before")
    @classmethod
    def _methods_by_table(cls, values: Any) -> Any:
        if not isinstance(values, dict) or not isinstance(values.get("methods"), dict):
            return values
        tables = values["methods"]
        return {**values, "methods": list(tables), "method_settings": {**tables, **values.get("method_settings", {})}}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.targets and self.url is None:
            raise ValueError("name a model (targets) or a server (url)")
        if self.url is not None and "://" in self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError(f"url: {self.url} does not begin with http:// or https://")
        if self.url is not None and len(self.targets) > 1:
            raise ValueError("a server that already runs has one model: give one target with url")
        if self.until is not None and self.streams != (1,):
            raise ValueError("until is for one stream: leave out until or streams")
        if len(self.engines) > 1 and (self.url or self.engine_path or self.engine_args):
            raise ValueError("several engines take no url, engine_path or engine_args: write NAME=PROGRAM")
        for what, values in (
            ("engine", [name.partition("=")[0] for name in self.engine]),
            ("temperatures", self.temperatures),
            ("fill", self.fill),
            ("methods", self.methods or ()),
        ):
            if len(set(values)) < len(values):
                raise ValueError(f"{what} names a value twice")
        return self


def validate_runfile(values: dict[str, Any]) -> RunFile:
    """The values of a run file or of flags, checked. One InputError lists all that is wrong."""
    try:
        return RunFile.model_validate(values)
    except ValidationError as error:
        wrong = faults.lines(error, {"": RunFile, "targets": Target, "sampling": Sampling})
        raise InputError(
            "\n  ".join(["the run cannot be planned:", *wrong]),
            hint="`specbench run --help` and docs/runfile.md explain every key",
        ) from error
