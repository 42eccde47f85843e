"""What a person server issued and what was withdrawn, in a database (#token-revocation, #person-token-endpoint).

The issuing of a token and the withdrawal of everything an agent holds meet at the agent's binding row, which both lock
first: a token is either recorded before the withdrawal, which then finds it, or is not issued at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.machine import TRANSITIONS, Event, State
from .database import Database, to_json
from .pending import advance, pending_table
from .person_records import AgentId, AuditRecord, Binding, IssuedToken
from .person_tables import (
    audit_log,
    bindings,
    directed_subs,
    issued_tokens,
    person_requests,
    revocations,
    seen_agent_tokens,
)

__all__ = ["SQLIssuedTokens", "add_audit", "binding_of", "insert_once", "key_of", "revoke_requests", "token_key"]


def key_of(*parts: str | None) -> str:
    """A digest to find a row by: of all parts, so that no two lists of parts share one."""
    return hashlib.sha256(to_json(list(parts)).encode("ascii")).hexdigest()


def token_key(iss: str, jti: str) -> str:
    """The key of another party's token: revocation state is kept by `(iss, jti)`."""
    return key_of(iss, jti)


async def insert_once(connection: AsyncConnection, table: Any, **values: Any) -> bool:
    """Insert a row unless its key is taken. Returns whether it was inserted."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    result = await connection.execute(dialect.insert(table).values(**values).on_conflict_do_nothing())
    return result.rowcount == 1


async def add_audit(connection: AsyncConnection, record: AuditRecord) -> None:
    """Append to the audit log."""
    agent = record.agent or (None, None)
    await connection.execute(
        insert(audit_log).values(
            at=record.at,
            person_id=record.person_id,
            action=record.action,
            agent_iss=agent[0],
            agent_sub=agent[1],
            resource=record.resource,
            result=record.result,
            details=to_json(dict(record.details)),
        )
    )


def _is_agent(table: Any, agent: AgentId) -> ColumnElement[bool]:
    return and_(table.c.agent_iss == agent[0], table.c.agent_sub == agent[1])


def _concerns(table: Any, agent: AgentId) -> ColumnElement[bool]:
    """Rows of an agent, its sub-agents' included, or those of just the sub-agent it is."""
    return and_(table.c.agent_iss == agent[0], or_(table.c.agent_sub == agent[1], table.c.subagent_sub == agent[1]))


async def binding_of(connection: AsyncConnection, agent: AgentId, *, lock: bool = False) -> Binding | None:
    """The agent's binding, its row locked for the transaction when asked."""
    query = select(bindings).where(_is_agent(bindings, agent))
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        return None
    return Binding(
        agent=(row.agent_iss, row.agent_sub),
        person_id=row.person_id,
        connected_at=row.connected_at,
        last_used_at=row.last_used_at,
        platform=row.platform,
        device=row.device,
    )


def issued_token(row: Any) -> IssuedToken:
    """A row as a value."""
    return IssuedToken(
        jti=row.jti,
        kind=row.kind,
        aud=row.aud,
        exp=row.exp,
        agent=(row.agent_iss, row.agent_sub),
        person_id=row.person_id,
        sub=row.sub,
        subagent=row.subagent_sub,
        presented_jti=row.presented_jti,
        scope=row.scope,
        issued_at=row.issued_at,
        revoked_at=row.revoked_at,
        revocation=row.revocation,
    )


async def record_token(connection: AsyncConnection, token: IssuedToken) -> bool:
    """Record a token that is being issued, its directed identifier and an audit entry.

    Returns `False`, having written nothing, when the agent is not bound to this person any more.
    """
    binding = await binding_of(connection, token.agent, lock=True)
    if binding is None or binding.person_id != token.person_id:
        return False
    await insert_once(
        connection,
        directed_subs,
        resource=token.aud,
        sub=token.sub,
        person_id=token.person_id,
        created_at=token.issued_at,
    )
    await connection.execute(
        insert(issued_tokens).values(
            jti=token.jti,
            kind=token.kind,
            aud=token.aud,
            exp=token.exp,
            agent_iss=token.agent[0],
            agent_sub=token.agent[1],
            subagent_sub=token.subagent,
            person_id=token.person_id,
            sub=token.sub,
            scope=token.scope,
            presented_jti=token.presented_jti,
            issued_at=token.issued_at,
        )
    )
    await connection.execute(
        update(bindings).where(_is_agent(bindings, token.agent)).values(last_used_at=token.issued_at)
    )
    await add_audit(
        connection,
        AuditRecord(
            at=token.issued_at,
            person_id=token.person_id,
            action=f"issue {token.kind}",
            agent=token.agent,
            resource=token.aud,
            result="issued",
            details={"jti": token.jti, "scope": token.scope, "exp": token.exp, "sub_agent": token.subagent},
        ),
    )
    return True


async def revoke_requests(connection: AsyncConnection, where: ColumnElement[bool], *, detail: str) -> list[str]:
    """End open requests as `revoked`, those that were granted but not fetched too. Returns their digests."""
    revocable = [str(state) for state in State if Event.REVOKE in TRANSITIONS[state]]
    query = (
        select(pending_table.c.digest)
        .join(person_requests, person_requests.c.digest == pending_table.c.digest)
        .where(where, pending_table.c.state.in_(revocable))
        .order_by(pending_table.c.digest)
        .with_for_update(of=pending_table)
    )
    digests = [row.digest for row in await connection.execute(query)]
    for digest in digests:
        await advance(connection, digest, Event.REVOKE, detail=detail)
    return digests


