"""What an access server issued and what was revoked, in a database (#token-revocation, #revocation-cascade).

A ground is a token of another party that something here hangs on. Its row is the one place where issuing and revoking
meet: both lock it first, in the order of the keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Boolean, and_, bindparam, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..deferred.revoking import UNAVAILABLE, Notice, Revoked
from .access_approving import withdraw_for
from .access_log import add_log
from .access_records import DecisionRecord, Ground, IssuedAuthToken
from .access_tables import grounds, issued_tokens, untold
from .database import Database
from .rows import insert_once, token_key
from .untold import claim_notices, count_notices, note, settle_notices

__all__ = ["SQLIssuedAuthTokens", "hold", "record_token", "withdraw_tokens"]


async def hold(connection: AsyncConnection, record: object) -> bool:
    """Lock the grounds of a token for the transaction. Returns whether they all stand."""
    if not isinstance(record, IssuedAuthToken):
        return True
    rows = {token_key(ground.iss, ground.jti): ground for ground in (*record.grounds, record.root)}
    return await _hold(connection, rows)


async def record_token(connection: AsyncConnection, record: object) -> bool:
    """Record a token that is being issued. Returns `False`, having recorded nothing, when a ground was revoked."""
    if not isinstance(record, IssuedAuthToken):
        return True
    if not await hold(connection, record):
        return False
    presented, root = record.grounds[0], record.root
    await connection.execute(
        insert(issued_tokens).values(
            jti=record.jti,
            ps=record.ps,
            aud=record.aud,
            sub=record.sub,
            exp=record.exp,
            presented=token_key(presented.iss, presented.jti),
            root=token_key(root.iss, root.jti),
            root_iss=root.iss,
            root_jti=root.jti,
            root_exp=root.exp,
            scope=record.scope,
            issued_at=record.issued_at,
        )
    )
    return True


async def _hold(connection: AsyncConnection, rows: dict[str, Ground]) -> bool:
    for key in sorted(rows):
        await insert_once(connection, grounds, key=key, iss=rows[key].iss, exp=rows[key].exp)
    query = select(grounds.c.revoked_at).where(grounds.c.key.in_(list(rows))).order_by(grounds.c.key).with_for_update()
    return all(row.revoked_at is None for row in await connection.execute(query))


def _issued(row: Any) -> IssuedAuthToken:
    return IssuedAuthToken(
        jti=row.jti,
        ps=row.ps,
        aud=row.aud,
        sub=row.sub,
        exp=row.exp,
        grounds=(),
        root=Ground(row.root_iss, row.root_jti, row.root_exp),
        scope=row.scope,
        issued_at=row.issued_at,
        revoked_at=row.revoked_at,
        revocation=row.revocation,
    )


class SQLIssuedAuthTokens:
    """The part of an access server's store that is about tokens."""

    database: Database

    async def end_exchanges(self, connection: AsyncConnection, key: str, *, detail: str, now: float) -> None:
        """End as revoked what waits and hangs on the token `key`."""
        raise TypeError("A store of issued tokens is part of an access store.")

    async def record_issued(self, token: IssuedAuthToken, *, log: Sequence[DecisionRecord] = ()) -> bool:
        """Record a token before it is handed out, and why it is. `False`: hand out nothing, a ground was revoked."""
        async with self.database.transaction() as connection:
            recorded = await record_token(connection, token)
            if recorded:
                await add_log(connection, log)
        return recorded

    async def issued(self, jti: str) -> IssuedAuthToken | None:
        """The record of a token this server issued; its grounds but the root are not read back."""
        async with self.database.transaction() as connection:
            row = (await connection.execute(select(issued_tokens).where(issued_tokens.c.jti == jti))).one_or_none()
        return _issued(row) if row is not None else None

    async def is_revoked(self, iss: str, jti: str) -> bool:
        """Whether `iss` revoked this token of its own here."""
        query = select(grounds.c.revoked_at).where(grounds.c.key == token_key(iss, jti))
        async with self.database.transaction() as connection:
            return await connection.scalar(query) is not None

    async def revocations_held(self, iss: str | None = None) -> int:
        """How many revocations of one issuer are remembered, or of all of them."""
        query = select(func.count()).select_from(grounds).where(grounds.c.revoked_at.is_not(None))
        if iss is not None:
            query = query.where(grounds.c.iss == iss)
        async with self.database.reading() as connection:
            return await connection.scalar(query) or 0

    async def deals_with(self, iss: str) -> bool:
        """Whether a token that has not expired was issued to the person server `iss`, or for the resource `iss`."""
        query = select(issued_tokens.c.jti).where(or_(issued_tokens.c.ps == iss, issued_tokens.c.aud == iss)).limit(1)
        async with self.database.reading() as connection:
            return (await connection.execute(query)).first() is not None

    async def revoke(self, *, iss: str, jti: str, exp: float, detail: str, now: float) -> None:
        """Record that `iss` revoked its token `jti`, end what waits for it, and withdraw what was issued against it."""
        key = token_key(iss, jti)
        async with self.database.transaction() as connection:
            await _hold(connection, {key: Ground(iss, jti, exp)})
            row = (await connection.execute(select(grounds).where(grounds.c.key == key))).one()
            values = {"exp": max(row.exp, exp), "revoked_at": now if row.revoked_at is None else row.revoked_at}
            await connection.execute(update(grounds).where(grounds.c.key == key).values(**values))
            await self.end_exchanges(connection, key, detail=detail, now=now)
            people = select(issued_tokens.c.ps, issued_tokens.c.aud, issued_tokens.c.sub)
            for person in (await connection.execute(people.where(_hangs_on(key)).distinct())).all():
                # Approved for an agent that its person may have parted with: it is asked for anew.
                await withdraw_for(
                    connection, ps=person.ps, resource=person.aud, sub=person.sub, now=now, given_only=True
                )
            await connection.execute(
                update(issued_tokens)
                .where(_hangs_on(key), issued_tokens.c.exp > now, issued_tokens.c.revoked_at.is_(None))
                .values(revoked_at=now)
            )
            await _note(connection, _hangs_on(key), now=now)

    async def withdrawn(self, *, iss: str, jti: str, now: float) -> list[IssuedAuthToken]:
        """The unexpired tokens that were withdrawn with `jti` of `iss`, with what came of telling their resources."""
        query = (
            select(issued_tokens)
            .where(_hangs_on(token_key(iss, jti)), issued_tokens.c.exp > now, issued_tokens.c.revoked_at.is_not(None))
            .order_by(issued_tokens.c.aud, issued_tokens.c.jti)
        )
        async with self.database.transaction() as connection:
            return [_issued(row) for row in await connection.execute(query)]

    async def withdraw(self, *, ps: str, resource: str, sub: str, now: float) -> list[IssuedAuthToken]:
        """Withdraw every unexpired token of one person at one resource. Returns those not told yet."""
        async with self.database.transaction() as connection:
            return await withdraw_tokens(connection, ps=ps, resource=resource, sub=sub, now=now)

    async def record_outcomes(self, outcomes: Sequence[tuple[Notice, Revoked]], *, now: float) -> None:
        """Keep how telling each resource ended; where it can be tried again, that is due some time later."""
        if not outcomes:
            return
        async with self.database.transaction() as connection:
            await connection.execute(
                update(issued_tokens)
                .where(issued_tokens.c.jti == bindparam("its_jti"))
                .values(revocation=bindparam("its_outcome")),
                [{"its_jti": notice.jti, "its_outcome": result.outcome} for notice, result in outcomes],
            )
            await settle_notices(connection, untold, outcomes, now=now)

    async def claim_notices(self, *, now: float, until: float, limit: int = 500) -> list[Notice]:
        """Which resources are to be told now of a revocation; nobody else tells them before `until`."""
        async with self.database.transaction() as connection:
            return await claim_notices(connection, untold, now=now, until=until, limit=limit)

    async def count_untold(self, *, now: float) -> int:
        """How many revocations a resource does not know of yet."""
        async with self.database.transaction() as connection:
            return await count_notices(connection, untold, now=now)


