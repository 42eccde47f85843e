"""The person server's store: pending requests with the person's side of them, and what deciding one causes.

Implements `person.storage.PersonStore` on SQLAlchemy Core, with `SQLBindings` and `SQLIssuedTokens`. A decision, the
binding it makes, the consents it is remembered by and its audit entry are one transaction (#agent-person-binding).
Where both are locked, the agent's binding is locked before the request.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import and_, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.machine import WAITING, Event, State
from ..deferred.pending import Pending
from ..errors import AAuthError, Expired, InvalidCode, NotFound, Revoked
from ..messages.requirement import APPROVAL, INTERACTION
from .absences import SQLAbsences
from .approval_deciding import drop_decided, finish, join_approval, lock_approval_of
from .approval_records import Opening
from .approval_states import ApprovalEvent
from .database import to_json
from .notifications import SQLNotifications, announce
from .pending import (
    KEPT_AFTER_END_S,
    SQLPendingStore,
    advance,
    expired,
    insert_pending,
    load,
    pending_table,
    take_code,
    touch,
)
from .person_approvals import SQLApprovals
from .person_audit import SQLAudit
from .person_bindings import SQLBindings
from .person_conversations import RequestChanged, SQLConversations, turns, version_of
from .person_deciding import (
    TIMED_OUT,
    bind,
    check_waiting,
    consume,
    decision_entry,
    end,
    expire,
    lock_owner,
    may_decide,
    remember,
    request_entry,
    request_of,
    visible,
)
from .person_federations import SQLFederations, record_federated
from .person_leaving import SQLLeaving
from .person_mission_ending import drop_ended, end_expired
from .person_mission_log import active_mission, add_entry
from .person_mission_records import MissionDelivery
from .person_missions import SQLMissions
from .person_questions import SQLServerQuestions
from .person_records import (
    REVOCATION,
    AgentId,
    AgentOfAnotherPerson,
    AuditRecord,
    Decision,
    FederatedToken,
    IssuedToken,
    PersonRequest,
)
from .person_relays import SQLRelays
from .person_revoking import SQLRevocations
from .person_tables import (
    audit_log,
    federated_tokens,
    federations,
    issued_tokens,
    person_requests,
    presentations,
    revocations,
    seen_agent_tokens,
    untold,
)
from .person_tokens import SQLIssuedTokens, add_audit, binding_of, record_token
from .rows import key_of, token_key

__all__ = ["SQLPersonStore"]

_WAITING = [str(state) for state in WAITING]
_OPEN = [*_WAITING, str(State.GRANTED)]
#: Clock skew granted to others before a token's record is dropped; in seconds.
_SKEW_S = 60.0
#: As many as an agent may have open.
_MOST_GRANTED = 20
_AUDIT_KEPT_S = 400 * 86_400.0


class SQLPersonStore(
    SQLRelays,
    SQLLeaving,
    SQLApprovals,
    SQLAbsences,
    SQLNotifications,
    SQLMissions,
    SQLBindings,
    SQLAudit,
    SQLConversations,
    SQLIssuedTokens,
    SQLRevocations,
    SQLFederations,
    SQLServerQuestions,
    SQLPendingStore,
):
    """Everything a person server keeps."""

    # ------------------------------------------------------------------ PendingStore

    async def create_pending(self, pending: Pending, *, opening: Opening | None = None) -> None:
        """Keep a new request; with `opening` it waits for that approval, or ends at once as it was decided.

        Raises `MissionTerminated`, `RateLimited`, or `Revoked` when the agent is not the person's any more.
        """
        if pending.kind == REVOCATION:
            return await super().create_pending(pending)
        request = pending.request
        mission = request.get("mission_s256")
        resource_token, upstream = request.get("resource_jti"), request.get("upstream")
        async with self.database.transaction() as connection:
            if opening is not None:
                binding = await binding_of(connection, opening.root or opening.agent, lock=True)
                if binding is None or binding.person_id != opening.person_id:
                    raise Revoked("The person disconnected the agent.")
            if mission is not None:
                await active_mission(connection, mission, now=pending.created_at)
            await insert_pending(connection, pending)
            await connection.execute(
                insert(person_requests).values(
                    digest=pending.digest,
                    agent_iss=request["agent"]["iss"],
                    agent_sub=request["agent"]["sub"],
                    subagent_sub=request.get("subagent"),
                    resource=request.get("resource", ""),
                    resource_token=token_key(request["resource"], resource_token) if resource_token else None,
                    flow=(request.get("interaction") or {}).get("flow"),
                    resource_done=False,
                    person_id=opening.person_id if opening is not None and upstream is None else None,
                    acting_for=upstream["person_id"] if upstream else None,
                    upstream_key=key_of(upstream["iss"], upstream["jti"]) if upstream else None,
                    mission=mission,
                )
            )
            if mission is not None:
                await add_entry(connection, mission, request_entry(pending), by_agent=True)
            if opening is None:
                await self._announce(connection, pending, upstream["person_id"] if upstream else None)
                return
            await join_approval(connection, pending.digest, opening, now=pending.created_at)

    async def _announce(self, connection: AsyncConnection, pending: Pending, acting_for: str | None) -> None:
        """Tell the person, if it is known whom the request is made for, that it waits for them."""
        if pending.requirement not in (INTERACTION, APPROVAL):
            return
        agent = pending.request["agent"]
        binding = await binding_of(connection, (agent["iss"], agent["sub"])) if acting_for is None else None
        person_id = acting_for or (binding.person_id if binding is not None else None)
        if person_id is not None:
            await announce(connection, person_id, pending.digest, now=pending.created_at)

    async def advance_pending(self, digest: str, event: Event, *, detail: str = "", record: object = None) -> Pending:
        async with self.database.transaction() as connection:
            if isinstance(record, IssuedToken | FederatedToken):
                await binding_of(connection, record.root or record.agent, lock=True)
            elif isinstance(record, MissionDelivery):
                await binding_of(connection, record.agent, lock=True)
            pending = await advance(connection, digest, event, detail=detail)
            if event is Event.DELIVER:
                await self.record_delivery(connection, pending, record)
        return pending

    async def record_delivery(self, connection: AsyncConnection, pending: Pending, record: object) -> None:
        tokens = record.tokens if isinstance(record, MissionDelivery) else (record,)
        for token in tokens:
            if isinstance(token, IssuedToken) and not await record_token(connection, token):
                raise Revoked("The person disconnected the agent.")
        if isinstance(record, FederatedToken) and not await record_federated(connection, record):
            raise Revoked("The person disconnected the agent, or a token the request depends on was revoked.")

    # ------------------------------------------------------------------ the person's side of a request

    async def open_requests(self, agent: AgentId, *, now: float, acting_for: str | None = None) -> tuple[int, int]:
        """How many requests are open, those included that were granted and not fetched: of this agent, and of all
        agents of its provider. `acting_for` counts of the agent's own those down a chain for that person.
        """
        waiting = and_(pending_table.c.state.in_(_OPEN), pending_table.c.expires_at > now)
        query = (
            select(func.count())
            .select_from(person_requests.join(pending_table, pending_table.c.digest == person_requests.c.digest))
            .where(waiting, person_requests.c.agent_iss == agent[0])
        )
        async with self.database.transaction() as connection:
            own = await connection.scalar(
                query.where(
                    person_requests.c.agent_sub == agent[1],
                    person_requests.c.acting_for.is_not_distinct_from(acting_for),
                )
            )
            return own or 0, await connection.scalar(query) or 0

    async def granted_requests(self, agent: AgentId, *, kind: str, now: float) -> list[Pending]:
        """An agent's requests that were granted and whose answer was not fetched, the oldest first."""
        query = (
            select(pending_table.c.digest)
            .join(person_requests, person_requests.c.digest == pending_table.c.digest)
            .where(
                person_requests.c.agent_iss == agent[0],
                person_requests.c.agent_sub == agent[1],
                pending_table.c.kind == kind,
                pending_table.c.state == str(State.GRANTED),
                pending_table.c.expires_at > now,
            )
            .order_by(pending_table.c.created_at)
            .limit(_MOST_GRANTED)
        )
        async with self.database.reading() as connection:
            digests = [row.digest for row in await connection.execute(query)]
            return [(await request_of(connection, digest)).pending for digest in digests]

    async def set_aside(self, digest: str, *, mark: str) -> None:
        """Mark the decision of a granted request; nothing happens to one that was delivered or has ended."""
        async with self.database.transaction() as connection:
            pending = await load(connection, digest, lock=True)
            if pending.state is State.GRANTED and not pending.decision.get(mark):
                await touch(connection, pending, decision=to_json({**pending.decision, mark: True}))

    async def check_code(self, handle: str, code_digest: str, *, now: float, max_attempts: int) -> None:
        """Compare a code without consuming it; a wrong one counts. Raises `InvalidCode` or `Expired`."""
        await self._take(handle, code_digest, now=now, max_attempts=max_attempts)

    async def arrive(
        self, handle: str, code_digest: str, *, person_id: str, callback: str | None, now: float, max_attempts: int
    ) -> PersonRequest:
        """Consume a code for this person, who from now on is the one to decide.

        Raises `InvalidCode`, `Expired`, or `AgentOfAnotherPerson`, which consumes nothing.
        """
        return await self._take(
            handle, code_digest, now=now, max_attempts=max_attempts, person_id=person_id, callback=callback
        )

    async def _take(
        self,
        handle: str,
        code_digest: str,
        *,
        now: float,
        max_attempts: int,
        person_id: str | None = None,
        callback: str | None = None,
    ) -> PersonRequest:
        failure: AAuthError | None = None
        async with self.database.transaction() as connection:
            digest = await connection.scalar(select(pending_table.c.digest).where(pending_table.c.handle == handle))
            if digest is None:
                raise InvalidCode("The code is not recognised.")
            request = await request_of(connection, digest, lock=True)
            timed_out = await expire(connection, request, now=now)
            if timed_out or request.pending.state is State.EXPIRED:
                failure = Expired(TIMED_OUT)
            else:
                binding = await binding_of(connection, request.agent) if request.acting_for is None else None
                bound_to = request.acting_for or (binding.person_id if binding is not None else None)
                foreign = person_id is not None and bound_to is not None and bound_to != person_id
                _, failure = await take_code(
                    connection,
                    handle,
                    code_digest,
                    max_attempts=max_attempts,
                    consume=person_id is not None and not foreign,
                )
                if failure is None and foreign:
                    failure = AgentOfAnotherPerson("This agent is connected to another account at this person server.")
                elif failure is None and person_id is not None:
                    await connection.execute(
                        update(person_requests)
                        .where(person_requests.c.digest == digest)
                        .values(person_id=person_id, callback=callback)
                    )
            request = await request_of(connection, digest)
        if failure is not None:
            raise failure
        return request

    async def request_for(self, digest: str, *, person_id: str, now: float) -> PersonRequest:
        """A request that this person may see: who arrived with its code, or whose agent made it.

        One past its time is expired first. Raises `NotFound`.
        """
        async with self.database.transaction() as connection:
            request = await visible(connection, digest, person_id)
            expired = await expire(connection, request, now=now)
            if expired:
                request = await request_of(connection, digest)
        return request

    async def requests_for(self, person_id: str, *, now: float, limit: int = 50) -> list[PersonRequest]:
        """The open requests this person may decide, the oldest first."""
        query = (
            select(pending_table.c.digest)
            .join(person_requests, person_requests.c.digest == pending_table.c.digest)
            .where(
                pending_table.c.state.in_(_WAITING),
                pending_table.c.expires_at > now,
                person_requests.c.approval.is_(None),
                may_decide(person_id),
            )
            .order_by(pending_table.c.created_at)
            .limit(limit)
        )
        async with self.database.transaction() as connection:
            digests = [row.digest for row in await connection.execute(query)]
            return [await request_of(connection, digest) for digest in digests]

    async def grant(
        self, digest: str, decision: Decision, *, now: float, opening: Opening | None = None
    ) -> PersonRequest:
        """Apply a yes: state, binding, consents and audit in one transaction. Repeating it changes nothing.

        With `opening` others have to agree too: the request waits for that approval, or ends as it was decided.
        Raises `NotFound`, `NotWaiting`, `Expired`, or `AgentOfAnotherPerson`.
        """
        agent, person_id = decision.agent, decision.person_id
        waits = False
        async with self.database.transaction() as connection:
            binding = await binding_of(connection, decision.root or agent, lock=True)
            request = await visible(connection, digest, person_id)
            agreed = request.approval is not None and request.pending.waiting
            if request.pending.decision.get("granted_by") == person_id or agreed:
                return request
            expired = await expire(connection, request, now=now)
            if not expired:
                check_waiting(request)
                if decision.version not in (None, version_of(request.pending.request)):
                    raise RequestChanged("The agent has changed its request.")
                if decision.mission is not None:
                    await active_mission(connection, decision.mission, now=now)
                if decision.root is None:
                    await bind(connection, decision, known=binding is not None, now=now)
                if opening is None:
                    outcome = {"granted_by": person_id, "scopes": list(decision.scopes), "granted_at": now}
                    await end(connection, digest, Event.GRANT, decision={**outcome, **decision.because})
                else:
                    if request.pending.state is State.PENDING:
                        await advance(connection, digest, Event.ARRIVE)
                    waits = (await join_approval(connection, digest, opening, now=now)).waiting
                await consume(connection, digest, person_id)
                # Where others decide after the person, it is remembered once they have.
                if decision.remember and not waits:
                    for scope in decision.scopes:
                        await remember(connection, decision, scope, now)
                await add_audit(
                    connection,
                    AuditRecord(
                        at=now,
                        person_id=person_id,
                        action=f"approve {request.pending.kind}",
                        agent=agent,
                        resource=decision.resource,
                        result="agreed" if waits else "granted",
                        details={
                            **decision.because,
                            "scopes": list(decision.scopes),
                            "account": decision.account,
                            "remember": decision.remember,
                        },
                    ),
                )
                if decision.mission is not None:
                    result = "agreed" if waits else "granted"
                    entry = decision_entry(request, result, now, scopes=decision.scopes)
                    await add_entry(connection, decision.mission, entry)
            request = await request_of(connection, digest)
        if expired:
            raise Expired(TIMED_OUT)
        return request

    async def refuse(
        self,
        digest: str,
        *,
        person_id: str,
        event: Event,
        detail: str,
        now: float,
        because: Mapping[str, str] | None = None,
    ) -> PersonRequest:
        """End a request without a yes: `event` is `DENY`, `ABANDON`, `EXPIRE` or `FAIL`. Repeating changes nothing.

        Of one that others decide about, their deciding ends too. `because` is for the log. Raises `NotFound`,
        `NotWaiting` or `Expired`.
        """
        async with self.database.transaction() as connection:
            await lock_owner(connection, digest)
            approval = await lock_approval_of(connection, digest)
            request = await visible(connection, digest, person_id)
            if request.pending.decision.get("refused_by") == person_id:
                return request
            expired = await expire(connection, request, now=now)
            if not expired:
                check_waiting(request)
                refused: dict[str, object] = {"refused_by": person_id, "event": str(event), **(because or {})}
                await end(connection, digest, event, detail=detail, decision=refused)
                await consume(connection, digest, person_id)
                if approval is not None and approval.waiting:
                    await finish(connection, approval, ApprovalEvent.WITHDRAW, now=now)
                await add_audit(
                    connection,
                    AuditRecord(
                        at=now,
                        person_id=person_id,
                        action=f"{event} {request.pending.kind}",
                        agent=request.agent,
                        resource=request.pending.request.get("resource"),
                        result=str(event),
                        details=dict(because or {}),
                    ),
                )
                mission = request.pending.request.get("mission_s256")
                if mission is not None:
                    await add_entry(connection, mission, decision_entry(request, str(event), now))
            request = await request_of(connection, digest)
        if expired and event is not Event.EXPIRE:
            raise Expired(TIMED_OUT)
        return request

    async def request_of_flow(self, flow: str, *, person_id: str, now: float) -> PersonRequest:
        """The request whose resource interaction calls back with `flow`. Raises `NotFound`."""
        query = select(person_requests.c.digest).where(person_requests.c.flow == flow)
        async with self.database.transaction() as connection:
            digest = await connection.scalar(query)
        if digest is None:
            raise NotFound("There is no such request.")
        return await self.request_for(digest, person_id=person_id, now=now)

    async def resource_done(self, digest: str) -> None:
        """The resource's own interaction was completed."""
        async with self.database.transaction() as connection:
            await connection.execute(
                update(person_requests).where(person_requests.c.digest == digest).values(resource_done=True)
            )

    # ------------------------------------------------------------------ housekeeping

    async def purge(self, *, now: float, limit: int = 500) -> int:
        """Drop what has served its time, at most `limit` rows of each kind. Returns how many."""
        dropped = 0
        async with self.database.transaction() as connection:
            digests = await expired(connection, before=now - KEPT_AFTER_END_S, limit=limit)
            for table in (turns, federations, person_requests, pending_table):
                await connection.execute(delete(table).where(table.c.digest.in_(digests)))
            dropped += len(digests)
            for table, key, column, before in (
                (issued_tokens, issued_tokens.c.jti, issued_tokens.c.exp, now - _SKEW_S),
                (federated_tokens, federated_tokens.c.key, federated_tokens.c.exp, now - _SKEW_S),
                (presentations, presentations.c.key, presentations.c.exp, now - _SKEW_S),
                (untold, untold.c.key, untold.c.exp, now),
                (seen_agent_tokens, seen_agent_tokens.c.key, seen_agent_tokens.c.exp, now - _SKEW_S),
                (revocations, revocations.c.key, revocations.c.exp, now - _SKEW_S),
                (audit_log, audit_log.c.id, audit_log.c.at, now - _AUDIT_KEPT_S),
            ):
                keys = [row[0] for row in await connection.execute(select(key).where(column < before).limit(limit))]
                await connection.execute(delete(table).where(key.in_(keys)))
                dropped += len(keys)
            await connection.execute(update(federations).where(federations.c.tokens_exp < now).values(tokens=None))
            dropped += await drop_ended(connection, now=now, limit=limit)
            dropped += await drop_decided(connection, now=now, limit=limit)
        async with self.database.transaction() as connection:
            await end_expired(connection, now=now, limit=limit)
        return dropped
