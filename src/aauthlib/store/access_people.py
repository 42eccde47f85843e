"""The people of an access server, in a database: accounts with a role, and invitations (#ps-as-trust-establishment).

Implements `access.people.PeopleStore`. An account and the role it begins with are one transaction, so that no server is
left with people and without an administrator.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..errors import NotFound
from .access_people_records import ADMINISTRATOR, AccessInvitation, AccessPerson, Role
from .access_tables import invitations, people
from .account_records import Account, AccountTaken, Passkey
from .account_sign_ins import session_table
from .accounts import SQLAccountStore, account_table, insert_account
from .database import from_json, to_json
from .notifications import forget_places
from .organisation_records import LastAdministrator
from .person_tables import profiles
from .rows import insert_once

__all__ = ["SQLAccessPeople", "all_people", "person_here"]

_MOST_LISTED = 500


class SQLAccessPeople(SQLAccountStore):
    """Accounts, and the roles they have here."""

    # ------------------------------------------------------------------ accounts

    async def create_account(self, account: Account, *, first: bool, passkey: Passkey | None = None) -> None:
        """As `SQLAccountStore` does; the first account is an administrator's."""
        async with self.database.transaction() as connection:
            await insert_account(connection, account, passkey=passkey, first=first)
            if first:
                await _add(connection, account.person_id, ADMINISTRATOR, (), account.created_at)

    # ------------------------------------------------------------------ people

    async def person(self, person_id: str) -> AccessPerson | None:
        """Who this account is here; `None` for one that has no role."""
        async with self.database.transaction() as connection:
            return await person_here(connection, person_id)

    async def people(self) -> list[AccessPerson]:
        """Everybody, by name."""
        async with self.database.transaction() as connection:
            return await all_people(connection)

    async def has_administrator(self) -> bool:
        """Whether somebody administers the server."""
        async with self.database.transaction() as connection:
            return await _administrators(connection) > 0

    async def set_role(self, person_id: str, role: Role, approves: tuple[str, ...]) -> None:
        """Raises `NotFound`, or `LastAdministrator` when nobody would be left to administer."""
        async with self.database.transaction() as connection:
            await _hold(connection, person_id, leaving=role != ADMINISTRATOR)
            await connection.execute(
                update(people)
                .where(people.c.person_id == person_id)
                .values(role=role, approves=to_json(list(approves)))
            )

    async def remove(self, person_id: str) -> None:
        """Take away a role and end the sessions; the account goes too, unless a person server in this database has it.

        Its confirmations of person servers are taken back by whoever calls, who tells the resources. Raises as
        `set_role` does.
        """
        async with self.database.transaction() as connection:
            await _hold(connection, person_id, leaving=True)
            for table in (people, session_table):
                await connection.execute(delete(table).where(table.c.person_id == person_id))
            if not await connection.scalar(select(func.count()).where(profiles.c.person_id == person_id)):
                await connection.execute(delete(account_table).where(account_table.c.person_id == person_id))
                await forget_places(connection, person_id)

    # ------------------------------------------------------------------ invitations

    async def invite(self, invitation: AccessInvitation, *, now: float) -> None:
        """Keep an invitation, and drop those that are over."""
        async with self.database.transaction() as connection:
            await connection.execute(delete(invitations).where(invitations.c.expires_at <= now))
            await connection.execute(
                insert(invitations).values(
                    digest=invitation.digest,
                    role=invitation.role,
                    approves=to_json(list(invitation.approves)),
                    note=invitation.note,
                    created_at=invitation.created_at,
                    expires_at=invitation.expires_at,
                )
            )

    async def invitations(self, *, now: float) -> list[AccessInvitation]:
        """Those that are open, the latest first."""
        query = select(invitations).where(invitations.c.expires_at > now).order_by(invitations.c.created_at.desc())
        async with self.database.transaction() as connection:
            return [_invitation(row) for row in await connection.execute(query.limit(_MOST_LISTED))]

    async def invitation(self, digest: str, *, now: float) -> AccessInvitation | None:
        """The open invitation with this digest."""
        query = select(invitations).where(invitations.c.digest == digest, invitations.c.expires_at > now)
        async with self.database.transaction() as connection:
            row = (await connection.execute(query)).one_or_none()
        return _invitation(row) if row is not None else None

    async def withdraw_invitation(self, digest: str) -> None:
        """Raises `NotFound`."""
        async with self.database.transaction() as connection:
            result = await connection.execute(delete(invitations).where(invitations.c.digest == digest))
            if not result.rowcount:
                raise NotFound("There is no such invitation.")

    async def join(self, digest: str, person_id: str, *, now: float) -> None:
        """Use an invitation up for an account that exists. Raises `NotFound`, or `AccountTaken` for a role already."""
        async with self.database.transaction() as connection:
            found = await _take(connection, digest, now)
            if not await _add(connection, person_id, found.role, found.approves, now):
                raise AccountTaken("This account belongs here already.")

    async def create_invited(
        self, account: Account, *, digest: str, passkey: Passkey | None = None, now: float
    ) -> None:
        """Use an invitation up for a new account. Raises `NotFound` or `AccountTaken`."""
        async with self.database.transaction() as connection:
            found = await _take(connection, digest, now)
            await insert_account(connection, account, passkey=passkey)
            await _add(connection, account.person_id, found.role, found.approves, now)


