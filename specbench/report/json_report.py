"""The whole comparison as JSON, unrounded and in base units. Missing is null."""

import json
from dataclasses import asdict
from typing import Any

from specbench.analysis.comparison import Comparison
from specbench.analysis.rows import Row
from specbench.report import cells

SCHEMA_VERSION = 1


def json_report(comparison: Comparison) -> str:
    """Every field of the comparison, with the losslessness also in words."""
    value: dict[str, Any] = {"schema_version": SCHEMA_VERSION, **asdict(comparison)}
    for key, rows in (("rows", comparison.rows), ("overall", comparison.overall)):
        value[key] = [_row(row) for row in rows]
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def _row(row: Row) -> dict[str, Any]:
    value = asdict(row) | {"drafting_cost": row.drafting_cost, "verifying_cost": row.verifying_cost}
    if row.lossless is not None:
        value["lossless"] |= {"text": cells.lossless(row.lossless)}
    return value
