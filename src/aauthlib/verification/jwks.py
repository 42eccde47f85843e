"""`jwks`: a signer known by the URL of its key set (HTTP Signature Keys, Section 3.7).

The URL is the identity, byte for byte: nothing here or below normalises it. Whoever accepts the scheme decides which
URLs it trusts with what; a well-formed one proves only that its keys signed.
"""

from __future__ import annotations

from ..effects import FindKeyAt, Flow
from ..errors import InvalidIdentifier, InvalidKey
from ..httpsig import DirectJWKS, SignedRequest
from ..identifiers import https_url
from .caller import Caller, Level
from .support import Verification, fitting_key

__all__ = ["by_jwks"]


def by_jwks(scheme: DirectJWKS, signed: SignedRequest, at: Verification) -> Flow[Caller]:
    """The signer whose key set stands at the URL."""
    try:
        https_url(scheme.url, dev=at.tokens.dev, what="The Signature-Key url")
    except InvalidIdentifier as error:
        raise InvalidKey(error.detail) from error
    key = yield from fitting_key(signed, FindKeyAt(scheme.url, scheme.kid))
    return Caller(Level.IDENTIFIED, key, jwks_url=scheme.url, signed=signed)
