"""Unpadded base64url (RFC 7515, Section 2), strict: one value has one spelling."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64

__all__ = ["b64url_decode", "b64url_encode"]

_TO_URL = bytes.maketrans(b"+/", b"-_")
#: To the standard alphabet; what stands there in place of "-" and "_", and padding, becomes what is in no alphabet.
_FROM_URL = bytes.maketrans(b"-_+/=", b"+/!!!")
#: By length modulo 4: what the last character can be when the bits it has to spare are zero, and the padding.
_LAST = {1: b"", 2: b"AQgw", 3: b"AEIMQUYcgkosw048"}
_PADDING = {1: b"", 2: b"==", 3: b"="}


def b64url_encode(data: bytes) -> str:
    """Encode without padding."""
    return b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=").decode("ascii")


def b64url_decode(text: str) -> bytes:
    """Decode unpadded base64url; raise `ValueError` for padding, foreign characters or a non-canonical ending.

    A value with several spellings would give one token several texts, and caches keyed by text could be filled
    with them.
    """
    data = text.encode().translate(_FROM_URL)  # what is not ASCII is foreign too
    spare = len(data) & 3
    if spare:
        if data[-1] not in _LAST[spare]:
            raise ValueError("not canonical unpadded base64url")
        data += _PADDING[spare]
    return a2b_base64(data, strict_mode=True)  # binascii.Error is a ValueError
