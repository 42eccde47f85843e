"""Rows of approvals as values, and adding to what happened to one. Inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..errors import NotFound
from .accounts import account_table
from .approval_records import AgreedTo, Approval, ApprovalEntry, BecauseOf, Course, Opening, Origin
from .approval_states import ApprovalState
from .approval_tables import approval_entries, approvals
from .database import from_json, to_json
from .person_tokens import agent_id
from .rows import insert_once, key_of

__all__ = [
    "VOTES",
    "add_entry",
    "add_vote",
    "course_text",
    "entries_of",
    "insert_approval",
    "load_approval",
    "spoken_in",
]

#: The entries that are somebody's decision.
VOTES = ("approved", "denied")


def approval_of(row: Any) -> Approval:
    """A row as a value."""
    agreed: Mapping[str, Any] = from_json(row.agreed)
    return Approval(
        id=row.id,
        key=row.key,
        state=ApprovalState(row.state),
        person_id=row.person_id,
        tenant=row.tenant,
        agent=(row.agent_iss, row.agent_sub),
        root=agent_id(row.root_iss, row.root_sub),
        request=from_json(row.request),
        course=msgspec.json.decode(row.course, type=Course),
        because=BecauseOf(version=row.version, rule=row.rule, approval=row.id),
        round=row.round,
        stage=row.stage,
        depth=row.depth,
        step_since=row.step_since,
        agreed=AgreedTo(**agreed) if agreed else None,
        created_at=row.created_at,
        decided_at=row.decided_at,
        valid_until=row.valid_until,
    )


def course_text(course: Course) -> str:
    """The stored form of a course."""
    return msgspec.json.encode(course).decode()


def agreed_text(agreed: AgreedTo | None) -> str | None:
    """The stored form of the person's own yes."""
    return to_json({"at": agreed.at, "remember": agreed.remember, "before": agreed.before}) if agreed else None


async def load_approval(connection: AsyncConnection, id_: str, *, lock: bool = False) -> Approval:
    """An approval, its row locked for the transaction when asked. Raises `NotFound`."""
    query = select(approvals).where(approvals.c.id == id_)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound("There is no such approval.")
    return approval_of(row)


async def insert_approval(connection: AsyncConnection, opening: Opening, *, now: float) -> bool:
    """Keep a new approval. `False` when the same is open already."""
    root = opening.root or (None, None)
    return await insert_once(
        connection,
        approvals,
        id=opening.id,
        key=opening.key,
        open_key=opening.key,
        state=str(ApprovalState.WAITING),
        person_id=opening.person_id,
        tenant=opening.tenant,
        agent_iss=opening.agent[0],
        agent_sub=opening.agent[1],
        root_iss=root[0],
        root_sub=root[1],
        mission=opening.request.get("mission_s256"),
        request=to_json(dict(opening.request)),
        course=course_text(opening.course),
        version=opening.because.version,
        rule=opening.because.rule,
        round=1,
        stage=0,
        depth=0,
        step_since=now,
        due_at=now + opening.course.step(0, 0).deadline_s,
        agreed=agreed_text(opening.agreed),
        created_at=now,
        entries=0,
    )


async def add_entry(
    connection: AsyncConnection,
    approval: Approval,
    kind: str,
    *,
    at: float,
    by: str | None = None,
    text: str = "",
    origin: Origin | None = None,
    version: str | None = None,
) -> None:
    """Append to what happened. The approval's row is locked."""
    await connection.execute(
        insert(approval_entries).values(
            **await _entry(connection, approval, kind, at=at, by=by, text=text, origin=origin, version=version)
        )
    )


async def add_vote(
    connection: AsyncConnection,
    approval: Approval,
    kind: str,
    *,
    at: float,
    by: str,
    seat: str,
    text: str,
    origin: Origin,
    version: str,
) -> bool:
    """Append a decision. `False` when this person has decided in this round, or somebody has in this place."""
    values = await _entry(connection, approval, kind, at=at, by=by, text=text, origin=origin, version=version)
    values |= {
        "seat": seat,
        "voter_key": key_of(approval.id, str(approval.round), by),
        "seat_key": key_of(approval.id, str(approval.round), seat),
    }
    return await insert_once(connection, approval_entries, **values)


async def _entry(
    connection: AsyncConnection,
    approval: Approval,
    kind: str,
    *,
    at: float,
    by: str | None,
    text: str,
    origin: Origin | None,
    version: str | None,
) -> dict[str, Any]:
    origin = origin or Origin()
    row = approvals.c.id == approval.id
    await connection.execute(update(approvals).where(row).values(entries=approvals.c.entries + 1))
    return {
        "approval": approval.id,
        "number": await connection.scalar(select(approvals.c.entries).where(row)),
        "at": at,
        "kind": kind,
        "person_id": by,
        "text": text,
        "network": origin.network[:64],
        "browser": origin.browser[:100],
        "method": origin.method[:16],
        "version": approval.because.version if version is None else version,
        "round": approval.round,
        "stage": approval.stage,
    }


async def spoken_in(connection: AsyncConnection, approval: Approval) -> set[str]:
    """Who has decided in this round, and in whose place: none of them is heard again."""
    entries = approval_entries.c
    query = select(entries.person_id, entries.seat).where(
        entries.approval == approval.id, entries.round == approval.round, entries.kind.in_(VOTES)
    )
    return {person for row in await connection.execute(query) for person in row if person is not None}


async def entries_of(
    connection: AsyncConnection, approval: Approval, *, counting: Collection[int]
) -> list[ApprovalEntry]:
    """Everything that happened, the earliest first. `counting` are the numbers of those that count now."""
    people, owners = account_table.alias("people"), account_table.alias("owners")
    query = (
        select(approval_entries, people.c.display_name.label("name"), owners.c.display_name.label("seat_name"))
        .outerjoin(people, people.c.person_id == approval_entries.c.person_id)
        .outerjoin(owners, owners.c.person_id == approval_entries.c.seat)
        .where(approval_entries.c.approval == approval.id)
        .order_by(approval_entries.c.number)
    )
    return [
        ApprovalEntry(
            number=row.number,
            at=row.at,
            kind=row.kind,
            by=row.person_id,
            seat=row.seat,
            name=row.name or "",
            seat_name=row.seat_name or "",
            text=row.text,
            origin=Origin(network=row.network, browser=row.browser, method=row.method),
            version=row.version,
            round=row.round,
            stage=row.stage,
            counts=row.number in counting,
        )
        for row in await connection.execute(query)
    ]
