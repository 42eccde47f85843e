"""Errors as values with a wire form.

Every failure that another party can see has one class here, named for its code. It knows its status and
how it is written on the wire, either as a `Signature-Error` header (#authentication-errors) or as
`application/problem+json` (#error-response-format), and `parse_error` reads both forms back.

    AAuthError
    ├── InvalidIdentifier            an identifier or URL breaks its grammar (no wire form of its own)
    ├── TokenError                   a JWT fails verification; the place it was carried decides the code
    │   ├── TokenInvalid, TokenExpired, TokenRevoked, TokenFromFuture
    ├── SignatureError               401 + Signature-Error (#verification)
    │   └── InvalidSignature, InvalidInput, UnsupportedScheme, ...
    └── ProblemError                 problem+json with `error`
        ├── InvalidRequest, InvalidScope, ...            endpoints
        ├── InvalidResourceToken, ExpiredResourceToken, ...   tokens sent as parameters
        └── Denied, Abandoned, Expired, ...              polling

This module knows no HTTP library and no framework.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

import msgspec

__all__ = [
    "PARAMETER_TOKEN_ERRORS",
    "PROBLEMS",
    "SIGNATURE_ERRORS",
    "AAuthError",
    "Abandoned",
    "AccessDenied",
    "AsUnreachable",
    "CacheMiss",
    "ClockSkew",
    "ConfigurationError",
    "Denied",
    "Expired",
    "ExpiredAgentToken",
    "ExpiredJWT",
    "ExpiredPresentedToken",
    "ExpiredResourceToken",
    "ExpiredSubagentToken",
    "ExpiredUpstreamToken",
    "Gone",
    "InteractionUnavailable",
    "InvalidAccount",
    "InvalidAgentToken",
    "InvalidCode",
    "InvalidIdentifier",
    "InvalidInput",
    "InvalidJWT",
    "InvalidKey",
    "InvalidPresentedToken",
    "InvalidRequest",
    "InvalidResourceToken",
    "InvalidScope",
    "InvalidSignature",
    "InvalidSubagentToken",
    "InvalidUpstreamToken",
    "IssuerMismatch",
    "IssuerMissing",
    "MalformedSignedRequest",
    "MethodNotAllowed",
    "NotFound",
    "ProblemError",
    "RateLimited",
    "Revoked",
    "RevokedAgentToken",
    "RevokedJWT",
    "RevokedPresentedToken",
    "RevokedResourceToken",
    "RevokedSubagentToken",
    "RevokedUpstreamToken",
    "ServerError",
    "SignatureError",
    "SlowDown",
    "TemporarilyUnavailable",
    "TokenClockSkew",
    "TokenError",
    "TokenExpired",
    "TokenFromFuture",
    "TokenInvalid",
    "TokenParameter",
    "TokenRevoked",
    "UnknownKey",
    "UnsupportedAlgorithm",
    "UnsupportedIss",
    "UnsupportedScheme",
    "UserUnreachable",
    "as_parameter_error",
    "as_signature_error",
    "parse_problem",
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


# --------------------------------------------------------------------------- tokens, before it is known where they were


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


# --------------------------------------------------------------------------- Signature-Error


class SignatureError(AAuthError):
    """A request whose signature or key fails: `401` with `Signature-Error` (#verification)."""

    code: ClassVar[str]
    title: ClassVar[str]
    status: ClassVar[int] = 401
    accepted_schemes: tuple[str, ...] = ()
    """What the verifier that refuses would have accepted: `Accept-Signature-Scheme` (HTTP Signature Keys, 4.4)."""
    accepted_algorithms: tuple[str, ...] = ()
    """The same for `Accept-Signature-Alg`."""

    def members(self) -> dict[str, tuple[str, ...]]:
        """Members of `Signature-Error` beside `error`: name to an inner list of strings."""
        return {}

    def body(self) -> dict[str, Any]:
        """The problem+json body (HTTP Signature Keys, Section 5.2); `Signature-Error` is the carrier."""
        return {
            "type": f"urn:ietf:params:sig-error:{self.code}",
            "title": self.title,
            "status": self.status,
            "error": self.code,
            **({"detail": self.detail} if self.detail else {}),
        }


class InvalidSignature(SignatureError):
    """Missing, malformed, stale, or not made by the presented key."""

    code = "invalid_signature"
    title = "The request signature is missing, stale or does not verify"


class InvalidInput(SignatureError):
    """`Signature-Input` does not cover what the server requires (#covered-components)."""

    code = "invalid_input"
    title = "The signature does not cover every required component"

    def __init__(self, detail: str = "", *, required_input: Iterable[str] = ()) -> None:
        super().__init__(detail)
        self.required_input = tuple(required_input)

    def members(self) -> dict[str, tuple[str, ...]]:
        return {"required_input": self.required_input} if self.required_input else {}


class UnsupportedScheme(SignatureError):
    """The `Signature-Key` scheme is not one the server accepts (#scheme-rejection)."""

    code = "unsupported_scheme"
    title = "The Signature-Key scheme is not accepted here"

    def __init__(self, detail: str = "", *, accepted: Iterable[str] = ()) -> None:
        super().__init__(detail)
        self.accepted = tuple(accepted)


class UnsupportedAlgorithm(SignatureError):
    """The key's `alg` is absent, polymorphic, or not one the server accepts (#signature-algorithms)."""

    code = "unsupported_algorithm"
    title = "The key's algorithm is not accepted here"

    def __init__(self, detail: str = "", *, accepted: Iterable[str] = ()) -> None:
        super().__init__(detail)
        self.accepted = tuple(accepted)


class MalformedSignedRequest(SignatureError):
    """`invalid_request` as a signature error: malformed apart from the signature itself."""

    code = "invalid_request"
    title = "The signed request is malformed"


class InvalidKey(SignatureError):
    """The key cannot be parsed, or its `kty` or `crv` disagrees with its `alg`."""

    code = "invalid_key"
    title = "The public key is not usable"


class UnknownKey(SignatureError):
    """No key with that `kid` stands at the issuer's `jwks_uri`, or its keys cannot be had."""

    code = "unknown_key"
    title = "The signing key was not found at its issuer"


class IssuerMissing(SignatureError):
    """The issuer's metadata document has no `issuer` (#metadata-documents)."""

    code = "issuer_missing"
    title = "The issuer's metadata has no issuer member"


class IssuerMismatch(SignatureError):
    """The issuer's metadata document names another `issuer` (#metadata-documents)."""

    code = "issuer_mismatch"
    title = "The issuer's metadata names another issuer"


class InvalidJWT(SignatureError):
    """The token in `Signature-Key` fails verification."""

    code = "invalid_jwt"
    title = "The token in Signature-Key is not valid"


class ExpiredJWT(SignatureError):
    """The token in `Signature-Key` has expired."""

    code = "expired_jwt"
    title = "The token in Signature-Key has expired"


class RevokedJWT(SignatureError):
    """The token in `Signature-Key` was withdrawn by its issuer (#presenting-a-revoked-token)."""

    code = "revoked_jwt"
    title = "The token in Signature-Key was revoked"


class ClockSkew(SignatureError):
    """`created`, or the `iat` of the token in `Signature-Key`, is too far ahead of the verifier's clock."""

    code = "clock_skew"
    title = "The request comes from the future of this server's clock"


class CacheMiss(SignatureError):
    """A `cached` identifier resolves to nothing (HTTP Signature Keys, Section 5.4.3)."""

    code = "cache_miss"
    title = "The cached assertion is not known here"


SIGNATURE_ERRORS: Mapping[str, type[SignatureError]] = {
    cls.code: cls
    for cls in (
        UnsupportedAlgorithm,
        UnsupportedScheme,
        CacheMiss,
        InvalidSignature,
        InvalidInput,
        MalformedSignedRequest,
        InvalidKey,
        UnknownKey,
        IssuerMissing,
        IssuerMismatch,
        InvalidJWT,
        ExpiredJWT,
        RevokedJWT,
        ClockSkew,
    )
}


# --------------------------------------------------------------------------- problem+json


class ProblemError(AAuthError):
    """An error whose body is `application/problem+json` with an `error` member (#error-response-format)."""

    code: ClassVar[str]
    status: ClassVar[int]

    def body(self) -> dict[str, Any]:
        """The members of the problem body."""
        return {"error": self.code, "status": self.status, **({"detail": self.detail} if self.detail else {})}


class InvalidRequest(ProblemError):
    """Malformed JSON, or missing or invalid parameters."""

    code = "invalid_request"
    status = 400


class InvalidScope(ProblemError):
    """The requested scope is not one the resource defines (#authorization-endpoint-error-responses)."""

    code = "invalid_scope"
    status = 400


class InvalidAccount(ProblemError):
    """The account named is not held by the person (#account-binding)."""

    code = "invalid_account"
    status = 400


class InvalidResourceToken(ProblemError):
    """The resource token is malformed, forged, or disagrees with the presented token."""

    code = "invalid_resource_token"
    status = 400


class ExpiredResourceToken(ProblemError):
    """The resource token expired; a fresh one is to be had from the resource."""

    code = "expired_resource_token"
    status = 400


class RevokedResourceToken(ProblemError):
    """The resource withdrew the resource token."""

    code = "revoked_resource_token"
    status = 400


class InvalidPresentedToken(ProblemError):
    """The presented token is malformed, forged, or neither a person token nor an auth token."""

    code = "invalid_presented_token"
    status = 400


class ExpiredPresentedToken(ProblemError):
    """The presented token expired; the agent needs a fresh person token, then a fresh resource token."""

    code = "expired_presented_token"
    status = 400


class RevokedPresentedToken(ProblemError):
    """The presented token was revoked by the server that issued it."""

    code = "revoked_presented_token"
    status = 400


class InvalidUpstreamToken(ProblemError):
    """The upstream token fails (#upstream-token-verification)."""

    code = "invalid_upstream_token"
    status = 400


class ExpiredUpstreamToken(ProblemError):
    """The upstream token has expired."""

    code = "expired_upstream_token"
    status = 400


class RevokedUpstreamToken(ProblemError):
    """The upstream token, or the calling agent's access, was revoked."""

    code = "revoked_upstream_token"
    status = 400


class InvalidSubagentToken(ProblemError):
    """The sub-agent token fails, names another parent, or has another issuer (#sub-agents)."""

    code = "invalid_subagent_token"
    status = 400


class ExpiredSubagentToken(ProblemError):
    """The sub-agent token has expired; the parent obtains a fresh one."""

    code = "expired_subagent_token"
    status = 400


class RevokedSubagentToken(ProblemError):
    """The sub-agent token was revoked by its provider."""

    code = "revoked_subagent_token"
    status = 400


class InvalidAgentToken(ProblemError):
    """The agent token sent beside a resource token to an access server does not verify, or is another key's."""

    code = "invalid_agent_token"
    status = 400


class ExpiredAgentToken(ProblemError):
    """The agent token sent to an access server expired."""

    code = "expired_agent_token"
    status = 400


class RevokedAgentToken(ProblemError):
    """The agent token sent to an access server was revoked."""

    code = "revoked_agent_token"
    status = 400


class TokenClockSkew(ProblemError):
    """A token sent as a parameter has an `iat` too far ahead of our clock (#token-endpoint-error-codes)."""

    code = "clock_skew"
    status = 400


class UserUnreachable(ProblemError):
    """The person cannot be reached and the agent cannot direct them (#token-endpoint-error-codes)."""

    code = "user_unreachable"
    status = 403


class AsUnreachable(ProblemError):
    """The access server gave no usable answer (#token-endpoint-error-codes)."""

    code = "as_unreachable"
    status = 502


class InteractionUnavailable(ProblemError):
    """The PS has no channel to relay an interaction (#interaction-endpoint-errors)."""

    code = "interaction_unavailable"
    status = 424


class ServerError(ProblemError):
    """An internal failure."""

    code = "server_error"
    status = 500


class TemporarilyUnavailable(ProblemError):
    """`503`: back off for `retry_after_s` seconds, then try again."""

    code = "temporarily_unavailable"
    status = 503

    def __init__(self, detail: str = "", *, retry_after_s: int = 5) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class Denied(ProblemError):
    """The person or an approver said no (#polling-error-codes)."""

    code = "denied"
    status = 403


class Abandoned(ProblemError):
    """The interaction code was used but the person did not finish (#polling-error-codes)."""

    code = "abandoned"
    status = 403


class Expired(ProblemError):
    """The pending request timed out (#polling-error-codes)."""

    code = "expired"
    status = 408


class Revoked(ProblemError):
    """A token the pending request depends on was revoked (#polling-error-codes)."""

    code = "revoked"
    status = 403


class InvalidCode(ProblemError):
    """The interaction code is not recognised, already consumed, or was guessed at too often."""

    code = "invalid_code"
    status = 410


class Gone(ProblemError):
    """The pending URL has given its terminal answer, or was cancelled (#pending-url-security).

    The protocol defines only the status `410` here; the body's `error` is informative.
    """

    code = "gone"
    status = 410


class SlowDown(ProblemError):
    """Polling too often: add 5 seconds to the interval (#polling-error-codes)."""

    code = "slow_down"
    status = 429

    def __init__(self, detail: str = "", *, retry_after_s: int = 5) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class RateLimited(ProblemError):
    """Too many requests from this caller for now; `retry_after_s` seconds until the next may succeed."""

    code = "rate_limited"
    status = 429

    def __init__(self, detail: str = "", *, retry_after_s: int = 60) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class UnsupportedIss(ProblemError):
    """The recipient does not accept revocations from this caller (#revocation-response)."""

    code = "unsupported_iss"
    status = 403


class NotFound(ProblemError):
    """Nothing is there for this caller. The body's `error` is informative; the status says it all."""

    code = "not_found"
    status = 404


class AccessDenied(ProblemError):
    """The signature verified and this caller is still not let in (signature-key#5.3). The `error` is informative."""

    code = "access_denied"
    status = 403


class MethodNotAllowed(ProblemError):
    """The endpoint does not take this HTTP method."""

    code = "method_not_allowed"
    status = 405

    def __init__(self, detail: str = "", *, allow: Iterable[str] = ()) -> None:
        super().__init__(detail)
        self.allow = tuple(allow)


PROBLEMS: Mapping[str, type[ProblemError]] = {
    cls.code: cls
    for cls in (
        InvalidRequest,
        InvalidScope,
        InvalidAccount,
        InvalidResourceToken,
        ExpiredResourceToken,
        RevokedResourceToken,
        InvalidPresentedToken,
        ExpiredPresentedToken,
        RevokedPresentedToken,
        InvalidUpstreamToken,
        ExpiredUpstreamToken,
        RevokedUpstreamToken,
        InvalidSubagentToken,
        ExpiredSubagentToken,
        RevokedSubagentToken,
        InvalidAgentToken,
        ExpiredAgentToken,
        RevokedAgentToken,
        TokenClockSkew,
        UserUnreachable,
        AsUnreachable,
        InteractionUnavailable,
        ServerError,
        TemporarilyUnavailable,
        Denied,
        Abandoned,
        Expired,
        Revoked,
        InvalidCode,
        Gone,
        SlowDown,
        RateLimited,
        UnsupportedIss,
        NotFound,
        AccessDenied,
        MethodNotAllowed,
    )
}

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
    return cls(detail if isinstance(detail, str) else "")
