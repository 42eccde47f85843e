"""What others than the person decide about, in a database (#approval-pending, #ps-approval-endpoint-auth).

A part of `SQLPersonStore`. A decision, what it causes and its entries in the logs are one transaction; that nobody
decides twice is a constraint of the database and not a look beforehand.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.machine import WAITING
from ..errors import AAuthError, NotFound
from ..policies.approvers import Seat, seat_for
from .accounts import account_table
from .approval_deciding import find as find_approval
from .approval_deciding import finish, lock, move_on, reconsider
from .approval_records import (
    Approval,
    ApprovalEntry,
    Ballot,
    BecauseOf,
    Course,
    DecidedAlready,
    NotApprover,
    Origin,
    TooManyComments,
)
from .approval_roster import asked_of, counting_votes, named_as, seats_of, tenant_of
from .approval_rows import VOTES, add_entry, add_vote, approval_of, entries_of, load_approval, spoken_in
from .approval_states import ApprovalEvent, ApprovalState
from .approval_tables import approval_entries, approvals
from .database import Database
from .organisation_tables import members
from .pending import pending_table
from .person_conversations import RequestChanged
from .person_records import AuditRecord, NotWaiting
from .person_tables import person_requests
from .person_tokens import add_audit

__all__ = ["MAX_COMMENTS", "SQLApprovals", "Standing"]

_MOST_LISTED = 200
MAX_COMMENTS = 20
_OVER = "This request is not waiting for a decision any more."


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where an approval stands: who can still be heard at its step, and everything that happened."""

    approval: Approval
    subject: str
    """The display name of the person whose agent asks."""
    asked: tuple[Seat, ...]
    agreed: int
    """How many yes count at this step."""
    entries: tuple[ApprovalEntry, ...]
    waiting: int
    """Requests of the agent that wait for it just now."""


