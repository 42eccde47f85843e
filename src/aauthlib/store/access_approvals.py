"""What people of an access server decide about, in a database (#approval-pending).

A part of `SQLAccessStore`. A decision and its entries in the logs are one transaction; that nobody decides twice is a
constraint of the database and not a look beforehand. An approval outlives the request that needed it, whose tokens live
an hour at most: the same request made anew finds it.
"""

from __future__ import annotations

from sqlalchemy import select

from ..deferred.machine import WAITING
from ..errors import AAuthError, Gone
from .access_approval_records import (
    AccessApproval,
    AccessBallot,
    AccessOpening,
    AccessStanding,
    ApprovalChanged,
    OwnRequest,
    is_named,
    may_give,
)
from .access_approval_rows import access_approval_of, access_entries, add_access_vote, load_access_approval
from .access_approval_tables import access_approvals
from .access_approving import (
    approval_of,
    can_speak,
    counting,
    finish,
    leave,
    move_on,
    restart,
    seats,
    settle,
    spoken,
    waiting_for,
)
from .access_log import add_log
from .access_people import all_people, person_here
from .access_tables import exchanges
from .approval_records import DecidedAlready, NotApprover
from .approval_states import ApprovalEvent, ApprovalState
from .database import Database
from .pending import pending_table

__all__ = ["SQLAccessApprovals"]

_MOST_LISTED = 200
_OVER = "This request was decided or withdrawn already."
_CHANGED = "The policy has changed since the page was shown. Look at what it wants now."


