"""Passwords: what is accepted, and argon2id hashing off the event loop (#ps-approval-endpoint-auth).

Hashing takes 64 MiB and a core for tens of milliseconds, so few run at a time. An unknown name costs the same work as
a wrong password, so that time does not tell which names exist.
"""

from __future__ import annotations

import unicodedata

import anyio
import anyio.to_thread
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from ..errors import AAuthError

__all__ = ["MAX_PASSWORD_LENGTH", "MIN_PASSWORD_LENGTH", "Passwords", "UnsuitablePassword"]

MIN_PASSWORD_LENGTH = 12
MAX_PASSWORD_LENGTH = 256
_CONCURRENT = 2


class UnsuitablePassword(AAuthError):
    """The password cannot be used; the text says what to change."""


class Passwords:
    """Hashes and verifies passwords with argon2id."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=1, type=Type.ID)
        self._limiter = anyio.CapacityLimiter(_CONCURRENT)
        # Compared against for names that do not exist.
        self._decoy: str | None = None

    def check(self, password: str, *, username: str) -> str:
        """The password as hashed (Unicode NFKC). Raises `UnsuitablePassword`."""
        prepared = _prepared(password)
        if len(prepared) < MIN_PASSWORD_LENGTH:
            raise UnsuitablePassword(
                f"The password needs at least {MIN_PASSWORD_LENGTH} characters. A few unrelated words make a good one."
            )
        if len(prepared) > MAX_PASSWORD_LENGTH:
            raise UnsuitablePassword(f"The password can have at most {MAX_PASSWORD_LENGTH} characters.")
        without_name = prepared.casefold().replace(username.casefold(), "") if username else prepared
        if len(set(without_name)) < 5:
            raise UnsuitablePassword("The password is too easy to guess: use more different characters.")
        return prepared

    async def hash(self, password: str, *, username: str) -> str:
        """The stored form of a suitable password. Raises `UnsuitablePassword`."""
        prepared = self.check(password, username=username)
        return await anyio.to_thread.run_sync(self._hasher.hash, prepared, limiter=self._limiter)

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether `password` is the stored one; `None` (no account, no password) costs the same and never matches."""
        prepared = _prepared(password[: MAX_PASSWORD_LENGTH * 4])
        return await anyio.to_thread.run_sync(self._matches, prepared, stored, limiter=self._limiter)

    def _matches(self, prepared: str, stored: str | None) -> bool:
        if self._decoy is None:
            self._decoy = self._hasher.hash("nobody's password")
        try:
            self._hasher.verify(stored or self._decoy, prepared)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None


def _prepared(password: str) -> str:
    return unicodedata.normalize("NFKC", password)
