"""`401` with `Signature-Error` (#verification; HTTP Signature Keys, Section 5): one class per code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from .base import AAuthError

__all__ = [
    "SIGNATURE_ERRORS",
    "CacheMiss",
    "ClockSkew",
    "ExpiredJWT",
    "InvalidInput",
    "InvalidJWT",
    "InvalidKey",
    "InvalidSignature",
    "IssuerMismatch",
    "IssuerMissing",
    "MalformedSignedRequest",
    "RevokedJWT",
    "SignatureError",
    "UnknownKey",
    "UnsupportedAlgorithm",
    "UnsupportedScheme",
]


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
