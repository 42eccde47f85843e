"""What becomes of a relay on its way (#interaction-response-poll-authority), each step one transaction."""

from __future__ import annotations

from ..deferred.machine import Event, State
from .database import Database
from .pending import advance
from .person_deciding import end, lock_owner, request_of, visible
from .person_mission_log import add_entry
from .person_mission_records import LogEntry

__all__ = ["SQLRelays"]


class SQLRelays:
    """The part of a person server's store that is about relays."""

    database: Database

    async def relay_seen(self, digest: str, *, person_id: str) -> None:
        """The person looks at where they are asked to go. Raises `NotFound` for a request that is not theirs."""
        async with self.database.transaction() as connection:
            request = await visible(connection, digest, person_id)
            if request.pending.state is State.PENDING:
                await advance(connection, digest, Event.ARRIVE)

    async def relay_ended(self, digest: str, *, now: float) -> None:
        """The page was this server's own, and what it was about has ended. Nothing happens when the relay has, too."""
        async with self.database.transaction() as connection:
            await lock_owner(connection, digest)
            request = await request_of(connection, digest, lock=True)
            if not request.pending.waiting:
                return
            await end(connection, digest, Event.GRANT, decision={"ended_at": now})
            mission = request.pending.request.get("mission_s256")
            if mission is not None:
                content = {"asked": request.pending.kind, "result": "ended"}
                entry = LogEntry(at=now, kind="decision", actor="server", content=content)
                await add_entry(connection, mission, entry)
