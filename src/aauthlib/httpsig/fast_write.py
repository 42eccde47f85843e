"""Writes the three headers in the shape `fast_read` reads, without the general serialiser (RFC 9651).

Each function gives exactly what `fields.serialize` gives, which a property test holds, or `None` for a value that needs
an escape or must be refused.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Mapping, Sequence

from ..fields import is_plain_string

__all__ = ["inner_list", "scheme_member", "signature_member"]

_KEY = re.compile(r"[a-z][a-z0-9_-]*")
_SCHEME = re.compile(r"[a-z][a-z_-]*")
_NAMES = re.compile(r"[@a-z0-9-]+(?: [@a-z0-9-]+)*")
_MAX_INTEGER = 10**15


def inner_list(names: Sequence[str], parameters: Mapping[str, int | str]) -> str | None:
    """`("name" ...);parameter=integer`."""
    if not names or not _NAMES.fullmatch(" ".join(names)):
        return None
    written = ['("' + '" "'.join(names) + '")']
    for name, value in parameters.items():
        if type(value) is not int or not 0 <= value < _MAX_INTEGER or not _KEY.fullmatch(name):
            return None
        written.append(f"{name}={value}")
    return ";".join(written)


def scheme_member(label: str, scheme: str, parameters: Mapping[str, object]) -> str | None:
    """`label=scheme;name="value"`."""
    if not _KEY.fullmatch(label) or not _SCHEME.fullmatch(scheme):
        return None
    written = [f"{label}={scheme}"]
    for name, value in parameters.items():
        if type(value) is not str or not _KEY.fullmatch(name) or not is_plain_string(value):
            return None
        written.append(f'{name}="{value}"')
    return ";".join(written)


def signature_member(label: str, signature: bytes) -> str | None:
    """`label=:base64:`."""
    return f"{label}=:{b2a_base64(signature, newline=False).decode('ascii')}:" if _KEY.fullmatch(label) else None
