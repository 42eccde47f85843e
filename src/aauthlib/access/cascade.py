"""Telling resources that auth tokens of this server are withdrawn (#revocation-cascade, #revocation-response).

Who is to be told was written down with the revocation, so that a restart loses nothing but time; a resource that could
not be told is told again, each time after a longer pause, until the token expires.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..deferred.revoking import RECORDED, UNAVAILABLE, Notice, Revoked, revoke_at
from ..messages.metadata import ResourceMetadata
from ..store.access_records import IssuedAuthToken
from ..transport.telling import Outcomes, tell_all
from .core import AccessServerCore

__all__ = ["report", "tell_again", "tell_resources"]

_REQUEST_S = 5.0
#: How long one resource that answers `202` is polled.
_FOLLOW_S = 60.0


async def tell_resources(server: AccessServerCore, tokens: Sequence[IssuedAuthToken]) -> None:
    """Revoke each token at the resource it is for, and keep each outcome. Those that succeeded before are left out."""
    await _tell(
        server,
        [Notice(jti=token.jti, exp=token.exp, recipient=token.aud) for token in tokens if token.revocation != RECORDED],
    )


async def tell_again(server: AccessServerCore) -> int:
    """Tell resources that could not be told before and are due by now. Returns how many notices came to an end."""
    now = server.clock()
    notices = await server.store.claim_notices(now=now, until=now + 2 * _FOLLOW_S)
    return sum(result.settled for result in await _tell(server, notices, within_s=_FOLLOW_S))


async def _tell(server: AccessServerCore, notices: Sequence[Notice], *, within_s: float | None = None) -> list[Revoked]:
    async def tell(notice: Notice) -> Revoked:
        return await server.run(
            revoke_at(
                notice.recipient,
                ResourceMetadata,
                jti=notice.jti,
                exp=notice.exp,
                sign=server.signed,
                clock=server.clock,
                dev=server.dev,
                timeout_s=_REQUEST_S,
                deadline_s=_FOLLOW_S,
            )
        )

    async def keep(outcomes: Outcomes) -> None:
        await server.store.record_outcomes(outcomes, now=server.clock())

    return await tell_all(notices, tell, keep, within_s=within_s)


def report(tokens: Sequence[IssuedAuthToken]) -> list[dict[str, str]]:
    """The `downstream` member: one entry for each resource; one token not revoked there is an error of the resource."""
    worst: dict[str, str | None] = {}
    for token in tokens:
        error = None if token.revocation == RECORDED else token.revocation or UNAVAILABLE
        if worst.get(token.aud) != UNAVAILABLE and (error is not None or token.aud not in worst):
            worst[token.aud] = error
    return [{"recipient": resource, **({"error": error} if error else {})} for resource, error in sorted(worst.items())]
