"""`python -m specbench` and the `specbench` command. Errors are shown here, once."""

import io
import os
import sys

from specbench.errors import SpecbenchError
from specbench.units import printable


def main() -> None:
    """Run the command line; an error that the user can act on becomes two lines and an exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")  # tables have signs that some code pages lack
    from specbench.cli.main import app  # noqa: PLC0415  the errors above must not wait for Typer

    try:
        app()
    except SpecbenchError as error:
        print(printable(f"error: {error.message}\n  fix: {error.hint}"), file=sys.stderr)
        sys.exit(error.exit_status)


def program() -> None:
    """The command line in a process of its own: pyarrow's threads abort 2 of 120 that end in order after an export."""
    try:
        main()
    except SystemExit as left:
        if sys.argv[1:2] == ["export"] and "pyarrow" in sys.modules and isinstance(left.code, int):
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(left.code)
        raise


if __name__ == "__main__":
    program()
