"""The `Signature-Key` header and its schemes (HTTP Signature Keys, Section 3; #keying-material).

A scheme value says how to obtain the key, and nothing about whether to trust it. New schemes are rows in `_SCHEMES`;
an unknown one is never an error here, since a verifier must ignore members it does not select.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from ..errors import InvalidJWT, InvalidKey, InvalidSignature
from ..fields import DuplicateKey, FieldError, Token, parse_dictionary, serialize
from ..keys import PublicKey
from . import fast_write

__all__ = [
    "HWK",
    "JKTJWT",
    "JWKSURI",
    "JWT",
    "X509",
    "Cached",
    "DirectJWKS",
    "Loader",
    "SelfJWT",
    "SignatureKey",
    "UnknownScheme",
    "dump",
    "dump_all",
    "parse",
]

_MAX_PARAMETER_LENGTH = 16_384
_SHA256_LENGTH = 32


class HWK(msgspec.Struct, frozen=True, gc=False):
    """`hwk`: a public key inline, for pseudonymous callers (Section 3.4)."""

    scheme = "hwk"
    jwk: Mapping[str, str]

    @classmethod
    def of(cls, key: PublicKey) -> HWK:
        return cls(dict(key.jwk))

    def parameters(self) -> dict[str, Any]:
        return dict(self.jwk)


class JWT(msgspec.Struct, frozen=True, gc=False):
    """`jwt`: a token whose `cnf.jwk` is the key (Section 3.8). Agent, person and auth tokens travel here."""

    scheme = "jwt"
    jwt: str
    cache: bool = False
    """Asks the verifier for a cache identifier (Section 6)."""

    def __repr__(self) -> str:
        return "JWT()"  # a token has no place in a log

    def parameters(self) -> dict[str, Any]:
        return {"jwt": self.jwt, "cache": True} if self.cache else {"jwt": self.jwt}


class JKTJWT(msgspec.Struct, frozen=True, gc=False):
    """`jkt-jwt`: a durable key delegates to an ephemeral one (Section 3.5). Used to refresh at an agent provider."""

    scheme = "jkt-jwt"
    jwt: str
    cache: bool = False
    """Asks the verifier for a cache identifier (Section 6)."""

    def __repr__(self) -> str:
        return "JKTJWT()"  # a token has no place in a log

    def parameters(self) -> dict[str, Any]:
        return {"jwt": self.jwt, "cache": True} if self.cache else {"jwt": self.jwt}


class JWKSURI(msgspec.Struct, frozen=True, gc=False):
    """`jwks_uri`: a server signing in its own right (Section 3.6)."""

    scheme = "jwks_uri"
    id: str
    dwk: str
    kid: str

    def parameters(self) -> dict[str, Any]:
        return {"id": self.id, "dwk": self.dwk, "kid": self.kid}


class DirectJWKS(msgspec.Struct, frozen=True, gc=False):
    """`jwks`: a signer whose identity is the URL of its key set, byte for byte (Section 3.7)."""

    scheme = "jwks"
    url: str
    kid: str

    def parameters(self) -> dict[str, Any]:
        return {"url": self.url, "kid": self.kid}


class SelfJWT(msgspec.Struct, frozen=True, gc=False):
    """`self-jwt`: a JWT whose issuer signs the request too, with the same key (Section 3.9)."""

    scheme = "self-jwt"
    jwt: str

    def __repr__(self) -> str:
        return "SelfJWT()"  # a token has no place in a log

    def parameters(self) -> dict[str, Any]:
        return {"jwt": self.jwt}


class X509(msgspec.Struct, frozen=True, gc=False):
    """`x509`: a certificate chain at `x5u`, whose first certificate has the SHA-256 thumbprint `x5t` (Section 3.10)."""

    scheme = "x509"
    x5u: str
    x5t: bytes

    def parameters(self) -> dict[str, Any]:
        return {"x5u": self.x5u, "x5t": self.x5t}


class Cached(msgspec.Struct, frozen=True, gc=False):
    """`cached`: the identifier a verifier issued for an assertion it holds (Section 3.11)."""

    scheme = "cached"
    cid: str

    def __repr__(self) -> str:
        return "Cached()"  # it stands for a token

    def parameters(self) -> dict[str, Any]:
        return {"cid": self.cid}


class UnknownScheme(msgspec.Struct, frozen=True, gc=False):
    """A scheme this library does not implement; selecting it ends in `unsupported_scheme`."""

    scheme: str


SignatureKey: TypeAlias = HWK | JWT | JKTJWT | JWKSURI | DirectJWKS | SelfJWT | X509 | Cached


def _strings(parameters: Mapping[str, Any], *names: str) -> tuple[str, ...]:
    values = tuple(parameters.get(name) for name in names)
    if not all(isinstance(value, str) and 0 < len(value) <= _MAX_PARAMETER_LENGTH for value in values):
        raise InvalidKey(f"This Signature-Key scheme needs the string parameters {', '.join(names)}.")
    return tuple(str(value) for value in values)


def _hwk(parameters: Mapping[str, Any]) -> HWK:
    if "kid" in parameters:
        raise InvalidKey("The hwk scheme carries its key inline and must not name a kid.")
    return HWK({name: value for name, value in parameters.items() if isinstance(value, str)})


def _jwt_parameter(parameters: Mapping[str, Any]) -> str:
    value = parameters.get("jwt")
    if not isinstance(value, str) or not value or len(value) > _MAX_PARAMETER_LENGTH:
        raise InvalidJWT("This Signature-Key scheme needs a jwt string parameter of acceptable length.")
    return value


def _wants_cache(parameters: Mapping[str, Any]) -> bool:
    value = parameters.get("cache", False)
    if not isinstance(value, bool):
        raise InvalidKey("The cache parameter of this Signature-Key scheme is a boolean.")
    return value


def _x509(parameters: Mapping[str, Any]) -> X509:
    (x5u,) = _strings(parameters, "x5u")
    x5t = parameters.get("x5t")
    if not isinstance(x5t, bytes) or len(x5t) != _SHA256_LENGTH:
        raise InvalidKey("The x509 scheme needs x5t, the SHA-256 thumbprint of the certificate as a byte sequence.")
    return X509(x5u, x5t)


_SCHEMES: Mapping[str, Callable[[Mapping[str, Any]], SignatureKey]] = {
    "hwk": _hwk,
    "jwt": lambda parameters: JWT(_jwt_parameter(parameters), _wants_cache(parameters)),
    "jkt-jwt": lambda parameters: JKTJWT(_jwt_parameter(parameters), _wants_cache(parameters)),
    "jwks_uri": lambda parameters: JWKSURI(*_strings(parameters, "id", "dwk", "kid")),
    "jwks": lambda parameters: DirectJWKS(*_strings(parameters, "url", "kid")),
    "self-jwt": lambda parameters: SelfJWT(_jwt_parameter(parameters)),
    "x509": _x509,
    "cached": lambda parameters: Cached(*_strings(parameters, "cid")),
}


class Loader(msgspec.Struct, frozen=True, gc=False):
    """One member of `Signature-Key`, not read yet but for the name of its scheme."""

    scheme: str
    parameters: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"Loader({self.scheme!r})"  # a token has no place in a log

    def __call__(self) -> SignatureKey | UnknownScheme:
        """Read it. Raises `InvalidKey` or `InvalidJWT`."""
        reader = _SCHEMES.get(self.scheme)
        return reader(self.parameters) if reader is not None else UnknownScheme(self.scheme)


def parse(value: str) -> dict[str, Loader]:
    """Read a `Signature-Key` header: label to a loader of its scheme.

    Loading is left to the caller, so that a member nobody selects cannot fail the request (Section 3). A loader
    raises `InvalidKey` or `InvalidJWT`; `parse` itself raises `InvalidSignature` when the header is no dictionary or
    has a label twice: a label is unique in its message (Section 3.2), and here it says whose key it is.
    """
    try:
        members = parse_dictionary(value, unique=True)
    except DuplicateKey as error:
        raise InvalidSignature("Signature-Key has one label twice; give each signature a label of its own.") from error
    except FieldError as error:
        raise InvalidSignature("Signature-Key is not a well-formed dictionary.") from error
    return {
        # A scheme is a Token; a member of another type is of no scheme.
        label: Loader(str(scheme) if isinstance(scheme, Token) else "", parameters)
        for label, (scheme, parameters) in members.items()
    }


def dump(label: str, key: SignatureKey) -> str:
    """The `Signature-Key` header for one signature."""
    parameters = key.parameters()
    return fast_write.scheme_member(label, key.scheme, parameters) or serialize(
        {label: (Token(key.scheme), parameters)}
    )


def dump_all(keys: Mapping[str, SignatureKey]) -> str:
    """The `Signature-Key` header for several signatures, by label, in their order (Section 3.2)."""
    return ", ".join(dump(label, key) for label, key in keys.items())
