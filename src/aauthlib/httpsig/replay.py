"""Replay protection for state-changing requests (#freshness-and-replay).

A verified request is remembered until its signature is too old to be accepted, and refused when it comes again. What is
remembered is the signing key and the signature base: everything that was signed, `created`, `@method`, `@authority` and
`@path` among it. Where it is remembered is a `ReplayCache`'s business; nothing here does I/O.
"""

from __future__ import annotations

import hashlib
import heapq
from typing import Protocol

from ..errors import InvalidSignature
from ..keys import PublicKey
from .verifying import DEFAULT_WINDOW_S, SignedRequest

__all__ = [
    "CANNOT_TELL",
    "REPLAYED",
    "MemoryReplayCache",
    "ReplayCache",
    "is_state_changing",
    "refuse_replay",
    "replay_digest",
]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
REPLAYED = (
    "This very request was received before. To send it once more, sign it anew with another created, or add a nonce "
    "to the signature."
)
#: Of a `ReplayCache` that is away. A client that sent the same once more could be told that it had sent it before.
CANNOT_TELL = (
    "This server cannot tell just now whether the request was received before, so it did nothing. Sign it anew and try "
    "again in a few seconds."
)


class ReplayCache(Protocol):
    """Remembers requests for as long as they could be replayed."""

    async def first_time(self, digest: str, *, until: float, now: float) -> bool:
        """Remember `digest` until `until`, and say whether it was new. Of concurrent callers exactly one is told so.

        Raises `TemporarilyUnavailable` when it cannot tell, so that nothing is served on a guess.
        """
        ...


class MemoryReplayCache:
    """For one process. Bounded: when it is full, what would be forgotten soonest is forgotten."""

    def __init__(self, max_entries: int = 100_000) -> None:
        self._known: set[str] = set()
        self._by_end: list[tuple[float, str]] = []
        self._max_entries = max_entries

    def __len__(self) -> int:
        return len(self._known)

    async def first_time(self, digest: str, *, until: float, now: float) -> bool:
        return self.add(digest, until=until, now=now)

    def add(self, digest: str, *, until: float, now: float) -> bool:
        """`first_time`, for whoever has no event loop."""
        while self._by_end and self._by_end[0][0] < now:
            self._known.discard(heapq.heappop(self._by_end)[1])
        if digest in self._known:
            return False
        while len(self._by_end) >= self._max_entries:
            self._known.discard(heapq.heappop(self._by_end)[1])
        self._known.add(digest)
        heapq.heappush(self._by_end, (until, digest))
        return True


def is_state_changing(method: str) -> bool:
    """Whether a request with this method is worth remembering (RFC 9110, Section 9.2.1)."""
    return method not in _SAFE_METHODS


def replay_digest(signed: SignedRequest, key: PublicKey) -> str:
    """What a request is remembered by: no more than what was signed, so that nothing an attacker can change matters.

    The signature's bytes do not go in. Of an ECDSA signature everybody can make a second one that verifies, by negating
    `s`, and a replay with it would look new.
    """
    return hashlib.sha256(key.thumbprint.encode("ascii") + b"\n" + signed.base()).hexdigest()


async def refuse_replay(
    cache: ReplayCache | None, signed: SignedRequest, key: PublicKey, *, now: float, window_s: int = DEFAULT_WINDOW_S
) -> None:
    """Remember a verified, state-changing request; raise `InvalidSignature` if it came before.

    Call it only after the signature verified, so that nobody else's requests take room. `window_s` is the one that
    `created` was held against. Without a `cache`, and for requests that change nothing, it does nothing. Raises
    `TemporarilyUnavailable` when the cache cannot tell.
    """
    if cache is None or not is_state_changing(signed.request.method):
        return
    if not await cache.first_time(replay_digest(signed, key), until=signed.created + window_s, now=now):
        raise InvalidSignature(REPLAYED)
