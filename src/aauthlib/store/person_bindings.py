"""Whom an agent acts for and what was allowed it, in a database (#agent-person-binding, #consent-presentation).

Also the person's profile, the audit log and the server's keys: everything that is not about one request or one token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import and_, delete, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..base64url import b64url_decode, b64url_encode
from ..deferred.machine import Event, State
from ..errors import NotFound
from .approval_deciding import withdraw_all
from .approval_tables import approvals
from .database import Database, from_json, to_json
from .pending import advance, pending_table
from .person_audit import audit_record
from .person_mission_ending import end_agents_missions
from .person_mission_records import REVOKED
from .person_records import (
    NAMING,
    AgentId,
    AuditRecord,
    Binding,
    Consent,
    IssuedToken,
    Standing,
)
from .person_revoking import revoke_requests, revoke_tokens
from .person_tables import audit_log, bindings, consents, person_requests, profiles, signing_keys
from .person_tokens import add_audit, binding_of
from .server_secrets import secret_of
from .signing_keys import SQLKeys

__all__ = ["SQLBindings", "end_binding"]

_DIRECTED_KEY = "directed-identifiers"
_MOST_LISTED = 500


class SQLBindings:
    """The part of a person server's store that is about people and their agents."""

    database: Database

    # ------------------------------------------------------------------ keys

    @property
    def signing_keys(self) -> SQLKeys:
        """What the server signs with."""
        return SQLKeys(self.database, signing_keys)

    async def directed_key(self, *, first: bytes) -> bytes:
        """What identifiers are derived with; `first` is kept when there is none. The first caller wins."""
        async with self.database.transaction() as connection:
            return b64url_decode(await secret_of(self.database, connection, _DIRECTED_KEY, b64url_encode(first)))

    # ------------------------------------------------------------------ agents

    async def standing(
        self, agent: AgentId, *, resource: str, account: str | None = None, mission: str | None = None
    ) -> Standing:
        """How the agent stands at `resource` with the person it is bound to, in `mission` or outside of any."""
        async with self.database.reading() as connection:
            binding = await binding_of(connection, agent)
            if binding is None:
                return Standing()
            # Naming the person does not depend on an account; a scope does (#account-binding).
            of_account = consents.c.account.is_(None) if account is None else consents.c.account == account
            rows = await connection.execute(
                select(consents.c.scope).where(
                    consents.c.person_id == binding.person_id,
                    consents.c.agent_iss == agent[0],
                    consents.c.agent_sub == agent[1],
                    consents.c.resource == resource,
                    or_(consents.c.scope == NAMING, of_account),
                    consents.c.mission.is_not_distinct_from(mission),
                )
            )
            scopes = frozenset(row.scope for row in rows)
        return Standing(binding=binding, consents=scopes)

    async def chain_consents(
        self,
        intermediary: str,
        *,
        person_id: str,
        resource: str,
        account: str | None = None,
        mission: str | None = None,
    ) -> frozenset[str]:
        """What the person allowed a resource that acts as an agent for those who call it (#call-chaining).

        Scope values at `resource`, and `NAMING`. Kept by the intermediary, not by the agent identifier it uses.
        """
        of_account = consents.c.account.is_(None) if account is None else consents.c.account == account
        query = select(consents.c.scope).where(
            consents.c.person_id == person_id,
            consents.c.agent_iss == intermediary,
            consents.c.agent_sub == "",
            consents.c.resource == resource,
            or_(consents.c.scope == NAMING, of_account),
            consents.c.mission.is_not_distinct_from(mission),
        )
        async with self.database.reading() as connection:
            return frozenset(row.scope for row in await connection.execute(query))

    async def knows_resource(self, person_id: str, resource: str) -> bool:
        """Whether the person has allowed some agent something at `resource`."""
        query = select(func.count()).where(consents.c.person_id == person_id, consents.c.resource == resource)
        async with self.database.transaction() as connection:
            return bool(await connection.scalar(query))

    async def bindings_of(self, person_id: str) -> list[Binding]:
        """The person's agents, the most recently used first."""
        query = select(bindings).where(bindings.c.person_id == person_id).order_by(bindings.c.last_used_at.desc())
        async with self.database.transaction() as connection:
            rows = (await connection.execute(query.limit(_MOST_LISTED))).all()
        return [
            Binding(
                agent=(row.agent_iss, row.agent_sub),
                person_id=row.person_id,
                connected_at=row.connected_at,
                last_used_at=row.last_used_at,
                platform=row.platform,
                device=row.device,
            )
            for row in rows
        ]

    async def consents_of(self, person_id: str) -> list[Consent]:
        """What the person's agents may do without asking again, the newest first; in missions too."""
        query = select(consents).where(consents.c.person_id == person_id).order_by(consents.c.granted_at.desc())
        async with self.database.transaction() as connection:
            rows = (await connection.execute(query.limit(_MOST_LISTED))).all()
        return [
            Consent(
                agent=(row.agent_iss, row.agent_sub),
                person_id=row.person_id,
                resource=row.resource,
                scope=row.scope,
                account=row.account,
                mission=row.mission,
                granted_at=row.granted_at,
            )
            for row in rows
        ]

    async def disconnect(self, person_id: str, agent: AgentId, *, now: float) -> list[IssuedToken]:
        """End a binding: consents, open requests and issued tokens of the agent go with it.

        Returns the tokens whose resources are to be told. Raises `NotFound` when the agent is not this person's.
        """
        async with self.database.transaction() as connection:
            return await end_binding(connection, person_id, agent, now=now)

    async def forget(self, person_id: str, consent: Consent, *, now: float) -> None:
        """Forget one remembered consent, so that the person is asked again. Tokens out there live out their time."""
        async with self.database.transaction() as connection:
            same_account = (
                consents.c.account.is_(None) if consent.account is None else (consents.c.account == consent.account)
            )
            result = await connection.execute(
                delete(consents).where(
                    consents.c.person_id == person_id,
                    consents.c.agent_iss == consent.agent[0],
                    consents.c.agent_sub == consent.agent[1],
                    consents.c.resource == consent.resource,
                    consents.c.scope == consent.scope,
                    consents.c.mission.is_not_distinct_from(consent.mission),
                    same_account,
                )
            )
            if result.rowcount:
                await _take_back_granted(connection, consent)
                await add_audit(
                    connection,
                    AuditRecord(
                        at=now,
                        person_id=person_id,
                        action="forget consent",
                        agent=consent.agent,
                        resource=consent.resource,
                        result="forgotten",
                        details={"scope": consent.scope, "account": consent.account},
                    ),
                )

    # ------------------------------------------------------------------ profile and audit

    async def profile(self, person_id: str) -> dict[str, Any]:
        """The claims the person keeps here for identity scopes."""
        async with self.database.reading() as connection:
            text = await connection.scalar(select(profiles.c.claims).where(profiles.c.person_id == person_id))
        claims: dict[str, Any] = from_json(text)
        return claims

    async def set_profile(self, person_id: str, claims: Mapping[str, Any]) -> None:
        """Replace the person's claims."""
        async with self.database.transaction() as connection:
            await connection.execute(delete(profiles).where(profiles.c.person_id == person_id))
            await connection.execute(insert(profiles).values(person_id=person_id, claims=to_json(dict(claims))))

    async def history(self, person_id: str, *, limit: int) -> list[AuditRecord]:
        """The newest entries of the audit log about this person."""
        query = select(audit_log).where(audit_log.c.person_id == person_id).order_by(audit_log.c.id.desc())
        async with self.database.transaction() as connection:
            rows = (await connection.execute(query.limit(min(limit, _MOST_LISTED)))).all()
        return [audit_record(row) for row in rows]


