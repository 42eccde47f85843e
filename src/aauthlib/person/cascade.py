"""Telling resources and access servers that tokens are revoked (#revocation-request, #revocation-cascade).

Who asked for the revocation waits for a while only. What could not be told by then is kept and told again, each time
after a longer pause, until the token expires.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..deferred.revoking import RECORDED, UNAVAILABLE, UNSUPPORTED, Notice, Revoked, revoke_at
from ..messages.metadata import AccessServerMetadata, ResourceMetadata
from ..store.person_records import IssuedToken
from ..transport.telling import Outcomes, tell_all
from .core import PersonServerCore

__all__ = ["RECORDED", "UNAVAILABLE", "UNSUPPORTED", "RevocationOutcome", "tell_again", "tell_resources"]

#: How long a cascade may take that a person waits for, one that a server can poll, and one request of it, in seconds.
_CASCADE_S = 15.0
_FOLLOWED_S = 60.0
_REQUEST_S = 5.0
#: How long an access server may hold its answer while it tells its resources, in seconds.
_HOLD_S = 5
#: How long one process may take for what it tells again; nobody else tells the same meanwhile.
_AGAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class RevocationOutcome:
    """How telling one recipient about one token ended."""

    resource: str
    """Who was told: the resource in its `aud`, or an access server it was presented to."""
    jti: str
    outcome: str
    downstream: tuple[tuple[str, str | None], ...] = ()
    """What an access server reports: each resource, and why it could not be told, if it could not."""

    @property
    def complete(self) -> bool:
        """Whether everybody concerned knows."""
        return self.outcome == RECORDED and all(error is None for _, error in self.downstream)


async def tell_resources(
    server: PersonServerCore, tokens: Sequence[IssuedToken], *, followed: bool = False
) -> list[RevocationOutcome]:
    """Revoke each token where it says, and keep the outcome.

    That is the resource named in its `aud` or, where `access_server` is set, that access server it was presented to.
    What could not be told in time is unavailable; there is more of it where the cascade is `followed` by polls.
    """
    notices = [
        Notice(
            jti=token.jti,
            exp=token.exp,
            recipient=token.access_server or token.aud,
            to_access_server=token.access_server is not None,
        )
        for token in tokens
    ]
    told = await _tell(server, notices, within_s=_FOLLOWED_S if followed else _CASCADE_S)
    return [
        RevocationOutcome(notice.recipient, notice.jti, result.outcome, result.downstream)
        for notice, result in zip(notices, told, strict=True)
    ]


async def tell_again(server: PersonServerCore) -> int:
    """Tell who could not be told before and is due by now. Returns how many notices came to an end."""
    now = server.clock()
    notices = await server.store.claim_notices(now=now, until=now + 2 * _AGAIN_S)
    return sum(result.settled for result in await _tell(server, notices, within_s=_AGAIN_S))


async def _tell(server: PersonServerCore, notices: Sequence[Notice], *, within_s: float) -> list[Revoked]:
    async def tell(notice: Notice) -> Revoked:
        return await server.run(
            revoke_at(
                notice.recipient,
                AccessServerMetadata if notice.to_access_server else ResourceMetadata,
                jti=notice.jti,
                exp=notice.exp,
                sign=server.signed,
                clock=server.clock,
                dev=server.dev,
                timeout_s=_REQUEST_S,
                deadline_s=within_s,
                wait_s=_HOLD_S if notice.to_access_server else 0,
            )
        )

    async def keep(outcomes: Outcomes) -> None:
        await server.store.record_revocation_outcomes(outcomes, now=server.clock())

    return await tell_all(notices, tell, keep, within_s=within_s)
