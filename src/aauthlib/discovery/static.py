"""A directory that is told everything beforehand: for tests, air-gapped verifiers and pinned partners.

The same interface and the same checks as `Directory` (#metadata-documents, #jwks-discovery); it yields no effect.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from ..effects import Find, FindCertificates, FindKey, FindKeyAt, FindMetadata, Flow
from ..errors import IssuerMismatch, IssuerMissing, UnknownKey
from ..keys import ALGORITHMS, JWKS, PublicKey
from .errors import DocumentUnusable

__all__ = ["StaticDirectory"]


class StaticDirectory:
    """Answers from what it was given.

    - `metadata`: issuer to its metadata document (one for every `dwk`), or to documents by `dwk`.
    - `keys`: issuer to its key set; `JWKS`, or the JSON document of one.
    - `located`: URL to the key set or, as bytes, the PEM document there (schemes `jwks` and `x509`).
    """

    def __init__(
        self,
        *,
        metadata: Mapping[str, Mapping[str, Any]] | None = None,
        keys: Mapping[str, JWKS | Mapping[str, Any]] | None = None,
        located: Mapping[str, JWKS | Mapping[str, Any] | bytes] | None = None,
        accepted: Collection[str] = tuple(ALGORITHMS),
    ) -> None:
        self._metadata = {issuer: dict(document) for issuer, document in (metadata or {}).items()}
        self._keys: dict[str, JWKS] = {}
        self._accepted = tuple(accepted)
        self._located = {
            url: document if isinstance(document, JWKS | bytes) else JWKS.parse(document)
            for url, document in (located or {}).items()
        }
        for issuer, key_set in (keys or {}).items():
            self.publish(issuer, key_set)

    def publish(self, issuer: str, keys: JWKS | Mapping[str, Any]) -> None:
        """Set or replace the key set of `issuer`. Raises `InvalidKey` when it is not a key set."""
        self._keys[issuer] = keys if isinstance(keys, JWKS) else JWKS.parse(keys)

    def lock_key(self, effect: Find) -> str:
        """As `Directory.lock_key`."""
        return effect.url if isinstance(effect, FindKeyAt | FindCertificates) else effect.issuer

    def cached(self, effect: Find) -> PublicKey | dict[str, Any] | bytes | None:
        """The answer, which is always at hand; raises as the flows do."""
        match effect:
            case FindKey():
                return self._key(effect)
            case FindKeyAt():
                return self._key_at(effect)
            case FindCertificates():
                return self._certificates(effect)
            case FindMetadata():
                return self._document(effect)

    def find_key_at(self, effect: FindKeyAt) -> Flow[PublicKey]:
        """As `Directory.find_key_at`, without a fetch."""
        yield from ()
        return self._key_at(effect)

    def find_certificates(self, effect: FindCertificates) -> Flow[bytes]:
        """As `Directory.find_certificates`, without a fetch."""
        yield from ()
        return self._certificates(effect)

    def find_key(self, effect: FindKey) -> Flow[PublicKey]:
        """As `Directory.find_key`, without a fetch."""
        yield from ()
        return self._key(effect)

    def find_metadata(self, effect: FindMetadata) -> Flow[dict[str, Any]]:
        """As `Directory.find_metadata`, without a fetch."""
        yield from ()
        return self._document(effect)

    def _key(self, effect: FindKey) -> PublicKey:
        if effect.issuer in self._metadata:
            self._document(FindMetadata(effect.issuer, effect.dwk))
        key_set = self._keys.get(effect.issuer)
        if key_set is None:
            raise UnknownKey("The keys of this issuer are not in the static directory.")
        return key_set.find(effect.kid, accepted=self._accepted)

    def _key_at(self, effect: FindKeyAt) -> PublicKey:
        key_set = self._located.get(effect.url)
        if not isinstance(key_set, JWKS):
            raise UnknownKey("The key set at this URL is not in the static directory.")
        return key_set.find(effect.kid, accepted=self._accepted)

    def _certificates(self, effect: FindCertificates) -> bytes:
        document = self._located.get(effect.url)
        if not isinstance(document, bytes):
            raise UnknownKey("The certificates at this URL are not in the static directory.")
        return document

    def _document(self, effect: FindMetadata) -> dict[str, Any]:
        entry = self._metadata.get(effect.issuer, {})
        document = entry.get(effect.dwk, entry)
        if not isinstance(document, Mapping) or not document:
            raise DocumentUnusable("The metadata of this issuer is not in the static directory.")
        if "issuer" not in document:
            raise IssuerMissing("The metadata document has no issuer member.")
        if document["issuer"] != effect.issuer:
            raise IssuerMismatch("The metadata document names another issuer.")
        # A copy, so that no caller can change what the next one is told.
        copied: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(dict(document)))
        return copied
