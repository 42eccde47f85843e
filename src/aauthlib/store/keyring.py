"""A server's signing keys and their rotation (#jwks-discovery). Knows no SQL.

A new key is published before it signs, so that whoever caches the key set has time to see it; an old one stays
published until the last token it signed has expired. When each key signs is written down with it, so the processes of a
server agree, and one that dies in the middle leaves nothing half done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio

from ..effects import Clock
from ..keys import JWKS, SigningKey

__all__ = ["DEFAULT_LEAD_S", "DEFAULT_ROTATION_S", "KEY_SET_MAX_AGE_S", "KeyRing", "KeyStore", "StoredKey"]

#: How long others may keep the documents we publish, a key set among them; in seconds.
KEY_SET_MAX_AGE_S = 300
#: How old this process's view of the keys may be; in seconds.
_RELOAD_S = 60.0
_LEAST_APART_S = 0.001
#: How long a new key is published before it signs: until every process publishes it, every copy from before has been
#: discarded, and whoever fetches at most once a minute has done it; the rest is for clocks that differ. In seconds.
DEFAULT_LEAD_S = 600
#: How long a key signs before the next one takes over, in seconds.
DEFAULT_ROTATION_S = 30 * 86_400
#: Beyond the last `exp`: a verifier whose clock is slow still finds the key, a process that has not looked still signs.
_MARGIN_S = 300 + _RELOAD_S


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A signing key, since when it is published, and from when on it signs (Unix seconds)."""

    jwk: dict[str, Any] = field(repr=False)
    """The private JWK."""
    published_at: float
    use_from: float

    @property
    def kid(self) -> str:
        return str(self.jwk["kid"])


class KeyStore(Protocol):
    """What a key ring needs kept. Every method is one transaction."""

    async def keys(self) -> Sequence[StoredKey]:
        """Every signing key, in the order they were published."""

    async def add_key(self, key: StoredKey, *, only_if_latest: str | None) -> bool:
        """Keep a new signing key if the newest one still is `only_if_latest` (`None`: there is none).

        Returns whether it was kept: when two processes rotate at once, one of them does.
        """

    async def drop_keys(self, kids: Sequence[str]) -> None:
        """Delete signing keys that no living token needs."""


class KeyRing:
    """Which key signs now, and which are published, as of the last `refresh`.

    `longest_token_s` is how long what it signs lives at most, in seconds.
    """

    def __init__(
        self,
        store: KeyStore,
        *,
        clock: Clock,
        longest_token_s: float,
        alg: str = "Ed25519",
        lead_s: float = DEFAULT_LEAD_S,
        rotation_s: float = DEFAULT_ROTATION_S,
    ) -> None:
        self._store, self._clock, self._alg = store, clock, alg
        self._lead_s, self._rotation_s = lead_s, rotation_s
        self._keep_s = longest_token_s + _MARGIN_S
        self._reload_s = min(_RELOAD_S, lead_s / 2)
        self._keys: Sequence[StoredKey] = ()
        self._loaded_at = float("-inf")
        self._read: dict[str, SigningKey] = {}
        self._turn = anyio.Lock()

    @property
    def signing(self) -> SigningKey:
        """The key that signs now: the newest one whose time has come."""
        now = self._clock()
        # A clock that was set back must not leave the server without a key.
        active = [key for key in self._keys if key.use_from <= now] or self._keys[:1]
        return self._read[active[-1].kid]

    @property
    def published(self) -> JWKS:
        """The keys to serve at `jwks_uri`: the one that signs, the one that will, those whose tokens still live."""
        return JWKS.of(*(self._read[key.kid] for key in self._keys))

    async def refresh(self) -> None:
        """See what other processes did, rotate when it is time, and forget what nothing needs. Cheap to call often."""
        if self._fresh():
            return
        async with self._turn:
            if self._fresh():
                return
            await self._load()
            if not self._keys:
                await self._add(lead_s=0)  # Nobody has cached a set without the first key.
            elif self._clock() - self._keys[-1].published_at >= self._rotation_s:
                await self._add(lead_s=self._lead_s)
            await self._drop_old()

    async def rotate(self, *, at_once: bool = False) -> StoredKey:
        """Publish a new key now; it signs after the lead, or at once. Returns the newest key.

        While the one before has not signed yet there is no further one, unless that is to sign at once.
        """
        await self.refresh()
        async with self._turn:
            await self._load()
            newest = self._keys[-1]
            if at_once or newest.use_from <= self._clock():
                await self._add(lead_s=0 if at_once else self._lead_s)
            return self._keys[-1]

    async def replace(self) -> StoredKey:
        """The keys so far may be in other hands: a new one signs at once, and none but it is published. Returns it.

        What the others signed verifies no longer, with whoever looks at the key set again.
        """
        await self.refresh()
        async with self._turn:
            await self._load()
            made = None
            while made is None:  # Another process may make one meanwhile, by the keys that are to go.
                made = await self._add(lead_s=0)
            await self._store.drop_keys([key.kid for key in self._keys if key.kid != made.kid])
            await self._load()
            return made

    def _fresh(self) -> bool:
        return 0 <= self._clock() - self._loaded_at < self._reload_s

    async def _load(self) -> None:
        keys = list(await self._store.keys())
        read = {key.kid: self._read.get(key.kid) or SigningKey.from_jwk(key.jwk) for key in keys}
        self._keys, self._read, self._loaded_at = keys, read, self._clock()

    async def _add(self, *, lead_s: float) -> StoredKey | None:
        """A new key, or `None` when another process made one in between."""
        now = self._clock()
        jwk = dict(SigningKey.generate(self._alg).to_private_jwk())
        latest = self._keys[-1] if self._keys else None
        # Later than the latest, whatever this process's clock says: the order is how two processes agree.
        published_at = now if latest is None else max(now, latest.published_at + _LEAST_APART_S)
        key = StoredKey(jwk=jwk, published_at=published_at, use_from=now + lead_s)
        kept = await self._store.add_key(key, only_if_latest=latest.kid if latest is not None else None)
        await self._load()
        return key if kept else None

    async def _drop_old(self) -> None:
        """Forget a key once its successor has signed for longer than any token of its own can live."""
        now = self._clock()
        old = [
            key.kid
            for key, successor in zip(self._keys, self._keys[1:], strict=False)
            if successor.use_from + self._keep_s <= now
        ]
        if old:
            await self._store.drop_keys(old)
            await self._load()
