"""Withdrawing tokens at a person server, in a database (#token-revocation, #revocation-cascade).

One transaction marks everything that hangs on what is withdrawn: the agent's tokens, what access servers issued against
them, and what was issued down a chain from either. Who is told about it, and how that ended, is kept beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Select, and_, bindparam, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.machine import TRANSITIONS, Event, State
from ..deferred.revoking import RECORDED, UNAVAILABLE, Notice, Revoked
from .database import Database, to_json
from .pending import advance, pending_table
from .person_records import AgentId, AuditRecord, IssuedToken, Untold
from .person_tables import (
    bindings,
    directed_subs,
    federated_tokens,
    issued_tokens,
    person_requests,
    presentations,
    revocations,
    seen_agent_tokens,
    untold,
)
from .person_tokens import add_audit, binding_of, issued_token
from .rows import insert_once, key_of, token_key
from .untold import claim_notices, note, settle_notices

__all__ = ["SQLRevocations", "revoke_mission_tokens", "revoke_requests", "revoke_tokens"]

#: How many values one statement compares with, and how many links of chains are followed.
_AT_ONCE = 500
_MAX_DEPTH = 32


def _concerns(table: Any, agent: AgentId) -> ColumnElement[bool]:
    """Rows of an agent, its sub-agents' included, or those of just the sub-agent it is."""
    return and_(table.c.agent_iss == agent[0], or_(table.c.agent_sub == agent[1], table.c.subagent_sub == agent[1]))


def _held_by(table: Any, key: Any, agent: AgentId, *, now: float, revoked: bool) -> Select[str]:
    """`key` of every unexpired token of an agent, or of those that were revoked."""
    query = select(key).where(_concerns(table, agent), table.c.exp > now)
    return query.where(table.c.revoked_at.is_not(None)) if revoked else query


def _batches(values: Collection[str]) -> Iterator[list[str]]:
    listed = list(values)
    return (listed[start : start + _AT_ONCE] for start in range(0, len(listed), _AT_ONCE))


def _untold(table: Any) -> ColumnElement[bool]:
    """Rows whose recipient was not told yet, or could not be."""
    return or_(table.c.revocation.is_(None), table.c.revocation == UNAVAILABLE)


def _not_recorded(table: Any) -> ColumnElement[bool]:
    """Rows whose recipient does not know, for whatever reason: a repeated revocation tries each of them again."""
    return or_(table.c.revocation.is_(None), table.c.revocation != RECORDED)


async def revoke_requests(connection: AsyncConnection, where: ColumnElement[bool], *, detail: str) -> int:
    """End open requests as `revoked`, those that were granted but not fetched too. Returns how many."""
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
    return len(digests)


async def revoke_tokens(
    connection: AsyncConnection, agent: AgentId, *, now: float, again: bool = False
) -> tuple[list[IssuedToken], int]:
    """Revoke every unexpired token of the agent, and whatever was issued from one of them down a chain.

    `again` revokes nothing: it goes over what was revoked before. Returns the tokens whose recipients do not know yet,
    and how many requests down the chain ended. One that was presented to access servers is returned once
    more for each, with `access_server` set and `revocation` that of the access server.
    """
    own = await connection.scalars(_held_by(issued_tokens, issued_tokens.c.jti, agent, now=now, revoked=again))
    foreign = await connection.scalars(
        _held_by(federated_tokens, federated_tokens.c.key, agent, now=now, revoked=again)
    )
    return await _withdraw(connection, own.all(), foreign.all(), now=now)


async def revoke_mission_tokens(connection: AsyncConnection, s256: str, *, now: float) -> tuple[list[IssuedToken], int]:
    """Revoke every unexpired token issued under a mission, and whatever hangs on one; returns as `revoke_tokens`."""
    own = await connection.scalars(
        select(issued_tokens.c.jti).where(issued_tokens.c.mission == s256, issued_tokens.c.exp > now)
    )
    foreign = await connection.scalars(
        select(federated_tokens.c.key).where(federated_tokens.c.mission == s256, federated_tokens.c.exp > now)
    )
    return await _withdraw(connection, own.all(), foreign.all(), now=now)


