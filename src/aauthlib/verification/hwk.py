"""`hwk`: a bare key makes a pseudonym (HTTP Signature Keys, Section 3.4; #keying-material). Nothing is fetched."""

from __future__ import annotations

from ..effects import Flow
from ..httpsig import HWK, SignedRequest
from ..keys import PublicKey
from .caller import Caller, Level
from .support import Verification

__all__ = ["by_hwk"]


def by_hwk(scheme: HWK, signed: SignedRequest, at: Verification) -> Flow[Caller]:
    """The caller known by the key it sends along."""
    yield from ()
    key = PublicKey.from_jwk(scheme.jwk, accepted=at.signature.algorithms)
    return Caller(Level.PSEUDONYM, key, signed=signed)
