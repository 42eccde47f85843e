"""Finding rows by digest, and inserting each once, on every engine.

What another party chose the length of (a jti, a scope value, an account) is never part of an index: PostgreSQL refuses
long ones, and the refusal would be theirs to cause. Such rows are found by a digest.
"""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from .database import to_json

__all__ = ["insert_once", "key_of", "token_key"]


def key_of(*parts: str | None) -> str:
    """A digest to find a row by: of all parts, so that no two lists of parts share one."""
    return hashlib.sha256(to_json(list(parts)).encode("ascii")).hexdigest()


def token_key(iss: str, jti: str) -> str:
    """The key of another party's token: revocation state is kept by `(iss, jti)`."""
    return key_of(iss, jti)


async def insert_once(connection: AsyncConnection, table: Any, **values: Any) -> bool:
    """Insert a row unless its key is taken. Returns whether it was inserted."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    result = await connection.execute(dialect.insert(table).values(**values).on_conflict_do_nothing())
    return result.rowcount == 1
