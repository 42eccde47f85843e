"""Reads a signature of the one shape nearly every client sends, without the general parser (RFC 9651).

One label, plain components, the parameters `created`, `expires` and `keyid`, a 64-byte signature and string parameters
of the scheme. `read` gives exactly what `members.read` gives for it, which a property test holds, or `None` for
whatever is not of that shape, be it valid or not. It judges nothing and knows no policy.
"""

from __future__ import annotations

import re
from binascii import Error, a2b_base64
from functools import lru_cache

from ..fields import is_plain_string
from . import signature_key
from .members import MAX_COMPONENTS, Member

__all__ = ["read"]

_MAX_INPUT_LENGTH = 1024
_MAX_KEY_LENGTH = 16_384
_SIGNATURE_LENGTH = 64

# A `Signature-Input` is these three in a row. The first is the same in every request of a client.
_COVERED = re.compile(r'([a-z][a-z0-9_-]*)=\("([@a-z0-9-]+(?:" "[@a-z0-9-]+)*)"')
_CREATED = ");created="
_PARAMETERS = re.compile(r'(0|[1-9][0-9]{0,14})(?:;expires=(0|[1-9][0-9]{0,14}))?(?:;keyid="([ !#-\[\]-~]*)")?')
_PARAMETER_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_TOKEN = re.compile(r"[a-z][a-z_-]*")


def read(signature_input: str, signature: str, key: str) -> Member | None:
    """The signature, or `None` when it is for the general parser."""
    if len(signature_input) > _MAX_INPUT_LENGTH or len(key) > _MAX_KEY_LENGTH:
        return None
    described, _, rest = signature_input.partition(_CREATED)
    known = _components(described)
    match = _PARAMETERS.fullmatch(rest)
    if known is None or match is None:
        return None
    label, covered = known
    octets = _signature(signature, label)
    parameters = _scheme(key, label)
    if octets is None or parameters is None:
        return None
    created, expires, keyid = match.groups()
    values: dict[str, int | str] = {"created": int(created)}
    if expires is not None:
        values["expires"] = int(expires)
    if keyid is not None:
        values["keyid"] = keyid
    params = signature_input[len(label) + 1 :]
    return Member(label, covered, values, params, octets, signature_key.Loader(*parameters))


@lru_cache(maxsize=256)  # clients cover the same few sets
def _components(described: str) -> tuple[str, tuple[str, ...]] | None:
    """The label and the covered components of what precedes the parameters."""
    match = _COVERED.fullmatch(described)
    if match is None:
        return None
    covered = tuple(match[2].split('" "'))
    return (match[1], covered) if len(set(covered)) == len(covered) <= MAX_COMPONENTS else None


def _signature(value: str, label: str) -> bytes | None:
    """The byte sequence of `label=:base64:`."""
    start = len(label) + 2
    if not value.startswith("=:", start - 2) or not value.startswith(label) or not value.endswith(":"):
        return None
    try:
        octets = a2b_base64(value[start:-1], strict_mode=True)
    except (Error, ValueError):  # ValueError: not ASCII
        return None
    return octets if len(octets) == _SIGNATURE_LENGTH else None


def _scheme(value: str, label: str) -> tuple[str, dict[str, str]] | None:
    """Scheme and parameters of `label=scheme;name="value";...`."""
    jwt = f'{label}=jwt;jwt="'
    if value.startswith(jwt) and is_plain_string(text := value[len(jwt) : -1]) and value.endswith('"', len(jwt)):
        return "jwt", {"jwt": text}
    head, *rest = value.split(";")
    name, _, scheme = head.partition("=")
    if name != label or not _TOKEN.fullmatch(scheme):
        return None
    parameters = {}
    for part in rest:
        name, _, text = part.partition('="')
        if not _PARAMETER_NAME.fullmatch(name) or not text.endswith('"'):
            return None
        text = text[:-1]
        if not is_plain_string(text):
            return None
        parameters[name] = text
    return scheme, parameters
