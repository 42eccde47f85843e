"""Unpadded base64url (RFC 7515, Section 2), strict: one value has one spelling."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode

__all__ = ["b64url_decode", "b64url_encode"]


def b64url_encode(data: bytes) -> str:
    """Encode without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64url_decode(text: str) -> bytes:
    """Decode unpadded base64url; raise `ValueError` for padding, foreign characters or a non-canonical ending.

    A value with several spellings would give one token several texts, and caches keyed by text could be filled
    with them.
    """
    data = text.encode("ascii")
    try:
        decoded = urlsafe_b64decode(data + b"=" * (-len(data) % 4))
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if urlsafe_b64encode(decoded).rstrip(b"=") != data:
        raise ValueError("not canonical unpadded base64url")
    return decoded
