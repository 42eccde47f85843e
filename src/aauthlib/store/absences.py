"""Approvers who are away, in a database: since when, until when, and who decides in their place (#approval-pending)."""

from __future__ import annotations

from sqlalchemy import and_, delete, func, select

from .accounts import account_table
from .approval_records import Away, AwayRefused
from .approval_roster import belongs, tenant_of
from .approval_tables import absences
from .database import Database
from .organisation_tables import members
from .person_records import AuditRecord
from .person_tokens import add_audit
from .rows import insert_once

__all__ = ["SQLAbsences"]

_MOST_LISTED = 500


class SQLAbsences:
    """A part of `SQLPersonStore`, whose database it uses."""

    database: Database

    async def absence(self, person_id: str, *, now: float) -> Away | None:
        """When this person is away, now or later, and who decides in their place."""
        query = (
            select(absences, account_table.c.display_name)
            .join(account_table, account_table.c.person_id == absences.c.delegate)
            .where(absences.c.person_id == person_id, absences.c.until > now)
        )
        async with self.database.transaction() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        return Away(
            person_id=row.person_id,
            delegate=row.delegate,
            delegate_name=row.display_name,
            since=row.since,
            until=row.until,
        )

    async def set_absence(self, away: Away, *, now: float) -> None:
        """Somebody is away. Raises `AwayRefused` for a delegate who does not belong, or is away meanwhile too.

        Nobody decides for a delegate in turn, so a circle would leave nobody; it is refused here.
        """
        async with self.database.transaction() as connection:
            people = sorted({away.person_id, away.delegate})
            # In one order, so that two who name each other at the same time do not wait for each other.
            locked = select(account_table.c.person_id).where(account_table.c.person_id.in_(people))
            found = {
                row.person_id
                for row in await connection.execute(locked.order_by(account_table.c.person_id).with_for_update())
            }
            tenants = {person: await tenant_of(connection, person) for person in people}
            if len(found) != 2 or tenants[away.person_id] != tenants[away.delegate]:
                raise AwayRefused("Choose somebody else of your organisation.")
            overlaps = and_(absences.c.since < away.until, absences.c.until > away.since)
            circle = select(func.count()).where(absences.c.person_id == away.delegate, overlaps)
            if await connection.scalar(circle):
                raise AwayRefused("They are away themselves in that time. Choose somebody else.")
            others = select(func.count()).where(absences.c.delegate == away.person_id, overlaps)
            if await connection.scalar(others):
                raise AwayRefused("You decide in somebody's place in that time, and nobody could in yours.")
            await connection.execute(delete(absences).where(absences.c.person_id == away.person_id))
            await insert_once(
                connection,
                absences,
                person_id=away.person_id,
                delegate=away.delegate,
                since=away.since,
                until=away.until,
            )
            await add_audit(
                connection,
                AuditRecord(
                    at=now,
                    person_id=away.person_id,
                    action="set delegate",
                    result="done",
                    details={"delegate": away.delegate, "since": away.since, "until": away.until},
                ),
            )

    async def end_absence(self, person_id: str, *, now: float) -> None:
        """Somebody is back. What was decided in their place stands."""
        async with self.database.transaction() as connection:
            ended = await connection.execute(delete(absences).where(absences.c.person_id == person_id))
            if ended.rowcount:
                await add_audit(
                    connection, AuditRecord(at=now, person_id=person_id, action="end delegation", result="done")
                )

    async def delegates_for(self, person_id: str) -> list[tuple[str, str]]:
        """Who can decide in this person's place: identifier and name of everybody else of the organisation."""
        async with self.database.transaction() as connection:
            query = (
                select(account_table.c.person_id, account_table.c.display_name)
                .outerjoin(members, members.c.person_id == account_table.c.person_id)
                .where(belongs(await tenant_of(connection, person_id)), account_table.c.person_id != person_id)
                .order_by(account_table.c.username)
                .limit(_MOST_LISTED)
            )
            found = [(row.person_id, row.display_name) for row in await connection.execute(query)]
        return sorted(found, key=lambda each: (each[1], each[0]))
