"""`cached`: an identifier stands in for an assertion this side holds (HTTP Signature Keys, Sections 3.11 and 6).

Resolution comes first and answers hit or miss; what is resolved is then verified exactly as if it had been sent, by the
scheme it was sent under. An identifier is offered to a caller that asked for one and whose signature verified.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..effects import Flow
from ..errors import CacheMiss
from ..fields import serialize
from ..httpsig import JKTJWT, JWT, Cached, SignedRequest
from .caller import CacheOffer, Caller
from .jkt_jwt import by_jkt_jwt
from .jwt import by_jwt
from .support import SchemeFlow, Verification, missing

__all__ = ["by_cached", "offer", "signature_key_cache"]

_BY_SCHEME: Mapping[str, SchemeFlow] = {"jwt": by_jwt, "jkt-jwt": by_jkt_jwt}


def by_cached(scheme: Cached, signed: SignedRequest, at: Verification) -> Flow[Caller]:
    """The caller of the assertion that the identifier was issued for."""
    assertions = at.support.assertions
    if assertions is None:
        raise missing(scheme.scheme, at)
    assertion = assertions.resolve(scheme.cid)
    if assertion is None:
        raise CacheMiss("This cache identifier is not known here, or no longer; present the assertion in full.")
    if assertion.scheme not in at.signature.schemes:
        # Issued at another endpoint of this server, which takes what this one does not.
        raise missing(assertion.scheme, at)
    return (yield from _BY_SCHEME[assertion.scheme](assertion, signed, at))


def offer(caller: Caller, signed: SignedRequest, at: Verification) -> CacheOffer | None:
    """The cache identifier for what `caller` presented, if it asked for one, may have one and they are given out.

    Only an assertion with a `jti` is cacheable. The caller's signature must have been verified.
    """
    assertion, assertions = signed.key, at.support.assertions
    if not isinstance(assertion, JWT | JKTJWT) or not assertion.cache:
        return None
    if assertions is None or caller.key is None or Cached.scheme not in at.signature.schemes:
        return None
    stated = caller.delegation if caller.delegation is not None else caller.token
    if stated is None or stated.jti is None:
        return None
    cid = assertions.keep(assertion, caller.key.thumbprint)
    return CacheOffer(signed.label, cid, stated.jti, int(stated.exp))


def signature_key_cache(offered: CacheOffer) -> tuple[str, str]:
    """The `Signature-Key-Cache` header field of the response (HTTP Signature Keys, Section 6)."""
    parameters: dict[str, str | int] = {"expires": offered.expires}
    if offered.jti.isascii() and offered.jti.isprintable():  # a String holds nothing else
        parameters = {"jti": offered.jti, **parameters}
    return "signature-key-cache", serialize({offered.label: (offered.cid, parameters)})
