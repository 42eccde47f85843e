"""The revocation endpoint (#revocation-request, #who-revokes-what): agent providers and resources withdraw tokens here.

The issuer is the verified caller, so a caller revokes only its own tokens. Anyone with an identity may call, so what
one caller can hold is bounded in entries and in rate.
"""

from __future__ import annotations

from ..errors import InvalidRequest, RateLimited, UnsupportedIss
from ..http import Fields, Request, Response
from ..httpsig import SignaturePolicy
from ..messages.bodies import RevocationRequest, decode_request
from ..tokens import AGENT_DWK, RESOURCE_DWK
from ..verification import authenticate, signature_required
from .cascade import tell_resources
from .core import PersonServerCore

__all__ = ["MAX_REVOCATIONS_HELD", "RevocationEndpoint"]

MAX_REVOCATIONS_HELD = 10_000
_SIGNATURE = SignaturePolicy(schemes=("jwks_uri",), cover_body=True)
_MAX_JTI_LENGTH = 4096
#: No token accepted here is expected to live longer; a revocation of one that does is not remembered for years.
_MAX_EXP_AHEAD_S = 400 * 86_400


class RevocationEndpoint(PersonServerCore):
    """What agent providers and resources call."""

    async def revoke(self, request: Request) -> Response:
        """POST to `revocation_endpoint`: `200` with an empty body once every resource concerned was told, or not.

        Raises a `SignatureError`, `InvalidRequest`, `UnsupportedIss` or `RateLimited`.
        """
        now = self.clock()
        caller = await self.run(
            authenticate(
                request,
                now=now,
                signature=_SIGNATURE,
                tokens=self.policy,
                accepted=(),
            )
        )
        if caller.server is None:
            raise signature_required("Sign the request as a server (scheme jwks_uri).", _SIGNATURE)
        iss, dwk = caller.server.id, caller.server.dwk
        if dwk not in (AGENT_DWK, RESOURCE_DWK):
            raise UnsupportedIss("Agent providers and resources revoke tokens here, nobody else.")
        self._count(iss)
        await self.refuse_replay(caller)
        body = decode_request(RevocationRequest, request)
        if not 0 < len(body.jti) <= _MAX_JTI_LENGTH:
            raise InvalidRequest("jti must be the revoked token's own.")
        if not 0 < body.exp <= now + _MAX_EXP_AHEAD_S:
            raise InvalidRequest("exp must be the revoked token's own, in seconds since 1970.")
        if body.exp > now:
            full = await self.store.revocations_held(iss) >= MAX_REVOCATIONS_HELD
            # What is repeated adds nothing, and is how a caller has resources told that could not be told before.
            if full and not await self.store.is_revoked(iss, body.jti):
                raise RateLimited("This server remembers no more revocations of this issuer.", retry_after_s=3600)
            if dwk == RESOURCE_DWK:
                await self.store.revoke_resource_token(iss=iss, jti=body.jti, exp=body.exp, now=now)
            else:
                due = await self.store.revoke_agent_token(iss=iss, jti=body.jti, exp=body.exp, now=now)
                await tell_resources(self, due)
        # No body and so no content type: this server does not report to its callers.
        return Response(200, Fields([("cache-control", "no-store")]))

    def _count(self, iss: str) -> None:
        wait_s = self.revocation_rate.wait_s(iss)
        if wait_s > 0:
            raise RateLimited("Too many revocations in a minute.", retry_after_s=int(wait_s) + 1)
        self.revocation_rate.count(iss)
