"""The person server's keys: what it signs with, what it publishes, what it derives identifiers with.

Made on first start and kept in the store. Signing keys rotate (`store.keyring`); the other one never does.
"""

from __future__ import annotations

from collections.abc import Callable

from ..effects import Clock
from ..keys import JWKS, SigningKey
from ..store.keyring import KeyRing
from ..tokens import MAX_LIFETIME_S
from .directed import DirectedIdentifiers
from .storage import PersonStore

__all__ = ["ServerKeys", "load_keys"]


class ServerKeys:
    """The keys of one person server."""

    def __init__(self, ring: KeyRing, directed: DirectedIdentifiers) -> None:
        self.ring, self.directed = ring, directed

    @property
    def signing(self) -> SigningKey:
        """What signs now."""
        return self.ring.signing

    @property
    def published(self) -> JWKS:
        """What is published."""
        return self.ring.published


async def load_keys(store: PersonStore, *, clock: Clock, random_bytes: Callable[[int], bytes]) -> ServerKeys:
    """The keys in the store; made and kept there if it has none."""
    ring = KeyRing(store.signing_keys, clock=clock, longest_token_s=MAX_LIFETIME_S)
    await ring.refresh()
    return ServerKeys(ring, DirectedIdentifiers(await store.directed_key(first=random_bytes(32))))
