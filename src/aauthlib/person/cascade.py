"""Telling resources and access servers that tokens are revoked (#revocation-request, #revocation-cascade).

Best effort within a time: a recipient that cannot be told honours the token until its `exp`, and the outcome is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from ..deferred.revoking import RECORDED, UNAVAILABLE, UNSUPPORTED, Revoked, revoke_at
from ..effects import Flow
from ..errors import AAuthError
from ..messages.metadata import AccessServerMetadata, ResourceMetadata
from ..store.person_records import IssuedToken
from .core import PersonServerCore

__all__ = ["RECORDED", "UNAVAILABLE", "UNSUPPORTED", "RevocationOutcome", "tell_resources"]

#: How long a cascade may take altogether, and one request of it, in seconds.
_CASCADE_S = 15.0
_REQUEST_S = 5.0
#: How long an access server may hold its answer while it tells its resources, in seconds.
_HOLD_S = 5
_AT_ONCE = 8


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


async def tell_resources(server: PersonServerCore, tokens: Sequence[IssuedToken]) -> list[RevocationOutcome]:
    """Revoke each token where it says, and keep the outcome.

    That is the resource named in its `aud` or, where `access_server` is set, that access server it was presented to.
    """
    if not tokens:
        return []
    slots = asyncio.Semaphore(_AT_ONCE)
    told = [Revoked(UNAVAILABLE)] * len(tokens)

    async def tell(index: int, token: IssuedToken) -> None:
        async with slots:
            try:
                told[index] = await server.run(_revoke(server, token))
            except AAuthError:
                return  # As it stands: it could not be told.

    tasks = [asyncio.create_task(tell(index, token)) for index, token in enumerate(tokens)]
    try:
        await asyncio.wait(tasks, timeout=_CASCADE_S)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for token, result in zip(tokens, told, strict=True):
        await server.store.record_revocation_outcome(
            token.jti, result.outcome, access_server=token.access_server, downstream=result.downstream
        )
    return [
        RevocationOutcome(token.access_server or token.aud, token.jti, result.outcome, result.downstream)
        for token, result in zip(tokens, told, strict=True)
    ]


def _revoke(server: PersonServerCore, token: IssuedToken) -> Flow[Revoked]:
    return revoke_at(
        token.access_server or token.aud,
        ResourceMetadata if token.access_server is None else AccessServerMetadata,
        jti=token.jti,
        exp=token.exp,
        sign=server.signed,
        clock=server.clock,
        dev=server.dev,
        timeout_s=_REQUEST_S,
        deadline_s=_CASCADE_S,
        wait_s=_HOLD_S if token.access_server is not None else 0,
    )
