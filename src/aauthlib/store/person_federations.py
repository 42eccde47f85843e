"""What a person server keeps of its dealings with access servers, in a database (#ps-as-federation, #token-revocation).

That a token was presented is recorded before it is: a revocation either finds the record, or keeps the token from
being presented. Of the tokens that must be presented nothing is kept once the access server has taken the request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import and_, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.machine import Event
from .database import Database, from_json, to_json
from .notifications import announce
from .pending import advance
from .person_conversations import Turn
from .person_mission_log import active_mission, add_entry
from .person_questions import add_turns
from .person_records import AuditRecord, FederatedToken, Federation
from .person_tables import federated_tokens, federations, issued_tokens, presentations
from .person_tokens import add_audit, agent_id, binding_of, issue_entry, upstream_stands
from .rows import insert_once, key_of, token_key

__all__ = ["SQLFederations", "record_federated"]


async def record_federated(connection: AsyncConnection, token: FederatedToken) -> bool:
    """Record an access server's auth token that is being handed out.

    Returns `False`, having written nothing, when the person disconnected the agent or a token it hangs on was revoked.
    """
    binding = await binding_of(connection, token.root or token.agent, lock=True)
    if binding is None or binding.person_id != token.person_id or not await upstream_stands(connection, token.upstream):
        return False
    if not await upstream_stands(connection, token.presented):
        return False
    if token.mission is not None:
        await active_mission(connection, token.mission, now=token.issued_at)
    await insert_once(
        connection,
        federated_tokens,
        key=token_key(token.iss, token.jti),
        iss=token.iss,
        jti=token.jti,
        aud=token.aud,
        exp=token.exp,
        agent_iss=token.agent[0],
        agent_sub=token.agent[1],
        subagent_sub=token.subagent,
        person_id=token.person_id,
        sub=token.sub,
        scope=token.scope,
        presented_key=key_of(*token.presented),
        upstream_key=key_of(*token.upstream) if token.upstream else None,
        root_iss=token.root[0] if token.root else None,
        root_sub=token.root[1] if token.root else None,
        issued_at=token.issued_at,
        mission=token.mission,
    )
    await add_audit(
        connection,
        AuditRecord(
            at=token.issued_at,
            person_id=token.person_id,
            action="hand out auth_token",
            agent=token.agent,
            resource=token.aud,
            result="issued",
            details={"access_server": token.iss, "scope": token.scope, "exp": token.exp, "sub_agent": token.subagent},
        ),
    )
    if token.mission is not None:
        await add_entry(connection, token.mission, issue_entry(token))
    return True


class SQLFederations:
    """The part of a person server's store that is about access servers."""

    database: Database

    # ------------------------------------------------------------------ requests

    async def start_federation(
        self, digest: str, *, access_server: str, tokens: Mapping[str, str], tokens_exp: float
    ) -> None:
        """Keep what is to be presented once the person has agreed. `tokens_exp` is in Unix seconds."""
        async with self.database.transaction() as connection:
            await connection.execute(
                insert(federations).values(
                    digest=digest,
                    access_server=access_server,
                    tokens=to_json(dict(tokens)),
                    tokens_exp=tokens_exp,
                    due_at=0.0,
                    lease_until=0.0,
                    failures=0,
                    questions=0,
                )
            )

    async def federation(self, digest: str) -> Federation | None:
        """Where a request stands with its access server; `None` for one that was never to go to one."""
        async with self.database.reading() as connection:
            row = (await connection.execute(select(federations).where(federations.c.digest == digest))).one_or_none()
        if row is None:
            return None
        return Federation(
            digest=row.digest,
            access_server=row.access_server,
            tokens=from_json(row.tokens) if row.tokens is not None else None,
            tokens_exp=row.tokens_exp,
            location=row.location,
            waits_for=from_json(row.waits_for) if row.waits_for is not None else None,
            due_at=row.due_at,
            failures=row.failures,
            questions=row.questions,
        )

    async def claim_federation(self, digest: str, *, now: float, until: float, sending: bool = False) -> bool:
        """Take the turn to talk to the access server about this request, at most until `until` (Unix seconds).

        `sending` marks that an answer is on its way from now on (`due_at`). Returns whether nobody else has the turn.
        """
        async with self.database.transaction() as connection:
            result = await connection.execute(
                update(federations)
                .where(federations.c.digest == digest, federations.c.lease_until <= now)
                .values(lease_until=until, **({"due_at": now} if sending else {}))
            )
        return bool(result.rowcount == 1)

    async def keep_federation_turn(self, digest: str, *, until: float) -> None:
        """Go on having the turn, until `until` (Unix seconds)."""
        async with self.database.transaction() as connection:
            await connection.execute(
                update(federations).where(federations.c.digest == digest).values(lease_until=until)
            )

    async def locate_federation(self, digest: str, location: str) -> None:
        """Keep where the access server is polled, which has thereby taken the tokens. The turn goes on."""
        async with self.database.transaction() as connection:
            await connection.execute(
                update(federations).where(federations.c.digest == digest).values(location=location, tokens=None)
            )

    async def save_federation(
        self, digest: str, *, turns: Sequence[Turn] = (), tell: str | None = None, now: float = 0.0, **changes: Any
    ) -> None:
        """Give the turn back and keep what came of it: fields of `Federation`, and what was said.

        `tell` is a person who is told at `now` (Unix seconds) that the request waits for them.
        """
        for name in ("tokens", "waits_for"):
            if changes.get(name) is not None:
                changes[name] = to_json(dict(changes[name]))
        async with self.database.transaction() as connection:
            if turns:
                await add_turns(connection, digest, turns)
            await connection.execute(
                update(federations).where(federations.c.digest == digest).values(lease_until=0.0, **changes)
            )
            if tell is not None:
                await announce(connection, tell, digest, now=now)

    async def grant_remembered(
        self, digest: str, *, person_id: str, scopes: Sequence[str], now: float, instead_of: str | None = None
    ) -> None:
        """Grant a request on consent the person gave before, so that only the access server is left to decide.

        With `instead_of`, on that given to another request, which counts as delivered by it. Raises `IllegalTransition`
        when that was delivered, revoked or withdrawn meanwhile.
        """
        decision = {"granted_by": person_id, "scopes": list(scopes), "granted_at": now, "remembered": True}
        async with self.database.transaction() as connection:
            if instead_of is not None:
                await advance(connection, instead_of, Event.DELIVER)
            await advance(connection, digest, Event.GRANT, decision=decision)

    # ------------------------------------------------------------------ tokens

    async def record_presentation(self, jti: str, *, access_server: str, agent: tuple[str, str], exp: float) -> bool:
        """Record that a token of this server is about to be presented to `access_server`.

        `agent` is the one whose binding the token hangs on. Returns `False`, having recorded nothing, when the token
        was revoked, or is not on record: then it must not be presented (#revocation-cascade).
        """
        async with self.database.transaction() as connection:
            await binding_of(connection, agent, lock=True)
            query = select(issued_tokens).where(issued_tokens.c.jti == jti, issued_tokens.c.revoked_at.is_(None))
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                return False
            await insert_once(
                connection,
                presentations,
                key=key_of(jti, access_server),
                jti=jti,
                access_server=access_server,
                aud=row.aud,
                sub=row.sub,
                exp=exp,
            )
        return True

    async def was_presented(self, *, access_server: str, aud: str, sub: str) -> bool:
        """Whether this server presented a token for that resource and person to `access_server`."""
        where = and_(
            presentations.c.access_server == access_server, presentations.c.aud == aud, presentations.c.sub == sub
        )
        async with self.database.reading() as connection:
            return bool(await connection.scalar(select(func.count()).select_from(presentations).where(where)))

    async def federated(self, iss: str, jti: str) -> FederatedToken | None:
        """The record of an access server's auth token that this server handed out."""
        async with self.database.reading() as connection:
            query = select(federated_tokens).where(federated_tokens.c.key == token_key(iss, jti))
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        return FederatedToken(
            iss=row.iss,
            jti=row.jti,
            aud=row.aud,
            exp=row.exp,
            agent=(row.agent_iss, row.agent_sub),
            person_id=row.person_id,
            sub=row.sub,
            # Kept as keys only: what a revocation walks, and nobody needs to read.
            presented=(None, ""),
            subagent=row.subagent_sub,
            scope=row.scope,
            root=agent_id(row.root_iss, row.root_sub),
            issued_at=row.issued_at,
            revoked_at=row.revoked_at,
        )
