"""Who is asked at a step, as of now: people and groups of one organisation, and who decides in their place.

Who has left is not asked, whatever a policy, a group or an absence still says of them. Approvers are looked for among
the people of the organisation whose person's agent asks, and nowhere else; where that person is of none, among those
who are of none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, false, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..policies.approvers import Seat, Step, asked_now
from .accounts import account_table
from .approval_records import ADMINISTRATORS, Approval
from .approval_rows import VOTES, spoken_in
from .approval_tables import absences, approval_entries, group_members
from .organisation_records import ADMINISTRATOR
from .organisation_tables import members

__all__ = ["asked_of", "belongs", "counting_votes", "named_as", "seats_of", "tenant_of"]


async def tenant_of(connection: AsyncConnection, person_id: str) -> str | None:
    """The organisation the person belongs to."""
    found: str | None = await connection.scalar(select(members.c.tenant).where(members.c.person_id == person_id))
    return found


def belongs(tenant: str | None) -> ColumnElement[bool]:
    """Of accounts joined with `members`: those of this organisation; of none where it is `None`."""
    return members.c.tenant.is_(None) if tenant is None else members.c.tenant == tenant


async def seats_of(connection: AsyncConnection, tenant: str | None, step: Step, *, now: float) -> list[Seat]:
    """Everybody a step names who is there, by name."""
    named: list[ColumnElement[bool]] = [account_table.c.username.in_(step.people)]
    if tenant is not None and step.groups:
        in_groups = select(group_members.c.person_id).where(group_members.c.name.in_(step.groups))
        named.append(account_table.c.person_id.in_(in_groups))
        named.append(members.c.role == ADMINISTRATOR if ADMINISTRATORS in step.groups else false())
    query = (
        select(account_table.c.person_id, account_table.c.display_name)
        .outerjoin(members, members.c.person_id == account_table.c.person_id)
        # Of whom a group speaks is its organisation's own: a name that two have is two groups.
        .where(belongs(tenant), or_(*named))
    )
    found = sorted(await connection.execute(query), key=lambda row: (row.display_name, row.person_id))
    away = await _away(connection, tenant, [row.person_id for row in found], now=now)
    return [
        Seat(person_id=row.person_id, name=row.display_name)
        if (absence := away.get(row.person_id)) is None
        else Seat(
            person_id=row.person_id,
            name=row.display_name,
            delegate=absence[0],
            delegate_name=absence[1],
            away_until=absence[2],
        )
        for row in found
    ]


async def named_as(connection: AsyncConnection, person_id: str, *, now: float) -> tuple[frozenset[str], frozenset[str]]:
    """Usernames and groups by which a step may name this person, or somebody in whose place they decide now.

    For passing over what cannot be theirs; who is asked is said by `seats_of` alone.
    """
    instead_of = select(absences.c.person_id).where(
        absences.c.delegate == person_id, absences.c.since <= now, absences.c.until > now
    )
    people = [person_id, *(row.person_id for row in await connection.execute(instead_of))]
    accounts = (
        select(account_table.c.username, members.c.role)
        .outerjoin(members, members.c.person_id == account_table.c.person_id)
        .where(account_table.c.person_id.in_(people))
    )
    rows = (await connection.execute(accounts)).all()
    inside = select(group_members.c.name).where(group_members.c.person_id.in_(people))
    groups = {row.name for row in await connection.execute(inside)}
    if any(row.role == ADMINISTRATOR for row in rows):
        groups.add(ADMINISTRATORS)
    return frozenset(row.username for row in rows), frozenset(groups)


async def _away(
    connection: AsyncConnection, tenant: str | None, people: Collection[str], *, now: float
) -> dict[str, tuple[str, str, float]]:
    """By person: who decides in their place, if that is somebody of the same organisation."""
    query = (
        select(absences, account_table.c.display_name)
        .join(account_table, account_table.c.person_id == absences.c.delegate)
        .outerjoin(members, members.c.person_id == absences.c.delegate)
        .where(absences.c.person_id.in_(people), absences.c.since <= now, absences.c.until > now, belongs(tenant))
    )
    return {row.person_id: (row.delegate, row.display_name, row.until) for row in await connection.execute(query)}


async def asked_of(connection: AsyncConnection, approval: Approval, *, now: float) -> list[Seat]:
    """The seats that can still be heard at the step the approval is at."""
    return asked_now(
        await seats_of(connection, approval.tenant, approval.step, now=now),
        requester=approval.person_id,
        four_eyes=approval.course.four_eyes,
        spoken=await spoken_in(connection, approval),
    )


async def counting_votes(connection: AsyncConnection, approval: Approval, seats: Sequence[Seat]) -> list[int]:
    """Numbers of the entries that are a yes which counts: its seat is one of `seats`, its voter still belongs."""
    entries = approval_entries.c
    heard = {seat.person_id for seat in seats}
    if approval.course.four_eyes:
        heard.discard(approval.person_id)
    query = (
        select(entries.number, entries.seat)
        .join(account_table, account_table.c.person_id == entries.person_id)
        .outerjoin(members, members.c.person_id == entries.person_id)
        .where(
            entries.approval == approval.id,
            entries.round == approval.round,
            entries.stage == approval.stage,
            entries.kind == VOTES[0],
            belongs(approval.tenant),
        )
    )
    return [row.number for row in await connection.execute(query) if row.seat in heard]
