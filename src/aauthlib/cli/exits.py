"""Exit codes of the command, for scripts. Documented in docs/cli.md."""

from __future__ import annotations

from enum import IntEnum

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

__all__ = ["Exit", "exit_code"]


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
