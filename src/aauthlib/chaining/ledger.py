"""How invocations end, whoever notices it: the process that carries one out, a poll, or the person's page.

The application of an invocation runs in one process and cannot be carried on by another. Its process says every few
seconds that it lives; when it has said nothing for a while, whoever looks next ends the invocation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..deferred.machine import Event, IllegalTransition, State
from ..deferred.pending import Pending
from ..effects import Clock
from ..errors import NotFound
from .storage import ChainStore

__all__ = ["ALIVE_S", "LOST", "Ledger"]

#: After which a process that says nothing is given up, in seconds.
ALIVE_S = 30.0
LOST = (
    "The server stopped while it carried this request out, and may have done a part of it. Look what was done, and "
    "call again."
)


class Ledger:
    """The invocations of one intermediary as they stand in its store."""

    def __init__(self, store: ChainStore, clock: Clock) -> None:
        self.store, self.clock = store, clock
        self.here: dict[str, str] = {}
        """Those that this process carries out: the person server of each, by digest."""

    async def end(self, digest: str, event: Event, decision: Mapping[str, Any] | None = None, detail: str = "") -> None:
        """End one, unless it is over already, which stands. What the person was needed for is forgotten."""
        try:
            await self.store.decide_pending(digest, event, decision or {}, detail=detail)
            await self.store.update_invocation(digest, url=None, code=None)
        except (IllegalTransition, NotFound):
            return

    async def settled(self, pending: Pending) -> Pending:
        """`pending` as it stands now: ended if its token was revoked, its time is over or its process is gone."""
        if not pending.waiting and pending.state is not State.GRANTED:
            return pending
        digest, now = pending.digest, self.clock()
        record = await self.store.get_invocation(digest)
        if record is not None and await self.store.is_revoked(record.iss, record.jti):
            await self.end(digest, Event.REVOKE, detail="The token this was asked with was revoked.")
        elif pending.expires_at <= now:
            await self.end(digest, Event.EXPIRE, detail="The request timed out before it was completed.")
        elif pending.waiting and digest not in self.here and (record is None or record.alive_until <= now):
            await self.end(digest, Event.FAIL, detail=LOST)
        else:
            return pending
        return await self.store.get_pending(digest) or pending
