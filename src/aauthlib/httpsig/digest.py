"""`Content-Digest` (RFC 9530)."""

from __future__ import annotations

import hashlib
import hmac
from binascii import b2a_base64

from ..errors import InvalidSignature
from ..fields import FieldError, parse_dictionary

__all__ = ["content_digest", "verify_content_digest"]

_HASHES = {"sha-256": "sha256", "sha-512": "sha512"}


def content_digest(body: bytes, algorithm: str = "sha-256") -> str:
    """The `Content-Digest` value of `body`."""
    digest = hashlib.new(_HASHES[algorithm], body).digest()
    return f"{algorithm}=:{b2a_base64(digest, newline=False).decode('ascii')}:"


def verify_content_digest(value: str, body: bytes) -> None:
    """Check every digest in `value` that we can compute.

    Raises `InvalidSignature` when the field is malformed, holds no algorithm known here (`sha-256`, `sha-512`), or
    any known digest differs: a request with one right and one wrong digest has been altered.
    """
    if value == content_digest(body):  # the one form nearly every client sends
        return
    try:
        members = parse_dictionary(value)
    except FieldError as error:
        raise InvalidSignature("Content-Digest is not a well-formed dictionary.") from error
    known = [(name, member[0]) for name, member in members.items() if name in _HASHES]
    if not known:
        raise InvalidSignature("Content-Digest has no sha-256 or sha-512 digest.")
    for name, digest in known:
        actual = hashlib.new(_HASHES[name], body).digest()
        if not isinstance(digest, bytes) or not hmac.compare_digest(digest, actual):
            raise InvalidSignature("Content-Digest does not match the body that arrived.")
