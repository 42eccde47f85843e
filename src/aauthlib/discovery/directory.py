"""The directory of other parties: their metadata and keys, cached (#jwks-discovery, #metadata-documents).

HTTP Signature Keys, Sections 3.6 and 7.2. Both lookups are flows: they yield only `Send(discovery=True)` and are sent
the response, or thrown a `TransportError`. Which addresses may be reached is for `transport` to decide; one flow at a
time per `lock_key` is for the driver to see to.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Generator
from typing import Any, Literal

from ..effects import Clock, Find, FindCertificates, FindKey, FindKeyAt, FindMetadata, Flow, Send
from ..errors import AAuthError, InvalidIdentifier, IssuerMismatch, IssuerMissing, UnknownKey
from ..http import Fields, Request, Response
from ..identifiers import https_url, origin_of, server_identifier
from ..keys import ALGORITHMS, JWKS, PublicKey
from .errors import DocumentUnusable, EgressRefused, TransportError
from .freshness import lifetime_s
from .located import Located, record_name
from .records import Copy, IssuerRecord, KeyCopy, Records, Source, decode_object

__all__ = ["WELL_KNOWN_DOCUMENTS", "Directory"]

#: The metadata documents of the four server roles (#metadata-documents). A `dwk` outside the set is not looked up:
#: who presents a token chooses its `dwk`, and every new name would be one more fetch from the same issuer.
WELL_KNOWN_DOCUMENTS = frozenset({"aauth-agent.json", "aauth-resource.json", "aauth-person.json", "aauth-access.json"})

_USER_AGENT = ("user-agent", "aauthlib")
_MAX_KID_LENGTH = 512
#: A tuple, since a union would be made anew for each request.
_LOCATED = (FindKeyAt, FindCertificates)
_KIDS_IN_ERROR = re.compile(r"[A-Za-z0-9._:-]{1,64}\Z")


class Directory:
    """Finds keys and metadata of issuers, and remembers them within bounds.

    - `clock`: Unix time in seconds.
    - `dev`: accept `*.localhost` issuers and `http` for them.
    - `accepted`: signature algorithms a found key may have; whoever asks for a key holds it to a narrower policy.
    - `allow_cross_origin_jwks`: hosts (with port, if any) at which a `jwks_uri` may stand although it is not the
      issuer's own host, or `True` for any.
    - `documents`: the metadata documents that may be asked for.
    - `max_entries`, `max_bytes`: bounds of the cache; `max_document_bytes`, `timeout_s`: bounds of one fetch.
    """

    def __init__(
        self,
        *,
        clock: Clock = time.time,
        dev: bool = False,
        accepted: Collection[str] = tuple(ALGORITHMS),
        allow_cross_origin_jwks: Collection[str] | Literal[True] = (),
        documents: Collection[str] = WELL_KNOWN_DOCUMENTS,
        max_entries: int = 10_000,
        max_bytes: int = 33_554_432,
        max_document_bytes: int = 131_072,
        timeout_s: float = 5.0,
    ) -> None:
        self._clock, self._dev, self._accepted = clock, dev, tuple(accepted)
        self._cross_origin: frozenset[str] | Literal[True] = (
            True if allow_cross_origin_jwks is True else frozenset(allow_cross_origin_jwks)
        )
        self._documents = frozenset(documents)
        self._max_document_bytes, self._timeout_s = max_document_bytes, timeout_s
        self._records = Records(max_entries, max_bytes)
        self._located = Located(self._records, self._get, clock=clock, dev=dev, accepted=self._accepted)

    def __len__(self) -> int:
        """How many issuers are remembered."""
        return len(self._records)

    def lock_key(self, effect: Find) -> str:
        """Lookups with equal keys must not run at the same time; the driver lets one go and the others wait."""
        return record_name(effect) if isinstance(effect, _LOCATED) else effect.issuer

    def cached(self, effect: Find) -> PublicKey | dict[str, Any] | bytes | None:
        """The answer when it is at hand and fresh, without a flow or a lock; `None` when the flow has to run.

        Raises as the flow does when the key at hand cannot be used.
        """
        if isinstance(effect, _LOCATED):
            return self._located.cached(effect)
        record = self._records.get(effect.issuer)
        if record is None:
            return None
        now = self._clock()
        document = record.documents.get(effect.dwk)
        if document is None or document.copy is None or not document.copy.fresh(now):
            return None
        if isinstance(effect, FindMetadata):
            return decode_object(document.copy.body, "The metadata document")
        source = record.key_sets.get(record.jwks_uris.get(effect.dwk, ""))
        keys = source.copy if source is not None else None
        if effect.changed_since_use or not isinstance(keys, KeyCopy) or not keys.fresh(now):
            return None
        return keys.find(effect.kid, self._accepted) if effect.kid in keys.kids else None

    def find_metadata(self, effect: FindMetadata) -> Flow[dict[str, Any]]:
        """Find a metadata document (#metadata-documents).

        Raises `IssuerMissing` or `IssuerMismatch` for a document that does not belong to the issuer, else
        `TransportError` when it cannot be had or used and no copy younger than 24 hours is left.
        """
        try:
            record = self._open(effect.issuer, effect.dwk)
            copy = yield from self._document(record, effect.issuer, effect.dwk)
        finally:
            self._records.settle(effect.issuer)
        return decode_object(copy.body, "The metadata document")

    def find_key_at(self, effect: FindKeyAt) -> Flow[PublicKey]:
        """Find a key in the key set at a URL (HTTP Signature Keys, Section 3.7). Raises as `find_key` does."""
        return self._located.find_key_at(effect)

    def find_certificates(self, effect: FindCertificates) -> Flow[bytes]:
        """Find a PEM document (HTTP Signature Keys, Section 3.10). Raises `UnknownKey` when it cannot be had."""
        return self._located.find_certificates(effect)

    def find_key(self, effect: FindKey) -> Flow[PublicKey]:
        """Find a key through the issuer's metadata and JWKS (#jwks-discovery).

        Raises `UnknownKey` when the issuer's keys cannot be had or hold no such `kid`, `IssuerMissing` or
        `IssuerMismatch` when the metadata is not the issuer's, `UnsupportedAlgorithm` or `InvalidKey` when the key
        cannot be used.
        """
        if not effect.kid or len(effect.kid) > _MAX_KID_LENGTH:
            raise UnknownKey(f"A kid is a string of 1 to {_MAX_KID_LENGTH} characters.")
        try:
            record = self._open(effect.issuer, effect.dwk)
            keys = yield from self._keys(record, effect)
        except TransportError as error:
            raise UnknownKey(f"The keys of {_shown(effect.issuer)} cannot be had: {error.detail}") from error
        finally:
            self._records.settle(effect.issuer)
        if effect.kid not in keys.kids:
            kid = effect.kid if _KIDS_IN_ERROR.match(effect.kid) else "asked for"
            raise UnknownKey(f"{effect.issuer} publishes no key with the kid {kid}.")
        return keys.find(effect.kid, self._accepted)

    def _open(self, issuer: str, dwk: str) -> IssuerRecord:
        """The record of an issuer that may be asked at all; nothing is remembered of one that may not."""
        try:
            server_identifier(issuer, dev=self._dev)
        except InvalidIdentifier as error:
            raise DocumentUnusable(f"its issuer identifier is not valid. {error.detail}") from error
        if dwk not in self._documents:
            raise DocumentUnusable(f"its dwk is none of {', '.join(sorted(self._documents))}.")
        return self._records.open(issuer)

    # ------------------------------------------------------------------ metadata

    def _document(
        self, record: IssuerRecord, issuer: str, dwk: str, *, renew: bool = False
    ) -> Generator[Send, Response, Copy]:
        """The metadata document: the copy held while fresh, else a new one, else the copy held."""
        source = record.document(dwk)
        now = self._clock()
        held = source.usable(now)
        if (held is None or renew or not held.fresh(now)) and source.attempts.allowed(now):
            try:
                held = yield from self._fetch_document(record, source, issuer, dwk)
            except (IssuerMissing, IssuerMismatch):
                # The host is not who it was: what it said before is no longer believed either.
                source.copy = None
                record.jwks_uris.pop(dwk, None)
                raise
            except TransportError:
                if held is None:
                    raise
        if held is None:
            raise source.attempts.remembered()
        return held

    def _fetch_document(
        self, record: IssuerRecord, source: Source, issuer: str, dwk: str
    ) -> Generator[Send, Response, Copy]:
        what = f"The metadata document {dwk} of {issuer}"
        source.attempts.start(self._clock())
        try:
            response = yield from self._get(f"{issuer}/.well-known/{dwk}", what)
            document = decode_object(response.body, what)
            jwks_uri = self._checked_metadata(document, issuer, what)
        except AAuthError as error:
            source.attempts.failed(error)
            raise
        source.attempts.succeeded()
        record.jwks_uris.pop(dwk, None)
        if jwks_uri is not None:
            record.jwks_uris[dwk] = jwks_uri
        now = self._clock()
        source.copy = Copy(response.body, now, now + lifetime_s(response.headers, now))
        return source.copy

    def _checked_metadata(self, document: dict[str, Any], issuer: str, what: str) -> str | None:
        """Check that a document is the issuer's; return its `jwks_uri`."""
        if "issuer" not in document:
            raise IssuerMissing(f"{what} has no issuer member.")
        if document["issuer"] != issuer:
            raise IssuerMismatch(f"{what} names another issuer than the host it was fetched from.")
        jwks_uri = document.get("jwks_uri")
        if jwks_uri is None:
            return None
        if not isinstance(jwks_uri, str):
            raise DocumentUnusable(f"{what} has a jwks_uri that is not a string.")
        try:
            return https_url(jwks_uri, dev=self._dev, what="The jwks_uri")
        except InvalidIdentifier as error:
            raise DocumentUnusable(f"{what} has an unusable jwks_uri. {error.detail}") from error

    # ------------------------------------------------------------------ keys

    def _keys(self, record: IssuerRecord, effect: FindKey) -> Generator[Send, Response, KeyCopy]:
        """The issuer's key set: the one held while it answers, else a new one, else the one held."""
        # A kid that the set does not have may stand at a new jwks_uri, so the document is asked for anew too.
        renew = self._held_lacks(record, effect) and self._wants_new_keys(record, effect)
        yield from self._document(record, effect.issuer, effect.dwk, renew=renew)
        jwks_uri = record.jwks_uris.get(effect.dwk)
        if jwks_uri is None:
            raise DocumentUnusable(f"the metadata document {effect.dwk} has no jwks_uri.")
        self._admit_origin(effect.issuer, jwks_uri)
        source = record.key_set(jwks_uri)
        if self._wants_new_keys(record, effect):
            try:
                yield from self._fetch_keys(source, jwks_uri)
            except TransportError:
                if source.copy is None:
                    raise
        if not isinstance(source.copy, KeyCopy):
            raise source.attempts.remembered()
        return source.copy

    def _held_lacks(self, record: IssuerRecord, effect: FindKey) -> bool:
        """Whether a key set was tried before and what is held of it, however old, does not answer."""
        source = record.key_sets.get(record.jwks_uris.get(effect.dwk, ""))
        if source is None:
            return False
        held = source.copy
        return effect.changed_since_use or not isinstance(held, KeyCopy) or effect.kid not in held.kids

    def _wants_new_keys(self, record: IssuerRecord, effect: FindKey) -> bool:
        """Whether the key set should be fetched now, and the floor and backoff allow it."""
        source = record.key_sets.get(record.jwks_uris.get(effect.dwk, ""))
        if source is None:
            return True
        now = self._clock()
        held = source.usable(now)
        answers = isinstance(held, KeyCopy) and held.fresh(now) and effect.kid in held.kids
        return (not answers or effect.changed_since_use) and source.attempts.allowed(now)

    def _admit_origin(self, issuer: str, jwks_uri: str) -> None:
        """A key set on another host than the issuer's needs the deployment's admission."""
        host = _authority(jwks_uri)
        if self._cross_origin is True or _hostname(host) == _hostname(_authority(issuer)):
            return
        if host not in self._cross_origin:
            raise EgressRefused(
                f"its jwks_uri is on another host, {host}; add that host to allow_cross_origin_jwks to accept it."
            )

    def _fetch_keys(self, source: Source, jwks_uri: str) -> Generator[Send, Response, None]:
        what = "The key set"
        source.attempts.start(self._clock())
        try:
            response = yield from self._get(jwks_uri, what)
            try:
                members = JWKS.parse(decode_object(response.body, what)).members
            except AAuthError as error:
                raise DocumentUnusable(error.detail) from error
        except AAuthError as error:
            source.attempts.failed(error)
            raise
        source.attempts.succeeded()
        now = self._clock()
        kids = frozenset(kid for member in members if isinstance(kid := member.get("kid"), str))
        source.copy = KeyCopy(response.body, now, now + lifetime_s(response.headers, now), kids)

    def _get(self, url: str, what: str, accept: str = "application/json") -> Generator[Send, Response, Response]:
        """Fetch a document once; no redirect is followed, and only `200` counts."""
        response = yield Send(
            Request("GET", url, Fields([("accept", accept), _USER_AGENT])),
            timeout_s=self._timeout_s,
            max_body_bytes=self._max_document_bytes,
            discovery=True,
        )
        if 300 <= response.status < 400:
            raise DocumentUnusable(f"{what} answers with a redirect, which is not followed.")
        if response.status != 200:
            raise DocumentUnusable(f"{what} answers with status {response.status}.")
        if len(response.body) > self._max_document_bytes:
            raise DocumentUnusable(f"{what} is larger than {self._max_document_bytes} bytes.")
        return response


def _authority(url: str) -> str:
    return origin_of(url).partition("://")[2]


def _hostname(authority: str) -> str:
    return authority.partition(":")[0]


def _shown(issuer: str) -> str:
    """An issuer for an error text: as it is when it is short and plain, else not at all."""
    return issuer if len(issuer) <= 300 and issuer.isascii() and issuer.isprintable() else "the issuer"