async def _withdraw(
    connection: AsyncConnection, own: Collection[str], foreign: Collection[str], *, now: float
) -> tuple[list[IssuedToken], int]:
    """Revoke tokens of this server (by `jti`) and of access servers (by key), and all that was issued from them."""
    revoked, seen = list(own), {key_of(None, jti) for jti in own} | set(foreign)
    jtis, keys, ended = list(own), list(seen), 0
    for _ in range(_MAX_DEPTH):
        if not keys:
            break
        next_jtis, next_keys = list[str](), list[str]()
        for some in _batches(keys):
            ended += await revoke_requests(
                connection, person_requests.c.upstream_key.in_(some), detail="The upstream token was revoked."
            )
            for row in await connection.execute(
                select(federated_tokens.c.key).where(
                    or_(federated_tokens.c.presented_key.in_(some), federated_tokens.c.upstream_key.in_(some)),
                    federated_tokens.c.exp > now,
                )
            ):
                next_keys.append(row.key)
            for row in await connection.execute(
                select(issued_tokens.c.jti).where(issued_tokens.c.upstream_key.in_(some), issued_tokens.c.exp > now)
            ):
                next_jtis.append(row.jti)
        for some in _batches(jtis):
            for row in await connection.execute(
                select(issued_tokens.c.jti).where(issued_tokens.c.presented_jti.in_(some), issued_tokens.c.exp > now)
            ):
                next_jtis.append(row.jti)
        jtis = [jti for jti in dict.fromkeys(next_jtis) if key_of(None, jti) not in seen]
        revoked += jtis
        keys = [key_of(None, jti) for jti in jtis] + [key for key in dict.fromkeys(next_keys) if key not in seen]
        seen.update(keys)
    due: list[IssuedToken] = []
    for some in _batches(seen):
        await connection.execute(
            update(federated_tokens)
            .where(federated_tokens.c.key.in_(some), federated_tokens.c.revoked_at.is_(None))
            .values(revoked_at=now)
        )
    for some in _batches(revoked):
        await connection.execute(
            update(issued_tokens)
            .where(issued_tokens.c.jti.in_(some), issued_tokens.c.revoked_at.is_(None))
            .values(revoked_at=now)
        )
        await _note(connection, some, now=now)
        due += await _due(connection, some)
    return sorted(due, key=lambda token: token.exp), ended


async def _note(connection: AsyncConnection, jtis: Sequence[str], *, now: float) -> None:
    """Write down who is to be told about the tokens among `jtis`."""
    table: Any
    for table, key, recipient, to_access_server in (
        (issued_tokens, issued_tokens.c.jti, issued_tokens.c.aud, False),
        (presentations, presentations.c.key, presentations.c.access_server, True),
    ):
        query = select(
            key.label("key"),
            table.c.jti,
            recipient.label("recipient"),
            literal(to_access_server, Boolean).label("to_access_server"),
            table.c.exp,
        ).where(table.c.jti.in_(jtis), _untold(table))
        await note(connection, untold, query, now=now)


async def _due(connection: AsyncConnection, jtis: Sequence[str]) -> list[IssuedToken]:
    """The tokens among `jtis` whose resource, or an access server they were presented to, is still to be told."""
    rows = await connection.execute(select(issued_tokens).where(issued_tokens.c.jti.in_(jtis)))
    tokens = {row.jti: issued_token(row) for row in rows}
    due = [token for token in tokens.values() if token.revocation != RECORDED]
    presented = await connection.execute(
        select(presentations).where(presentations.c.jti.in_(jtis), _not_recorded(presentations))
    )
    return due + [
        replace(tokens[row.jti], access_server=row.access_server, revocation=row.revocation)
        for row in presented
        if row.jti in tokens
    ]


