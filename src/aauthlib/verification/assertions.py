"""Assertions a verifier holds so that callers need not send them again (HTTP Signature Keys, Sections 3.11, 6 and 7.6).

An identifier stands for exactly one assertion, which names its own confirmation key: resolving one says which assertion
was meant and authenticates nobody. Entries are made by callers nobody knows, so they are bounded in all, in bytes and
per confirmation key. Knows no request and reads no clock: an expired assertion is resolved, and then fails as expired.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from ..base64url import b64url_encode
from ..httpsig import JKTJWT, JWT

__all__ = ["AssertionCache"]

_IDENTIFIER_BYTES = 16


@dataclass(frozen=True, slots=True)
class _Entry:
    assertion: JWT | JKTJWT = field(repr=False)
    thumbprint: str


class AssertionCache:
    """Assertions by random 128-bit identifiers, least recently used out first.

    - `max_entries`, `max_bytes`: bounds of the whole; `max_per_key`: of one confirmation key, so that a caller who asks
      for ever new ones drives out its own.
    - `random_bytes`: randomness, `secrets.token_bytes` by default.
    """

    def __init__(
        self,
        *,
        max_entries: int = 10_000,
        max_per_key: int = 4,
        max_bytes: int = 16_777_216,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._max_entries, self._max_per_key, self._max_bytes = max_entries, max_per_key, max_bytes
        self._random_bytes = random_bytes
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._by_key: dict[str, OrderedDict[str, None]] = {}
        self._by_text: dict[tuple[str, str], str] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def keep(self, assertion: JWT | JKTJWT, thumbprint: str) -> str:
        """Hold `assertion`, bound to the key `thumbprint`; its identifier, the same one for as long as it is held."""
        known = self._by_text.get((assertion.scheme, assertion.jwt))
        if known is not None:
            self._touch(known)
            return known
        cid = b64url_encode(self._random_bytes(_IDENTIFIER_BYTES))
        # What is resolved is what was sent, but for the wish to have it cached.
        self._entries[cid] = _Entry(type(assertion)(assertion.jwt), thumbprint)
        self._by_text[(assertion.scheme, assertion.jwt)] = cid
        self._bytes += len(assertion.jwt)
        own = self._by_key.setdefault(thumbprint, OrderedDict())
        own[cid] = None
        if len(own) > self._max_per_key:
            self._drop(next(iter(own)))
        while len(self._entries) > self._max_entries or (self._bytes > self._max_bytes and len(self._entries) > 1):
            self._drop(next(iter(self._entries)))
        return cid

    def resolve(self, cid: str) -> JWT | JKTJWT | None:
        """The assertion `cid` was issued for, or `None`: unknown, or no longer held."""
        entry = self._entries.get(cid)
        if entry is None:
            return None
        self._touch(cid)
        return entry.assertion

    def discard(self, cid: str) -> None:
        """Hold it no longer."""
        if cid in self._entries:
            self._drop(cid)

    def _touch(self, cid: str) -> None:
        self._entries.move_to_end(cid)
        self._by_key[self._entries[cid].thumbprint].move_to_end(cid)

    def _drop(self, cid: str) -> None:
        entry = self._entries.pop(cid)
        self._bytes -= len(entry.assertion.jwt)
        del self._by_text[(entry.assertion.scheme, entry.assertion.jwt)]
        own = self._by_key[entry.thumbprint]
        del own[cid]
        if not own:
            del self._by_key[entry.thumbprint]
