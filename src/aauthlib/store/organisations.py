"""Organisations in a database: members, invitations, identities at their providers (#person-token-org-policy).

Every query about an organisation names it: nothing is found by a person's or an agent's identifier alone.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.machine import WAITING
from ..errors import NotFound
from .account_records import Account, AccountTaken, Passkey
from .accounts import account_table, insert_account, passkey_table
from .database import Database
from .groups import SQLGroups
from .organisation_records import (
    ADMINISTRATOR,
    AlreadyMember,
    Invitation,
    LastAdministrator,
    LinkedIdentity,
    Member,
    MemberAgent,
    Role,
    Tenant,
)
from .organisation_tables import identities, invitations, members, tenants
from .pending import pending_table
from .person_records import AuditRecord
from .person_tables import bindings, person_requests
from .person_tokens import add_audit
from .rows import insert_once, key_of

__all__ = ["SQLOrganisationStore", "keep_an_administrator"]

_MOST_LISTED = 500


class SQLOrganisationStore(SQLGroups):
    """`person.organisation_storage.OrganisationStore` on a database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    # ------------------------------------------------------------------ organisations

    async def keep_tenant(self, tenant: Tenant) -> None:
        """Add an organisation, or give it its name of now."""
        async with self.database.transaction() as connection:
            if not await insert_once(connection, tenants, tenant=tenant.tenant, name=tenant.name):
                await connection.execute(
                    update(tenants).where(tenants.c.tenant == tenant.tenant).values(name=tenant.name)
                )

    async def has_administrator(self, tenant: str) -> bool:
        """Whether somebody administers the organisation."""
        async with self.database.transaction() as connection:
            return await _administrators(connection, tenant) > 0

    async def membership(self, person_id: str) -> Member | None:
        """The organisation of a person and the role there."""
        query = (
            select(members, account_table.c.username, account_table.c.display_name)
            .join(account_table, account_table.c.person_id == members.c.person_id)
            .where(members.c.person_id == person_id)
        )
        async with self.database.transaction() as connection:
            row = (await connection.execute(query)).one_or_none()
        return _member(row) if row is not None else None

    async def members(self, tenant: str, *, now: float) -> list[Member]:
        """The organisation's people, by name, with how many agents each has and how many requests wait for each."""
        agents = (
            select(func.count()).where(bindings.c.person_id == members.c.person_id).correlate(members).scalar_subquery()
        )
        bound = (
            select(bindings.c.person_id)
            .where(
                bindings.c.agent_iss == person_requests.c.agent_iss,
                bindings.c.agent_sub == person_requests.c.agent_sub,
            )
            .correlate(person_requests)
            .scalar_subquery()
        )
        waits_for = func.coalesce(person_requests.c.acting_for, person_requests.c.person_id, bound)
        waiting = (
            select(func.count())
            .select_from(person_requests.join(pending_table, pending_table.c.digest == person_requests.c.digest))
            .where(
                pending_table.c.state.in_([str(state) for state in WAITING]),
                pending_table.c.expires_at > now,
                waits_for == members.c.person_id,
            )
            .correlate(members)
            .scalar_subquery()
        )
        query = (
            select(
                members,
                account_table.c.username,
                account_table.c.display_name,
                agents.label("agents"),
                waiting.label("waiting"),
            )
            .join(account_table, account_table.c.person_id == members.c.person_id)
            .where(members.c.tenant == tenant)
            .order_by(account_table.c.username)
            .limit(_MOST_LISTED)
        )
        async with self.database.transaction() as connection:
            rows = sorted(await connection.execute(query), key=lambda row: row.display_name)
        return [_member(row, row.agents, row.waiting) for row in rows]

    async def agents(self, tenant: str) -> list[MemberAgent]:
        """The agents that act for the organisation's people, the most recently used first."""
        query = (
            select(bindings, account_table.c.display_name)
            .join(members, members.c.person_id == bindings.c.person_id)
            .join(account_table, account_table.c.person_id == members.c.person_id)
            .where(members.c.tenant == tenant)
            .order_by(bindings.c.last_used_at.desc())
            .limit(_MOST_LISTED)
        )
        async with self.database.transaction() as connection:
            return [
                MemberAgent(
                    iss=row.agent_iss,
                    sub=row.agent_sub,
                    person_id=row.person_id,
                    display_name=row.display_name,
                    last_used_at=row.last_used_at,
                )
                for row in await connection.execute(query)
            ]

    async def set_role(self, tenant: str, person_id: str, role: Role, *, by: str, now: float) -> None:
        """Raises `NotFound` for nobody of this organisation, `LastAdministrator` when nobody would administer it."""
        async with self.database.transaction() as connection:
            await lock_tenant(connection, tenant)
            result = await connection.execute(
                update(members).where(members.c.tenant == tenant, members.c.person_id == person_id).values(role=role)
            )
            if not result.rowcount:
                raise NotFound("There is no such person in this organisation.")
            await keep_an_administrator(connection, tenant)
            await _log(connection, person_id, "change role", now=now, tenant=tenant, role=role, by=by)

    # ------------------------------------------------------------------ invitations

    async def invite(self, invitation: Invitation, *, now: float) -> None:
        """Keep an invitation, and drop those past their time."""
        async with self.database.transaction() as connection:
            await connection.execute(delete(invitations).where(invitations.c.expires_at <= now))
            await connection.execute(
                insert(invitations).values(**{name: getattr(invitation, name) for name in Invitation.__slots__})
            )

    async def invitations(self, tenant: str, *, now: float) -> list[Invitation]:
        """Open invitations of this organisation, the newest first."""
        query = (
            select(invitations)
            .where(invitations.c.tenant == tenant, invitations.c.expires_at > now)
            .order_by(invitations.c.created_at.desc())
            .limit(_MOST_LISTED)
        )
        async with self.database.transaction() as connection:
            return [_invitation(row) for row in await connection.execute(query)]

    async def invitation(self, digest: str, *, now: float) -> Invitation | None:
        """An open invitation."""
        query = select(invitations).where(invitations.c.digest == digest, invitations.c.expires_at > now)
        async with self.database.transaction() as connection:
            row = (await connection.execute(query)).one_or_none()
        return _invitation(row) if row is not None else None

    async def withdraw_invitation(self, tenant: str, digest: str) -> None:
        """Raises `NotFound` when this organisation has none such."""
        async with self.database.transaction() as connection:
            result = await connection.execute(
                delete(invitations).where(invitations.c.tenant == tenant, invitations.c.digest == digest)
            )
        if not result.rowcount:
            raise NotFound("There is no such invitation.")

    async def join(self, digest: str, person_id: str, *, now: float) -> Invitation:
        """Use an invitation up: the person is a member now. Raises `NotFound` or `AlreadyMember`."""
        async with self.database.transaction() as connection:
            return await _join(connection, digest, person_id, now=now)

    async def create_invited(
        self,
        account: Account,
        *,
        digest: str,
        passkey: Passkey | None = None,
        identity: LinkedIdentity | None = None,
        now: float,
    ) -> None:
        """Make an account and use the invitation up for it. Raises `NotFound` or `AccountTaken`."""
        async with self.database.transaction() as connection:
            await insert_account(connection, account, passkey=passkey)
            await _join(connection, digest, account.person_id, now=now)
            if identity is not None:
                await _link(connection, identity)

    # ------------------------------------------------------------------ identities at providers

    async def identity(self, iss: str, sub: str) -> LinkedIdentity | None:
        """The account that this identity at a provider is linked to."""
        async with self.database.transaction() as connection:
            row = (await connection.execute(select(identities).where(_is_identity(iss, sub)))).one_or_none()
        return _identity(row) if row is not None else None

    async def identities_of(self, person_id: str) -> list[LinkedIdentity]:
        """What a person's account is linked to."""
        query = select(identities).where(identities.c.person_id == person_id).order_by(identities.c.created_at)
        async with self.database.transaction() as connection:
            return [_identity(row) for row in await connection.execute(query)]

    async def use_identity(self, iss: str, sub: str, *, now: float) -> None:
        """Note that somebody signed in by it."""
        async with self.database.transaction() as connection:
            await connection.execute(update(identities).where(_is_identity(iss, sub)).values(last_used_at=now))

    async def link(self, identity: LinkedIdentity) -> None:
        """Link an identity to an account of the organisation. Raises `AccountTaken` or `NotFound`."""
        async with self.database.transaction() as connection:
            tenant = await connection.scalar(
                select(members.c.tenant).where(members.c.person_id == identity.person_id).with_for_update()
            )
            if tenant != identity.tenant:
                raise NotFound("There is no such person in this organisation.")
            await _link(connection, identity)
            await _log(connection, identity.person_id, "link identity", now=identity.created_at, iss=identity.iss)

    async def create_linked(self, account: Account, identity: LinkedIdentity, *, role: Role, now: float) -> None:
        """Make an account for an identity, as a member of its organisation. Raises `AccountTaken`."""
        async with self.database.transaction() as connection:
            await insert_account(connection, account)
            await connection.execute(
                insert(members).values(person_id=account.person_id, tenant=identity.tenant, role=role, joined_at=now)
            )
            await _link(connection, identity)
            await _log(connection, account.person_id, "join organisation", now=now, tenant=identity.tenant, role=role)

    async def unlink(self, person_id: str, iss: str, sub: str) -> bool:
        """Forget a link. `False` when it is the last way in: no password and no passkey. Raises `NotFound`."""
        async with self.database.transaction() as connection:
            query = select(account_table.c.password_hash).where(account_table.c.person_id == person_id)
            account = (await connection.execute(query.with_for_update())).one_or_none()
            keys = select(func.count()).where(passkey_table.c.person_id == person_id)
            if account is not None and account.password_hash is None and not await connection.scalar(keys):
                return False
            result = await connection.execute(
                delete(identities).where(_is_identity(iss, sub), identities.c.person_id == person_id)
            )
        if not result.rowcount:
            raise NotFound("There is no such link.")
        return True


