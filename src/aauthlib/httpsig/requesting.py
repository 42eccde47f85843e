"""`Accept-Signature`: asking the other side to sign, and doing what it asked (RFC 9421, Section 5).

In a request it asks for a signed response, in a response for a signed next request. Plain RFC 9421: what AAuth
servers ask for is in their metadata and `Accept-Signature-Scheme`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import AAuthError, InvalidSignature
from ..fields import FieldError, parse_dictionary, serialize
from ..http import Request, Response
from ..keys import SigningKey
from .components import Component, Context, Covered, component
from .members import covered_components
from .messages import HTTP_ALGORITHMS, SignatureParameters, sign_message

__all__ = ["RequestedSignature", "Unfulfillable", "fulfil", "parse_accept_signature", "serialize_accept_signature"]

_PARAMETERS = ("sf", "key", "bs", "req", "tr", "name")
_MAX_REQUESTED = 8
_FLAGS = ("created", "expires")
_STRINGS = ("keyid", "alg", "nonce", "tag")

M = TypeVar("M", Request, Response)


class Unfulfillable(AAuthError):
    """A requested signature cannot be made: another key or algorithm, or a component that the message lacks."""


@dataclass(frozen=True, slots=True)
class RequestedSignature:
    """One member of `Accept-Signature`: what to cover, exactly, and which parameters to sign with (Section 5.1)."""

    label: str
    components: tuple[Covered, ...]
    created: bool = False
    expires: bool = False
    keyid: str | None = None
    alg: str | None = None
    nonce: str | None = None
    tag: str | None = None


def parse_accept_signature(value: str) -> tuple[RequestedSignature, ...]:
    """Read the field, in its order. Unknown parameters are ignored.

    Raises `FieldError` when it is malformed, and `DuplicateKey`, one of them, when a label stands in it twice.
    """
    members = parse_dictionary(value, unique=True)
    if len(members) > _MAX_REQUESTED:
        raise FieldError(f"more than {_MAX_REQUESTED} signatures are asked for")
    found = []
    for label, (components, parameters) in members.items():
        known: dict[str, Any] = {name: parameters[name] for name in (*_FLAGS, *_STRINGS) if name in parameters}
        for name, given in known.items():
            if given is not True if name in _FLAGS else type(given) is not str:
                raise FieldError(f"the parameter {name} of a requested signature is of the wrong type")
        try:
            covered = covered_components(components, _PARAMETERS)
        except InvalidSignature as error:
            raise FieldError(error.detail) from error
        found.append(RequestedSignature(label, covered, **known))
    return tuple(found)


def serialize_accept_signature(requested: Iterable[RequestedSignature]) -> str:
    """Write the field."""
    members: dict[str, Any] = {}
    for wanted in requested:
        covered = [component(name) for name in wanted.components]
        items = [(name.name, dict(name.parameters)) if isinstance(name, Component) else (name, {}) for name in covered]
        parameters = ((name, getattr(wanted, name)) for name in (*_FLAGS, *_STRINGS))
        members[wanted.label] = (items, {name: value for name, value in parameters if value not in (None, False)})
    return serialize(members)


def fulfil(
    message: M,
    requested: Iterable[RequestedSignature],
    key: SigningKey,
    *,
    now: int,
    lifetime_s: int = 60,
    keyid: str | None = None,
    context: Context | None = None,
) -> M:
    """`message` with every requested signature, or none of them (Section 5.2).

    `now` is Unix seconds and becomes `created`, asked for or not; `lifetime_s` is how long after it a requested
    `expires` lies. `keyid` is the name the key is known by, its own `kid` unless given. `context` is as in
    `sign_message`. Raises `Unfulfillable`.
    """
    known_as = keyid or key.kid
    for wanted in requested:
        if wanted.alg is not None and HTTP_ALGORITHMS.get(wanted.alg) != key.alg:
            raise Unfulfillable(f"A signature of another algorithm than {key.alg} is asked for.")
        if wanted.keyid is not None and wanted.keyid != known_as:
            raise Unfulfillable("A signature by another key is asked for.")
        parameters = SignatureParameters(
            created=now,
            expires=now + lifetime_s if wanted.expires else None,
            keyid=wanted.keyid,
            alg=wanted.alg,
            nonce=wanted.nonce,
            tag=wanted.tag,
        )
        try:
            message = sign_message(message, key, wanted.components, parameters, label=wanted.label, context=context)
        except InvalidSignature as error:
            raise Unfulfillable(f"A requested signature cannot be made. {error.detail}") from error
    return message
