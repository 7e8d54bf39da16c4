"""`python -m specbench` and the `specbench` command. Errors are shown here, once."""

import errno
import io
import os
import sys
from contextlib import suppress
from typing import NoReturn

from specbench.errors import InputError, SpecbenchError
from specbench.units import printable

_PATHS = {errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR}  # wrong by the path itself
_SHOWN = 200  # characters of a path


def main() -> None:
    """Run the command line; an error that the user can act on becomes two lines and an exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")  # tables have signs that some code pages lack
    from specbench.cli.main import app  # noqa: PLC0415  the errors above must not wait for Typer

    try:
        app()
    except SpecbenchError as error:
        _end(error)
    except OSError as error:
        if error.filename is None or error.errno not in _PATHS:
            raise
        _end(InputError(f"{error.strerror}: {str(error.filename)[:_SHOWN]}", hint="check the path and its permissions"))


def _end(error: SpecbenchError) -> NoReturn:
    print(printable(f"error: {error.message}\n  fix: {error.hint}"), file=sys.stderr)
    sys.exit(error.exit_status)


def program() -> None:
    """The command line in a process of its own, which ends at once where all is done and ending in order is no good.

    After an export pyarrow's threads abort 2 of 120 processes; after a comparison a million records take 3 seconds to
    be freed one by one.
    """
    try:
        main()
    except SystemExit as left:  # it keeps what the command held
        exporting = sys.argv[1:2] == ["export"] and "pyarrow" in sys.modules
        if (exporting or sys.argv[1:2] == ["compare"]) and isinstance(left.code, int):
            with suppress(OSError):  # whoever read it has gone
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(left.code)
        raise


if __name__ == "__main__":
    program()
