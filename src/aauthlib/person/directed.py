"""Directed identifiers: another `sub` for the same person at every resource (#directed-identifiers).

A keyed hash, so that no two resources can compare and nobody who lacks the key can tell whom a value stands for. The
key signs nothing else and is never rotated, since the value must stay the same for as long as the person does.
"""

from __future__ import annotations

import hashlib
import hmac

from ..base64url import b64url_encode

__all__ = ["DirectedIdentifiers"]

_MIN_KEY_BYTES = 32


class DirectedIdentifiers:
    """Derives `sub` values. Raises `ValueError` for a key of less than 32 bytes."""

    def __init__(self, key: bytes) -> None:
        if len(key) < _MIN_KEY_BYTES:
            raise ValueError("The key of directed identifiers needs at least 32 bytes.")
        self._key = key

    def sub(self, person_id: str, resource: str) -> str:
        """The identifier of the person at `resource`; independent of the agent and of every other resource."""
        # The length in front keeps one person's identifier from running into the next one's resource.
        person = person_id.encode("utf-8")
        message = len(person).to_bytes(4, "big") + person + resource.encode("utf-8")
        return b64url_encode(hmac.new(self._key, message, hashlib.sha256).digest())
