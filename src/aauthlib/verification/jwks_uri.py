"""`jwks_uri`: a server signing in its own right (HTTP Signature Keys, Section 3.6; #keying-material)."""

from __future__ import annotations

from ..effects import FindKey, Flow
from ..errors import InvalidIdentifier, InvalidKey, UnknownKey
from ..httpsig import JWKSURI, SignedRequest
from ..identifiers import server_identifier
from ..tokens import ACCESS_DWK, AGENT_DWK, PERSON_DWK, RESOURCE_DWK
from .caller import Caller, Level, SigningServer
from .support import Verification, fitting_key

__all__ = ["SERVER_DWKS", "by_jwks_uri"]

SERVER_DWKS = (AGENT_DWK, RESOURCE_DWK, PERSON_DWK, ACCESS_DWK)


def by_jwks_uri(scheme: JWKSURI, signed: SignedRequest, at: Verification) -> Flow[Caller]:
    """The server whose metadata leads to the key."""
    try:
        server_identifier(scheme.id, dev=at.tokens.dev)
    except InvalidIdentifier as error:
        raise InvalidKey(f"The Signature-Key id is not a server identifier: {error.detail}") from error
    if scheme.dwk not in SERVER_DWKS:
        raise UnknownKey("The Signature-Key dwk is not one of the AAuth metadata documents.")
    key = yield from fitting_key(signed, FindKey(scheme.id, scheme.dwk, scheme.kid))
    return Caller(Level.IDENTIFIED, key, server=SigningServer(scheme.id, scheme.dwk), signed=signed)
