"""Records that a user writes as tables of a TOML file: checked like the tables around them."""

from typing import Any

import msgspec
from pydantic import ConfigDict, GetCoreSchemaHandler, ValidatorFunctionWrapHandler, create_model
from pydantic_core import CoreSchema, core_schema


class AsTable:
    """In an annotation: the record, or a table of its fields from which it is made."""

    def __get_pydantic_core_schema__(self, source: type[msgspec.Struct], handler: GetCoreSchemaHandler) -> CoreSchema:
        fields: dict[str, Any] = {
            f.name: (f.type, ... if f.default is msgspec.NODEFAULT else f.default)
            for f in msgspec.structs.fields(source)
        }
        table = create_model(source.__name__, __config__=ConfigDict(extra="forbid"), **fields)

        def made(told: Any, checked: ValidatorFunctionWrapHandler) -> Any:
            return told if isinstance(told, source) else source(**dict(checked(told)))

        return core_schema.no_info_wrap_validator_function(made, handler.generate_schema(table))
