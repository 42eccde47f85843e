"""Groups of an organisation's people, in a database: who approves is written down by group (#approval-pending).

Which groups there are, the operator's policy says; who is in them, the organisation's administrators do.
"""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..errors import NotFound
from .accounts import account_table
from .approval_tables import group_members
from .database import Database
from .organisation_tables import members
from .person_records import AuditRecord
from .person_tokens import add_audit
from .rows import insert_once

__all__ = ["SQLGroups"]


class SQLGroups:
    """A part of `SQLOrganisationStore`, whose database it uses."""

    database: Database

    async def groups(self, tenant: str) -> dict[str, list[tuple[str, str]]]:
        """Identifier and name of everybody in a group, by group."""
        query = (
            select(group_members.c.name, members.c.person_id, account_table.c.display_name)
            .join(members, members.c.person_id == group_members.c.person_id)
            .join(account_table, account_table.c.person_id == members.c.person_id)
            .where(members.c.tenant == tenant)
            .order_by(group_members.c.name)
        )
        found = dict[str, list[tuple[str, str]]]()
        async with self.database.transaction() as connection:
            for row in await connection.execute(query):
                found.setdefault(row.name, []).append((row.person_id, row.display_name))
        return {name: sorted(people, key=lambda each: (each[1], each[0])) for name, people in found.items()}

    async def add_to_group(self, tenant: str, person_id: str, group: str, *, by: str, now: float) -> None:
        """Raises `NotFound` for nobody of this organisation."""
        async with self.database.transaction() as connection:
            await _lock_member(connection, tenant, person_id)
            if await insert_once(connection, group_members, person_id=person_id, name=group, added_at=now):
                await _log(connection, person_id, "join group", tenant, group, by=by, now=now)

    async def remove_from_group(self, tenant: str, person_id: str, group: str, *, by: str, now: float) -> None:
        """What they decided counts no more where it is not complete. Raises `NotFound` for nobody of it."""
        async with self.database.transaction() as connection:
            await _lock_member(connection, tenant, person_id)
            removed = await connection.execute(
                delete(group_members).where(group_members.c.person_id == person_id, group_members.c.name == group)
            )
            if removed.rowcount:
                await _log(connection, person_id, "leave group", tenant, group, by=by, now=now)


async def _lock_member(connection: AsyncConnection, tenant: str, person_id: str) -> None:
    member = select(members.c.person_id).where(members.c.tenant == tenant, members.c.person_id == person_id)
    if await connection.scalar(member.with_for_update()) is None:
        raise NotFound("There is no such person in this organisation.")


async def _log(
    connection: AsyncConnection, person_id: str, action: str, tenant: str, group: str, *, by: str, now: float
) -> None:
    details = {"tenant": tenant, "group": group, "by": by}
    await add_audit(connection, AuditRecord(at=now, person_id=person_id, action=action, result="done", details=details))
