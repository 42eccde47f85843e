"""Covered components and the signature base (RFC 9421, Sections 2 and 2.5; #covered-components).

Knows requests only as bytes on the wire: no key, no token, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ..errors import InvalidSignature
from ..fields import serialize
from ..http import Request, split_url
from . import fast_write

__all__ = ["BASE_COMPONENTS", "BODY_COMPONENTS", "component_value", "signature_base", "signature_params"]

#: What every signature covers (#covered-components).
BASE_COMPONENTS: tuple[str, ...] = ("@method", "@authority", "@path", "signature-key")

#: What a signature with a body to a PS, an AS or a revocation endpoint covers too.
BODY_COMPONENTS: tuple[str, ...] = ("content-digest", "content-type")

_DEFAULT_PORT = {"https": ":443", "http": ":80"}


def authority(request: Request) -> str:
    """`@authority`: lowercased, the scheme's default port left out (RFC 9421, Section 2.2.3)."""
    scheme, value, _ = split_url(request.url)
    return value.lower().removesuffix(_DEFAULT_PORT.get(scheme, "\0"))


_DERIVED: Mapping[str, Callable[[Request], str]] = {
    "@method": lambda request: request.method,
    "@authority": authority,
    "@path": lambda request: request.path,
    "@query": lambda request: "?" + (request.query or ""),
    "@target-uri": lambda request: request.url,
    "@scheme": lambda request: request.scheme.lower(),
    "@request-target": lambda request: request.target,
}


def component_value(request: Request, name: str) -> str:
    """The value of one component of `request`.

    Raises `InvalidSignature` for a derived component this profile does not know and a header field that is absent.
    """
    derived = _DERIVED.get(name)
    if derived is not None:
        return derived(request)
    if name.startswith("@"):
        raise InvalidSignature("The signature covers a derived component that is not supported here.")
    value = request.headers.get(name)
    if value is None:
        raise InvalidSignature("The signature covers a header field that the request does not carry.")
    return value


def signature_params(components: Iterable[str], parameters: Mapping[str, int | str]) -> str:
    """`@signature-params`, which is also the member of `Signature-Input`."""
    names = tuple(components)
    return fast_write.inner_list(names, parameters) or serialize([([(name, {}) for name in names], dict(parameters))])


def signature_base(request: Request, components: Sequence[str], params: str) -> bytes:
    """The signature base (RFC 9421, Section 2.5) over `components`, ending in `params` as it stands on the wire.

    Raises `InvalidSignature` as `component_value` does, and for a value with a line break or a character outside
    ASCII, which no signature base can hold.
    """
    lines = []
    for name in components:
        derived = _DERIVED.get(name)
        lines.append(f'"{name}": {derived(request) if derived else component_value(request, name)}')
    lines.append(f'"@signature-params": {params}')
    base = "\n".join(lines)
    # A line break in a value would make one component look like two.
    if not base.isascii() or base.count("\n") != len(components) or "\r" in base:
        raise InvalidSignature("A covered component holds characters that cannot be signed.")
    return base.encode()
