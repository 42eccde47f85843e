"""The person server's keys: what it signs with, what it publishes, what it derives identifiers with.

Made on first start and kept in the store. A retired signing key stays published (#jwks-discovery).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..effects import Clock
from ..keys import JWKS, SigningKey
from ..store.key_records import key_set
from .directed import DirectedIdentifiers
from .storage import PersonStore

__all__ = ["ServerKeys", "load_keys"]


@dataclass(frozen=True, slots=True)
class ServerKeys:
    """The keys of one person server."""

    signing: SigningKey
    published: JWKS
    directed: DirectedIdentifiers


async def load_keys(store: PersonStore, *, clock: Clock, random_bytes: Callable[[int], bytes]) -> ServerKeys:
    """The keys in the store; made and kept there if it has none."""
    now = clock()
    stored = await store.keys(signing_jwk=SigningKey.generate().to_private_jwk(), directed=random_bytes(32), now=now)
    signing, published = key_set(stored.signing, now=now)
    return ServerKeys(signing, published, DirectedIdentifiers(stored.directed))
