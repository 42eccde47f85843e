"""Leaving: an organisation, or the server (#agent-person-binding, #person-token-org-policy).

What a person loses goes in one transaction: agents, tokens, open requests, sessions and, with the account, everything
that identifies them. Whom the withdrawal of a token is owed to is returned, to be told afterwards.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..errors import NotFound
from .account_sign_ins import session_table
from .accounts import account_table
from .database import Database
from .organisation_tables import identities, members
from .organisations import keep_an_administrator, lock_tenant
from .person_bindings import end_binding
from .person_data import export_of
from .person_erasing import erase
from .person_records import AuditRecord, IssuedToken
from .person_revoking import revoke_requests
from .person_tables import bindings, person_requests
from .person_tokens import add_audit

__all__ = ["SQLLeaving"]


class SQLLeaving:
    """The part of a person server's store that is about people who go."""

    database: Database

    async def tenant_of(self, person_id: str) -> str | None:
        """The organisation the person belongs to."""
        async with self.database.reading() as connection:
            found: str | None = await connection.scalar(
                select(members.c.tenant).where(members.c.person_id == person_id)
            )
        return found

    async def remove_member(self, tenant: str, person_id: str, *, by: str, now: float) -> list[IssuedToken]:
        """End a membership: agents, links and sessions of the person go with it, the account stays.

        Returns the tokens whose resources are to be told. Raises `NotFound` or `LastAdministrator`.
        """
        async with self.database.transaction() as connection:
            await lock_tenant(connection, tenant)
            removed = await connection.execute(
                delete(members).where(members.c.tenant == tenant, members.c.person_id == person_id)
            )
            if not removed.rowcount:
                raise NotFound("There is no such person in this organisation.")
            await keep_an_administrator(connection, tenant)
            due = await end_bindings(connection, person_id, now=now)
            for table in (identities, session_table):
                await connection.execute(delete(table).where(table.c.person_id == person_id))
            await add_audit(
                connection,
                AuditRecord(
                    at=now,
                    person_id=person_id,
                    action="leave organisation",
                    result="done",
                    details={"tenant": tenant, "by": by, "tokens": len(due)},
                ),
            )
        return due

    async def export_person(self, person_id: str) -> dict[str, list[dict[str, Any]]]:
        """Every row on a person, by table, without secrets."""
        async with self.database.transaction() as connection:
            return await export_of(connection, person_id)

    async def erase_person(self, person_id: str, *, pseudonym: str, now: float) -> list[IssuedToken]:
        """Delete an account and what identifies the person; what must be kept names `pseudonym` from then on.

        Returns the tokens whose resources are to be told. Raises `NotFound` or `LastAdministrator`.
        """
        async with self.database.transaction() as connection:
            account = select(account_table.c.person_id).where(account_table.c.person_id == person_id)
            if await connection.scalar(account.with_for_update()) is None:
                raise NotFound("There is no such account.")
            tenant = await connection.scalar(select(members.c.tenant).where(members.c.person_id == person_id))
            if tenant is not None:
                await lock_tenant(connection, tenant)
                await connection.execute(delete(members).where(members.c.person_id == person_id))
                await keep_an_administrator(connection, tenant)
            due = await end_bindings(connection, person_id, now=now)
            mine = or_(person_requests.c.person_id == person_id, person_requests.c.acting_for == person_id)
            await revoke_requests(connection, mine, detail="The person's account was deleted.")
            await erase(connection, person_id, pseudonym=pseudonym)
            await add_audit(
                connection,
                AuditRecord(
                    at=now, person_id=pseudonym, action="delete account", result="done", details={"tokens": len(due)}
                ),
            )
        return due


async def end_bindings(connection: AsyncConnection, person_id: str, *, now: float) -> list[IssuedToken]:
    """Disconnect every agent of a person. Returns the tokens whose resources are to be told."""
    query = select(bindings.c.agent_iss, bindings.c.agent_sub).where(bindings.c.person_id == person_id)
    due: list[IssuedToken] = []
    for row in (await connection.execute(query.order_by(bindings.c.agent_iss, bindings.c.agent_sub))).all():
        due += await end_binding(connection, person_id, (row.agent_iss, row.agent_sub), now=now)
    return due
