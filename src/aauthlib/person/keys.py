"""The person server's keys: what it signs with, what it publishes, what it derives identifiers with.

Made on first start and kept in the store. A retired signing key stays published (#jwks-discovery) for longer than any
token it signed can live and any cache can lag.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..effects import Clock
from ..keys import JWKS, SigningKey
from .directed import DirectedIdentifiers
from .storage import PersonStore

__all__ = ["RETIRED_KEY_PUBLISHED_S", "ServerKeys", "load_keys"]

RETIRED_KEY_PUBLISHED_S = 90 * 86_400.0
_MOST_PUBLISHED = 50


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
    current = SigningKey.from_jwk(stored.signing[0].jwk)
    published = [
        SigningKey.from_jwk(key.jwk).public
        for key in stored.signing
        if key.retired_at is None or key.retired_at > now - RETIRED_KEY_PUBLISHED_S
    ]
    return ServerKeys(current, JWKS.of(*published[:_MOST_PUBLISHED]), DirectedIdentifiers(stored.directed))
