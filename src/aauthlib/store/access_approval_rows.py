"""Rows of an access server's approvals as values, and adding to what happened to one, in the caller's transaction."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..errors import NotFound
from ..policies.approvers import Approvers
from .access_approval_records import AccessApproval, AccessApprovalEntry, AccessBallot, AccessOpening
from .access_approval_tables import access_approval_entries, access_approvals
from .approval_records import Origin
from .approval_states import ApprovalState
from .database import from_json, to_json
from .rows import insert_once, key_of

__all__ = [
    "VOTES",
    "access_approval_of",
    "access_entries",
    "add_access_entry",
    "add_access_vote",
    "insert_access_approval",
    "load_access_approval",
    "person_key",
    "stored_approvers",
]

#: The entries that are somebody's decision.
VOTES = ("approved", "denied")


def person_key(ps: str, resource: str, sub: str) -> str:
    """By which the approvals of one person at one resource are found."""
    return key_of(ps, resource, sub)


def stored_approvers(approvers: Approvers) -> str:
    """The stored form of whose agreement it needs."""
    return msgspec.json.encode(approvers).decode()


def access_approval_of(row: Any) -> AccessApproval:
    """A row as a value."""
    return AccessApproval(
        id=row.id,
        key=row.key,
        state=ApprovalState(row.state),
        ps=row.ps,
        resource=row.resource,
        sub=row.sub,
        subject=row.subject,
        shown=from_json(row.shown),
        approvers=msgspec.json.decode(row.approvers, type=Approvers),
        version=row.version,
        rule=row.rule,
        round=row.round,
        stage=row.stage,
        depth=row.depth,
        step_since=row.step_since,
        created_at=row.created_at,
        decided_at=row.decided_at,
        valid_until=row.valid_until,
        decided_by=row.decided_by,
        reason=row.reason,
    )


async def load_access_approval(connection: AsyncConnection, id_: str, *, lock: bool = False) -> AccessApproval:
    """An approval, its row locked for the transaction when asked. Raises `NotFound`."""
    query = select(access_approvals).where(access_approvals.c.id == id_)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound("There is no such approval. Check the link.")
    return access_approval_of(row)


async def insert_access_approval(connection: AsyncConnection, opening: AccessOpening, *, now: float) -> bool:
    """Keep a new approval. `False` when the same is open already."""
    return await insert_once(
        connection,
        access_approvals,
        id=opening.id,
        key=opening.key,
        open_key=opening.key,
        state=str(ApprovalState.WAITING),
        ps=opening.ps,
        tenant_key=opening.tenant_key,
        person_key=person_key(opening.ps, opening.resource, opening.sub),
        resource=opening.resource,
        sub=opening.sub,
        subject=opening.subject,
        shown=to_json(dict(opening.shown)),
        approvers=stored_approvers(opening.approvers),
        version=opening.version,
        rule=opening.rule,
        round=1,
        stage=0,
        depth=0,
        step_since=now,
        due_at=now + opening.approvers.step(0, 0).deadline_s,
        created_at=now,
        decided_by="",
        reason="",
        entries=0,
    )


async def add_access_entry(
    connection: AsyncConnection, approval: AccessApproval, kind: str, *, at: float, text: str = ""
) -> None:
    """Append what the server did. The approval's row is locked."""
    values = await _entry(connection, approval, kind, at=at, version=approval.version)
    await connection.execute(insert(access_approval_entries).values(**values, text=text))


async def add_access_vote(
    connection: AsyncConnection, approval: AccessApproval, ballot: AccessBallot, *, at: float
) -> bool:
    """Append a decision. `False` when whoever it is has decided in this round."""
    origin, voter = ballot.origin, ballot.person_id or f"application {ballot.name}"
    kind = VOTES[0] if ballot.yes else VOTES[1]
    values = await _entry(connection, approval, kind, at=at, version=ballot.version)
    values |= {
        "person_id": ballot.person_id,
        "name": ballot.name[:64],
        "text": ballot.reason,
        "network": origin.network[:64],
        "browser": origin.browser[:100],
        "method": origin.method[:16],
        "voter_key": key_of(approval.id, str(approval.round), voter),
    }
    return await insert_once(connection, access_approval_entries, **values)


async def _entry(
    connection: AsyncConnection, approval: AccessApproval, kind: str, *, at: float, version: str
) -> dict[str, Any]:
    row = access_approvals.c.id == approval.id
    await connection.execute(update(access_approvals).where(row).values(entries=access_approvals.c.entries + 1))
    return {
        "approval": approval.id,
        "number": await connection.scalar(select(access_approvals.c.entries).where(row)),
        "at": at,
        "kind": kind,
        "name": "",
        "network": "",
        "browser": "",
        "method": "",
        "version": version,
        "round": approval.round,
        "stage": approval.stage,
    }


async def access_entries(connection: AsyncConnection, id_: str) -> list[AccessApprovalEntry]:
    """Everything that happened, the earliest first."""
    entries = access_approval_entries
    query = select(entries).where(entries.c.approval == id_).order_by(entries.c.number)
    return [
        AccessApprovalEntry(
            number=row.number,
            at=row.at,
            kind=row.kind,
            person_id=row.person_id,
            name=row.name,
            text=row.text,
            origin=Origin(network=row.network, browser=row.browser, method=row.method),
            version=row.version,
            round=row.round,
            stage=row.stage,
        )
        for row in await connection.execute(query)
    ]
