"""The provider's signing keys and their rotation (#jwks-discovery).

A new key is published before it signs, so that whoever caches the JWKS has time to see it; an old one stays published
until the last token it signed has expired. Several processes may share one store.
"""

from __future__ import annotations

from ..effects import Clock
from ..keys import JWKS, SigningKey
from ..store.provider_records import ProviderKey, ProviderStore

__all__ = ["DEFAULT_LEAD_S", "DEFAULT_ROTATION_S", "KeyRing"]

#: How long a new key is published before it signs, in seconds.
DEFAULT_LEAD_S = 600
#: How long a key signs before the next one takes over, in seconds.
DEFAULT_ROTATION_S = 30 * 86_400
#: Beyond `exp`, so that a verifier whose clock is slow still finds the key.
_MARGIN_S = 300


class KeyRing:
    """Which key signs now, and which are published."""

    def __init__(
        self,
        store: ProviderStore,
        *,
        clock: Clock,
        token_lifetime_s: int,
        alg: str = "Ed25519",
        lead_s: int = DEFAULT_LEAD_S,
        rotation_s: int = DEFAULT_ROTATION_S,
    ) -> None:
        self._store, self._clock, self._alg = store, clock, alg
        self._lead_s, self._rotation_s = lead_s, rotation_s
        self._keep_s = token_lifetime_s + _MARGIN_S
        # Another process's new key must be published by this one before that process signs with it.
        self._reload_s = lead_s / 2
        self._keys: list[ProviderKey] = []
        self._loaded_at = float("-inf")
        self._signing: dict[str, SigningKey] = {}

    async def signing_key(self) -> SigningKey:
        """The key that signs now: the newest one whose time has come."""
        keys = await self._current()
        now = self._clock()
        # A clock that was set back must not leave the provider without a key.
        active = [key for key in keys if key.use_from <= now] or keys[:1]
        return self._load(active[-1])

    async def published(self) -> JWKS:
        """The keys to serve at `jwks_uri`."""
        return JWKS.of(*(self._load(key) for key in await self._current()))

    async def rotate(self) -> None:
        """Publish a new key now, to sign from `lead_s` seconds on."""
        keys = await self._current()
        await self._add(keys, lead_s=self._lead_s)

    async def _current(self) -> list[ProviderKey]:
        now = self._clock()
        if not 0 <= now - self._loaded_at < self._reload_s:
            await self._reload()
        if not self._keys:
            await self._add([], lead_s=0)  # the first key: nobody has cached a set without it
        elif now - self._keys[-1].published_at >= self._rotation_s:
            await self._add(self._keys, lead_s=self._lead_s)
        await self._drop_old(now)
        return self._keys

    async def _add(self, keys: list[ProviderKey], *, lead_s: int) -> None:
        now = self._clock()
        key = SigningKey.generate(self._alg)
        await self._store.add_key(
            ProviderKey(kid=key.kid, jwk=key.to_private_jwk(), published_at=now, use_from=now + lead_s),
            only_if_latest=keys[-1].kid if keys else None,
        )
        await self._reload()

    async def _reload(self) -> None:
        self._keys = list(await self._store.keys())
        self._loaded_at = self._clock()
        self._signing = {kid: key for kid, key in self._signing.items() if any(k.kid == kid for k in self._keys)}

    async def _drop_old(self, now: float) -> None:
        """Forget a key once its successor has signed for longer than any token of its own can live."""
        old = [
            key.kid
            for key, successor in zip(self._keys, self._keys[1:], strict=False)
            if successor.use_from + self._keep_s <= now
        ]
        if old:
            await self._store.drop_keys(old)
            await self._reload()

    def _load(self, key: ProviderKey) -> SigningKey:
        if key.kid not in self._signing:
            self._signing[key.kid] = SigningKey.from_jwk(key.jwk)
        return self._signing[key.kid]
