"""Bringing a database to its first encryption key, while servers run on it: `aauth db encrypt`.

Row by row, a few hundred in a transaction: what is not sealed under the first key is opened and sealed anew, unless it
was changed meanwhile, in which case whoever changed it sealed it. Begun again it goes on with what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Column, LargeBinary, Table, Text, and_, literal, select, tuple_, type_coerce, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ..errors import ConfigurationError
from .database import Database
from .sealed import BY_ROW, Sealed, SealedBytes
from .sealing import ENVIRONMENT_VARIABLE, Sealer
from .upgrading import whole_schema

__all__ = ["reseal", "sealed_columns"]

_AT_ONCE = 200


def sealed_columns(table: Table) -> list[Column[Any]]:
    """The columns of a table that are encrypted at rest."""
    return [each for each in table.columns if BY_ROW in each.info or isinstance(each.type, Sealed | SealedBytes)]


async def reseal(database: Database, told: Callable[[str, int], None] = lambda table, values: None) -> int:
    """Seal every value under the first key. `told` hears of each table that had some. Returns how many there were.

    Raises `ConfigurationError` without a key, and for a value that none of the keys opens.
    """
    if not database.sealer.active:
        raise ConfigurationError(
            f"{ENVIRONMENT_VARIABLE} is not set. `aauth db new-key` makes a key; keep it where the database is not."
        )
    total = 0
    for table in whole_schema().sorted_tables:
        columns = sealed_columns(table)
        if columns:
            count = await _reseal_table(database, table, columns)
            if count:
                told(table.name, count)
            total += count
    return total


async def _reseal_table(database: Database, table: Table, columns: Sequence[Column[Any]]) -> int:
    keys = list(table.primary_key)
    raw = [type_coerce(column, _raw(column)).label(f"raw_{column.name}") for column in columns]
    query = select(*keys, *raw).order_by(*keys).limit(_AT_ONCE)
    last: tuple[Any, ...] | None = None
    count = 0
    while True:
        after = query if last is None else query.where(tuple_(*keys) > tuple_(*last))
        async with database.transaction() as connection:
            rows = (await connection.execute(after)).all()
            for row in rows:
                count += await _reseal_row(connection, database.sealer, table, columns, row)
        if len(rows) < _AT_ONCE:
            return count
        last = tuple(rows[-1][: len(keys)])


async def _reseal_row(
    connection: AsyncConnection, sealer: Sealer, table: Table, columns: Sequence[Column[Any]], row: Any
) -> int:
    keys = list(table.primary_key)
    this = and_(*(key == value for key, value in zip(keys, row, strict=False)))
    count = 0
    for column, stored in zip(columns, row[len(keys) :], strict=True):
        if stored is None or sealer.is_current(stored):
            continue
        place = [table.name, column.name]
        if BY_ROW in column.info:
            place.append(str(row[[key.name for key in keys].index(column.info[BY_ROW])]))
        fresh: str | bytes
        if isinstance(stored, bytes):
            fresh = sealer.seal_bytes(sealer.open_bytes(stored, *place), *place)
        else:
            fresh = sealer.seal(sealer.open(stored, *place), *place)
        kind = _raw(column)
        unchanged = type_coerce(column, kind) == literal(stored, kind)
        done = await connection.execute(update(table).where(this, unchanged).values({column: literal(fresh, kind)}))
        count += done.rowcount
    return count


def _raw(column: Column[Any]) -> Text | LargeBinary:
    """The type of what is really in the column."""
    bytes_in_it = isinstance(column.type, SealedBytes | LargeBinary)
    return LargeBinary() if bytes_in_it else Text()
