"""How records are made, checked, read and written: by msgspec, which does it in a third of pydantic's time."""

import dataclasses
from collections.abc import Callable
from functools import cache
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast, dataclass_transform

import msgspec
from msgspec import field

from specbench.untrusted import unicode

_T = TypeVar("_T")

if TYPE_CHECKING:

    @dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
    class _Checked(type):
        __struct_fields__: ClassVar[tuple[str, ...]]

    Base = object
else:

    class _Checked(msgspec.StructMeta):
        """Checks the values of a record also where it is made, not only where it is read."""

        def __new__(cls, *made: Any, **config: Any) -> Any:
            return super().__new__(
                cls, *made, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False, **config
            )

        def __call__(cls, *values: Any, **named: Any) -> Any:  # noqa: N805  it is a class of classes
            told = dict(zip(cls.__struct_fields__[: len(values)], values, strict=True)) | named
            for name, value in told.items():
                if isinstance(value, float) and not isfinite(value):
                    raise ValueError(f"{name} is not a number")
                if isinstance(value, dict):
                    told[name] = _numbers_or_words(value)
            if (tag := cls.__struct_config__.tag) is not None:
                told["kind"] = tag
            try:
                return msgspec.convert(told, cls)
            except msgspec.ValidationError:  # perhaps a count that another program tells as 5.0
                whole = {name: int(v) if isinstance(v, float) and v.is_integer() else v for name, v in told.items()}
                return msgspec.convert(whole, cls)

    Base = msgspec.Struct


class Record(Base, metaclass=_Checked):
    """Of everything on disk: frozen, checked, and an unknown key is an error. ValueError for what it cannot hold."""

    def on_disk(self) -> Self:
        """What of it is written."""
        return self


def _numbers_or_words(value: Any) -> Any:
    """The same with words for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: _numbers_or_words(one) for key, one in value.items()}
    if isinstance(value, float) and not isfinite(value):
        return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return [_numbers_or_words(one) for one in value] if isinstance(value, list | tuple) else value


@cache
def reader(kind: Any) -> Callable[[bytes], Any]:
    """Reads records of that kind. Raises msgspec's DecodeError, which is a ValueError."""
    decode = msgspec.json.Decoder(kind).decode

    def read(data: bytes) -> Any:
        try:
            return decode(data)
        except RecursionError as error:
            raise msgspec.DecodeError("nested too deeply") from error

    return read


def to_json(record: Record, *, indent: int | None = None) -> bytes:
    """A record as JSON; what is no Unicode, as in the names of some files, becomes U+FFFD."""
    told = record.on_disk()
    try:
        data = msgspec.json.encode(told)
    except UnicodeEncodeError:
        data = msgspec.json.encode(unicode(msgspec.to_builtins(told)))
    return data if indent is None else msgspec.json.format(data, indent=indent)


def from_json(kind: type[_T], data: bytes) -> _T:
    """The record in `data`. Raises msgspec's DecodeError, which is a ValueError."""
    return cast("_T", reader(cast("Any", kind))(data))


def replace(record: _T, **changes: Any) -> _T:
    """The same record, or other dataclass, with some values changed; they are checked."""
    if isinstance(record, Record):
        return type(record)(**{name: getattr(record, name) for name in type(record).__struct_fields__} | changes)
    return dataclasses.replace(cast("Any", record), **changes)  # type: ignore[no-any-return]
