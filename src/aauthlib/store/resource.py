"""What a resource keeps, in a database: `resource.storage.ResourceStore` on SQLAlchemy Core.

Sessions are found by the digest of a token, held invocations and pending requests by the digest of an id: a copy of the
database lets nobody in. An invocation goes from held to executing in one conditional update, so once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.machine import WAITING, Event
from ..deferred.pending import Pending
from ..effects import Clock
from ..errors import NotFound
from .database import Database, from_json, schema, to_json
from .pending import KEPT_AFTER_END_S, advance, expired, insert_pending, pending_table
from .resource_chaining import SQLInvocations, forget_results
from .resource_records import HELD_TRANSITIONS, Held, HeldState, NewSession, PersonRecord, Session

__all__ = ["SQLResourceStore"]

_SEEN_RESOLUTION_S = 60.0
#: Bodies and results of held invocations, of everybody together.
MAX_HELD_BYTES = 268_435_456
_FORGET_EVERY_S = 300.0
#: How long what is over stays, so that its URL still answers `410`, in seconds.
_KEEP_OVER_S = 900.0

_persons = Table(
    "resource_persons",
    schema,
    Column("iss", String(2048), primary_key=True),
    Column("sub", String(4096), primary_key=True),
    Column("tenant", Text),
    Column("first_seen", Float, nullable=False),
    Column("last_seen", Float, nullable=False),
    Column("user_id", Text, index=True),
)

_revocations = Table(
    "resource_revocations",
    schema,
    Column("iss", String(2048), primary_key=True),
    Column("jti", String(4096), primary_key=True),
    Column("until", Float, nullable=False, index=True),
)

_sessions = Table(
    "resource_sessions",
    schema,
    Column("session_id", String(64), primary_key=True),
    Column("agent_iss", Text, nullable=False),
    Column("agent_sub", Text, nullable=False),
    Column("user_id", Text, nullable=False, index=True),
    Column("scope", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)

_session_tokens = Table(
    "resource_session_tokens",
    schema,
    Column("digest", String(64), primary_key=True),
    Column(
        "session_id", String(64), ForeignKey(_sessions.c.session_id, ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("issued_at", Float, nullable=False),
    Column("used", Boolean, nullable=False),
    Column("valid_until", Float, index=True),
)

_held = Table(
    "resource_held",
    schema,
    Column("digest", String(64), primary_key=True),
    Column("agent_jkt", String(64), nullable=False, index=True),
    Column("method", String(32), nullable=False),
    Column("target", Text, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("account", Text),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
    Column("token_expires_at", Float, nullable=False),
    Column("state", String(16), nullable=False),
    Column("jti", Text),
    Column("started_at", Float),
    Column("retain_until", Float),
    Column("status", Integer),
    Column("result_headers", Text, nullable=False),
    Column("result_body", LargeBinary, nullable=False),
)

_JSON_COLUMNS = ("headers", "scopes", "jti", "result_headers")


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in from_json(text))


def _row_of(held: Mapping[str, Any]) -> dict[str, Any]:
    return {name: to_json(value) if name in _JSON_COLUMNS else value for name, value in held.items()}


def _held_of(row: Any) -> Held:
    jti = from_json(row.jti)
    return Held(
        digest=row.digest,
        agent_jkt=row.agent_jkt,
        method=row.method,
        target=row.target,
        headers=_pairs(row.headers),
        body=row.body,
        scopes=tuple(from_json(row.scopes)),
        account=row.account,
        created_at=row.created_at,
        expires_at=row.expires_at,
        token_expires_at=row.token_expires_at,
        state=HeldState(row.state),
        jti=(jti[0], jti[1]) if jti else None,
        started_at=row.started_at,
        retain_until=row.retain_until,
        status=row.status,
        result_headers=_pairs(row.result_headers),
        result_body=row.result_body,
    )


def _person_of(row: Any) -> PersonRecord:
    return PersonRecord(
        iss=row.iss,
        sub=row.sub,
        tenant=row.tenant,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        user=row.user_id,
    )


class SQLResourceStore(SQLInvocations):
    """`ResourceStore` and `ChainStore` on a database."""

    def __init__(self, database: Database, clock: Clock, *, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        super().__init__(database)
        self._clock, self._max_held_bytes = clock, max_held_bytes
        self._forgot_at = 0.0

    async def _forget_expired(self, connection: AsyncConnection) -> None:
        now = self._clock()
        if now - self._forgot_at < _FORGET_EVERY_S:
            return
        since, self._forgot_at = self._forgot_at - _FORGET_EVERY_S, now
        over = now - _KEEP_OVER_S
        await connection.execute(delete(_revocations).where(_revocations.c.until <= now))
        await forget_results(connection, since, now)
        ended = await expired(connection, before=now - KEPT_AFTER_END_S)
        await connection.execute(delete(pending_table).where(pending_table.c.digest.in_(ended)))
        await connection.execute(delete(_session_tokens).where(_session_tokens.c.valid_until <= now))
        await connection.execute(delete(_sessions).where(_sessions.c.expires_at <= now))
        await connection.execute(
            delete(_held).where(
                _held.c.expires_at <= over, or_(_held.c.retain_until.is_(None), _held.c.retain_until <= over)
            )
        )

    # ---------------------------------------------------------------- pending requests

    async def create_pending(self, pending: Pending) -> None:
        async with self.database.transaction() as connection:
            await self._forget_expired(connection)
            await insert_pending(connection, pending)

    async def record_delivery(self, connection: AsyncConnection, pending: Pending, record: object) -> None:
        if not isinstance(record, NewSession):
            return
        await self._forget_expired(connection)
        await connection.execute(
            insert(_sessions).values(
                session_id=record.session_id,
                agent_iss=record.agent[0],
                agent_sub=record.agent[1],
                user_id=record.user,
                scope=to_json(list(record.scope)),
                created_at=record.now,
                expires_at=record.expires_at,
            )
        )
        await connection.execute(
            insert(_session_tokens).values(
                digest=record.digest, session_id=record.session_id, issued_at=record.now, used=True
            )
        )

    async def decide_pending(
        self, digest: str, event: Event, decision: Mapping[str, Any], *, detail: str = ""
    ) -> Pending:
        async with self.database.transaction() as connection:
            pending = await advance(connection, digest, event, detail=detail, decision=decision)
        return pending

    async def count_waiting(self, owner: str, now: float) -> int:
        query = select(func.count()).where(
            pending_table.c.owner == owner,
            pending_table.c.state.in_([str(state) for state in WAITING]),
            pending_table.c.expires_at > now,
        )
        async with self.database.transaction() as connection:
            return int((await connection.execute(query)).scalar_one())

    # ---------------------------------------------------------------- persons

    async def see_person(self, iss: str, sub: str, tenant: str | None, now: float) -> PersonRecord:
        try:
            return await self._see_person(iss, sub, tenant, now)
        except IntegrityError:
            # Established at the same moment on another connection.
            return await self._see_person(iss, sub, tenant, now)

    async def _see_person(self, iss: str, sub: str, tenant: str | None, now: float) -> PersonRecord:
        where = (_persons.c.iss == iss, _persons.c.sub == sub)
        async with self.database.transaction() as connection:
            row = (await connection.execute(select(_persons).where(*where))).one_or_none()
            if row is None:
                await connection.execute(
                    insert(_persons).values(iss=iss, sub=sub, tenant=tenant, first_seen=now, last_seen=now)
                )
                return PersonRecord(iss=iss, sub=sub, tenant=tenant, first_seen=now, last_seen=now)
            if now - row.last_seen < _SEEN_RESOLUTION_S and row.tenant == tenant:
                return _person_of(row)
            await connection.execute(update(_persons).where(*where).values(last_seen=now, tenant=tenant))
            return _person_of((await connection.execute(select(_persons).where(*where))).one())

    async def link_person(self, iss: str, sub: str, user: str | None) -> None:
        async with self.database.transaction() as connection:
            result = await connection.execute(
                update(_persons).where(_persons.c.iss == iss, _persons.c.sub == sub).values(user_id=user)
            )
            if result.rowcount == 0:
                raise NotFound("This resource has not seen that person.")

    # ---------------------------------------------------------------- revocations

    async def revoke(self, iss: str, jti: str, until: float, now: float, *, most: int, most_of_all: int) -> bool:
        try:
            return await self._revoke(iss, jti, until, now, most=most, most_of_all=most_of_all)
        except IntegrityError:
            return await self._revoke(iss, jti, until, now, most=most, most_of_all=most_of_all)

    async def _revoke(self, iss: str, jti: str, until: float, now: float, *, most: int, most_of_all: int) -> bool:
        where = (_revocations.c.iss == iss, _revocations.c.jti == jti)
        async with self.database.transaction() as connection:
            await self._forget_expired(connection)
            row = (await connection.execute(select(_revocations).where(*where))).one_or_none()
            if row is not None:
                await connection.execute(update(_revocations).where(*where).values(until=max(until, row.until)))
                return True
            count = select(func.count()).where(_revocations.c.iss == iss, _revocations.c.until > now)
            if (await connection.execute(count)).scalar_one() >= most:
                return False
            everybodys = select(func.count()).select_from(_revocations)
            if (await connection.execute(everybodys)).scalar_one() >= most_of_all:
                seen = await connection.execute(select(_persons.c.iss).where(_persons.c.iss == iss).limit(1))
                if seen.first() is None:
                    return False
            await connection.execute(insert(_revocations).values(iss=iss, jti=jti, until=until))
            return True

    async def is_revoked(self, iss: str, jti: str) -> bool:
        query = select(_revocations.c.jti).where(_revocations.c.iss == iss, _revocations.c.jti == jti)
        async with self.database.transaction() as connection:
            return (await connection.execute(query)).one_or_none() is not None

    # ---------------------------------------------------------------- sessions

    async def use_session(self, digest: str, agent: tuple[str, str], now: float, *, grace_s: float) -> Session | None:
        tokens, sessions = _session_tokens.c, _sessions.c
        query = (
            select(_sessions, tokens.issued_at, tokens.used, tokens.valid_until)
            .join(_session_tokens, tokens.session_id == sessions.session_id)
            .where(
                tokens.digest == digest,
                sessions.agent_iss == agent[0],
                sessions.agent_sub == agent[1],
                sessions.expires_at > now,
                or_(tokens.valid_until.is_(None), tokens.valid_until > now),
            )
        )
        async with self.database.transaction() as connection:
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                return None
            if not row.used and row.valid_until is None:
                await connection.execute(update(_session_tokens).where(tokens.digest == digest).values(used=True))
                await connection.execute(
                    update(_session_tokens)
                    .where(
                        tokens.session_id == row.session_id,
                        tokens.digest != digest,
                        or_(tokens.valid_until.is_(None), tokens.valid_until > now + grace_s),
                    )
                    .values(valid_until=now + grace_s)
                )
        return Session(
            session_id=row.session_id,
            agent=(row.agent_iss, row.agent_sub),
            user=row.user_id,
            scope=tuple(from_json(row.scope)),
            created_at=row.created_at,
            expires_at=row.expires_at,
            issued_at=row.issued_at,
            superseded=row.valid_until is not None,
        )

    async def replace_session(self, session_id: str, digest: str, now: float, *, interval_s: float) -> bool:
        tokens = _session_tokens.c
        async with self.database.transaction() as connection:
            session = select(_sessions.c.session_id).where(_sessions.c.session_id == session_id).with_for_update()
            if (await connection.execute(session)).one_or_none() is None:
                return False
            unused = select(func.count()).where(
                tokens.session_id == session_id, tokens.used.is_(False), tokens.issued_at > now - interval_s
            )
            if (await connection.execute(unused)).scalar_one():
                return False
            await connection.execute(
                insert(_session_tokens).values(digest=digest, session_id=session_id, issued_at=now, used=False)
            )
            return True

    async def end_sessions(self, user: str) -> int:
        async with self.database.transaction() as connection:
            # The tokens go with them (ON DELETE CASCADE).
            result = await connection.execute(delete(_sessions).where(_sessions.c.user_id == user))
            return result.rowcount

    # ---------------------------------------------------------------- held invocations

    async def hold(self, held: Held, *, most: int) -> bool:
        now = self._clock()
        count = select(func.count()).where(
            _held.c.agent_jkt == held.agent_jkt, _held.c.state == str(HeldState.HELD), _held.c.expires_at > now
        )
        async with self.database.transaction() as connection:
            await self._forget_expired(connection)
            if (await connection.execute(count)).scalar_one() >= most:
                return False
            # Keys are cheap: what all of them have held together is bounded, too.
            bytes_held = func.coalesce(func.sum(func.length(_held.c.body) + func.length(_held.c.result_body)), 0)
            if (await connection.scalar(select(bytes_held)) or 0) + len(held.body) > self._max_held_bytes:
                return False
            values = {name: getattr(held, name) for name in Held.__dataclass_fields__}
            await connection.execute(insert(_held).values(**_row_of(values)))
            return True

    async def get_held(self, digest: str) -> Held | None:
        async with self.database.transaction() as connection:
            row = (await connection.execute(select(_held).where(_held.c.digest == digest))).one_or_none()
        return _held_of(row) if row is not None else None

    async def advance_held(self, digest: str, state: HeldState, **changes: Any) -> Held | None:
        before = [str(old) for old, new in HELD_TRANSITIONS.items() if state in new]
        where = (_held.c.digest == digest, _held.c.state.in_(before))
        async with self.database.transaction() as connection:
            result = await connection.execute(update(_held).where(*where).values(state=str(state), **_row_of(changes)))
            if result.rowcount == 0:
                return None
            return _held_of((await connection.execute(select(_held).where(_held.c.digest == digest))).one())

    async def renew_held(self, digest: str, token_expires_at: float) -> None:
        async with self.database.transaction() as connection:
            await connection.execute(
                update(_held).where(_held.c.digest == digest).values(token_expires_at=token_expires_at)
            )
