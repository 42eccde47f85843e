"""`jwt`: an agent, person or auth token names the key (HTTP Signature Keys, Section 3.8; #keying-material)."""

from __future__ import annotations

from ..effects import Flow
from ..httpsig import JWT, SignedRequest
from ..tokens import AuthToken, PersonToken, verify
from .caller import Caller, Level
from .support import Verification

__all__ = ["by_jwt"]


def by_jwt(scheme: JWT, signed: SignedRequest, at: Verification) -> Flow[Caller]:
    """The caller a token of one of the accepted types is bound to."""
    token = yield from verify(scheme.jwt, *at.accepted, now=at.now, policy=at.tokens, cache=at.cache)
    if isinstance(token, AuthToken):
        return Caller(Level.AUTHORIZED, token.cnf, auth_token=token, signed=signed)
    if isinstance(token, PersonToken):
        return Caller(Level.PERSON, token.cnf, person_token=token, signed=signed)
    return Caller(Level.IDENTIFIED, token.cnf, agent_token=token, signed=signed)
