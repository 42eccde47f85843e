"""The root of the tree, and what fails before it is known where it was carried (#common-verification)."""

from __future__ import annotations

__all__ = [
    "AAuthError",
    "ConfigurationError",
    "InvalidIdentifier",
    "TokenError",
    "TokenExpired",
    "TokenFromFuture",
    "TokenInvalid",
    "TokenRevoked",
]


class AAuthError(Exception):
    """Base of every error this library raises on purpose.

    `str(error)` is one sentence for people: what happened, and where it helps, what was expected and what to
    do next. It never contains a token, a key, a code or a body.
    """

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail


class InvalidIdentifier(AAuthError, ValueError):
    """A server identifier, agent identifier or endpoint URL breaks its grammar (#identifiers-and-discovery)."""


class ConfigurationError(AAuthError):
    """This side was set up in a way that cannot work; the text says what to change."""


class TokenError(AAuthError):
    """A JWT failed verification (#common-verification).

    Where the token was carried decides what the other party is told: `as_signature_error` for the token in
    `Signature-Key`, `as_parameter_error` for a token sent as a request parameter.
    """


class TokenInvalid(TokenError):
    """Malformed, wrong `typ`, wrong claims, or a signature that does not verify."""


class TokenExpired(TokenError):
    """`exp` is not in the future."""


class TokenRevoked(TokenError):
    """Its issuer withdrew it (#token-revocation)."""


class TokenFromFuture(TokenError):
    """`iat` is further ahead of our clock than the signature validity window."""
