"""The outbox of notifications (#ps-approval-endpoint-auth knows who is told; this, where and when).

What is to be said is written in the transaction that makes the request, so a crash in between loses neither. Whoever
sends it holds a lease; one that dies lets another try again. A request that was decided meanwhile is not mentioned.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence

from sqlalchemy import and_, delete, exists, func, insert, or_, select, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.machine import WAITING, State
from ..errors import InvalidCode, NotFound, RateLimited
from .access_approval_tables import access_approvals
from .approval_states import ApprovalState
from .approval_tables import approvals
from .database import Database, from_json, to_json
from .notification_records import Due, Preferences, Subscription
from .notification_tables import notification_outbox, notification_preferences, notification_subscriptions
from .pending import pending_table
from .person_tables import federations
from .rows import insert_once, key_of
from .server_secrets import secret_of

__all__ = ["MAX_SUBSCRIPTIONS", "SQLNotificationStore", "SQLNotifications", "announce", "forget_places"]

#: Places that one person may want to be told at.
MAX_SUBSCRIPTIONS = 20
_CODE_ATTEMPTS = 5
_WAITING = [str(state) for state in WAITING]
_VAPID = "vapid"


async def announce(connection: AsyncConnection, person_id: str, digest: str, *, now: float) -> int:
    """Put into the outbox that a request waits for this person. Returns at how many places they will be told."""
    rows = await connection.execute(
        select(notification_subscriptions.c.id).where(
            notification_subscriptions.c.person_id == person_id, notification_subscriptions.c.confirmed
        )
    )
    ids = [row.id for row in rows]
    if not ids:
        return 0
    due_at = (await _preferences(connection, person_id)).due_at(now)
    await connection.execute(
        insert(notification_outbox),
        [
            {"subscription_id": id_, "digest": digest, "due_at": due_at, "lease_until": 0.0, "attempts": 0}
            for id_ in ids
        ],
    )
    return len(ids)


class SQLNotifications:
    """Where people want to be told, and the outbox."""

    database: Database

    # ------------------------------------------------------------------ where and when

    async def reaches(self, person_id: str) -> bool:
        """Whether there is a confirmed place at which this person can be told."""
        subscriptions = notification_subscriptions.c
        async with self.database.transaction() as connection:
            found = await connection.scalar(
                select(exists().where(subscriptions.person_id == person_id, subscriptions.confirmed))
            )
        return bool(found)

    async def subscriptions_of(self, person_id: str) -> list[Subscription]:
        """The person's places, the oldest first."""
        table = notification_subscriptions
        async with self.database.transaction() as connection:
            rows = await connection.execute(
                select(table).where(table.c.person_id == person_id).order_by(table.c.created_at, table.c.id)
            )
            return [_subscription(row) for row in rows]

    async def subscribe(self, subscription: Subscription, *, code_digest: str | None = None) -> None:
        """Add a place. Without `code_digest` it counts at once, otherwise when that code was typed.

        A place that the person, or on a shared device somebody else, had before is replaced: a browser has one
        subscription whoever signs in. Raises `RateLimited` for one place too many.
        """
        table, key = notification_subscriptions, _target_key(subscription)
        async with self.database.transaction() as connection:
            await connection.execute(delete(table).where(table.c.target_key == key))
            count = select(func.count()).select_from(table).where(table.c.person_id == subscription.person_id)
            if (await connection.scalar(count) or 0) >= MAX_SUBSCRIPTIONS:
                raise RateLimited("You are told at many places already. Remove one of them first.")
            await connection.execute(
                insert(table).values(
                    id=subscription.id,
                    person_id=subscription.person_id,
                    channel=subscription.channel,
                    target=to_json(dict(subscription.target)),
                    target_key=key,
                    name=subscription.name,
                    created_at=subscription.created_at,
                    code_digest=code_digest,
                    code_attempts=0,
                    confirmed=code_digest is None,
                    failures=0,
                )
            )

    async def confirm(self, id_: str, code_digest: str, *, person_id: str) -> None:
        """Confirm a place by the code that was sent there. The fifth wrong one removes it.

        Raises `NotFound` or `InvalidCode`.
        """
        table = notification_subscriptions
        async with self.database.transaction() as connection:
            mine = and_(table.c.id == id_, table.c.person_id == person_id)
            row = (await connection.execute(select(table).where(mine).with_for_update())).first()
            if row is None or row.code_digest is None:
                raise NotFound("This place is confirmed already, or was removed.")
            right = hmac.compare_digest(row.code_digest, code_digest)
            if right:
                await connection.execute(update(table).where(mine).values(confirmed=True, code_digest=None))
            elif row.code_attempts + 1 >= _CODE_ATTEMPTS:
                await connection.execute(delete(table).where(mine))
            else:
                await connection.execute(update(table).where(mine).values(code_attempts=row.code_attempts + 1))
        if not right:
            raise InvalidCode("The code is not the one that was sent.")

    async def unsubscribe(self, id_: str, *, person_id: str | None = None) -> None:
        """Remove a place, and what was still to be said there. Raises `NotFound` for one that is not this person's."""
        table = notification_subscriptions
        mine = table.c.id == id_ if person_id is None else and_(table.c.id == id_, table.c.person_id == person_id)
        async with self.database.transaction() as connection:
            found = await connection.execute(delete(table).where(mine))
        if not found.rowcount:
            raise NotFound("This place was removed already.")

    async def preferences(self, person_id: str) -> Preferences:
        """When the person wants to be told."""
        async with self.database.transaction() as connection:
            return await _preferences(connection, person_id)

    async def set_preferences(self, person_id: str, preferences: Preferences) -> None:
        """Replace them. What is in the outbox already keeps its time."""
        values = {
            "quiet_from": preferences.quiet_from,
            "quiet_until": preferences.quiet_until,
            "zone": preferences.zone,
            "digest_minutes": preferences.digest_minutes,
        }
        table = notification_preferences
        async with self.database.transaction() as connection:
            if not await insert_once(connection, table, person_id=person_id, **values):
                await connection.execute(update(table).where(table.c.person_id == person_id).values(**values))

    async def vapid_key(self, made: str) -> str:
        """The key that push services know this server by; `made` becomes it when there is none. The first one wins."""
        async with self.database.transaction() as connection:
            return await secret_of(self.database, connection, _VAPID, made)

    # ------------------------------------------------------------------ the outbox

    async def claim_due(self, *, now: float, lease_s: float, limit: int = 50) -> list[Due]:
        """Take what is due, at most `limit` entries, for `lease_s` seconds; nobody else takes it meanwhile.

        Entries about requests that wait no longer are dropped. Entries of one subscription become one message.
        """
        outbox, table = notification_outbox, notification_subscriptions
        async with self.database.transaction() as connection:
            request_waits = exists().where(
                pending_table.c.digest == outbox.c.digest,
                pending_table.c.state.in_(_WAITING),
                pending_table.c.expires_at > now,
            )
            # One that the person allowed earlier, and for which the access server needs them now.
            granted_waits = exists().where(
                pending_table.c.digest == outbox.c.digest,
                pending_table.c.state == str(State.GRANTED),
                pending_table.c.expires_at > now,
                federations.c.digest == outbox.c.digest,
            )
            # An approval is put into the outbox by its id.
            approval_waits = exists().where(
                approvals.c.id == outbox.c.digest, approvals.c.state == str(ApprovalState.WAITING)
            )
            access_approval_waits = exists().where(
                access_approvals.c.id == outbox.c.digest, access_approvals.c.state == str(ApprovalState.WAITING)
            )
            over = ~or_(request_waits, granted_waits, approval_waits, access_approval_waits)
            free = and_(outbox.c.due_at <= now, outbox.c.lease_until <= now)
            await connection.execute(delete(outbox).where(free, over))
            rows = (
                await connection.execute(
                    select(outbox).where(free).order_by(outbox.c.id).limit(limit).with_for_update(skip_locked=True)
                )
            ).all()
            if not rows:
                return []
            ids = [row.id for row in rows]
            await connection.execute(update(outbox).where(outbox.c.id.in_(ids)).values(lease_until=now + lease_s))
            wanted = {row.subscription_id for row in rows}
            found = await connection.execute(select(table).where(table.c.id.in_(wanted)))
            places = {row.id: _subscription(row) for row in found}
        return [
            Due(
                place,
                digests=tuple(dict.fromkeys(row.digest for row in rows if row.subscription_id == id_)),
                ids=tuple(row.id for row in rows if row.subscription_id == id_),
                attempts=max(row.attempts for row in rows if row.subscription_id == id_),
            )
            for id_, place in places.items()
        ]

    async def delivered(self, due: Due, *, now: float) -> None:
        """It was said."""
        await self._done(due.ids, due.subscription.id, delivered_at=now, failures=0)

    async def gave_up(self, due: Due) -> None:
        """It could not be said; the person sees that where the place is listed."""
        await self._done(due.ids, due.subscription.id, failures=due.subscription.failures + 1)

    async def drop(self, due: Due) -> None:
        """It need not be said any more."""
        async with self.database.transaction() as connection:
            await connection.execute(delete(notification_outbox).where(notification_outbox.c.id.in_(due.ids)))

    async def _done(self, ids: Sequence[int], id_: str, **values: float) -> None:
        table = notification_subscriptions
        async with self.database.transaction() as connection:
            await connection.execute(delete(notification_outbox).where(notification_outbox.c.id.in_(ids)))
            await connection.execute(update(table).where(table.c.id == id_).values(**values))

    async def retry(self, due: Due, *, at: float) -> None:
        """Say it again at `at` (Unix seconds)."""
        outbox = notification_outbox
        async with self.database.transaction() as connection:
            await connection.execute(
                update(outbox)
                .where(outbox.c.id.in_(due.ids))
                .values(due_at=at, lease_until=0.0, attempts=due.attempts + 1)
            )


