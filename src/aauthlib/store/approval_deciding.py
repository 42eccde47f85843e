"""One step each of an approval, inside the caller's transaction (#approval-pending).

Locks are taken in one order: membership, the agent's binding, the request, the approval. Whoever opens an approval and
whoever decides it both lock the binding first, so that a request either is there when the approval ends, and ends with
it, or finds how it ended.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.machine import WAITING, Event
from ..errors import RateLimited
from ..messages.requirement import APPROVAL
from ..policies.approvers import Place, Seat, complete, passed
from .approval_records import AgreedTo, Approval, BecauseOf, Course, Opening, Origin
from .approval_roster import asked_of, counting_votes, seats_of
from .approval_rows import add_entry, agreed_text, course_text, insert_approval, load_approval
from .approval_states import ApprovalEvent, ApprovalState, after
from .approval_tables import approvals
from .notifications import announce
from .pending import advance, load, pending_table, touch
from .person_deciding import decision_entry, remember, request_of
from .person_mission_log import add_entry as add_to_mission
from .person_records import NAMING, AuditRecord, Decision
from .person_tables import person_requests
from .person_tokens import add_audit, binding_of

__all__ = [
    "drop_decided",
    "find",
    "finish",
    "join_approval",
    "lock",
    "lock_approval_of",
    "move_on",
    "reconsider",
    "settle",
    "withdraw_all",
]

#: Approvals that one agent may have open for one person, whether or not it still asks.
MAX_OPEN = 20
#: How long a refusal holds for the same request made anew, in seconds: nobody is asked the same again at once.
REFUSED_FOR_S = 900.0
#: How long one that is over is kept, in seconds. The audit log is kept longer.
_KEPT_S = 90 * 86_400.0
_WAITING = [str(state) for state in WAITING]
_REFUSED = "An approver declined the request."
_EXPIRED = "Nobody approved the request in time."

#: How an approval that is over ends the requests that wait for it.
_ENDS = {
    ApprovalState.DENIED: (Event.DENY, _REFUSED, "refused"),
    ApprovalState.EXPIRED: (Event.EXPIRE, _EXPIRED, "expired"),
    ApprovalState.WITHDRAWN: (Event.DENY, "The request was taken back.", "withdrawn"),
}


async def lock(connection: AsyncConnection, approval: Approval) -> Approval:
    """Lock what deciding it touches, and read it anew."""
    await binding_of(connection, approval.root or approval.agent, lock=True)
    await connection.execute(_waiting(approval.id).with_for_update(of=pending_table))
    return await load_approval(connection, approval.id, lock=True)


async def lock_approval_of(connection: AsyncConnection, digest: str) -> Approval | None:
    """The approval a request waits for, with what deciding it touches locked; `None` for a request that needs none."""
    query = select(person_requests.c.approval).where(person_requests.c.digest == digest)
    id_ = await connection.scalar(query)
    return await lock(connection, await load_approval(connection, id_)) if id_ is not None else None


async def drop_decided(connection: AsyncConnection, *, now: float, limit: int) -> int:
    """Drop approvals that ended long ago, or whose time was over long ago with nobody looking. Returns how many."""
    before = now - _KEPT_S
    over = or_(approvals.c.decided_at < before, and_(approvals.c.decided_at.is_(None), approvals.c.due_at < before))
    still_holds = func.coalesce(approvals.c.valid_until, 0.0) > now
    query = select(approvals.c.id).where(over, ~still_holds).limit(limit)
    ids = [row.id for row in await connection.execute(query)]
    await connection.execute(delete(approvals).where(approvals.c.id.in_(ids)))
    return len(ids)


def _waiting(id_: str) -> Select[tuple[str]]:
    """The requests that wait for it, the oldest first."""
    return (
        select(pending_table.c.digest)
        .join(person_requests, person_requests.c.digest == pending_table.c.digest)
        .where(person_requests.c.approval == id_, pending_table.c.state.in_(_WAITING))
        .order_by(pending_table.c.created_at, pending_table.c.digest)
    )


async def find(connection: AsyncConnection, key: str, *, now: float) -> Approval | None:
    """The approval that answers for a request now: the one that waits, or the last that was decided and still holds."""
    open_first = approvals.c.open_key.is_(None)
    query = (
        select(approvals.c.id)
        .where(approvals.c.key == key, (approvals.c.open_key == key) | (approvals.c.valid_until > now))
        .order_by(open_first, approvals.c.decided_at.desc())
        .limit(1)
    )
    id_ = await connection.scalar(query)
    return await load_approval(connection, id_) if id_ is not None else None


async def _open_or_join(connection: AsyncConnection, opening: Opening, *, now: float) -> Approval:
    """The approval a request needs, its row locked: the one there is, or a new one, whose approvers are told.

    The agent's binding is locked. Raises `RateLimited`.
    """
    found = await find(connection, opening.key, now=now)
    if found is not None:
        approval = await lock(connection, found)
        if approval.waiting and approval.agreed is None and opening.agreed is not None:
            approval = await _agree(connection, approval, opening.agreed)
        approval = await reconsider(connection, approval, opening.because, opening.course, now=now)
        if approval.waiting or approval.state in (ApprovalState.APPROVED, ApprovalState.DENIED):
            return approval
        # Its time was over, which nobody had looked at.
        return await _open_or_join(connection, opening, now=now)
    waiting = select(func.count()).where(
        approvals.c.state == str(ApprovalState.WAITING),
        approvals.c.person_id == opening.person_id,
        approvals.c.agent_iss == opening.agent[0],
        approvals.c.agent_sub == opening.agent[1],
    )
    if (await connection.scalar(waiting) or 0) >= MAX_OPEN:
        raise RateLimited("Too many requests of this agent wait for approvers already.", retry_after_s=600)
    if not await insert_approval(connection, opening, now=now):
        # Another request for the same was faster; only down a chain, where no binding is there to wait at.
        return await _open_or_join(connection, opening, now=now)
    approval = await load_approval(connection, opening.id, lock=True)
    await add_entry(connection, approval, "opened", at=now)
    if opening.agreed is not None:
        await add_entry(connection, approval, "agreed", at=opening.agreed.at, by=opening.person_id)
    await _tell(connection, approval, now=now)
    return approval


async def _agree(connection: AsyncConnection, approval: Approval, agreed: AgreedTo) -> Approval:
    await connection.execute(update(approvals).where(approvals.c.id == approval.id).values(agreed=agreed_text(agreed)))
    await add_entry(connection, approval, "agreed", at=agreed.at, by=approval.person_id)
    return await load_approval(connection, approval.id)


async def join_approval(connection: AsyncConnection, digest: str, opening: Opening, *, now: float) -> Approval:
    """The request waits for its approval from now on, or ends as that was decided already.

    The agent's binding and the request are locked. Raises `RateLimited`.
    """
    approval = await _open_or_join(connection, opening, now=now)
    await connection.execute(
        update(person_requests).where(person_requests.c.digest == digest).values(approval=approval.id)
    )
    pending = await load(connection, digest, lock=True)
    await touch(connection, pending, requirement=APPROVAL, expires_at=max(pending.expires_at, opening.waits_until))
    if not approval.waiting:
        await _end_request(connection, digest, approval, now=now)
    return approval


async def settle(connection: AsyncConnection, approval: Approval, *, now: float) -> Approval:
    """Do what the deadlines that have passed lead to. Returns it as it stands."""
    if not approval.waiting:
        return approval
    place = Place(approval.stage, approval.depth, approval.step_since)
    for at, led_to in passed(approval.course, place, now=now):
        if led_to is None:
            return await finish(connection, approval, ApprovalEvent.TIME_OUT, now=at)
        approval = await _go_to(connection, approval, led_to)
        await add_entry(connection, approval, "escalated", at=at)
    if approval.depth > place.depth:
        await _tell(connection, approval, now=now)
    return approval


async def reconsider(
    connection: AsyncConnection, approval: Approval, because: BecauseOf, course: Course | None, *, now: float
) -> Approval:
    """Settle it, then hold it to what the policy demands now; `None` is a refusal.

    Where that is something else than what it was begun for, it begins anew: what was decided under the policy before
    is kept, and does not count. Returns it as it stands.
    """
    approval = await settle(connection, approval, now=now)
    if not approval.waiting or course == approval.course:
        return approval
    if course is None:
        return await finish(
            connection, approval, ApprovalEvent.DENY, now=now, because=because, text="The policy refuses it now."
        )
    if not course.steps and (approval.agreed is not None or not course.ask_person):
        return await finish(connection, approval, ApprovalEvent.APPROVE, now=now, because=because)
    if course.ask_person and approval.agreed is None:
        # It is the person's to decide first: the requests wait for them, as if they had just come.
        for row in (await connection.execute(_waiting(approval.id))).all():
            await connection.execute(
                update(person_requests).where(person_requests.c.digest == row.digest).values(approval=None)
            )
            await announce(connection, approval.person_id, row.digest, now=now)
        return await finish(connection, approval, ApprovalEvent.WITHDRAW, now=now, because=because)
    await connection.execute(
        update(approvals)
        .where(approvals.c.id == approval.id)
        .values(course=course_text(course), version=because.version, rule=because.rule, round=approval.round + 1)
    )
    approval = await load_approval(connection, approval.id)
    approval = await _go_to(connection, approval, Place(0, 0, now))
    await add_entry(connection, approval, "restarted", at=now)
    await _tell(connection, approval, now=now)
    return approval


async def move_on(connection: AsyncConnection, approval: Approval, *, now: float) -> Approval:
    """Whether the yes that was just given completes the step, or all of it."""
    seats = await seats_of(connection, approval.tenant, approval.step, now=now)
    if not complete(approval.step, await counting_votes(connection, approval, seats)):
        return approval
    if approval.stage + 1 == len(approval.course.steps):
        return await finish(connection, approval, ApprovalEvent.APPROVE, now=now)
    approval = await _go_to(connection, approval, Place(approval.stage + 1, 0, now))
    await add_entry(connection, approval, "stage", at=now)
    await _tell(connection, approval, now=now)
    return approval


async def _go_to(connection: AsyncConnection, approval: Approval, place: Place) -> Approval:
    due_at = place.since + approval.course.step(place.stage, place.depth).deadline_s
    await connection.execute(
        update(approvals)
        .where(approvals.c.id == approval.id)
        .values(stage=place.stage, depth=place.depth, step_since=place.since, due_at=due_at)
    )
    return await load_approval(connection, approval.id)


async def _tell(connection: AsyncConnection, approval: Approval, *, now: float) -> None:
    """Put into the outbox, for everybody who is asked at this step, that it waits for them."""
    for seat in await asked_of(connection, approval, now=now):
        person_id = teller(seat)
        if not (approval.course.four_eyes and person_id == approval.person_id):
            await announce(connection, person_id, approval.id, now=now)


def teller(seat: Seat) -> str:
    """Who is told for a seat: while its owner is away, whoever decides in their place."""
    return seat.delegate or seat.person_id


# ---------------------------------------------------------------------- its end


async def finish(
    connection: AsyncConnection,
    approval: Approval,
    event: ApprovalEvent,
    *,
    now: float,
    because: BecauseOf | None = None,
    text: str = "",
    reason: str = "",
    by: str | None = None,
    origin: Origin | None = None,
) -> Approval:
    """End it, and with it the requests that wait for it, with their log.

    `text` is why, for everybody; `reason` is the approver's own, which stands with their decision already, for the
    agent. `by` is the person who ended it, where that is no decision of an approver's.
    """
    state, because = after(approval.state, event), because or approval.because
    given = state is ApprovalState.APPROVED
    holds_s = approval.course.valid_for_s if given else REFUSED_FOR_S if state is ApprovalState.DENIED else 0.0
    await connection.execute(
        update(approvals)
        .where(approvals.c.id == approval.id)
        .values(state=str(state), open_key=None, decided_at=now, valid_until=now + holds_s)
    )
    approval = await load_approval(connection, approval.id)
    await add_entry(
        connection,
        approval,
        "granted" if given else _ENDS[state][2],
        at=now,
        by=by,
        text=text,
        origin=origin,
        version=because.version,
    )
    digests = [row.digest for row in await connection.execute(_waiting(approval.id))]
    for digest in digests:
        await _end_request(connection, digest, approval, now=now, text=text or reason)
    if given and approval.agreed is not None and approval.agreed.remember:
        decision = _decision(approval)
        for scope in _remembered(approval):
            await remember(connection, decision, scope, now)
    await add_audit(
        connection,
        AuditRecord(
            at=now,
            person_id=approval.person_id,
            action="approval",
            agent=approval.agent,
            resource=approval.request.get("resource") or None,
            result=str(state),
            details={
                **because.details(),
                **(origin or Origin()).details(),
                "approval": approval.id,
                "scopes": _scopes(approval),
                "account": approval.request.get("account"),
                "requests": len(digests),
            },
        ),
    )
    return approval


async def withdraw_all(connection: AsyncConnection, where: ColumnElement[bool], *, now: float) -> None:
    """Take back every approval that waits or holds: what it was given for is gone. Bindings are locked."""
    holds = or_(
        approvals.c.state == str(ApprovalState.WAITING),
        and_(approvals.c.state == str(ApprovalState.APPROVED), approvals.c.valid_until > now),
    )
    query = select(approvals.c.id).where(where, holds).order_by(approvals.c.id).with_for_update()
    for row in (await connection.execute(query)).all():
        approval = await load_approval(connection, row.id)
        await finish(connection, approval, ApprovalEvent.WITHDRAW, now=now)


async def _end_request(
    connection: AsyncConnection, digest: str, approval: Approval, *, now: float, text: str = ""
) -> None:
    """End one request as its approval ended. Both rows are locked."""
    request = await request_of(connection, digest)
    scopes = _scopes(approval)
    if approval.state is ApprovalState.APPROVED:
        event, detail, result = Event.GRANT, "", "granted"
        decision: dict[str, object] = {
            "granted_by": approval.person_id,
            "scopes": scopes,
            "granted_at": now,
            **approval.because.details(),
        }
        if request.pending.kind == "permission":
            decision["permission"] = "granted"
        if request.pending.request.get("access_server"):
            # By now the person has left the page: an access server that wants them finds them through the agent.
            decision["remembered"] = True
    elif request.pending.kind == "permission" and approval.state is ApprovalState.DENIED:
        # A permission that is denied is an answer, too (#permission-response).
        event, detail, result = Event.GRANT, "", "denied"
        decision = {"granted_by": approval.person_id, "scopes": [], "granted_at": now, "permission": "denied"}
        decision |= {"reason": text or _REFUSED, **approval.because.details()}
    else:
        event, detail, result = _ENDS[approval.state]
        detail = text or detail
        decision = {"event": str(event), **approval.because.details()}
    await advance(connection, digest, event, detail=detail, decision=decision)
    mission = request.pending.request.get("mission_s256")
    if mission is not None:
        entry = decision_entry(request, result, now, scopes=scopes, actor="server")
        await add_to_mission(connection, mission, entry)


def _scopes(approval: Approval) -> list[str]:
    """What was agreed to: scope values, or the naming of the person."""
    request = approval.request
    return [NAMING] if request["kind"] == "person_token" else list(request.get("scope", ()))


def _remembered(approval: Approval) -> list[str]:
    """What needs no yes of the person's again: of a permission in a mission, the action."""
    if approval.request["kind"] != "permission":
        return _scopes(approval)
    return [approval.request["permission"]["action"]] if approval.request.get("mission_s256") else []


def _decision(approval: Approval) -> Decision:
    return Decision(
        person_id=approval.person_id,
        agent=approval.agent,
        resource=approval.request.get("resource", ""),
        scopes=_scopes(approval),
        account=approval.request.get("account"),
        root=approval.root,
        mission=approval.request.get("mission_s256"),
    )