class SQLApprovals:
    """The part of a person server's store that is about approvers."""

    database: Database

    # ------------------------------------------------------------------ for the requests

    async def approval_for(self, key: str, *, now: float) -> Approval | None:
        """The approval that answers for such a request now: one that waits, or one whose decision still holds."""
        async with self.database.transaction() as connection:
            return await find_approval(connection, key, now=now)

    async def approval(self, id_: str) -> Approval:
        """One approval. Raises `NotFound`."""
        async with self.database.transaction() as connection:
            return await load_approval(connection, id_)

    async def look_at_approval(self, id_: str, because: BecauseOf, course: Course | None, *, now: float) -> Approval:
        """Do what deadlines, and the policy as it is now, lead to; `course` is `None` when that refuses.

        Raises `NotFound`.
        """
        async with self.database.transaction() as connection:
            seen = await load_approval(connection, id_)
            if not seen.waiting or (seen.due_at > now and seen.course == course):
                return seen
            return await reconsider(connection, await lock(connection, seen), because, course, now=now)

    async def withdraw_approval(self, id_: str, *, now: float) -> None:
        """The agent withdrew a request: what nobody else waits for is not decided any more."""
        async with self.database.transaction() as connection:
            approval = await lock(connection, await load_approval(connection, id_))
            if approval.waiting and await _waiting_requests(connection, id_) == 0:
                await finish(connection, approval, ApprovalEvent.WITHDRAW, now=now)

    async def withdraw_approval_of(self, digest: str, *, now: float) -> None:
        """The agent withdrew this request; nothing happens where it needed nobody's approval."""
        query = select(person_requests.c.approval).where(person_requests.c.digest == digest)
        async with self.database.transaction() as connection:
            id_ = await connection.scalar(query)
        if id_ is not None:
            await self.withdraw_approval(id_, now=now)

    async def take_back_approval(self, id_: str, *, person_id: str, origin: Origin, now: float) -> None:
        """The person whose agent asks takes it back: nobody is asked any more, and what waits for it is declined.

        Raises `NotFound` for somebody else's, or `NotWaiting`.
        """
        async with self.database.transaction() as connection:
            seen = await load_approval(connection, id_)
            if seen.person_id != person_id:
                raise NotFound("There is no such approval.")
            approval = await lock(connection, seen)
            if not approval.waiting:
                raise NotWaiting(_OVER)
            await finish(connection, approval, ApprovalEvent.WITHDRAW, now=now, by=person_id, origin=origin)

    async def waiting_approvals(
        self, *, due_by: float | None = None, after: str = "", limit: int = 200
    ) -> list[Approval]:
        """What waits for approvers, by id from `after` on; with `due_by` only what is past a deadline then."""
        query = (
            select(approvals)
            .where(approvals.c.state == str(ApprovalState.WAITING), approvals.c.id > after)
            .order_by(approvals.c.id)
            .limit(limit)
        )
        if due_by is not None:
            query = query.where(approvals.c.due_at <= due_by)
        async with self.database.transaction() as connection:
            return [approval_of(row) for row in await connection.execute(query)]

    async def known_as(self, person_id: str) -> tuple[str | None, str | None]:
        """Organisation and username of a person, as a policy names them."""
        query = select(account_table.c.username).where(account_table.c.person_id == person_id)
        async with self.database.transaction() as connection:
            return await tenant_of(connection, person_id), await connection.scalar(query)

    async def names_of(self, people: Collection[str]) -> dict[str, str]:
        """Display names of accounts, by person."""
        columns = (account_table.c.person_id, account_table.c.display_name)
        async with self.database.transaction() as connection:
            rows = await connection.execute(select(*columns).where(account_table.c.person_id.in_(people)))
            return {row.person_id: row.display_name for row in rows}

    async def note(self, record: AuditRecord) -> None:
        """Put something into the log that changes nothing else."""
        async with self.database.transaction() as connection:
            await add_audit(connection, record)

    # ------------------------------------------------------------------ for approvers

    async def overdue_approvals(self, person_id: str, *, now: float) -> list[Approval]:
        """What waits in this person's organisation and is past a deadline, to be looked at before it is listed."""
        async with self.database.transaction() as connection:
            return await _of_organisation(connection, await tenant_of(connection, person_id), due_by=now)

    async def approvals_to_decide(self, person_id: str, *, now: float) -> list[Approval]:
        """What this person is asked to decide, what ends first first."""
        async with self.database.transaction() as connection:
            found = []
            names, groups = await named_as(connection, person_id, now=now)
            for approval in await _of_organisation(connection, await tenant_of(connection, person_id)):
                named = names.intersection(approval.step.people) or groups.intersection(approval.step.groups)
                if named and await _seat(connection, approval, person_id, now=now):
                    found.append(approval)
            return found

    async def approvals_decided(self, person_id: str, *, limit: int = 50) -> list[Approval]:
        """What this person decided, the last first."""
        entries = approval_entries.c
        mine = (
            select(entries.approval, func.max(entries.at).label("at"))
            .where(entries.person_id == person_id, entries.kind.in_(VOTES))
            .group_by(entries.approval)
            .subquery()
        )
        query = select(approvals).join(mine, mine.c.approval == approvals.c.id).order_by(mine.c.at.desc()).limit(limit)
        async with self.database.transaction() as connection:
            return [approval_of(row) for row in await connection.execute(query)]

    async def approvals_of(self, person_id: str, *, limit: int = 50) -> list[Approval]:
        """What waits for others, of the agents of this person; the last first."""
        query = (
            select(approvals)
            .where(approvals.c.person_id == person_id, approvals.c.state == str(ApprovalState.WAITING))
            .order_by(approvals.c.created_at.desc())
            .limit(limit)
        )
        async with self.database.transaction() as connection:
            return [approval_of(row) for row in await connection.execute(query)]

    async def approval_standing(self, id_: str, *, person_id: str, now: float) -> tuple[Standing, str]:
        """Where it stands, for whoever may see it, and in whose place this person may decide (empty: in nobody's).

        That is the person whose agent asks, who is asked now or was at its end, and who has had a say in it. Raises
        `NotFound`.
        """
        async with self.database.transaction() as connection:
            approval = await load_approval(connection, id_)
            seat = await _seat(connection, approval, person_id, now=now) if approval.waiting else ""
            seats = await seats_of(connection, approval.tenant, approval.step, now=now)
            # Who comes too late sees how it ended.
            was_asked = not approval.waiting and any(person_id in (each.person_id, each.delegate) for each in seats)
            if not seat and not was_asked and not await _may_see(connection, approval, person_id):
                raise NotFound("There is no such approval.")
            counting = await counting_votes(connection, approval, seats)
            return (
                Standing(
                    approval=approval,
                    subject=await _name_of(connection, approval.person_id),
                    asked=tuple(await asked_of(connection, approval, now=now)) if approval.waiting else (),
                    agreed=len(counting),
                    entries=tuple(await entries_of(connection, approval, counting=counting)),
                    waiting=await _waiting_requests(connection, id_),
                ),
                seat,
            )

    async def vote(self, id_: str, ballot: Ballot, *, now: float) -> Approval:
        """One approver decides. A no ends it; a yes may complete a step, or all of it.

        Raises `NotFound`, `NotApprover`, `DecidedAlready`, `NotWaiting`, or `RequestChanged` when it was begun anew
        since the page was shown. What deadlines and the policy lead to is kept also then.
        """
        failure: AAuthError | None = None
        async with self.database.transaction() as connection:
            seen = await load_approval(connection, id_)
            await _lock_membership(connection, ballot.person_id)
            approval = await reconsider(
                connection, await lock(connection, seen), ballot.because, ballot.course, now=now
            )
            if not approval.waiting:
                failure = NotWaiting(_OVER)
            elif approval.round != ballot.round:
                failure = RequestChanged("The policy has changed since the page was shown.")
            else:
                failure = await _cast(connection, approval, ballot, now=now)
                if failure is None and ballot.yes:
                    approval = await move_on(connection, approval, now=now)
                elif failure is None:
                    approval = await finish(connection, approval, ApprovalEvent.DENY, now=now, reason=ballot.comment)
        if failure is not None:
            raise failure
        return approval

    async def comment(self, id_: str, text: str, *, person_id: str, origin: Origin, now: float) -> None:
        """Say something about it without deciding. Raises `NotFound`, `NotWaiting` or `TooManyComments`."""
        async with self.database.transaction() as connection:
            seen = await load_approval(connection, id_)
            await _lock_membership(connection, person_id)
            approval = await lock(connection, seen)
            if not approval.waiting:
                raise NotWaiting(_OVER)
            seat = await _seat(connection, approval, person_id, now=now)
            if not seat and not await _may_see(connection, approval, person_id):
                raise NotFound("There is no such approval.")
            said = select(func.count()).where(
                approval_entries.c.approval == id_,
                approval_entries.c.person_id == person_id,
                approval_entries.c.kind == "comment",
            )
            if (await connection.scalar(said) or 0) >= MAX_COMMENTS:
                raise TooManyComments(f"At most {MAX_COMMENTS} comments of yours are kept about one request.")
            await add_entry(connection, approval, "comment", at=now, by=person_id, text=text, origin=origin)