async def lock_tenant(connection: AsyncConnection, tenant: str) -> None:
    """Changes of who belongs to an organisation take turns."""
    await connection.execute(select(tenants.c.tenant).where(tenants.c.tenant == tenant).with_for_update())


async def keep_an_administrator(connection: AsyncConnection, tenant: str) -> None:
    """Raises `LastAdministrator` when nobody administers the organisation and somebody belongs to it."""
    anybody = select(func.count()).where(members.c.tenant == tenant)
    if not await _administrators(connection, tenant) and await connection.scalar(anybody):
        raise LastAdministrator("An organisation keeps at least one administrator. Make somebody else one first.")


async def _administrators(connection: AsyncConnection, tenant: str) -> int:
    query = select(func.count()).where(members.c.tenant == tenant, members.c.role == ADMINISTRATOR)
    return int((await connection.execute(query)).scalar_one())


async def _join(connection: AsyncConnection, digest: str, person_id: str, *, now: float) -> Invitation:
    query = select(invitations).where(invitations.c.digest == digest, invitations.c.expires_at > now)
    row = (await connection.execute(query.with_for_update())).one_or_none()
    if row is None:
        raise NotFound("This invitation was used, withdrawn, or its time is over.")
    invitation = _invitation(row)
    await connection.execute(delete(invitations).where(invitations.c.digest == digest))
    joined = await insert_once(
        connection, members, person_id=person_id, tenant=invitation.tenant, role=invitation.role, joined_at=now
    )
    if not joined:
        raise AlreadyMember("You belong to an organisation already. An account belongs to one at most.")
    await _log(connection, person_id, "join organisation", now=now, tenant=invitation.tenant, role=invitation.role)
    return invitation


