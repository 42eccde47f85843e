"""What an agent provider keeps, in a database: `ProviderStore` on SQLAlchemy Core.

Issuing and revoking lock the enrolment's row, so that no token leaves after its enrolment was revoked and none that
left before is missed by the revocation.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Column, Float, ForeignKey, String, Table, Text, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ..errors import InvalidJWT
from .database import Database, schema
from .provider_records import (
    Delegation,
    Enrollment,
    EnrollmentRefused,
    EnrollmentRevoked,
    EnrollmentUnknown,
    IssuedToken,
)
from .sealed import BY_ROW
from .signing_keys import SQLKeys

__all__ = ["SQLProviderStore"]

#: Kept beyond `exp`, for clocks that differ, in seconds.
_SKEW_S = 60

_enrollments = Table(
    "provider_enrollments",
    schema,
    Column("thumbprint", String(43), primary_key=True),
    Column("agent", String(520), nullable=False, unique=True),
    Column("label", String(64)),
    Column("ps", Text),
    Column("enrolled_at", Float, nullable=False),
    Column("revoked_at", Float),
)

_tokens = Table(
    "provider_tokens",
    schema,
    Column("jti", String(64), primary_key=True),
    Column("thumbprint", String(43), ForeignKey(_enrollments.c.thumbprint), nullable=False, index=True),
    Column("agent", String(520), nullable=False),
    Column("ps", Text),
    Column("exp", Float, nullable=False, index=True),
    Column("revoked_at", Float),
)

_delegations = Table(
    "provider_delegations",
    schema,
    Column("digest", String(64), primary_key=True),
    Column("exp", Float, nullable=False, index=True),
)

_keys = Table(
    "provider_keys",
    schema,
    Column("kid", String(255), primary_key=True),
    Column("jwk", Text, nullable=False, info={BY_ROW: "kid"}),
    Column("published_at", Float, nullable=False),
    Column("use_from", Float, nullable=False),
    # The key it follows; unique, so that of two processes that rotate at once one succeeds.
    Column("follows", String(255), nullable=False, unique=True),
)


def _enrollment(row: Any) -> Enrollment:
    return Enrollment(
        thumbprint=row.thumbprint,
        agent=row.agent,
        label=row.label,
        ps=row.ps,
        enrolled_at=row.enrolled_at,
        revoked_at=row.revoked_at,
    )


def _token(row: Any) -> IssuedToken:
    return IssuedToken(jti=row.jti, agent=row.agent, ps=row.ps, exp=row.exp, revoked_at=row.revoked_at)


class SQLProviderStore:
    """`ProviderStore` on a database. Private keys lie in it as JWKs: guard the file as one guards a key."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def enroll(self, enrollment: Enrollment, *, most: int) -> tuple[Enrollment, bool]:
        try:
            async with self.database.transaction() as connection:
                known = await _load(connection, _enrollments.c.thumbprint == enrollment.thumbprint)
                if known is not None:
                    return known, False
                count = (await connection.execute(select(func.count()).select_from(_enrollments))).scalar_one()
                if count >= most:
                    raise EnrollmentRefused("This agent provider has no room for further installs.")
                await connection.execute(
                    insert(_enrollments).values(
                        thumbprint=enrollment.thumbprint,
                        agent=enrollment.agent,
                        label=enrollment.label,
                        ps=enrollment.ps,
                        enrolled_at=enrollment.enrolled_at,
                        revoked_at=enrollment.revoked_at,
                    )
                )
        except IntegrityError:
            # The same key enrolled at the same moment on another connection; that enrolment stands.
            known = await self.enrollment(enrollment.thumbprint)
            if known is None:
                raise
            return known, False
        return enrollment, True

    async def enrollment(self, thumbprint: str) -> Enrollment | None:
        async with self.database.transaction() as connection:
            return await _load(connection, _enrollments.c.thumbprint == thumbprint)

    async def enrollment_of(self, agent: str) -> Enrollment | None:
        async with self.database.transaction() as connection:
            return await _load(connection, _enrollments.c.agent == agent)

    async def enrollments(self, *, limit: int, after: str = "") -> Sequence[Enrollment]:
        query = select(_enrollments).where(_enrollments.c.agent > after).order_by(_enrollments.c.agent).limit(limit)
        async with self.database.transaction() as connection:
            return [_enrollment(row) for row in await connection.execute(query)]

    async def record_issued(
        self, thumbprint: str, token: IssuedToken, *, now: float, delegation: Delegation | None = None
    ) -> None:
        async with self.database.transaction() as connection:
            await _forget_expired(connection, now)
            enrollment = await _load(connection, _enrollments.c.thumbprint == thumbprint, lock=True)
            if enrollment is None:
                raise EnrollmentUnknown("No agent is enrolled here with this durable key; enrol first.")
            if enrollment.revoked_at is not None:
                raise EnrollmentRevoked("The enrolment of this key was revoked; enrol anew with another key.")
            if delegation is not None:
                # The enrolment's row is locked, and a delegation belongs to one enrolment: no other can come between.
                used = select(_delegations.c.digest).where(_delegations.c.digest == delegation.digest)
                if (await connection.execute(used)).first() is not None:
                    raise InvalidJWT("This naming JWT was used before; sign a new one with another jti.")
                await connection.execute(insert(_delegations).values(digest=delegation.digest, exp=delegation.exp))
            await connection.execute(
                insert(_tokens).values(
                    jti=token.jti,
                    thumbprint=thumbprint,
                    agent=token.agent,
                    ps=token.ps,
                    exp=token.exp,
                    revoked_at=token.revoked_at,
                )
            )

    async def issued(self, jti: str) -> IssuedToken | None:
        async with self.database.transaction() as connection:
            row = (await connection.execute(select(_tokens).where(_tokens.c.jti == jti))).one_or_none()
        return _token(row) if row is not None else None

    async def revoke_enrollment(self, agent: str, *, now: float) -> Sequence[IssuedToken]:
        async with self.database.transaction() as connection:
            enrollment = await _load(connection, _enrollments.c.agent == agent, lock=True)
            if enrollment is None:
                raise EnrollmentUnknown("No such agent is enrolled here.")
            if enrollment.revoked_at is None:
                mine = _enrollments.c.thumbprint == enrollment.thumbprint
                await connection.execute(update(_enrollments).where(mine).values(revoked_at=now))
            query = (
                select(_tokens)
                .where(_tokens.c.thumbprint == enrollment.thumbprint)
                .where(_tokens.c.exp > now)
                .where(_tokens.c.revoked_at.is_(None))
                .order_by(_tokens.c.exp)
            )
            return [_token(row) for row in await connection.execute(query)]

    async def unconfirmed(self, *, now: float, limit: int, except_for: Collection[str] = ()) -> Sequence[IssuedToken]:
        query = (
            select(_tokens)
            .join(_enrollments, _enrollments.c.thumbprint == _tokens.c.thumbprint)
            .where(_enrollments.c.revoked_at.is_not(None), _tokens.c.revoked_at.is_(None))
            .where(_tokens.c.exp > now, _tokens.c.ps.is_not(None))
            .order_by(_tokens.c.exp)
            .limit(limit)
        )
        if except_for:
            query = query.where(_tokens.c.ps.not_in(except_for))
        async with self.database.transaction() as connection:
            return [_token(row) for row in await connection.execute(query)]

    async def mark_revoked(self, jti: str, *, now: float) -> None:
        async with self.database.transaction() as connection:
            await connection.execute(update(_tokens).where(_tokens.c.jti == jti).values(revoked_at=now))

    @property
    def signing_keys(self) -> SQLKeys:
        """What the provider signs with."""
        return SQLKeys(self.database, _keys, published_at="published_at")


async def _load(connection: AsyncConnection, where: Any, *, lock: bool = False) -> Enrollment | None:
    query = select(_enrollments).where(where)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    return _enrollment(row) if row is not None else None


async def _forget_expired(connection: AsyncConnection, now: float) -> None:
    """Drop what no revocation and no replay can be about any more."""
    for table in (_tokens, _delegations):
        await connection.execute(delete(table).where(table.c.exp < now - _SKEW_S))
