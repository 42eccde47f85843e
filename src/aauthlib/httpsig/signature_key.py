"""The `Signature-Key` header and its schemes (HTTP Signature Keys, Section 3; #keying-material).

A scheme value says how to obtain the key, and nothing about whether to trust it. New schemes are rows in `_SCHEMES`;
an unknown one is never an error here, since a verifier must ignore members it does not select.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import msgspec

from ..errors import InvalidJWT, InvalidKey, InvalidSignature
from ..fields import FieldError, Token, parse_dictionary, serialize
from ..keys import PublicKey
from . import fast_write

__all__ = ["HWK", "JKTJWT", "JWKSURI", "JWT", "SignatureKey", "UnknownScheme", "dump", "loader", "parse"]

_MAX_PARAMETER_LENGTH = 16_384


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

    def __repr__(self) -> str:
        return "JWT()"  # a token has no place in a log

    def parameters(self) -> dict[str, Any]:
        return {"jwt": self.jwt}


class JKTJWT(msgspec.Struct, frozen=True, gc=False):
    """`jkt-jwt`: a durable key delegates to an ephemeral one (Section 3.5). Used to refresh at an agent provider."""

    scheme = "jkt-jwt"
    jwt: str

    def __repr__(self) -> str:
        return "JKTJWT()"  # a token has no place in a log

    def parameters(self) -> dict[str, Any]:
        return {"jwt": self.jwt}


class JWKSURI(msgspec.Struct, frozen=True, gc=False):
    """`jwks_uri`: a server signing in its own right (Section 3.6)."""

    scheme = "jwks_uri"
    id: str
    dwk: str
    kid: str

    def parameters(self) -> dict[str, Any]:
        return {"id": self.id, "dwk": self.dwk, "kid": self.kid}


class UnknownScheme(msgspec.Struct, frozen=True, gc=False):
    """A scheme this library does not implement; selecting it ends in `unsupported_scheme`."""

    scheme: str


SignatureKey: TypeAlias = HWK | JWT | JKTJWT | JWKSURI


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


_SCHEMES: Mapping[str, Callable[[Mapping[str, Any]], SignatureKey]] = {
    "hwk": _hwk,
    "jwt": lambda parameters: JWT(_jwt_parameter(parameters)),
    "jkt-jwt": lambda parameters: JKTJWT(_jwt_parameter(parameters)),
    "jwks_uri": lambda parameters: JWKSURI(*_strings(parameters, "id", "dwk", "kid")),
}


def parse(value: str) -> dict[str, Callable[[], SignatureKey | UnknownScheme]]:
    """Read a `Signature-Key` header: label to a loader of its scheme.

    Loading is left to the caller, so that a member nobody selects cannot fail the request (Section 3). A loader
    raises `InvalidKey` or `InvalidJWT`; `parse` itself raises `InvalidSignature` when the header is no dictionary.
    """
    try:
        members = parse_dictionary(value)
    except FieldError as error:
        raise InvalidSignature("Signature-Key is not a well-formed dictionary.") from error
    return {
        # A scheme is a Token; a member of another type is of no scheme.
        label: loader(str(scheme) if isinstance(scheme, Token) else "", parameters)
        for label, (scheme, parameters) in members.items()
    }


def loader(scheme: str, parameters: Mapping[str, Any]) -> Callable[[], SignatureKey | UnknownScheme]:
    """What reads one member: the name of its scheme and the parameters beside it."""
    reader = _SCHEMES.get(scheme)
    return partial(reader, parameters) if reader else partial(UnknownScheme, scheme)


def dump(label: str, key: SignatureKey) -> str:
    """The `Signature-Key` header for one signature."""
    parameters = key.parameters()
    return fast_write.scheme_member(label, key.scheme, parameters) or serialize(
        {label: (Token(key.scheme), parameters)}
    )
