"""Covered components and the signature base (RFC 9421, Sections 2 and 2.5; #covered-components).

Knows messages only as bytes on the wire: no key, no token, no clock. A component without parameters is written as its
name; one with parameters is a `Component`. Plain names on a request are the hot path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from ..errors import InvalidSignature
from ..fields import FieldError, parse_item, serialize
from ..http import Fields, Request, Response, split_url
from . import fast_write
from .digest import DIGEST_ALGORITHMS
from .values import STRUCTURED_FIELDS, FieldType, combined, dictionary_member, query_param, strict, wrapped

__all__ = [
    "BASE_COMPONENTS",
    "BODY_COMPONENTS",
    "Component",
    "Context",
    "Covered",
    "component",
    "component_value",
    "covers_digest",
    "signature_base",
    "signature_params",
]

#: What every signature covers (#covered-components).
BASE_COMPONENTS: tuple[str, ...] = ("@method", "@authority", "@path", "signature-key")

#: What a signature with a body to a PS, an AS or a revocation endpoint covers too.
BODY_COMPONENTS: tuple[str, ...] = ("content-digest", "content-type")

_DEFAULT_PORT = {"https": ":443", "http": ":80"}
_FIELD_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_FLAGS = ("sf", "bs", "req", "tr")
_STRINGS = ("key", "name")


@dataclass(frozen=True, slots=True, eq=False)
class Component:
    """A component identifier with parameters, in the order they stand on the wire (RFC 9421, Section 2).

    Two are equal when name and parameters are, in whatever order. Raises `InvalidSignature` for parameters that are
    unknown, ill-typed or do not go together.
    """

    name: str
    parameters: tuple[tuple[str, str | bool], ...] = ()

    def __post_init__(self) -> None:
        given = dict(self.parameters)
        for parameter, value in given.items():
            if not (value is True if parameter in _FLAGS else parameter in _STRINGS and isinstance(value, str)):
                raise InvalidSignature("The signature covers a component with a parameter that is not known here.")
        derived = self.name.startswith("@")
        if not derived and not _FIELD_NAME.fullmatch(self.name):
            raise InvalidSignature("Covered header fields must be named in lowercase.")
        if derived and not given.keys() <= {"req", "name"}:
            raise InvalidSignature("sf, key, bs and tr are for header fields, not for derived components.")
        if ("name" in given) is not (self.name == "@query-param"):
            raise InvalidSignature("The parameter name belongs to @query-param, which needs it.")
        if "bs" in given and ("sf" in given or "key" in given):
            raise InvalidSignature(
                "bs needs the bytes of a field, sf and key its parsed value: they exclude each other."
            )

    @classmethod
    def of(cls, name: str, /, **parameters: str | bool) -> Component:
        """`Component.of("content-digest", req=True)`; a parameter that is `False` is left out."""
        return cls(name, tuple((key, value) for key, value in parameters.items() if value is not False))

    def get(self, parameter: str) -> str | bool | None:
        return next((value for name, value in self.parameters if name == parameter), None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Component) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[str, frozenset[tuple[str, str | bool]]]:
        return self.name, frozenset(self.parameters)

    def __str__(self) -> str:
        """The identifier as it begins a line of the signature base."""
        return serialize((self.name, dict(self.parameters)))


Covered: TypeAlias = str | Component


def component(identifier: Covered) -> Covered:
    """Read an identifier: a plain name, or a name in quotes with parameters (`"@query-param";name="Pet"`).

    Raises `InvalidSignature` when it is neither.
    """
    if isinstance(identifier, Component):
        return identifier if identifier.parameters else identifier.name
    if not identifier.startswith('"'):
        return identifier
    try:
        name, parameters = parse_item(identifier)
    except FieldError as error:
        raise InvalidSignature("A component identifier is a string with parameters.") from error
    return covered_component(name, parameters)


def covered_component(name: Any, parameters: Mapping[str, Any]) -> Covered:
    """One member of the inner list in `Signature-Input`, as it was parsed. Raises `InvalidSignature`."""
    if not isinstance(name, str) or name != name.lower():
        raise InvalidSignature("A covered component is named by a lowercase string.")
    return Component(name, tuple(parameters.items())) if parameters else name


@dataclass(frozen=True, slots=True)
class Context:
    """A message and what else a signature on it may be about (RFC 9421, Section 1.1, signature context)."""

    message: Request | Response
    request: Request | None = None
    """The request that a response answers, for `;req`."""
    trailers: Fields = field(default_factory=Fields)
    """The message's trailer fields, for `;tr`."""
    request_trailers: Fields = field(default_factory=Fields)
    structured: Mapping[str, FieldType] = field(default_factory=dict)
    """Types of fields that `STRUCTURED_FIELDS` does not know, for `;sf` and `;key`."""


def authority(request: Request) -> str:
    """`@authority`: lowercased, the scheme's default port left out (RFC 9421, Section 2.2.3)."""
    scheme, value, _ = split_url(request.url)
    return _normal(scheme, value)


def _normal(scheme: str, given: str) -> str:
    return given.lower().removesuffix(_DEFAULT_PORT.get(scheme, "\0"))


def target_uri(request: Request) -> str:
    """`@target-uri`: as sent, an empty path written `/`, since that is what arrives (RFC 9110, Section 4.2.3)."""
    scheme, value, target = split_url(request.url)
    return f"{scheme}://{value}{target}"


