"""Signing in, in a database: sessions, recovery codes and how often somebody guessed (#ps-approval-endpoint-auth).

Part of `store.accounts`. Secrets are kept as digests. Guesses are counted here and not in memory, so that neither a
restart nor a second process gives anybody another round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Float, ForeignKey, Integer, String, Table, delete, func, insert, select, update

from .account_records import Session
from .database import Database, schema
from .rows import insert_once, key_of
from .sealed import Sealed

__all__ = ["SQLSignIns", "attempt_table", "recovery_code_table", "session_table"]

session_table = Table(
    "session",
    schema,
    Column("digest", String(64), primary_key=True),
    Column("person_id", String(32), ForeignKey("account.person_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("browser", Sealed("session.browser"), nullable=False),
    Column("method", String(16), nullable=False),
    Column("place", Sealed("session.place"), nullable=False, server_default=""),
    Column("created_at", Float, nullable=False),
    Column("authenticated_at", Float, nullable=False, server_default="0"),
    Column("last_seen_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)

#: Codes that sign somebody in once who has lost everything else.
recovery_code_table = Table(
    "recovery_code",
    schema,
    Column("digest", String(64), primary_key=True),
    Column("person_id", String(32), ForeignKey("account.person_id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Float, nullable=False),
)

#: Attempts to sign in, by a digest of what is limited: a username, a network.
attempt_table = Table(
    "sign_in_attempt",
    schema,
    Column("key", String(64), primary_key=True),
    Column("started_at", Float, nullable=False, index=True),
    Column("tries", Integer, nullable=False),
)


def _session(row: Any) -> Session:
    return Session(
        digest=row.digest,
        person_id=row.person_id,
        browser=row.browser,
        method=row.method,
        place=row.place,
        authenticated_at=row.authenticated_at,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        expires_at=row.expires_at,
    )


class SQLSignIns:
    """The part of an account store that is about signing in."""

    database: Database

    # ------------------------------------------------------------------ sessions

    async def create_session(self, session: Session, *, now: float) -> None:
        """Keep a new session, and drop those past their time."""
        async with self.database.transaction() as connection:
            await connection.execute(delete(session_table).where(session_table.c.expires_at <= now))
            await connection.execute(
                insert(session_table).values(**{name: getattr(session, name) for name in Session.__slots__})
            )

    async def session(self, digest: str) -> Session | None:
        async with self.database.transaction() as connection:
            query = select(session_table).where(session_table.c.digest == digest)
            row = (await connection.execute(query)).one_or_none()
        return _session(row) if row is not None else None

    async def sessions(self, person_id: str) -> Sequence[Session]:
        """A person's sessions, the latest used first."""
        query = (
            select(session_table)
            .where(session_table.c.person_id == person_id)
            .order_by(session_table.c.last_seen_at.desc())
        )
        async with self.database.transaction() as connection:
            return [_session(row) for row in await connection.execute(query)]

    async def touch_session(self, digest: str, *, now: float) -> None:
        async with self.database.transaction() as connection:
            await connection.execute(
                update(session_table).where(session_table.c.digest == digest).values(last_seen_at=now)
            )

    async def end_session(self, digest: str, *, person_id: str) -> bool:
        """`False` when this person has no such session."""
        async with self.database.transaction() as connection:
            result = await connection.execute(
                delete(session_table).where(session_table.c.digest == digest, session_table.c.person_id == person_id)
            )
            return bool(result.rowcount)

    async def end_other_sessions(self, person_id: str, *, keep: str) -> int:
        """End every session of this person but one. Returns how many there were."""
        async with self.database.transaction() as connection:
            result = await connection.execute(
                delete(session_table).where(session_table.c.person_id == person_id, session_table.c.digest != keep)
            )
            return int(result.rowcount)

    # ------------------------------------------------------------------ recovery codes

    async def replace_recovery_codes(self, person_id: str, digests: Sequence[str], *, now: float) -> None:
        """Keep these codes and none before them."""
        async with self.database.transaction() as connection:
            await connection.execute(delete(recovery_code_table).where(recovery_code_table.c.person_id == person_id))
            for digest in digests:
                await connection.execute(
                    insert(recovery_code_table).values(digest=digest, person_id=person_id, created_at=now)
                )

    async def count_recovery_codes(self, person_id: str) -> int:
        """How many codes the person has left."""
        query = select(func.count()).where(recovery_code_table.c.person_id == person_id)
        async with self.database.transaction() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def use_recovery_code(self, person_id: str, digest: str) -> bool:
        """Use a code up. `False` when the person has none such, or it was used."""
        async with self.database.transaction() as connection:
            result = await connection.execute(
                delete(recovery_code_table).where(
                    recovery_code_table.c.digest == digest, recovery_code_table.c.person_id == person_id
                )
            )
            return bool(result.rowcount)

    # ------------------------------------------------------------------ attempts

    async def count_attempt(self, limits: Sequence[tuple[str, int]], *, window_s: float, now: float) -> float:
        """Count one attempt for each `(what, limit)`, unless one of them has had its share.

        Returns how many seconds to wait, 0 when the attempt was counted and may be made.
        """
        keys = {key_of(what): limit for what, limit in limits}
        async with self.database.transaction() as connection:
            await connection.execute(delete(attempt_table).where(attempt_table.c.started_at <= now - window_s))
            for key in sorted(keys):
                # The row is there before it is locked, in one order, so that attempts at once are counted one by one.
                await insert_once(connection, attempt_table, key=key, started_at=now, tries=0)
            query = select(attempt_table).where(attempt_table.c.key.in_(keys)).order_by(attempt_table.c.key)
            rows = (await connection.execute(query.with_for_update())).all()
            waits = [row.started_at + window_s - now for row in rows if row.tries >= keys[row.key]]
            if waits:
                return float(max(waits))
            await connection.execute(
                update(attempt_table).where(attempt_table.c.key.in_(keys)).values(tries=attempt_table.c.tries + 1)
            )
        return 0.0

    async def clear_attempts(self, what: Sequence[str]) -> None:
        """Forget the attempts of these: they proved themselves."""
        async with self.database.transaction() as connection:
            await connection.execute(
                delete(attempt_table).where(attempt_table.c.key.in_([key_of(each) for each in what]))
            )