async def all_people(connection: AsyncConnection) -> list[AccessPerson]:
    """Everybody, by name, in the caller's transaction."""
    query = _people().order_by(account_table.c.username).limit(_MOST_LISTED)
    rows = sorted(await connection.execute(query), key=lambda row: (row.display_name, row.username))
    return [_person(row) for row in rows]


async def person_here(connection: AsyncConnection, person_id: str, *, lock: bool = False) -> AccessPerson | None:
    """Who an account is here, in the caller's transaction; with `lock` they stay so until its end."""
    query = _people().where(people.c.person_id == person_id)
    row = (await connection.execute(query.with_for_update(of=people) if lock else query)).one_or_none()
    return _person(row) if row is not None else None


def _people() -> Any:
    return select(people, account_table.c.username, account_table.c.display_name).join(
        account_table, account_table.c.person_id == people.c.person_id
    )


def _person(row: Any) -> AccessPerson:
    return AccessPerson(
        person_id=row.person_id,
        role=row.role,
        approves=tuple(from_json(row.approves)),
        since=row.since,
        username=row.username,
        display_name=row.display_name,
    )


def _invitation(row: Any) -> AccessInvitation:
    return AccessInvitation(
        digest=row.digest,
        role=row.role,
        approves=tuple(from_json(row.approves)),
        note=row.note,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


async def _administrators(connection: AsyncConnection) -> int:
    return int(await connection.scalar(select(func.count()).where(people.c.role == ADMINISTRATOR)) or 0)


async def _hold(connection: AsyncConnection, person_id: str, *, leaving: bool) -> None:
    """Lock the administrators, so that two who step down at once are not both the last but one."""
    held = select(people.c.person_id).where(people.c.role == ADMINISTRATOR).order_by(people.c.person_id)
    administrators = set((await connection.execute(held.with_for_update())).scalars())
    if not await connection.scalar(select(func.count()).where(people.c.person_id == person_id)):
        raise NotFound("There is no such person here.")
    if leaving and administrators == {person_id}:
        raise LastAdministrator("This is the only administrator. Make somebody else one first.")


async def _add(
    connection: AsyncConnection, person_id: str, role: Role, approves: tuple[str, ...], since: float
) -> bool:
    return await insert_once(
        connection, people, person_id=person_id, role=role, approves=to_json(list(approves)), since=since
    )


async def _take(connection: AsyncConnection, digest: str, now: float) -> AccessInvitation:
    """Use an invitation up: of two that come at once, one finds it."""
    query = select(invitations).where(invitations.c.digest == digest, invitations.c.expires_at > now)
    row = (await connection.execute(query.with_for_update())).one_or_none()
    if row is None:
        raise NotFound("This invitation was used, withdrawn, or its time is over.")
    await connection.execute(delete(invitations).where(invitations.c.digest == digest))
    return _invitation(row)