#: Derived components without parameters of their own, by the kind of message that has them.
_REQUEST: Mapping[Covered, Callable[[Request], str]] = {
    "@method": lambda request: request.method,
    "@authority": authority,
    "@path": lambda request: request.path,
    "@query": lambda request: "?" + (request.query or ""),
    "@target-uri": target_uri,
    "@scheme": lambda request: request.scheme.lower(),
    "@request-target": lambda request: request.target,
}
_RESPONSE: Mapping[Covered, Callable[[Response], str]] = {
    "@status": lambda response: f"{response.status:03d}",
}


def component_value(message: Request | Response | Context, identifier: Covered) -> str:
    """The value of one component of `message`.

    Raises `InvalidSignature` for a derived component that such a message does not have, a field that is absent, and
    parameters that cannot be satisfied.
    """
    if isinstance(message, Request) and isinstance(identifier, str):
        derived = _REQUEST.get(identifier)
        if derived is not None:
            return derived(message)
        value = combined(message.headers, identifier)
        if value is not None:
            return value
    return _value(message if isinstance(message, Context) else Context(message), identifier)


def _value(context: Context, identifier: Covered) -> str:
    name = identifier if isinstance(identifier, str) else identifier.name
    parameters = {} if isinstance(identifier, str) else dict(identifier.parameters)
    message, trailers = context.message, context.trailers
    if "req" in parameters:
        if isinstance(message, Request) or context.request is None:
            raise InvalidSignature("The signature covers a component of a request that this message does not answer.")
        message, trailers = context.request, context.request_trailers
    if name.startswith("@"):
        return _derived(message, name, parameters)
    fields = trailers if "tr" in parameters else message.headers
    value = combined(fields, name)
    if value is None:
        raise InvalidSignature("The signature covers a header field that the message does not carry.")
    if "bs" in parameters:
        return wrapped(fields, name)
    if "key" not in parameters and "sf" not in parameters:
        return value
    kind = context.structured.get(name) or STRUCTURED_FIELDS.get(name)
    if kind is None:
        raise InvalidSignature("The signature covers a field with sf or key whose type is not known here.")
    if "key" not in parameters:
        return strict(value, kind)
    if kind != "dictionary":
        raise InvalidSignature("The signature covers a member of a field that is not a dictionary.")
    return dictionary_member(value, str(parameters["key"]))


def _derived(message: Request | Response, name: str, parameters: Mapping[str, str | bool]) -> str:
    if isinstance(message, Request):
        if name in _REQUEST:
            return _REQUEST[name](message)
        if name == "@query-param" and "name" in parameters:
            return query_param(message.query, str(parameters["name"]))
    elif name in _RESPONSE:
        return _RESPONSE[name](message)
    raise InvalidSignature("The signature covers a derived component that such a message does not have.")


def signature_params(components: Iterable[Covered], parameters: Mapping[str, int | str]) -> str:
    """`@signature-params`, which is also the member of `Signature-Input`."""
    covered = tuple(components)
    if Component not in map(type, covered):
        written = fast_write.inner_list(cast("tuple[str, ...]", covered), parameters)
        if written is not None:
            return written
    members = [(name, {}) if isinstance(name, str) else (name.name, dict(name.parameters)) for name in covered]
    return serialize([(members, dict(parameters))])


def signature_base(message: Request | Response | Context, components: Sequence[Covered], params: str) -> bytes:
    """The signature base (RFC 9421, Section 2.5) over `components`, ending in `params`, the serialised member.

    Raises `InvalidSignature` as `component_value` does, and for a value with a line break or a character outside
    ASCII, which no signature base can hold.
    """
    base = _profile_base(message, params) if components == BASE_COMPONENTS and type(message) is Request else None
    if base is None:
        lines = []
        for name in components:
            value = component_value(message, name)
            lines.append(f"{name}: {value}" if isinstance(name, Component) else f'"{name}": {value}')
        lines.append(f'"@signature-params": {params}')
        base = "\n".join(lines)
    # A line break in a value would make one component look like two.
    if not base.isascii() or base.count("\n") != len(components) or "\r" in base:
        raise InvalidSignature("A covered component holds characters that cannot be signed.")
    return base.encode()


def _profile_base(request: Request, params: str) -> str | None:
    """The signature base over `BASE_COMPONENTS`, as most signatures have it; `None` without `Signature-Key`."""
    key = combined(request.headers, "signature-key")
    if key is None:
        return None
    scheme, given, target = split_url(request.url)
    return (
        f'"@method": {request.method}\n"@authority": {_normal(scheme, given)}\n"@path": {target.partition("?")[0]}\n'
        f'"signature-key": {key}\n"@signature-params": {params}'
    )


def covers_digest(covered: Iterable[Covered], *, request: bool = False) -> bool:
    """Whether `covered` binds the body: `content-digest`, or a member of it that is verified whenever it is there.

    With `request`, the digest of the request that a response answers (`;req`).
    """
    for name in covered:
        if isinstance(name, str):
            if name == "content-digest" and not request:
                return True
        elif name.name == "content-digest" and (name.get("req") is True) is request and _binds(name):
            return True
    return False


def _binds(digest: Component) -> bool:
    """Another member than these is not compared with the body, and a trailer is not there when the header is."""
    return digest.get("tr") is None and digest.get("key") in (None, *DIGEST_ALGORITHMS)