async def revoke_tokens(connection: AsyncConnection, agent: AgentId, *, now: float) -> list[IssuedToken]:
    """Mark every unexpired token of the agent revoked; returns those whose resource was not told yet."""
    unexpired = and_(_concerns(issued_tokens, agent), issued_tokens.c.exp > now)
    await connection.execute(
        update(issued_tokens).where(unexpired, issued_tokens.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    untold = or_(issued_tokens.c.revocation.is_(None), issued_tokens.c.revocation == "revocation_unavailable")
    rows = await connection.execute(select(issued_tokens).where(unexpired, untold).order_by(issued_tokens.c.exp))
    return [issued_token(row) for row in rows]


class SQLIssuedTokens:
    """The part of a person server's store that is about tokens."""

    database: Database

    def wake(self, digests: Sequence[str]) -> None:
        """Wake who polls these requests."""
        raise TypeError("A store of issued tokens is part of a person store.")

    async def accept_agent_token(self, *, iss: str, jti: str, sub: str, exp: float, parent: str | None = None) -> bool:
        """Record that an agent token was presented, so that its revocation can find the agent.

        Returns whether it is acceptable: `False` when its provider revoked it.
        """
        key = token_key(iss, jti)
        async with self.database.transaction() as connection:
            revoked = await connection.scalar(select(func.count()).where(revocations.c.key == key))
            if revoked:
                return False
            await insert_once(connection, seen_agent_tokens, key=key, sub=sub, parent=parent, exp=exp)
        return True

    async def is_revoked(self, iss: str, jti: str) -> bool:
        """Whether `iss` revoked this token of its own here."""
        async with self.database.transaction() as connection:
            query = select(func.count()).where(revocations.c.key == token_key(iss, jti))
            return bool(await connection.scalar(query))

    async def issued(self, jti: str) -> IssuedToken | None:
        """The record of a token this server issued."""
        async with self.database.transaction() as connection:
            row = (await connection.execute(select(issued_tokens).where(issued_tokens.c.jti == jti))).one_or_none()
        return issued_token(row) if row is not None else None

    async def person_of(self, *, resource: str, sub: str) -> str | None:
        """Whom a directed identifier at `resource` stands for."""
        async with self.database.transaction() as connection:
            query = select(directed_subs.c.person_id).where(
                directed_subs.c.resource == resource, directed_subs.c.sub == sub
            )
            found: str | None = await connection.scalar(query)
        return found

    async def record_issued(self, token: IssuedToken, *, hangs_on: Sequence[tuple[str, str]] = ()) -> bool:
        """Record a token before it is handed out.

        `False`: hand out nothing, since the agent is no longer this person's, or a token in `hangs_on` (pairs of `iss`
        and `jti`) was revoked meanwhile.
        """
        keys = [token_key(iss, jti) for iss, jti in hangs_on]
        async with self.database.transaction() as connection:
            await binding_of(connection, token.agent, lock=True)
            if keys and await connection.scalar(select(func.count()).where(revocations.c.key.in_(keys))):
                return False
            return await record_token(connection, token)

    async def revocations_held(self, iss: str) -> int:
        """How many revocations of one issuer are remembered."""
        async with self.database.transaction() as connection:
            return await connection.scalar(select(func.count()).where(revocations.c.iss == iss)) or 0

    async def revoke_agent_token(self, *, iss: str, jti: str, exp: float, now: float) -> list[IssuedToken]:
        """Record an agent provider's revocation and withdraw everything issued to that agent (#revocation-cascade).

        Returns the tokens whose resources are still to be told. The binding stays.
        """
        key = token_key(iss, jti)
        digests: list[str] = []
        due: list[IssuedToken] = []
        async with self.database.transaction() as connection:
            seen = (
                await connection.execute(
                    select(seen_agent_tokens.c.sub, seen_agent_tokens.c.parent).where(seen_agent_tokens.c.key == key)
                )
            ).one_or_none()
            sub: str | None = seen.sub if seen is not None else None
            owner = None
            if seen is not None:
                # A sub-agent has no binding of its own; what it is issued hangs on its parent's.
                owner = await binding_of(connection, (iss, seen.parent or seen.sub), lock=True)
            fresh = await insert_once(connection, revocations, key=key, iss=iss, exp=exp, received_at=now)
            if sub is not None:
                digests = await revoke_requests(
                    connection, _concerns(person_requests, (iss, sub)), detail="The agent's agent token was revoked."
                )
                due = await revoke_tokens(connection, (iss, sub), now=now)
            # Of tokens nobody here knows, no trace is kept but the revocation itself.
            if fresh and owner is not None:
                await add_audit(
                    connection,
                    AuditRecord(
                        at=now,
                        person_id=owner.person_id,
                        action="revoke agent_token",
                        agent=(iss, sub) if sub is not None else None,
                        result="recorded",
                        details={"tokens": len(due), "requests": len(digests)},
                    ),
                )
        self.wake(digests)
        return due

    async def revoke_resource_token(self, *, iss: str, jti: str, exp: float, now: float) -> None:
        """Record a resource's revocation and end what was started for that resource token."""
        key = token_key(iss, jti)
        async with self.database.transaction() as connection:
            fresh = await insert_once(connection, revocations, key=key, iss=iss, exp=exp, received_at=now)
            digests = await revoke_requests(
                connection,
                person_requests.c.resource_token == key,
                detail="The resource withdrew the resource token this request was made for.",
            )
            if fresh and digests:
                await add_audit(
                    connection,
                    AuditRecord(
                        at=now,
                        person_id=None,
                        action="revoke resource_token",
                        resource=iss,
                        result="recorded",
                        details={"requests": len(digests)},
                    ),
                )
        self.wake(digests)

    async def record_revocation_outcome(self, jti: str, outcome: str) -> None:
        """Keep how telling a token's resource ended."""
        async with self.database.transaction() as connection:
            await connection.execute(update(issued_tokens).where(issued_tokens.c.jti == jti).values(revocation=outcome))