async def withdraw_tokens(
    connection: AsyncConnection, *, ps: str, resource: str, sub: str, now: float
) -> list[IssuedAuthToken]:
    """`SQLIssuedAuthTokens.withdraw`, in the caller's transaction."""
    where = and_(
        issued_tokens.c.ps == ps,
        issued_tokens.c.aud == resource,
        issued_tokens.c.sub == sub,
        issued_tokens.c.exp > now,
    )
    await connection.execute(
        update(issued_tokens).where(where, issued_tokens.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    await withdraw_for(connection, ps=ps, resource=resource, sub=sub, now=now)
    await _note(connection, where, now=now)
    not_told = issued_tokens.c.revocation.is_distinct_from("recorded")
    return [_issued(row) for row in await connection.execute(select(issued_tokens).where(where, not_told))]


async def _note(connection: AsyncConnection, where: Any, *, now: float) -> None:
    """Write down which resources are to be told about the revoked tokens among those of `where`."""
    query = select(
        issued_tokens.c.jti.label("key"),
        issued_tokens.c.jti,
        issued_tokens.c.aud.label("recipient"),
        literal(False, Boolean).label("to_access_server"),
        issued_tokens.c.exp,
    ).where(
        where,
        issued_tokens.c.revoked_at.is_not(None),
        or_(issued_tokens.c.revocation.is_(None), issued_tokens.c.revocation == UNAVAILABLE),
    )
    await note(connection, untold, query, now=now)


def _hangs_on(key: str) -> Any:
    return or_(issued_tokens.c.presented == key, issued_tokens.c.root == key)