async def _link(connection: AsyncConnection, identity: LinkedIdentity) -> None:
    values = {name: getattr(identity, name) for name in LinkedIdentity.__slots__}
    try:
        await connection.execute(insert(identities).values(key=key_of(identity.iss, identity.sub), **values))
    except IntegrityError:
        raise AccountTaken("This identity is linked to an account already.") from None


async def _log(connection: AsyncConnection, person_id: str, action: str, *, now: float, **details: object) -> None:
    await add_audit(connection, AuditRecord(at=now, person_id=person_id, action=action, result="done", details=details))


def _is_identity(iss: str, sub: str) -> Any:
    return and_(identities.c.key == key_of(iss, sub), identities.c.iss == iss, identities.c.sub == sub)


def _member(row: Any, agents: int = 0, waiting: int = 0) -> Member:
    return Member(
        person_id=row.person_id,
        tenant=row.tenant,
        role=row.role,
        joined_at=row.joined_at,
        username=row.username,
        display_name=row.display_name,
        agents=agents,
        waiting=waiting,
    )


def _invitation(row: Any) -> Invitation:
    return Invitation(**{name: getattr(row, name) for name in Invitation.__slots__})


def _identity(row: Any) -> LinkedIdentity:
    return LinkedIdentity(**{name: getattr(row, name) for name in LinkedIdentity.__slots__})
