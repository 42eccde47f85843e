"""What is remembered of an issuer between fetches, and how much of it (#jwks-discovery).

Documents are kept as the bytes that came, so that the bound on the cache is a bound on memory: entries are created by
callers nobody has authenticated (HTTP Signature Keys, Section 7.2). Nothing here fetches or reads a clock.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..errors import AAuthError
from ..keys import JWKS, PublicKey
from .errors import DocumentUnusable
from .freshness import FLOOR_S, MAX_AGE_S

__all__ = ["Attempts", "Copy", "IssuerRecord", "KeyCopy", "Records", "Source", "decode_object"]

_MAX_BACKOFF_S = 3_600.0


def decode_object(body: bytes, what: str) -> dict[str, Any]:
    """The JSON object in `body`; raises `DocumentUnusable` for anything else. `what` names it in the message."""
    try:
        document = msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise DocumentUnusable(f"{what} is not JSON.") from error
    if not isinstance(document, dict):
        raise DocumentUnusable(f"{what} is JSON, but not an object.")
    return document


@dataclass(slots=True)
class Attempts:
    """When a URL was last tried and whether it is time to try again: the floor, doubled by each failure in a row."""

    last_at: float | None = None
    failures: int = 0
    error: AAuthError | None = None
    """Why the last attempt failed, kept to tell those who ask before the next one."""

    def allowed(self, now: float) -> bool:
        """Whether a fetch may start at `now`. A clock that was set far back does not lock an issuer out."""
        if self.last_at is None:
            return True
        wait_s = min(FLOOR_S * 2.0 ** min(max(self.failures - 1, 0), 16), _MAX_BACKOFF_S)
        return not -FLOOR_S <= now - self.last_at < wait_s

    def start(self, now: float) -> None:
        """Note an attempt before it is made: it counts whether or not it succeeds."""
        self.last_at = now

    def succeeded(self) -> None:
        self.failures, self.error = 0, None

    def failed(self, error: AAuthError) -> None:
        self.failures, self.error = self.failures + 1, error

    def remembered(self) -> AAuthError:
        """A new error that says what the last failure said (an exception must not be raised twice)."""
        if self.error is None:
            return DocumentUnusable("The document was tried a moment ago and may be asked for once a minute.")
        return type(self.error)(self.error.detail)


@dataclass(frozen=True, slots=True)
class Copy:
    """A document as fetched."""

    body: bytes = field(repr=False)
    fetched_at: float
    fresh_until: float

    def fresh(self, now: float) -> bool:
        return self.fetched_at - FLOOR_S <= now < self.fresh_until

    def usable(self, now: float) -> bool:
        """Whether it may still be used when a newer one cannot be had."""
        return self.fetched_at - FLOOR_S <= now < self.fetched_at + MAX_AGE_S


@dataclass(frozen=True, slots=True)
class KeyCopy(Copy):
    """A key set as fetched. Keys are read when first asked for, and only the one that is asked for."""

    kids: frozenset[str]
    _keys: dict[str, PublicKey] = field(default_factory=dict, repr=False)

    def find(self, kid: str, accepted: Iterable[str]) -> PublicKey:
        """The key `kid`; raises as `JWKS.find` does."""
        key = self._keys.get(kid)
        if key is None:
            key = JWKS.parse(msgspec.json.decode(self.body)).find(kid, accepted=accepted)
            self._keys[kid] = key
        return key


@dataclass(slots=True)
class Source:
    """One URL of an issuer: the copy held, if any, and the attempts to get a newer one."""

    copy: Copy | None = None
    attempts: Attempts = field(default_factory=Attempts)

    def usable(self, now: float) -> Copy | None:
        """The copy held, dropped first if it has reached 24 hours."""
        if self.copy is not None and not self.copy.usable(now):
            self.copy = None
        return self.copy


@dataclass(slots=True)
class IssuerRecord:
    """All that is held of one issuer: its metadata documents by name, its key sets by URL.

    Key sets belong to the issuer and not to a document, so that an issuer with two roles and one key set is asked for
    it once.
    """

    documents: dict[str, Source] = field(default_factory=dict)
    jwks_uris: dict[str, str] = field(default_factory=dict)
    """Document name to the `jwks_uri` it gives."""
    key_sets: dict[str, Source] = field(default_factory=dict)
    size: int = 0

    def document(self, dwk: str) -> Source:
        return self.documents.setdefault(dwk, Source())

    def key_set(self, jwks_uri: str) -> Source:
        """The source at `jwks_uri`. Sources that no document names any more are forgotten."""
        named = set(self.jwks_uris.values())
        for uri in [uri for uri in self.key_sets if uri not in named]:
            del self.key_sets[uri]
        return self.key_sets.setdefault(jwks_uri, Source())

    def weigh(self) -> int:
        sources = (*self.documents.values(), *self.key_sets.values())
        return sum(len(source.copy.body) for source in sources if source.copy is not None)


class Records:
    """Issuer records, least recently used out first, bounded in number and in bytes. Safe to share between threads."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries, self._max_bytes = max_entries, max_bytes
        self._records: OrderedDict[str, IssuerRecord] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, issuer: str) -> IssuerRecord | None:
        with self._lock:
            record = self._records.get(issuer)
            if record is not None:
                self._records.move_to_end(issuer)
            return record

    def open(self, issuer: str) -> IssuerRecord:
        """The record of `issuer`, made if there is none."""
        with self._lock:
            record = self._records.setdefault(issuer, IssuerRecord())
            self._records.move_to_end(issuer)
            self._evict()
            return record

    def settle(self, issuer: str) -> None:
        """Account for what a fetch changed in the record of `issuer`."""
        with self._lock:
            record = self._records.get(issuer)
            if record is not None:
                size = record.weigh()
                self._bytes += size - record.size
                record.size = size
                self._evict()

    def _evict(self) -> None:
        while len(self._records) > 1 and (len(self._records) > self._max_entries or self._bytes > self._max_bytes):
            _, record = self._records.popitem(last=False)
            self._bytes -= record.size

    def __len__(self) -> int:
        return len(self._records)
