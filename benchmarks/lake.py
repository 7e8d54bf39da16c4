"""Seconds and memory of the per-category table of docs/sql.md over a lake of invented rows, marked synthetic."""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROWS, NIGHTS = 10_000_000, 60
_PAGE = Path(__file__).resolve().parents[1] / "docs" / "sql.md"
_MAKE = "import sys, duckdb; duckdb.sql('SET enable_progress_bar = false'); duckdb.sql(sys.argv[1])"
_QUERY = (
    "import sys, duckdb; duckdb.sql('SET enable_progress_bar = false'); print(len(duckdb.sql(sys.argv[1]).fetchall()))"
)
# Columns of specbench/lake.py: those that the table reads, and the largest; 240 cells.
_SYNTHETIC = """
COPY (
    SELECT 'machine-' || n % 2 AS machine, 'model-' || n // 2 % 3 AS model, 'synthetic' AS engine,
           DATE '2026-01-01' + (n // 6 % {nights})::INTEGER AS date, 'run-' || n // 6 % {nights} AS run,
           'contender-' || n // 400 % 5 AS contender, 'method-' || n // 400 % 5 AS method, true AS synthetic,
           CASE WHEN n // 400 % 5 > 0 THEN 'contender-0' END AS baseline, 'category-' || n // 2000 % 8 AS category,
           'prompt-' || n % 1000 AS prompt, 'measured' AS role, NULL::VARCHAR AS failure, 0::BIGINT AS repeat,
           1700000000.0 + n AS started, 64::BIGINT AS output_tokens, 0.1 + random() / 100 AS prefill_seconds,
           0.5 + random() / 10 AS decode_seconds, 0.6 + random() AS total, 64::BIGINT AS emitted,
           1::BIGINT AS prefill_tokens, (random() * 100)::BIGINT + 60 AS drafted, (random() * 60)::BIGINT AS accepted,
           (random() * 40)::BIGINT + 20 AS verification_steps, [30, 20, 10, 5]::BIGINT[] AS accepted_by_position
    FROM range({rows}) AS numbers(n)
) TO 'lake' (FORMAT parquet, PARTITION_BY (machine, model, engine, date))
"""


def measured(rows: int = ROWS) -> tuple[list[float], float, int, int]:
    """Seconds of three queries in fresh processes, imports included; peak bytes; bytes on disk; rows of the table."""
    query = next(text for text in re.findall(r"```sql\n(.*?)```", _PAGE.read_text(encoding="utf-8"), re.DOTALL)
                 if text.startswith("WITH cell"))  # fmt: skip
    seconds, peak = [], 0
    with tempfile.TemporaryDirectory() as name:
        make = [
            "-c",
            _MAKE,
            _SYNTHETIC.format(rows=rows, nights=NIGHTS),
        ]  # in a process: a child counts our peak as its own
        subprocess.run([sys.executable, *make], cwd=name, check=True)
        size = sum(file.stat().st_size for file in Path(name).rglob("*.parquet"))
        for _ in range(3):
            start = time.perf_counter()
            process = subprocess.Popen([sys.executable, "-c", _QUERY, query], cwd=name, stdout=subprocess.PIPE)
            assert process.stdout is not None
            table = int(process.stdout.read())
            _, status, usage = os.wait4(process.pid, 0)
            process.stdout.close()
            seconds.append(time.perf_counter() - start)
            peak = max(peak, usage.ru_maxrss * 1024)
            assert status == 0
    return seconds, peak, size, table
