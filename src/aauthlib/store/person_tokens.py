"""What a person server issued, in a database (#token-revocation, #person-token-endpoint).

The issuing of a token and the withdrawal of everything an agent holds meet at the agent's binding row, which both lock
first: a token is either recorded before the withdrawal, which then finds it, or is not issued at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.machine import Event, IllegalTransition
from .database import Database, to_json
from .pending import advance
from .person_mission_log import active_mission, add_entry
from .person_mission_records import LogEntry
from .person_records import AgentId, AuditRecord, Binding, FederatedToken, IssuedToken, TokenId
from .person_tables import (
    audit_log,
    bindings,
    directed_subs,
    federated_tokens,
    issued_tokens,
    revocations,
    seen_agent_tokens,
)
from .rows import insert_once, key_of, token_key

__all__ = [
    "SQLIssuedTokens",
    "add_audit",
    "agent_id",
    "binding_of",
    "issue_entry",
    "issued_token",
    "record_token",
    "upstream_stands",
]


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


def agent_id(iss: str | None, sub: str | None) -> AgentId | None:
    """An agent from its two columns, if they have one."""
    return (iss, sub) if iss is not None and sub is not None else None


async def upstream_stands(connection: AsyncConnection, token: TokenId | None) -> bool:
    """Whether the token that another hangs on is on record and not revoked; true for none."""
    if token is None:
        return True
    iss, jti = token
    if iss is None:
        table, found = issued_tokens, issued_tokens.c.jti == jti
    else:
        table, found = federated_tokens, federated_tokens.c.key == token_key(iss, jti)
    query = select(func.count()).select_from(table).where(found, table.c.revoked_at.is_(None))
    return bool(await connection.scalar(query))


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
        root=agent_id(row.root_iss, row.root_sub),
        mission=row.mission,
    )


async def _record(connection: AsyncConnection, token: IssuedToken, hangs_on: Sequence[tuple[str, str]]) -> bool:
    keys = [token_key(iss, jti) for iss, jti in hangs_on]
    if token.root is not None:
        # The binding is not the intermediary's own; its agent token's row is what a revocation locks first.
        await connection.execute(
            select(seen_agent_tokens.c.key)
            .where(seen_agent_tokens.c.key.in_(keys))
            .order_by(seen_agent_tokens.c.key)
            .with_for_update()
        )
    await binding_of(connection, token.root or token.agent, lock=True)
    if keys and await connection.scalar(select(func.count()).where(revocations.c.key.in_(keys))):
        return False
    return await record_token(connection, token)


async def record_token(connection: AsyncConnection, token: IssuedToken) -> bool:
    """Record a token that is being issued, its directed identifier and an audit entry.

    Returns `False`, having written nothing, when the agent (down a chain: the one at its top) is not bound to this
    person any more, or the upstream token was revoked. Raises `MissionTerminated` when its mission has ended.
    """
    binding = await binding_of(connection, token.root or token.agent, lock=True)
    if binding is None or binding.person_id != token.person_id or not await upstream_stands(connection, token.upstream):
        return False
    if token.mission is not None:
        await active_mission(connection, token.mission, now=token.issued_at)
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
            upstream_key=key_of(*token.upstream) if token.upstream else None,
            root_iss=token.root[0] if token.root else None,
            root_sub=token.root[1] if token.root else None,
            issued_at=token.issued_at,
            mission=token.mission,
        )
    )
    await connection.execute(
        update(bindings).where(_is_agent(bindings, token.root or token.agent)).values(last_used_at=token.issued_at)
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
    if token.mission is not None:
        await add_entry(connection, token.mission, issue_entry(token))
    return True


def issue_entry(token: IssuedToken | FederatedToken) -> LogEntry:
    """What a mission's log says of a token that was handed out."""
    told = {
        "token": token.kind if isinstance(token, IssuedToken) else "auth_token",
        "resource": token.aud,
        "scope": token.scope,
        "access_server": token.iss if isinstance(token, FederatedToken) else None,
        "sub_agent": token.subagent,
        "justification": token.justification if isinstance(token, IssuedToken) else None,
    }
    content = {name: value for name, value in told.items() if value is not None}
    return LogEntry(at=token.issued_at, kind="issue", actor="server", content=content)


class SQLIssuedTokens:
    """The part of a person server's store that is about tokens."""

    database: Database

    async def accept_agent_token(self, *, iss: str, jti: str, sub: str, exp: float, parent: str | None = None) -> bool:
        """Record that an agent token was presented, so that its revocation can find the agent.

        Returns whether it is acceptable: `False` when its provider revoked it.
        """
        key = token_key(iss, jti)
        known = await self._known(key, (iss, sub))
        if known.revoked or known.seen:
            return not known.revoked
        async with self.database.transaction() as connection:
            revoked = await connection.scalar(select(func.count()).where(revocations.c.key == key))
            if revoked:
                return False
            await insert_once(connection, seen_agent_tokens, key=key, sub=sub, parent=parent, exp=exp)
        return True

    async def admit_agent_token(self, *, iss: str, jti: str, sub: str, exp: float, parent: str | None = None) -> bool:
        """Whether an agent token was not revoked by its provider. One of an agent that acts for somebody is kept."""
        known = await self._known(token_key(iss, jti), (iss, sub))
        if known.bound and not known.seen and not known.revoked:
            return await self.accept_agent_token(iss=iss, jti=jti, sub=sub, exp=exp, parent=parent)
        return not known.revoked

    async def _known(self, key: str, agent: AgentId) -> Any:
        """Of an agent token: `revoked`, `seen`, and whether its agent is `bound`.

        One look that locks nothing: every request takes it, and whoever waits polls again and again.
        """
        bound = exists().where(bindings.c.agent_iss == agent[0], bindings.c.agent_sub == agent[1])
        query = select(
            exists().where(revocations.c.key == key).label("revoked"),
            exists().where(seen_agent_tokens.c.key == key).label("seen"),
            bound.label("bound"),
        )
        async with self.database.reading() as connection:
            return (await connection.execute(query)).one()

    async def is_revoked(self, iss: str, jti: str) -> bool:
        """Whether `iss` revoked this token of its own here."""
        async with self.database.reading() as connection:
            query = select(func.count()).where(revocations.c.key == token_key(iss, jti))
            return bool(await connection.scalar(query))

    async def issued(self, jti: str) -> IssuedToken | None:
        """The record of a token this server issued."""
        async with self.database.reading() as connection:
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
        async with self.database.transaction() as connection:
            return await _record(connection, token, hangs_on)

    async def deliver_otherwise(
        self, digest: str, token: IssuedToken, *, hangs_on: Sequence[tuple[str, str]] = ()
    ) -> bool:
        """As `record_issued`, and the granted request `digest` counts as delivered by it.

        `False`, having written nothing, also when that was delivered, revoked or withdrawn meanwhile.
        """
        try:
            async with self.database.transaction() as connection:
                if not await _record(connection, token, hangs_on):
                    return False
                await advance(connection, digest, Event.DELIVER)
        except IllegalTransition:
            return False
        return True
