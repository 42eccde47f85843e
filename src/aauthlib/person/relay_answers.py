"""What an agent hears of a relay while its person is on the way (#interaction-response-poll-authority)."""

from __future__ import annotations

from ..deferred.machine import State
from ..deferred.pending import Pending, accepted_response
from ..http import Response
from ..messages.requirement import APPROVAL, Requirement
from .asked import Asked
from .core import PersonServerCore

__all__ = ["follow_own_page", "relay_response"]


async def follow_own_page(server: PersonServerCore, pending: Pending, asked: Asked, *, wait_s: float) -> None:
    """Before a poll of a relay to a page of this server's own: end it where the request of that page has ended.

    That request is waited for up to `wait_s` seconds.
    """
    target = await _target(server, asked)
    if target is None or not pending.waiting:
        return
    if target.waiting and wait_s > 0:
        left_s = max(0.0, target.expires_at - server.clock())
        await server.store.wait_pending(target, min(wait_s, left_s))
        target = await _target(server, asked)
    if target is None or not target.waiting:
        await server.store.relay_ended(pending.digest, now=server.clock())


async def relay_response(server: PersonServerCore, pending: Pending, asked: Asked, url: str) -> Response:
    """The `202` of a relay that waits: `interacting` once the person has engaged."""
    target = await _target(server, asked)
    state = pending.state if target is None else target.state
    status = "pending" if state is State.PENDING else "interacting"
    requirement = Requirement(APPROVAL) if target is None else None
    return accepted_response(url, status=status, requirement=requirement)


async def _target(server: PersonServerCore, asked: Asked) -> Pending | None:
    """The request that the page of this server's belongs to."""
    if asked.relay is None or asked.relay.hosted is None:
        return None
    return await server.store.get_pending(asked.relay.hosted)
