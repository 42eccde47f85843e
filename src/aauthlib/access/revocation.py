"""The revocation endpoint (#token-revocation): person servers and resources withdraw their own tokens here.

The issuer is the verified caller, so a caller revokes only its own tokens. It is recorded before anybody is told; the
answer is `200` when every resource concerned was told or cannot be, or `202` when that takes longer than is held.
"""

from __future__ import annotations

from contextlib import suppress

from ..deferred.machine import Event, IllegalTransition
from ..deferred.pending import MAX_WAIT_S, Completion, Pending, accepted_response
from ..deferred.revoking import RECORDED
from ..errors import InvalidRequest, RateLimited, UnsupportedIss
from ..http import Fields, Request, Response, json_response
from ..messages.bodies import RevocationRequest, decode_request
from ..messages.headers import parse_prefer_wait
from ..store.access_records import REVOCATION, IssuedAuthToken
from ..tokens import PERSON_DWK, RESOURCE_DWK
from ..transport.cascades import Cascades
from .cascade import report, tell_resources
from .core import AccessServerCore

__all__ = ["RevocationEndpoint"]

#: No token accepted here lives longer; a revocation of one that does is not remembered for years.
_MAX_EXP_AHEAD_S = 86_400 * 2
_WHY = {
    PERSON_DWK: "The person server revoked the presented token, or one it goes back to.",
    RESOURCE_DWK: "The resource withdrew the resource token this request was made for.",
}


class RevocationEndpoint(AccessServerCore):
    """What person servers and resources call to withdraw a token."""

    cascades: Cascades

    async def revoke(self, request: Request) -> Response:
        """POST to `revocation_endpoint` (#revocation-request).

        Raises a `SignatureError`, `InvalidRequest`, `UnsupportedIss` or `RateLimited`.
        """
        server = await self.calling_server(request)
        if server.dwk not in _WHY:
            raise UnsupportedIss("Person servers and resources revoke tokens here, nobody else.")
        self.turnstile.count_revocation(server.id)
        body, now = decode_request(RevocationRequest, request), self.clock()
        if body.exp > now + _MAX_EXP_AHEAD_S:
            raise InvalidRequest("exp lies further ahead than any token accepted here can live.")
        await self.tidy()
        if body.exp > now:
            if await self._is_full(server.id) and not await self.store.is_revoked(server.id, body.jti):
                raise RateLimited("This server remembers no more revocations of this issuer.", retry_after_s=3600)
            await self.store.revoke(iss=server.id, jti=body.jti, exp=body.exp, detail=_WHY[server.dwk], now=now)
        if server.dwk == RESOURCE_DWK:
            # Nothing is downstream of a resource token: what was issued for it hangs on the presented token.
            return Response(200, Fields([("cache-control", "no-store")]))
        asked_s = parse_prefer_wait(request.headers, most_s=MAX_WAIT_S)
        hold_s = float(asked_s) if request.headers.get("prefer") is not None and asked_s > 0 else self.hold_s
        if await self._cascade(server.id, body.jti, hold_s=hold_s):
            return await self._done(server.id, body.jti)
        opened = await self.pending.open(kind=REVOCATION, owner=server.id, request={"jti": body.jti})
        return accepted_response(opened.url, retry_after_s=1)

    async def poll_revocation(self, pending: Pending, pending_id: str, *, wait_s: float) -> Response:
        """A poll of a revocation that took longer (#revocation-response, Deferred completion)."""
        iss, jti = pending.owner, pending.request["jti"]
        if pending.waiting and await self._cascade(iss, jti, hold_s=wait_s, again=False):
            # Another poll may be faster, or its time up; either way the poll below says how it ended.
            with suppress(IllegalTransition):
                await self.store.advance_pending(pending.digest, Event.GRANT)

        async def complete(_: Pending) -> Completion:
            return Completion(await self._done(iss, jti))

        return await self.pending.poll(pending_id, owner=iss, wait_s=0, complete=complete, retry_after_s=1)

    async def withdraw(self, *, ps: str, resource: str, sub: str) -> list[dict[str, str]]:
        """Withdraw every auth token of one person at one resource, and tell it (#who-revokes-what).

        For whoever administers this server. Returns what came of telling the resource, as `downstream` has it.
        """
        tokens = await self.store.withdraw(ps=ps, resource=resource, sub=sub, now=self.clock())
        await tell_resources(self, tokens)
        issued = [await self.store.issued(token.jti) for token in tokens]
        return report([token for token in issued if token is not None])

    async def take_back(self, user: str, ps: str) -> None:
        """`user`, an account here, does not stand by `ps` any more: what was issued to it for them is withdrawn."""
        await tell_resources(self, await self.store.take_back(ps, user=user, now=self.clock()))

    async def _is_full(self, iss: str) -> bool:
        """Whether there is no room for one more revocation of `iss`."""
        limits = self.turnstile.limits
        if await self.store.revocations_held(iss) >= limits.revocations_held:
            return True
        if self.turnstile.known(iss) or iss in (self.resources or ()):
            return False
        full = await self.store.revocations_held() >= limits.revocations_of_all
        return full and not await self.store.deals_with(iss)

    async def _cascade(self, iss: str, jti: str, *, hold_s: float, again: bool = True) -> bool:
        """Tell the resources of what was withdrawn with `jti`; whether that ended within `hold_s` seconds.

        A repeated revocation tries `again` what did not succeed; a poll only what has no outcome yet. Where nobody is
        left to be told it has ended, however short it is held: `202` would say that something goes on.
        """

        async def left() -> list[IssuedAuthToken]:
            tokens = await self.store.withdrawn(iss=iss, jti=jti, now=self.clock())
            return [token for token in tokens if token.revocation is None or (again and token.revocation != RECORDED)]

        async def start() -> None:
            await tell_resources(self, await left())

        if not await left():
            return True

        return await self.cascades.run((iss, jti), start, hold_s=hold_s)

    async def _done(self, iss: str, jti: str) -> Response:
        downstream = report(await self.store.withdrawn(iss=iss, jti=jti, now=self.clock()))
        if not downstream:
            return Response(200, Fields([("cache-control", "no-store")]))
        return json_response(200, {"downstream": downstream})
