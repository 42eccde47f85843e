"""The revocation endpoint of a resource: a server withdraws a token it issued (#token-revocation, #who-revokes-what).

State is keyed by the caller's verified identity and the `jti`; whether the token was ever seen does not matter. Nothing
is downstream of a resource, so the answer is immediate.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ..errors import InvalidRequest, RateLimited, UnsupportedIss
from ..http import Fields, Request, Response
from ..messages.bodies import RevocationRequest, decode_request
from ..tokens import ACCESS_DWK, PERSON_DWK
from ..verification import SigningServer, signature_required
from .callers import CallerVerifier
from .ratelimit import Limit, RateLimiter

__all__ = ["accept_revocation"]

_LIMIT = Limit(600, 60.0)
_MOST_PER_SERVER = 10_000
#: Of all servers together, beyond which only those whose persons were seen here are kept.
_MOST_OF_ALL = 200_000
#: No token a resource accepts lives longer, agent tokens included.
_LONGEST_S = 86_400.0 + 3600.0
_CLOCK_SKEW_S = 60.0
_MAX_JTI_LENGTH = 4096


async def accept_revocation(request: Request, callers: CallerVerifier, limiter: RateLimiter) -> Response:
    """Answer a revocation (#revocation-request, #revocation-response).

    Raises `InvalidRequest`, `UnsupportedIss`, `RateLimited`, or a signature error.
    """
    # The body is always covered here, as at a PS or an AS (#covered-components).
    policy = replace(callers.signature, schemes=("jwks_uri",), cover_body=True)
    caller = await callers.verify(request, signature=policy)
    if caller.server is None:
        raise signature_required("A revocation is signed by the token's issuer (scheme jwks_uri).", policy)
    server = caller.server
    _check_server(server, callers)
    wait_s = limiter.take(("revoke", server.id), _LIMIT)
    if wait_s:
        raise RateLimited("Too many revocations from this server for now.", retry_after_s=math.ceil(wait_s))
    asked = decode_request(RevocationRequest, request)
    now = callers.clock()
    if not 0 < len(asked.jti) <= _MAX_JTI_LENGTH or asked.exp < 0:
        raise InvalidRequest("jti and exp name the token to revoke and its own expiration.")
    if asked.exp > now + _LONGEST_S:
        raise InvalidRequest("exp is further ahead than any token this resource accepts lives.")
    until = asked.exp + _CLOCK_SKEW_S
    if until > now and not await callers.store.revoke(
        server.id, asked.jti, until, now, most=_MOST_PER_SERVER, most_of_all=_MOST_OF_ALL
    ):
        raise RateLimited("As many revocations are kept here as can be.", retry_after_s=300)
    return Response(200, Fields({"cache-control": "no-store"}))


def _check_server(server: SigningServer, callers: CallerVerifier) -> None:
    if server.dwk == ACCESS_DWK and server.id == callers.access_server:
        return
    if server.dwk != PERSON_DWK:
        raise UnsupportedIss("This resource takes revocations from person servers and its access server only.")
    if callers.person_servers is not None and server.id not in callers.person_servers:
        raise UnsupportedIss("This resource does not accept tokens of that person server.")
