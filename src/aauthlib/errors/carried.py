"""Where a token was carried decides what the other party is told (#token-endpoint-error-codes). Problems read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from .base import AAuthError, TokenError, TokenExpired, TokenFromFuture, TokenInvalid, TokenRevoked
from .problems import PROBLEMS, MissionTerminated, ProblemError, TokenClockSkew
from .signature import ClockSkew, ExpiredJWT, InvalidJWT, RevokedJWT, SignatureError

__all__ = ["PARAMETER_TOKEN_ERRORS", "TokenParameter", "as_parameter_error", "as_signature_error", "parse_problem"]


TokenParameter = Literal["resource", "presented", "upstream", "subagent", "agent"]

PARAMETER_TOKEN_ERRORS: Mapping[str, Mapping[type[TokenError], type[ProblemError]]] = {
    name: {
        TokenInvalid: PROBLEMS[f"invalid_{name}_token"],
        TokenExpired: PROBLEMS[f"expired_{name}_token"],
        TokenRevoked: PROBLEMS[f"revoked_{name}_token"],
        TokenFromFuture: TokenClockSkew,
    }
    for name in ("resource", "presented", "upstream", "subagent", "agent")
}

_IN_SIGNATURE_KEY: Mapping[type[TokenError], type[SignatureError]] = {
    TokenInvalid: InvalidJWT,
    TokenExpired: ExpiredJWT,
    TokenRevoked: RevokedJWT,
    TokenFromFuture: ClockSkew,
}


def as_signature_error(error: TokenError) -> SignatureError:
    """The `Signature-Error` for a token that was presented in `Signature-Key` (#verification)."""
    return _IN_SIGNATURE_KEY.get(type(error), InvalidJWT)(error.detail)


def as_parameter_error(error: AAuthError, parameter: TokenParameter) -> ProblemError:
    """The problem for a token that was sent as a request parameter (#token-endpoint-error-codes).

    A key that cannot be found or used is, for a parameter, an invalid token: the request's own signature verified.
    """
    kinds = PARAMETER_TOKEN_ERRORS[parameter]
    kind = type(error) if isinstance(error, TokenError) else TokenInvalid
    return kinds.get(kind, kinds[TokenInvalid])(error.detail)


def parse_problem(status: int, body: bytes) -> ProblemError | None:
    """Read a problem+json body back into its error.

    Returns `None` when the body is not a JSON object with a known `error`; the caller then goes by the status
    alone. The `detail` is the other party's text: show it as such, never as our own.
    """
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    code, detail = document.get("error"), document.get("detail")
    cls = PROBLEMS.get(code) if isinstance(code, str) else None
    if cls is None:
        return None
    text = detail if isinstance(detail, str) else ""
    if cls is MissionTerminated:
        reason = document.get("termination_reason")
        return MissionTerminated(text, reason=reason if isinstance(reason, str) else None)
    return cls(text)
