"""Unpadded base64url (RFC 7515, Section 2), strict: one value has one spelling."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

__all__ = ["b64url_decode", "b64url_encode"]

_TO_URL = bytes.maketrans(b"+/", b"-_")
#: By length modulo 4: what the last character can be when the bits it has to spare are zero.
_LAST = {0: None, 2: b"AQgw", 3: b"AEIMQUYcgkosw048"}


def b64url_encode(data: bytes) -> str:
    """Encode without padding."""
    return b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=").decode("ascii")


def b64url_decode(text: str) -> bytes:
    """Decode unpadded base64url; raise `ValueError` for padding, foreign characters or a non-canonical ending.

    A value with several spellings would give one token several texts, and caches keyed by text could be filled
    with them.
    """
    data = text.encode()  # what is not ASCII is foreign too
    spare = len(data) % 4
    last = _LAST.get(spare, b"")
    # Padding, and what stands in the standard alphabet in place of "-" and "_".
    if (last is not None and data[-1] not in last) or b"=" in data or b"+" in data or b"/" in data:
        raise ValueError("not canonical unpadded base64url")
    # Replacing what is seldom there is cheaper than translating every octet. binascii.Error is a ValueError.
    return a2b_base64(data.replace(b"-", b"+").replace(b"_", b"/") + b"=" * (-spare % 4), strict_mode=True)
