"""Errors that the user can act on: what is wrong, and what to do. They are shown in one place."""


class SpecbenchError(Exception):
    """Something the user must act on. `hint` is one line that says what to do next."""

    exit_status = 1

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(SpecbenchError):
    """The request itself is wrong: a missing file, an unknown name, a value out of range."""

    exit_status = 2


class UnavailableError(SpecbenchError):
    """The request is right but cannot be met here: an engine, a package or a device is missing."""

    exit_status = 3


class EngineError(SpecbenchError):
    """The engine misbehaved: it died, hung, or answered something that is not its protocol."""

    exit_status = 4