async def end_binding(connection: AsyncConnection, person_id: str, agent: AgentId, *, now: float) -> list[IssuedToken]:
    """`SQLBindings.disconnect`, in the caller's transaction. Returns the tokens whose resources are to be told."""
    binding = await binding_of(connection, agent, lock=True)
    if binding is None or binding.person_id != person_id:
        raise NotFound("This agent is not connected to your account.")
    ended = await end_agents_missions(connection, agent, REVOKED, now=now)
    for table in (consents, bindings):
        await connection.execute(delete(table).where(table.c.agent_iss == agent[0], table.c.agent_sub == agent[1]))
    ended += await revoke_requests(
        connection,
        and_(person_requests.c.agent_iss == agent[0], person_requests.c.agent_sub == agent[1]),
        detail="The person disconnected the agent.",
    )
    of_agent = or_(
        and_(approvals.c.agent_iss == agent[0], approvals.c.agent_sub == agent[1]),
        and_(approvals.c.root_iss == agent[0], approvals.c.root_sub == agent[1]),
    )
    await withdraw_all(connection, of_agent, now=now)
    # Those of its missions are among them again, since nobody was told yet.
    due, further = await revoke_tokens(connection, agent, now=now)
    ended += further
    await add_audit(
        connection,
        AuditRecord(
            at=now,
            person_id=person_id,
            action="disconnect agent",
            agent=agent,
            result="disconnected",
            details={"tokens": len(due), "requests": ended},
        ),
    )
    return due


async def _take_back_granted(connection: AsyncConnection, consent: Consent) -> None:
    """What was granted at that resource and not fetched is not handed out any more."""
    query = (
        select(pending_table.c.digest)
        .join(person_requests, person_requests.c.digest == pending_table.c.digest)
        .where(
            person_requests.c.agent_iss == consent.agent[0],
            person_requests.c.agent_sub == consent.agent[1],
            person_requests.c.resource == consent.resource,
            person_requests.c.mission.is_not_distinct_from(consent.mission),
            pending_table.c.state == str(State.GRANTED),
        )
        .with_for_update()
    )
    for row in (await connection.execute(query)).all():
        await advance(connection, row.digest, Event.REVOKE, detail="The person took the permission back.")
