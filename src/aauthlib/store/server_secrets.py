"""Secrets of a person server that every process of it shares: made once, kept under a name."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from .database import Database
from .person_tables import person_secrets
from .rows import insert_once

__all__ = ["secret_of"]


async def secret_of(database: Database, connection: AsyncConnection, name: str, made: str) -> str:
    """The secret with this name, inside the caller's transaction; `made` becomes it when there is none.

    The first caller wins.
    """
    place = (person_secrets.name, "value", name)
    await insert_once(connection, person_secrets, name=name, value=database.sealer.seal(made, *place))
    kept = await connection.scalar(select(person_secrets.c.value).where(person_secrets.c.name == name))
    return database.sealer.open(str(kept), *place)
