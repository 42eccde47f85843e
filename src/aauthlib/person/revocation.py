"""The revocation endpoint (#revocation-request, #who-revokes-what): agent providers and resources withdraw tokens here.

The issuer is the verified caller, so a caller revokes only its own tokens. Anyone with an identity may call, so what
one caller can hold is bounded in entries and in rate. The answer is `200` when everybody concerned was told or cannot
be, or `202` when that takes longer than the request is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ..deferred.machine import Event, IllegalTransition
from ..deferred.pending import MAX_WAIT_S, Completion, Pending, accepted_response
from ..errors import InvalidRequest, NotFound, RateLimited, UnsupportedIss
from ..http import Fields, Request, Response
from ..httpsig import SignaturePolicy
from ..messages.bodies import RevocationRequest, decode_request
from ..messages.headers import parse_prefer_wait
from ..store.person_records import REVOCATION, IssuedToken
from ..tokens import AGENT_DWK, RESOURCE_DWK
from ..transport.cascades import Cascades
from ..verification import SigningServer, authenticate, signature_required
from .cascade import tell_resources
from .endpoints import TokenEndpoints

__all__ = ["MAX_REVOCATIONS_HELD", "MAX_REVOCATIONS_OF_ALL", "RevocationEndpoint"]

MAX_REVOCATIONS_HELD = 10_000
#: Of all issuers together, beyond which only those that this server deals with are remembered: names are cheap.
MAX_REVOCATIONS_OF_ALL = 200_000
_SIGNATURE = SignaturePolicy(schemes=("jwks_uri",), cover_body=True)
_MAX_JTI_LENGTH = 4096
#: No token accepted here is expected to live longer; a revocation of one that does is not remembered for years.
_MAX_EXP_AHEAD_S = 400 * 86_400


class RevocationEndpoint(TokenEndpoints):
    """What agent providers and resources call."""

    def __init__(self, *, revocation_hold_s: float = 20.0, **settings: Any) -> None:
        super().__init__(**settings)
        self.revocation_hold_s = revocation_hold_s
        self.cascades = Cascades()

    async def aclose(self) -> None:
        """Stop the cascades under way; what they were to do is in the store."""
        await self.cascades.aclose()

    async def revoke(self, request: Request) -> Response:
        """POST to `revocation_endpoint`: `200` with an empty body once every resource concerned was told, or not.

        `202` to an agent provider when that takes longer than it waits. Raises a `SignatureError`, `InvalidRequest`,
        `UnsupportedIss` or `RateLimited`.
        """
        now = self.clock()
        server = await self._server(request)
        body = decode_request(RevocationRequest, request)
        if not 0 < len(body.jti) <= _MAX_JTI_LENGTH:
            raise InvalidRequest("jti must be the revoked token's own.")
        if not 0 < body.exp <= now + _MAX_EXP_AHEAD_S:
            raise InvalidRequest("exp must be the revoked token's own, in seconds since 1970.")
        if body.exp <= now:
            return _recorded()
        full = await self._is_full(server.id)
        # What is repeated adds nothing, and is how a caller has resources told that could not be told before.
        if full and not await self.store.is_revoked(server.id, body.jti):
            raise RateLimited("This server remembers no more revocations of this issuer.", retry_after_s=3600)
        if server.dwk == RESOURCE_DWK:
            await self.store.revoke_resource_token(iss=server.id, jti=body.jti, exp=body.exp, now=now)
            return _recorded()
        due = await self.store.revoke_agent_token(iss=server.id, jti=body.jti, exp=body.exp, now=now)
        asked_s = parse_prefer_wait(request.headers, most_s=MAX_WAIT_S)
        if not due or await self._told(server.id, body.jti, due, hold_s=float(asked_s) or self.revocation_hold_s):
            return _recorded()
        asked = {"jti": body.jti, "exp": body.exp}
        opened = await self.pending.open(kind=REVOCATION, owner=server.id, request=asked)
        return accepted_response(opened.url, retry_after_s=1)

    async def poll_revocation(self, server: SigningServer, pending_id: str, *, wait_s: int) -> Response:
        """A poll of a revocation that takes longer (#revocation-response, Deferred completion)."""
        if server.dwk != AGENT_DWK:
            raise NotFound("There is no such pending request for this caller.")
        pending = await self.pending.find(pending_id, owner=server.id)
        if pending.waiting and await self._cascade_ended(pending, wait_s=wait_s):
            # Another poll may be faster, or its time up; either way the poll below says how it ended.
            with suppress(IllegalTransition):
                await self.store.advance_pending(pending.digest, Event.GRANT)

        async def complete(_: Pending) -> Completion:
            return Completion(_recorded())

        return await self.pending.poll(pending_id, owner=server.id, wait_s=0, complete=complete, retry_after_s=1)

    # ------------------------------------------------------------------ inside

    async def _is_full(self, iss: str) -> bool:
        """Whether there is no room for one more revocation of `iss`."""
        if await self.store.revocations_held(iss) >= MAX_REVOCATIONS_HELD:
            return True
        return await self.store.revocations_held() >= MAX_REVOCATIONS_OF_ALL and not await self.store.deals_with(iss)

    async def _server(self, request: Request) -> SigningServer:
        caller = await self.run(
            authenticate(
                request,
                now=self.clock(),
                signature=_SIGNATURE,
                tokens=self.policy,
                accepted=(),
            )
        )
        server = caller.server
        if server is None:
            raise signature_required("Sign the request as a server (scheme jwks_uri).", _SIGNATURE)
        if server.dwk not in (AGENT_DWK, RESOURCE_DWK):
            raise UnsupportedIss("Agent providers and resources revoke tokens here, nobody else.")
        wait_s = self.revocation_rate.wait_s(server.id)
        if wait_s > 0:
            raise RateLimited("Too many revocations in a minute.", retry_after_s=int(wait_s) + 1)
        self.revocation_rate.count(server.id)
        await self.refuse_replay(caller)
        return server

    async def _cascade_ended(self, pending: Pending, *, wait_s: int) -> bool:
        """Whether the cascade has ended, which another process may have begun, within `wait_s` seconds."""
        iss, jti, exp = pending.owner, str(pending.request["jti"]), float(pending.request["exp"])
        due = await self.store.revoke_agent_token(iss=iss, jti=jti, exp=exp, now=self.clock())
        left = [token for token in due if token.revocation is None]
        return not left or await self._told(iss, jti, left, hold_s=wait_s)

    async def _told(self, iss: str, jti: str, due: Sequence[IssuedToken], *, hold_s: float) -> bool:
        async def start() -> None:
            await tell_resources(self, due, followed=True)

        return await self.cascades.run((iss, jti), start, hold_s=hold_s)


def _recorded() -> Response:
    """No body and so no content type: this server does not report to its callers (#revocation-response)."""
    return Response(200, Fields([("cache-control", "no-store")]))
