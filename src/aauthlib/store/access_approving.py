"""One step each of an access server's approval, inside the caller's transaction (#approval-pending).

Locks are taken in one order: a token request, the approval, never the other way round. What an approval leads to for
the requests that wait for it is decided by the policy, which is asked outside of any transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.machine import WAITING
from ..policies.approvers import Place, Seat, asked_now, complete, passed
from .access_approval_records import AccessApproval, AccessApprovalEntry, AccessOpening, is_named, may_give
from .access_approval_rows import (
    VOTES,
    access_approval_of,
    access_entries,
    add_access_entry,
    insert_access_approval,
    load_access_approval,
    person_key,
    stored_approvers,
)
from .access_approval_tables import access_approvals
from .access_people import all_people
from .access_people_records import AccessPerson
from .access_tables import exchanges
from .approval_states import ApprovalEvent, ApprovalState, after
from .database import to_json
from .notifications import announce
from .pending import pending_table

__all__ = [
    "approval_of",
    "can_speak",
    "counting",
    "drop_decided",
    "finish",
    "join",
    "leave",
    "move_on",
    "restart",
    "seats",
    "settle",
    "spoken",
    "waiting_for",
    "withdraw_for",
]

#: How long a refusal holds for the same request made anew, in seconds: nobody is asked the same again at once.
REFUSED_FOR_S = 900.0
#: How long one that is over is kept, in seconds. The decision log is kept longer.
_KEPT_S = 90 * 86_400.0
_ENDS = {
    ApprovalState.APPROVED: "granted",
    ApprovalState.DENIED: "refused",
    ApprovalState.EXPIRED: "expired",
    ApprovalState.WITHDRAWN: "withdrawn",
}
_WAITING = [str(state) for state in WAITING]
_TRIES = 3


async def join(connection: AsyncConnection, opening: AccessOpening, *, now: float) -> AccessApproval:
    """The approval that is open for the same, or a new one, whose approvers are told. Its row is locked.

    Where the policy demands another one by now it begins anew.
    """
    for _ in range(_TRIES):
        query = select(access_approvals).where(access_approvals.c.open_key == opening.key).with_for_update()
        row = (await connection.execute(query)).one_or_none()
        if row is not None:
            approval = await settle(connection, access_approval_of(row), now=now)
            if approval.waiting:
                return await restart(connection, approval, opening, now=now)
        elif await insert_access_approval(connection, opening, now=now):
            approval = await load_access_approval(connection, opening.id, lock=True)
            await add_access_entry(connection, approval, "opened", at=now)
            await _tell(connection, approval, now=now)
            return approval
    raise RuntimeError("An approval was opened and ended by others again and again.")


async def restart(
    connection: AsyncConnection, approval: AccessApproval, demanded: AccessOpening, *, now: float
) -> AccessApproval:
    """Hold it to what the policy demands now: under another version it begins anew, what was decided is kept and does
    not count."""
    if (approval.version, approval.approvers) == (demanded.version, demanded.approvers):
        return approval
    await connection.execute(
        update(access_approvals)
        .where(access_approvals.c.id == approval.id)
        .values(
            approvers=stored_approvers(demanded.approvers),
            version=demanded.version,
            rule=demanded.rule,
            round=approval.round + 1,
        )
    )
    approval = await _go_to(connection, await load_access_approval(connection, approval.id), Place(0, 0, now))
    await add_access_entry(connection, approval, "restarted", at=now)
    await _tell(connection, approval, now=now)
    return approval


async def settle(connection: AsyncConnection, approval: AccessApproval, *, now: float) -> AccessApproval:
    """Do what the deadlines that have passed lead to. Returns it as it stands."""
    if not approval.waiting:
        return approval
    place = Place(approval.stage, approval.depth, approval.step_since)
    for at, led_to in passed(approval.approvers, place, now=now):
        if led_to is None:
            return await finish(connection, approval, ApprovalEvent.TIME_OUT, now=at)
        approval = await _go_to(connection, approval, led_to)
        await add_access_entry(connection, approval, "escalated", at=at)
    if approval.depth > place.depth:
        await _tell(connection, approval, now=now)
    return approval


async def move_on(connection: AsyncConnection, approval: AccessApproval, *, now: float) -> AccessApproval:
    """Whether the yes that was just given completes the step, or all of it."""
    entries, people = await access_entries(connection, approval.id), await all_people(connection)
    if not complete(approval.step, counting(approval, entries, people)):
        return approval
    if approval.stage + 1 == len(approval.approvers.steps):
        yes = [entry.name for entry in entries if entry.round == approval.round and entry.kind == VOTES[0]]
        return await finish(connection, approval, ApprovalEvent.APPROVE, now=now, by=", ".join(yes))
    approval = await _go_to(connection, approval, Place(approval.stage + 1, 0, now))
    await add_access_entry(connection, approval, "stage", at=now)
    await _tell(connection, approval, now=now)
    return approval


def counting(
    approval: AccessApproval, entries: Collection[AccessApprovalEntry], people: Collection[AccessPerson]
) -> list[AccessApprovalEntry]:
    """Each yes that counts at this step: of somebody who may still give it, or whom the application vouches for."""
    may = seats(person for person in people if may_give(person, approval.step))
    heard = {seat.person_id for seat in can_speak(approval, may, ())}
    return [
        entry
        for entry in entries
        if entry.kind == VOTES[0]
        and (entry.round, entry.stage) == (approval.round, approval.stage)
        and (entry.person_id is None or entry.person_id in heard)
    ]


def seats(people: Iterable[AccessPerson]) -> list[Seat]:
    """A seat for each of these people."""
    return [Seat(person_id=person.person_id, name=person.display_name) for person in people]


def can_speak(approval: AccessApproval, asked: Collection[Seat], spoken: Collection[str]) -> list[Seat]:
    """The seats that can still be heard at the step of `approval`."""
    return asked_now(asked, requester=approval.subject, four_eyes=approval.approvers.four_eyes, spoken=spoken)


def spoken(approval: AccessApproval, entries: Collection[AccessApprovalEntry]) -> frozenset[str]:
    """Accounts that have decided in this round: none of them is heard again."""
    return frozenset(
        entry.person_id
        for entry in entries
        if entry.person_id is not None and entry.kind in VOTES and entry.round == approval.round
    )


async def finish(
    connection: AsyncConnection,
    approval: AccessApproval,
    event: ApprovalEvent,
    *,
    now: float,
    by: str = "",
    reason: str = "",
) -> AccessApproval:
    """End it. What was learned of the person serves nothing any more."""
    state = after(approval.state, event)
    holds_s = {
        ApprovalState.APPROVED: approval.approvers.valid_for_s,
        ApprovalState.DENIED: REFUSED_FOR_S,
    }.get(state, 0.0)
    await connection.execute(
        update(access_approvals)
        .where(access_approvals.c.id == approval.id)
        .values(
            state=str(state),
            open_key=None,
            decided_at=now,
            valid_until=now + holds_s,
            decided_by=by,
            reason=reason,
            shown=to_json({"asked": approval.shown.get("asked", {}), "learned": {}}),
        )
    )
    approval = await load_access_approval(connection, approval.id)
    await add_access_entry(connection, approval, _ENDS[state], at=now, text=reason)
    return approval


async def leave(connection: AsyncConnection, id_: str | None, *, now: float) -> None:
    """A request does not want it any more: what nobody else waits for is not decided."""
    if id_ is None:
        return
    approval = await load_access_approval(connection, id_, lock=True)
    if approval.waiting and await waiting_for(connection, id_) == 0:
        await finish(connection, approval, ApprovalEvent.WITHDRAW, now=now)


async def approval_of(connection: AsyncConnection, digest: str) -> str | None:
    """The approval that a request waits for."""
    found: str | None = await connection.scalar(select(exchanges.c.approval).where(exchanges.c.digest == digest))
    return found


async def withdraw_for(
    connection: AsyncConnection, *, ps: str, resource: str, sub: str, now: float, given_only: bool = False
) -> None:
    """Take back the approvals for a person at a resource that wait or hold: what they were given for is over."""
    columns = access_approvals.c
    holds = and_(columns.state == str(ApprovalState.APPROVED), columns.valid_until > now)
    if not given_only:
        holds = or_(holds, columns.state == str(ApprovalState.WAITING))
    query = (
        select(access_approvals)
        .where(columns.person_key == person_key(ps, resource, sub), holds)
        .order_by(columns.id)
        .with_for_update()
    )
    for row in (await connection.execute(query)).all():
        await finish(connection, access_approval_of(row), ApprovalEvent.WITHDRAW, now=now)


async def waiting_for(connection: AsyncConnection, id_: str) -> int:
    """How many requests wait for it."""
    query = (
        select(func.count())
        .select_from(exchanges.join(pending_table, pending_table.c.digest == exchanges.c.digest))
        .where(exchanges.c.approval == id_, pending_table.c.state.in_(_WAITING))
    )
    return await connection.scalar(query) or 0


async def drop_decided(connection: AsyncConnection, *, now: float, limit: int) -> int:
    """Drop approvals that ended long ago, or whose time was over long ago with nobody looking. Returns how many."""
    columns, before = access_approvals.c, now - _KEPT_S
    over = or_(columns.decided_at < before, and_(columns.decided_at.is_(None), columns.due_at < before))
    still_holds = func.coalesce(columns.valid_until, 0.0) > now
    ids = [row.id for row in await connection.execute(select(columns.id).where(over, ~still_holds).limit(limit))]
    await connection.execute(delete(access_approvals).where(columns.id.in_(ids)))
    return len(ids)


# ---------------------------------------------------------------------- inside


async def _go_to(connection: AsyncConnection, approval: AccessApproval, place: Place) -> AccessApproval:
    due_at = place.since + approval.approvers.step(place.stage, place.depth).deadline_s
    await connection.execute(
        update(access_approvals)
        .where(access_approvals.c.id == approval.id)
        .values(stage=place.stage, depth=place.depth, step_since=place.since, due_at=due_at)
    )
    return await load_access_approval(connection, approval.id)


async def _tell(connection: AsyncConnection, approval: AccessApproval, *, now: float) -> None:
    """Put into the outbox, for everybody who is asked at this step, that it waits for them.

    Where it asks nobody who is there, administrators are told: they can give it, or find somebody who can.
    """
    people = await all_people(connection)
    silent = spoken(approval, await access_entries(connection, approval.id))
    named = can_speak(approval, seats(p for p in people if is_named(p, approval.step)), silent)
    if not named:
        named = can_speak(approval, seats(p for p in people if p.is_administrator), silent)
    for seat in named:
        await announce(connection, seat.person_id, approval.id, now=now)
