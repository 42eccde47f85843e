"""Exit codes of the command, for scripts, and how every command ends with one. Documented in docs/cli.md."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

import typer

from ..errors import (
    AAuthError,
    Abandoned,
    ConfigurationError,
    Denied,
    Expired,
    InvalidIdentifier,
    ProblemError,
    SignatureError,
    TokenError,
    UserUnreachable,
)
from .screen import Screen

__all__ = ["Exit", "carry_out", "exit_code"]


class Exit(IntEnum):
    """What the command ended with."""

    OK = 0
    FAILED = 1
    """Something else went wrong; the message says what."""
    USAGE = 2
    """The command line or the configuration cannot work as it is."""
    DENIED = 3
    """The person, or an approver, said no."""
    TIMED_OUT = 4
    """Nobody decided in time."""
    UNREACHABLE = 5
    """A server could not be reached, or was not allowed to be."""
    REFUSED = 6
    """A server refused the signature, the token or the request."""
    HTTP_ERROR = 7
    """The resource answered with a status of 400 or above that is not about authorisation."""
    INVALID = 8
    """`inspect` found something that does not hold."""
    INTERRUPTED = 130


def exit_code(error: AAuthError) -> Exit:
    """The exit code for an error."""
    from ..discovery import TransportError

    match error:
        case Denied() | Abandoned():
            return Exit.DENIED
        case Expired():
            return Exit.TIMED_OUT
        case TransportError():
            return Exit.UNREACHABLE
        case InvalidIdentifier() | ConfigurationError():
            return Exit.USAGE
        case SignatureError() | UserUnreachable() | ProblemError() | TokenError():
            return Exit.REFUSED
    return Exit.FAILED


def carry_out(screen: Screen, work: Callable[[], int | None]) -> None:
    """Do `work`; say what went wrong and leave with its exit code."""
    try:
        code = work()
    except AAuthError as error:
        screen.fail(error.detail or type(error).__name__, code=getattr(error, "code", None))
        raise typer.Exit(exit_code(error)) from None
    except KeyboardInterrupt:
        screen.say("Stopped. What was pending has been withdrawn at the server.")
        raise typer.Exit(Exit.INTERRUPTED) from None
    except ModuleNotFoundError as error:
        screen.fail(f"This command needs the package {error.name}: pip install 'aauthlib[server]'.")
        raise typer.Exit(Exit.USAGE) from None
    if code:
        raise typer.Exit(code)
