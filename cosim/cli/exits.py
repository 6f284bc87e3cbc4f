"""How a command ends: its exit status, and what a user can mend as a message."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeGuard

import typer

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


class BadInputError(Exception):
    """A user's mistake; the text says what was expected, what was found and what to do."""


@contextmanager
def messages() -> Iterator[None]:
    """Turn what a user can mend, and an interrupt, into a message and an exit status."""
    try:
        yield
    except KeyboardInterrupt as error:
        typer.echo("\n".join(["cosim: interrupted", *_notes(error)]), err=True)
        raise typer.Exit(INTERRUPTED) from None
    except Exception as error:
        status = _status(error)
        if status is None:
            raise
        text = f"{error.filename}: {error.strerror}" if _is_of_a_path(error) else f"{error}"
        text = text if status == BAD_INPUT else f"cosim: {text}"
        typer.echo("\n".join([text, *_notes(error)]), err=True)
        raise typer.Exit(status) from None


def _notes(error: BaseException) -> list[str]:
    return list(getattr(error, "__notes__", ()))


def _status(error: Exception) -> int | None:
    """Return the exit status of an error that is a message; None for a defect of the program.

    Told by name, so that no floor is loaded only to know its errors.
    """
    names = {cls.__name__ for cls in type(error).__mro__ if cls.__module__.startswith("cosim.")}
    bad_input = {
        "ScenarioError",
        "WorldError",
        "RunExists",
        "RunError",
        "FigureError",
        "StandstillError",
        "InputError",
    }
    if names & (bad_input | {"BadInputError"}):
        return BAD_INPUT
    if "LearningError" in names:
        return FAILED
    if _is_of_a_path(error):
        return BAD_INPUT
    return FAILED if isinstance(error, OSError) and error.errno == errno.ENOSPC else None


def _is_of_a_path(error: Exception) -> TypeGuard[OSError]:
    """Tell a path that cannot be read or written, or is not what it must be."""
    return isinstance(error, OSError) and error.filename is not None
