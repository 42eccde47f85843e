"""The decision log of an access server, in a database (#as-decision-logic): who decided what, when, and why."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from .access_records import DECIDED_BY_PEOPLE, DecisionRecord
from .access_tables import decisions
from .database import Database

__all__ = ["SQLDecisionLog", "add_log"]


async def add_log(connection: AsyncConnection, records: Sequence[DecisionRecord]) -> None:
    """Append in the caller's transaction."""
    for record in records:
        values = {name: getattr(record, name) for name in DecisionRecord.__dataclass_fields__}
        await connection.execute(insert(decisions).values(**values))


class SQLDecisionLog:
    """The part of an access server's store that is about what was decided."""

    database: Database

    async def log(self, record: DecisionRecord) -> None:
        """Append to the decision log."""
        async with self.database.transaction() as connection:
            await add_log(connection, [record])

    async def history(
        self, *, ps: str | None = None, by_people: bool = False, limit: int = 100
    ) -> list[DecisionRecord]:
        """The latest decisions, the newest first: all, or what people decided."""
        query = select(decisions).order_by(decisions.c.id.desc()).limit(limit)
        if ps is not None:
            query = query.where(decisions.c.ps == ps)
        if by_people:
            query = query.where(decisions.c.decision.in_(DECIDED_BY_PEOPLE))
        async with self.database.transaction() as connection:
            rows = await connection.execute(query)
            return [
                DecisionRecord(**{name: getattr(row, name) for name in DecisionRecord.__dataclass_fields__})
                for row in rows
            ]
