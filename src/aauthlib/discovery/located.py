"""Documents that are found by their own URL: a signer's key set (`jwks`) and certificate chains (`x509`).

HTTP Signature Keys, Sections 3.7, 3.10 and 7.2: cached by URL, byte for byte, with the cache headers, floor, backoff
and bounds that hold for an issuer's documents, in the same records. What a chain is worth is judged in `verification`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator

from ..effects import Clock, FindCertificates, FindKeyAt, Flow, Send
from ..errors import AAuthError, InvalidIdentifier, UnknownKey
from ..http import Response
from ..identifiers import https_url
from ..keys import JWKS, PublicKey
from .errors import DocumentUnusable, TransportError
from .freshness import lifetime_s
from .records import Copy, KeyCopy, Records, Source, decode_object

__all__ = ["Located", "record_name"]

_MAX_KID_LENGTH = 512
_KINDS = {FindKeyAt: "jwks", FindCertificates: "x5u"}
_ACCEPT = {
    FindKeyAt: "application/jwk-set+json, application/json",
    FindCertificates: "application/pem-certificate-chain",
}


def record_name(effect: FindKeyAt | FindCertificates) -> str:
    """What a document's record goes by: no issuer identifier has a space in it, so the two cannot be confused."""
    return f"{_KINDS[type(effect)]} {effect.url}"


class Located:
    """The part of a `Directory` that answers `FindKeyAt` and `FindCertificates`."""

    def __init__(
        self,
        records: Records,
        get: Callable[[str, str, str], Generator[Send, Response, Response]],
        *,
        clock: Clock,
        dev: bool,
        accepted: Collection[str],
    ) -> None:
        self._records, self._get, self._clock, self._dev = records, get, clock, dev
        self._accepted = tuple(accepted)

    def cached(self, effect: FindKeyAt | FindCertificates) -> PublicKey | bytes | None:
        """As `Directory.cached`."""
        record = self._records.get(record_name(effect))
        copy = record.documents[""].copy if record is not None and "" in record.documents else None
        if copy is None or effect.changed_since_use or not copy.fresh(self._clock()):
            return None
        if isinstance(effect, FindCertificates):
            return copy.body
        return copy.find(effect.kid, self._accepted) if isinstance(copy, KeyCopy) and effect.kid in copy.kids else None

    def find_key_at(self, effect: FindKeyAt) -> Flow[PublicKey]:
        """The key `kid` of the key set at `url`; raises as `Directory.find_key` does."""
        if not effect.kid or len(effect.kid) > _MAX_KID_LENGTH:
            raise UnknownKey(f"A kid is a string of 1 to {_MAX_KID_LENGTH} characters.")
        copy = yield from self._copy(effect)
        if not isinstance(copy, KeyCopy) or effect.kid not in copy.kids:
            raise UnknownKey("The key set at the Signature-Key url has no key with this kid.")
        return copy.find(effect.kid, self._accepted)

    def find_certificates(self, effect: FindCertificates) -> Flow[bytes]:
        """The document at `url` as it came. Raises `UnknownKey` when it cannot be had."""
        copy = yield from self._copy(effect)
        return copy.body

    def _copy(self, effect: FindKeyAt | FindCertificates) -> Flow[Copy]:
        """The copy held while it answers, else a new one, else the copy held."""
        name = record_name(effect)
        try:
            https_url(effect.url, dev=self._dev, what="The URL")
            source = self._records.open(name).document("")
            if self._wants_new(source, effect):
                try:
                    yield from self._fetch(source, effect)
                except TransportError:
                    if source.copy is None:
                        raise
            if source.copy is None:
                raise source.attempts.remembered()
            return source.copy
        except (TransportError, InvalidIdentifier) as error:
            raise UnknownKey(f"The document that Signature-Key names cannot be had: {error.detail}") from error
        finally:
            self._records.settle(name)

    def _wants_new(self, source: Source, effect: FindKeyAt | FindCertificates) -> bool:
        now = self._clock()
        held = source.usable(now)
        answers = held is not None and held.fresh(now)
        if answers and isinstance(effect, FindKeyAt):
            answers = isinstance(held, KeyCopy) and effect.kid in held.kids
        return (not answers or effect.changed_since_use) and source.attempts.allowed(now)

    def _fetch(self, source: Source, effect: FindKeyAt | FindCertificates) -> Generator[Send, Response, None]:
        what = "The key set" if isinstance(effect, FindKeyAt) else "The certificate chain"
        source.attempts.start(self._clock())
        try:
            response = yield from self._get(effect.url, what, _ACCEPT[type(effect)])
            members = JWKS.parse(decode_object(response.body, what)).members if isinstance(effect, FindKeyAt) else ()
        except AAuthError as error:
            unusable = error if isinstance(error, TransportError) else DocumentUnusable(error.detail)
            source.attempts.failed(unusable)
            raise unusable from error
        source.attempts.succeeded()
        now = self._clock()
        until = now + lifetime_s(response.headers, now)
        if isinstance(effect, FindCertificates):
            source.copy = Copy(response.body, now, until)
        else:
            kids = frozenset(kid for member in members if isinstance(kid := member.get("kid"), str))
            source.copy = KeyCopy(response.body, now, until, kids)