# ---------------------------------------------------------------------- inside


async def _cast(connection: AsyncConnection, approval: Approval, ballot: Ballot, *, now: float) -> AAuthError | None:
    """Keep a decision, or return why it does not count."""
    voter = ballot.person_id
    seat = await _seat(connection, approval, voter, now=now)
    if not seat:
        if voter in await spoken_in(connection, approval):
            return DecidedAlready("You have decided already, or somebody has in your place.")
        if await _may_see(connection, approval, voter):
            return NotApprover("It is not for you to decide.")
        return NotFound("There is no such approval.")
    cast = await add_vote(
        connection,
        approval,
        VOTES[0] if ballot.yes else VOTES[1],
        at=now,
        by=voter,
        seat=seat,
        text=ballot.comment,
        origin=ballot.origin,
        version=ballot.because.version,
    )
    if not cast:
        return DecidedAlready("You have decided already, or somebody has in your place.")
    await add_audit(
        connection,
        AuditRecord(
            at=now,
            person_id=voter,
            action="approve for another" if ballot.yes else "decline for another",
            agent=approval.agent,
            resource=approval.request.get("resource") or None,
            result=VOTES[0] if ballot.yes else VOTES[1],
            details={
                **ballot.because.details(),
                **ballot.origin.details(),
                "approval": approval.id,
                "for": approval.person_id,
                "seat": seat,
                "round": approval.round,
                "stage": approval.stage,
            },
        ),
    )
    return None


async def _seat(connection: AsyncConnection, approval: Approval, person_id: str, *, now: float) -> str:
    """In whose place this person may decide now; empty: in nobody's. Who is asked belongs to the organisation."""
    return seat_for(
        await asked_of(connection, approval, now=now),
        person_id,
        requester=approval.person_id,
        four_eyes=approval.course.four_eyes,
        spoken=await spoken_in(connection, approval),
    )


async def _may_see(connection: AsyncConnection, approval: Approval, person_id: str) -> bool:
    """The person whose agent asks, and who has had a say in it and still belongs."""
    if person_id == approval.person_id:
        return True
    if await tenant_of(connection, person_id) != approval.tenant:
        return False
    entries = approval_entries.c
    said = select(func.count()).where(
        entries.approval == approval.id, or_(entries.person_id == person_id, entries.seat == person_id)
    )
    return bool(await connection.scalar(said))


async def _of_organisation(
    connection: AsyncConnection, tenant: str | None, *, due_by: float | None = None
) -> list[Approval]:
    """What waits in an organisation, what ends first first; with `due_by` only what ends by then."""
    query = (
        select(approvals)
        .where(approvals.c.state == str(ApprovalState.WAITING), approvals.c.tenant.is_not_distinct_from(tenant))
        .order_by(approvals.c.due_at, approvals.c.id)
        .limit(_MOST_LISTED)
    )
    if due_by is not None:
        query = query.where(approvals.c.due_at <= due_by)
    return [approval_of(row) for row in await connection.execute(query)]


async def _lock_membership(connection: AsyncConnection, person_id: str) -> None:
    """Who is removed from the organisation just now has decided before, or does not decide any more."""
    await connection.execute(select(members.c.tenant).where(members.c.person_id == person_id).with_for_update())


async def _name_of(connection: AsyncConnection, person_id: str) -> str:
    query = select(account_table.c.display_name).where(account_table.c.person_id == person_id)
    return await connection.scalar(query) or ""


async def _waiting_requests(connection: AsyncConnection, id_: str) -> int:
    query = (
        select(func.count())
        .select_from(person_requests.join(pending_table, pending_table.c.digest == person_requests.c.digest))
        .where(person_requests.c.approval == id_, pending_table.c.state.in_([str(state) for state in WAITING]))
    )
    return await connection.scalar(query) or 0
