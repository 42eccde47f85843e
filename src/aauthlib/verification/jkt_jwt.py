"""`jkt-jwt`: a durable key names the ephemeral one (HTTP Signature Keys, Section 3.5; #keying-material)."""

from __future__ import annotations

from ..effects import Flow
from ..httpsig import JKTJWT, SignedRequest
from ..tokens import verify_jkt_jwt
from .caller import Caller, Level
from .support import Verification

__all__ = ["by_jkt_jwt"]


def by_jkt_jwt(scheme: JKTJWT, signed: SignedRequest, at: Verification) -> Flow[Caller]:
    """The caller known by its durable key. Nothing is fetched, since the JWT carries that key."""
    yield from ()
    delegation = verify_jkt_jwt(scheme.jwt, now=at.now, policy=at.tokens)
    return Caller(Level.PSEUDONYM, delegation.ephemeral, delegation=delegation, signed=signed)
