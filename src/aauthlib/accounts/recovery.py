"""Recovery codes: the way in of somebody who lost every other (#ps-approval-endpoint-auth).

Ten codes of 80 random bits, shown once and kept as digests, each good for one sign-in. New ones replace the old.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from ..effects import Clock
from ..errors import InvalidCode
from ..messages.codes import normalize_code, random_code
from ..store.account_records import Account
from .guessing import Guessing, SignInRefused
from .storage import AccountStore

__all__ = ["RECOVERY_CODES", "RecoveryCodes"]

RECOVERY_CODES = 10
_SYMBOLS = 16


class RecoveryCodes:
    """Makes codes and redeems them."""

    def __init__(self, store: AccountStore, *, clock: Clock, random_below: Callable[[int], int]) -> None:
        self._store, self._clock, self._random_below = store, clock, random_below
        self._guessing = Guessing(store, "recovery code", clock=clock)

    async def renew(self, person_id: str) -> list[str]:
        """New codes, to be shown once; those before them are void."""
        codes = [random_code(self._random_below, length=_SYMBOLS) for _ in range(RECOVERY_CODES)]
        digests = [_digest(person_id, code) for code in codes]
        await self._store.replace_recovery_codes(person_id, digests, now=self._clock())
        return codes

    async def left(self, person_id: str) -> int:
        """How many codes are unused."""
        return await self._store.count_recovery_codes(person_id)

    async def redeem(self, username: str, code: str, *, address: str | None = None) -> Account:
        """The account, when the code is one of its unused ones; it is used up. `address` is the client's, for limiting.

        Raises `SignInRefused`, which does not say what is wrong, or `TooManyAttempts`.
        """
        name = username.strip().lower()[:64]
        await self._guessing.count(name, address)
        account = await self._store.account_named(name)
        person_id = account.person_id if account is not None else ""
        used = await self._store.use_recovery_code(person_id, _digest(person_id, code))
        if account is None or not used:
            raise SignInRefused("The username or the recovery code is wrong, or the code was used before.")
        await self._guessing.clear(name, address)
        return account


def _digest(person_id: str, code: str) -> str:
    """What is kept of a code. 80 random bits need no slow hash."""
    try:
        normal = normalize_code(code)
    except InvalidCode:
        normal = ""
    return hashlib.sha256(f"recovery {person_id} {normal}".encode()).hexdigest()