class SQLAccessApprovals:
    """The part of an access server's store that is about approvers."""

    database: Database

    async def standing_approval(self, key: str, *, now: float) -> AccessApproval | None:
        """The approval that answers for such a request now: one that was given or refused and still holds."""
        columns = access_approvals.c
        query = (
            select(access_approvals)
            .where(columns.key == key, columns.valid_until > now)
            .order_by(columns.decided_at.desc())
            .limit(1)
        )
        async with self.database.transaction() as connection:
            row = (await connection.execute(query)).one_or_none()
        found = access_approval_of(row) if row is not None else None
        decided = (ApprovalState.APPROVED, ApprovalState.DENIED)
        return found if found is not None and found.state in decided else None

    async def look_at_approval(self, id_: str, *, now: float) -> AccessApproval:
        """The approval, once what deadlines led to was done. Raises `NotFound`."""
        async with self.database.transaction() as connection:
            seen = await load_access_approval(connection, id_)
            if not seen.waiting or seen.due_at > now:
                return seen
            return await settle(connection, await load_access_approval(connection, id_, lock=True), now=now)

    async def approval_standing(self, id_: str, *, now: float) -> AccessStanding:
        """Where it stands. Raises `NotFound`."""
        approval = await self.look_at_approval(id_, now=now)
        async with self.database.transaction() as connection:
            entries, people = await access_entries(connection, id_), await all_people(connection)
            silent = spoken(approval, entries)
            named = seats(person for person in people if is_named(person, approval.step))
            asked = {seat.person_id for seat in can_speak(approval, named, silent)}
            return AccessStanding(
                approval=approval,
                asked=tuple(person for person in people if person.person_id in asked) if approval.waiting else (),
                agreed=tuple(entry.name for entry in counting(approval, entries, people)),
                spoken=silent,
                entries=tuple(entries),
                waiting=await waiting_for(connection, id_),
            )

    async def approvals_waiting(self, *, now: float) -> list[AccessApproval]:
        """What waits, what ends first first; deadlines that have passed are seen to before."""
        columns = access_approvals.c
        query = (
            select(access_approvals)
            .where(columns.state == str(ApprovalState.WAITING))
            .order_by(columns.due_at, columns.id)
            .limit(_MOST_LISTED)
        )
        async with self.database.transaction() as connection:
            found = [access_approval_of(row) for row in await connection.execute(query)]
        seen = [
            approval if approval.due_at > now else await self.look_at_approval(approval.id, now=now)
            for approval in found
        ]
        return [approval for approval in seen if approval.waiting]

    async def approvals_overdue(self, *, now: float) -> list[str]:
        """Which approvals are past a deadline that nobody has looked at."""
        columns = access_approvals.c
        query = (
            select(columns.id)
            .where(columns.state == str(ApprovalState.WAITING), columns.due_at <= now)
            .order_by(columns.due_at)
            .limit(_MOST_LISTED)
        )
        async with self.database.transaction() as connection:
            return [row.id for row in await connection.execute(query)]

    async def vote(self, id_: str, ballot: AccessBallot, *, now: float) -> AccessApproval:
        """One approver decides. A no ends it; a yes may complete a step, or all of it.

        Raises `NotFound`, `Gone`, `NotApprover`, `OwnRequest`, `DecidedAlready`, or `ApprovalChanged` when it was begun
        anew since the page was shown. What deadlines and the policy lead to is kept also then.
        """
        failure: AAuthError | None = None
        async with self.database.transaction() as connection:
            voter = None
            if ballot.person_id is not None:
                # Whose role is taken away just now has decided before, or does not decide any more.
                voter = await person_here(connection, ballot.person_id, lock=True)
            approval = await settle(connection, await load_access_approval(connection, id_, lock=True), now=now)
            if not approval.waiting:
                failure = Gone(_OVER)
            elif ballot.approvers is None:
                approval = await finish(connection, approval, ApprovalEvent.WITHDRAW, now=now)
                failure = ApprovalChanged(_CHANGED)
            else:
                before = approval.round
                approval = await restart(connection, approval, _demanded(approval, ballot), now=now)
                if approval.round != before or ballot.round not in (None, approval.round):
                    failure = ApprovalChanged(_CHANGED)
                elif ballot.person_id is not None and (voter is None or not may_give(voter, approval.step)):
                    failure = NotApprover("This approval is for somebody else to give.")
                elif ballot.yes and _is_own(approval, ballot):
                    failure = OwnRequest("Somebody else has to approve what is asked for yourself.")
                elif not await add_access_vote(connection, approval, ballot, at=now):
                    failure = DecidedAlready("You have decided about this request already.")
                elif ballot.yes:
                    await add_log(connection, [ballot.record])
                    approval = await move_on(connection, approval, now=now)
                else:
                    await add_log(connection, [ballot.record])
                    approval = await finish(
                        connection, approval, ApprovalEvent.DENY, now=now, by=ballot.name, reason=ballot.reason
                    )
        if failure is not None:
            raise failure
        return approval

    async def leave_approval(self, digest: str, *, now: float) -> None:
        """A request was withdrawn: what nobody else waits for is not decided any more."""
        async with self.database.transaction() as connection:
            await leave(connection, await approval_of(connection, digest), now=now)

    async def requests_waiting_for(self, id_: str) -> list[str]:
        """The digests of the requests that wait for an approval, the oldest first."""
        query = (
            select(pending_table.c.digest)
            .join(exchanges, exchanges.c.digest == pending_table.c.digest)
            .where(exchanges.c.approval == id_, pending_table.c.state.in_([str(state) for state in WAITING]))
            .order_by(pending_table.c.created_at, pending_table.c.digest)
        )
        async with self.database.transaction() as connection:
            return [row.digest for row in await connection.execute(query)]


def _demanded(approval: AccessApproval, ballot: AccessBallot) -> AccessOpening:
    """What the policy demands now, of the same request."""
    assert ballot.approvers is not None
    return AccessOpening(
        id=approval.id,
        key=approval.key,
        ps=approval.ps,
        resource=approval.resource,
        sub=approval.sub,
        tenant_key=None,
        subject=approval.subject,
        shown=approval.shown,
        approvers=ballot.approvers,
        version=ballot.version,
        rule=ballot.rule,
    )


def _is_own(approval: AccessApproval, ballot: AccessBallot) -> bool:
    return approval.approvers.four_eyes and ballot.person_id is not None and ballot.person_id == approval.subject