class SQLNotificationStore(SQLNotifications):
    """The same for a server whose own store has no part in it. Implements `notifying.NotificationStore`."""

    def __init__(self, database: Database) -> None:
        self.database = database


async def forget_places(connection: AsyncConnection, person_id: str) -> None:
    """Somebody is gone: they are told nothing any more, anywhere."""
    for table in (notification_subscriptions, notification_preferences):
        await connection.execute(delete(table).where(table.c.person_id == person_id))


async def _preferences(connection: AsyncConnection, person_id: str) -> Preferences:
    table = notification_preferences
    row = (await connection.execute(select(table).where(table.c.person_id == person_id))).first()
    if row is None:
        return Preferences()
    return Preferences(row.quiet_from, row.quiet_until, row.zone, row.digest_minutes)


def _target_key(subscription: Subscription) -> str:
    """What makes two subscriptions one place. A browser's is its endpoint, whoever is signed in there."""
    target = subscription.target
    if "endpoint" in target:
        return key_of(subscription.channel, target["endpoint"])
    return key_of(subscription.channel, subscription.person_id, target.get("to", ""))


def _subscription(row: Row[tuple[object, ...]]) -> Subscription:
    target: Mapping[str, str] = from_json(row.target)
    return Subscription(
        id=row.id,
        person_id=row.person_id,
        channel=row.channel,
        target=target,
        name=row.name,
        created_at=row.created_at,
        confirmed=row.confirmed,
        delivered_at=row.delivered_at,
        failures=row.failures,
    )