class SQLRevocations:
    """The part of a person server's store that is about revocation."""

    database: Database

    async def revocations_held(self, iss: str | None = None) -> int:
        """How many revocations of one issuer are remembered, or of all of them."""
        query = select(func.count()).select_from(revocations)
        if iss is not None:
            query = query.where(revocations.c.iss == iss)
        async with self.database.reading() as connection:
            return await connection.scalar(query) or 0

    async def deals_with(self, iss: str) -> bool:
        """Whether somebody here has an agent of the provider `iss`, or is known to the resource `iss`."""
        of_provider = select(bindings.c.agent_iss).where(bindings.c.agent_iss == iss).limit(1)
        at_resource = select(directed_subs.c.resource).where(directed_subs.c.resource == iss).limit(1)
        async with self.database.reading() as connection:
            return any([(await connection.execute(query)).first() for query in (of_provider, at_resource)])

    async def revoke_agent_token(self, *, iss: str, jti: str, exp: float, now: float) -> list[IssuedToken]:
        """Record an agent provider's revocation and withdraw everything issued to that agent (#revocation-cascade).

        Returns the tokens whose resources are still to be told. The binding stays, and so does what was issued after
        this very revocation was recorded.
        """
        key = token_key(iss, jti)
        ended = 0
        due: list[IssuedToken] = []
        async with self.database.transaction() as connection:
            seen = (
                await connection.execute(
                    select(seen_agent_tokens.c.sub, seen_agent_tokens.c.parent)
                    .where(seen_agent_tokens.c.key == key)
                    .with_for_update()
                )
            ).one_or_none()
            sub: str | None = seen.sub if seen is not None else None
            owner = None
            if seen is not None:
                # A sub-agent has no binding of its own; what it is issued hangs on its parent's.
                owner = await binding_of(connection, (iss, seen.parent or seen.sub), lock=True)
            fresh = await insert_once(connection, revocations, key=key, iss=iss, exp=exp, received_at=now)
            if sub is not None:
                if fresh:
                    ended = await revoke_requests(
                        connection,
                        _concerns(person_requests, (iss, sub)),
                        detail="The agent's agent token was revoked.",
                    )
                due, further = await revoke_tokens(connection, (iss, sub), now=now, again=not fresh)
                ended += further
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
                        details={"tokens": len(due), "requests": ended},
                    ),
                )
        return due

    async def revoke_resource_token(self, *, iss: str, jti: str, exp: float, now: float) -> None:
        """Record a resource's revocation and end what was started for that resource token."""
        key = token_key(iss, jti)
        async with self.database.transaction() as connection:
            fresh = await insert_once(connection, revocations, key=key, iss=iss, exp=exp, received_at=now)
            ended = await revoke_requests(
                connection,
                person_requests.c.resource_token == key,
                detail="The resource withdrew the resource token this request was made for.",
            )
            if fresh and ended:
                await add_audit(
                    connection,
                    AuditRecord(
                        at=now,
                        person_id=None,
                        action="revoke resource_token",
                        resource=iss,
                        result="recorded",
                        details={"requests": ended},
                    ),
                )

    async def record_revocation_outcomes(self, outcomes: Sequence[tuple[Notice, Revoked]], *, now: float) -> None:
        """Keep how telling each recipient ended; where it can be tried again, that is due some time later."""
        to_resources = [(notice, result) for notice, result in outcomes if not notice.to_access_server]
        to_servers = [(notice, result) for notice, result in outcomes if notice.to_access_server]
        async with self.database.transaction() as connection:
            if to_resources:
                await connection.execute(
                    update(issued_tokens)
                    .where(issued_tokens.c.jti == bindparam("its_jti"))
                    .values(revocation=bindparam("its_outcome")),
                    [{"its_jti": notice.jti, "its_outcome": result.outcome} for notice, result in to_resources],
                )
            if to_servers:
                await connection.execute(
                    update(presentations)
                    .where(presentations.c.key == bindparam("its_key"))
                    .values(revocation=bindparam("its_outcome"), downstream=bindparam("its_downstream")),
                    [
                        {
                            "its_key": key_of(notice.jti, notice.recipient),
                            "its_outcome": result.outcome,
                            "its_downstream": to_json([list(entry) for entry in result.downstream]),
                        }
                        for notice, result in to_servers
                    ],
                )
            await settle_notices(connection, untold, outcomes, now=now)

    async def claim_notices(self, *, now: float, until: float, limit: int = 500) -> list[Notice]:
        """Who is to be told now of a revocation; nobody else tells them before `until`."""
        async with self.database.transaction() as connection:
            return await claim_notices(connection, untold, now=now, until=until, limit=limit)

    async def untold_of(self, person_id: str, *, now: float, limit: int = 50) -> list[Untold]:
        """Who still honours, or may honour, what an agent of this person held."""
        names = (untold.c.recipient, issued_tokens.c.agent_iss, issued_tokens.c.agent_sub)
        query = (
            select(*names, func.count().label("tokens"), func.max(untold.c.exp).label("ends_at"))
            .join(issued_tokens, issued_tokens.c.jti == untold.c.jti)
            .where(issued_tokens.c.person_id == person_id, untold.c.exp > now, untold.c.tries > 0)
            .group_by(*names)
            .order_by(*names)
            .limit(limit)
        )
        async with self.database.transaction() as connection:
            rows = (await connection.execute(query)).all()
        return [
            Untold(
                recipient=row.recipient,
                agent=(row.agent_iss, row.agent_sub),
                tokens=row.tokens,
                ends_at=row.ends_at,
            )
            for row in rows
        ]
