"""Interaction codes (#interaction-code-format): Crockford base32, unguessable, readable aloud.

A code correlates a browser with a pending interaction and authorises nothing. Whoever stores one stores
`code_digest`, since only comparison is needed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable

from ..errors import InvalidCode

__all__ = [
    "CODE_SYMBOLS",
    "code_digest",
    "derived_code",
    "derived_handle",
    "is_interaction_code",
    "normalize_code",
    "random_code",
]

CODE_SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 8
#: What a code of another server may look like: nothing in it breaks out of a URL.
_FOREIGN = re.compile(r"[A-Za-z0-9-]{4,64}\Z")
_MAX_TYPED_LENGTH = 64
_ALIASES = str.maketrans({"I": "1", "L": "1", "O": "0"})


def random_code(random_below: Callable[[int], int], *, length: int = _LENGTH) -> str:
    """A new code, 5 bits a symbol, grouped in fours with hyphens for reading.

    `random_below(n)` is a cryptographic source such as `secrets.randbelow`. Raises `ValueError` below the 40 bits that
    the spec asks for.
    """
    if length < _LENGTH:
        raise ValueError("An interaction code carries at least 40 bits: 8 symbols.")
    symbols = "".join(CODE_SYMBOLS[random_below(32)] for _ in range(length))
    return "-".join(symbols[start : start + 4] for start in range(0, length, 4))


def derived_code(pending_id: str, name: str) -> str:
    """The code of one interaction, named `name`, of a pending request: whoever polls can be told it again, and a
    database that keeps no pending URL's id cannot tell it."""
    octets = iter(_derived(pending_id, f"code {name}"))
    return random_code(lambda below: next(octets) % below)


def derived_handle(pending_id: str, name: str) -> str:
    """What the interaction's URL ends in."""
    return _derived(pending_id, f"handle {name}").hex()[:16]


def _derived(pending_id: str, purpose: str) -> bytes:
    return hmac.digest(pending_id.encode(), purpose.encode(), "sha256")


def is_interaction_code(text: str) -> bool:
    """Whether `text` may be put into a URL as somebody else's interaction code."""
    return _FOREIGN.match(text) is not None


def normalize_code(typed: str) -> str:
    """A code as compared: hyphens and spaces out, upper case, `I` and `L` read as 1, `O` as 0.

    Raises `InvalidCode` when what is left is no code.
    """
    # Outside ASCII, upper() makes several letters of one and symbols of what is none.
    if len(typed) > _MAX_TYPED_LENGTH or not typed.isascii():
        raise InvalidCode("The code is not recognised.")
    code = typed.replace("-", "").replace(" ", "").strip().upper().translate(_ALIASES)
    if len(code) < _LENGTH or any(symbol not in CODE_SYMBOLS for symbol in code):
        raise InvalidCode("The code is not recognised.")
    return code


def code_digest(typed: str) -> str:
    """What is stored and looked up in place of a code."""
    return hashlib.sha256(normalize_code(typed).encode("ascii")).hexdigest()
