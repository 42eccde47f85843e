"""Encryption at rest: what a value looks like under a key from the environment. Knows no SQL.

A sealed value is AES-256-GCM of the plain one, with the place it belongs to as associated data, so that it opens
nowhere else. The first key seals; every key opens, which is how keys are changed. Without keys everything is as it
was: what was never sealed stays readable, whatever keys there are.

    aauth-sealed:1:KEY:DATA     KEY names the key, DATA is nonce and ciphertext
    aauth-sealed:0:TEXT         TEXT as it was written without a key, since it begins as sealed values do
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..base64url import b64url_decode, b64url_encode
from ..errors import ConfigurationError

__all__ = ["ENVIRONMENT_VARIABLE", "PREFIX", "Sealer", "new_key"]

#: One key or several, the first of which encrypts: 32 bytes in base64url each, separated by spaces or commas.
ENVIRONMENT_VARIABLE = "AAUTHLIB_ENCRYPTION_KEY"
PREFIX = "aauth-sealed:"
_SEALED, _PLAIN = PREFIX + "1:", PREFIX + "0:"
_KEY_BYTES, _NONCE_BYTES, _NAME_LENGTH = 32, 12, 8


def new_key() -> str:
    """A key as the environment variable takes it."""
    return b64url_encode(secrets.token_bytes(_KEY_BYTES))


class Sealer:
    """Seals with the first of `keys` and opens with all of them. Without keys it changes nothing."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        if any(len(key) != _KEY_BYTES for key in keys):
            raise ConfigurationError(f"An encryption key has {_KEY_BYTES} bytes.")
        self._keys = {_name(key): AESGCM(key) for key in keys}
        self._first = next(iter(self._keys), None)

    @classmethod
    def parse(cls, text: str) -> Sealer:
        """The keys in the text of the environment variable. Raises `ConfigurationError`, which quotes nothing of it."""
        keys = []
        for number, word in enumerate(text.replace(",", " ").split(), 1):
            try:
                key = b64url_decode(word)
            except ValueError:
                key = b""
            if len(key) != _KEY_BYTES:
                raise ConfigurationError(
                    f"Key {number} in {ENVIRONMENT_VARIABLE} is not {_KEY_BYTES} bytes in base64url without padding. "
                    "`aauth db new-key` makes one."
                )
            keys.append(key)
        return cls(keys)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Sealer:
        """The keys the operator set, if any. Raises as `parse` does."""
        return cls.parse((os.environ if environ is None else environ).get(ENVIRONMENT_VARIABLE, ""))

    @property
    def active(self) -> bool:
        """Whether what is written is sealed."""
        return self._first is not None

    def seal(self, text: str, *place: str) -> str:
        """`text` as it is stored at `place`: table, column and, where the value is read by it, the row's key."""
        if self._first is None:
            return _PLAIN + text if text.startswith(PREFIX) else text
        return f"{_SEALED}{self._first}:{b64url_encode(self._encrypted(text.encode(), place))}"

    def open(self, stored: str, *place: str) -> str:
        """What was sealed for this very place, or was stored without a key.

        Raises `ConfigurationError` for a key that is not there, and for a value that was changed or moved.
        """
        if not stored.startswith(PREFIX):
            return stored
        if stored.startswith(_PLAIN):
            return stored.removeprefix(_PLAIN)
        name, _, data = stored.removeprefix(_SEALED).partition(":")
        try:
            sealed = b64url_decode(data)
        except ValueError:
            sealed = b""
        return self._decrypted(name, sealed, place).decode()

    def seal_bytes(self, value: bytes, *place: str) -> bytes:
        """As `seal`, for bytes."""
        if self._first is None:
            return _PLAIN.encode() + value if value.startswith(PREFIX.encode()) else value
        return f"{_SEALED}{self._first}:".encode() + self._encrypted(value, place)

    def open_bytes(self, stored: bytes, *place: str) -> bytes:
        """As `open`, for bytes."""
        if not stored.startswith(PREFIX.encode()):
            return stored
        if stored.startswith(_PLAIN.encode()):
            return stored.removeprefix(_PLAIN.encode())
        name, _, sealed = stored.removeprefix(_SEALED.encode()).partition(b":")
        return self._decrypted(name.decode("ascii", "replace"), sealed, place)

    def is_current(self, stored: str | bytes) -> bool:
        """Whether the value is stored as it would be stored now."""
        head = stored[:64].decode("utf-8", "replace") if isinstance(stored, bytes) else stored
        if self._first is None:
            return not head.startswith(_SEALED)
        return head.startswith(f"{_SEALED}{self._first}:")

    def _encrypted(self, value: bytes, place: tuple[str, ...]) -> bytes:
        assert self._first is not None
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._keys[self._first].encrypt(nonce, value, _bound_to(place))

    def _decrypted(self, name: str, sealed: bytes, place: tuple[str, ...]) -> bytes:
        where = ".".join(place[:2])
        key = self._keys.get(name)
        if key is None:
            missing = "does not have it" if self._keys else "is not set"
            raise ConfigurationError(
                f"{where} holds a value that is encrypted under the key {name[:_NAME_LENGTH]!a}, and "
                f"{ENVIRONMENT_VARIABLE} {missing}. Add the key the value was written with; it may stand behind others."
            )
        try:
            return key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bound_to(place))
        except (InvalidTag, ValueError) as error:
            raise ConfigurationError(
                f"{where} holds a value that was changed, cut off or moved from another place since it was encrypted. "
                "Restore it from a backup."
            ) from error


def _name(key: bytes) -> str:
    """Tells which key a value needs, and nothing else of it."""
    return b64url_encode(hashlib.sha256(b"aauthlib sealing key\0" + key).digest())[:_NAME_LENGTH]


def _bound_to(place: tuple[str, ...]) -> bytes:
    return json.dumps(place).encode()
