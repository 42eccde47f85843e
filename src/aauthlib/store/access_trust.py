"""Which person servers an access server has come to trust, in a database (#ps-as-trust-establishment)."""

from __future__ import annotations

from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from .access_records import Binding, IssuedAuthToken
from .access_tables import billing, bindings
from .access_tokens import withdraw_tokens
from .database import Database
from .rows import insert_once, key_of

__all__ = ["SQLTrust", "bind"]


class SQLTrust:
    """The part of an access server's store that is about trust."""

    database: Database

    async def bound_user(self, ps: str, *, resource: str, sub: str) -> str | None:
        """The account whose holder confirmed that `ps` speaks for them as `sub` at `resource`."""
        async with self.database.transaction() as connection:
            query = select(bindings.c.account).where(bindings.c.key == key_of(ps, resource, sub))
            user: str | None = await connection.scalar(query)
        return user

    async def bindings_of(self, user: str) -> list[Binding]:
        """What a user confirmed, the latest first."""
        query = select(bindings).where(bindings.c.account == user).order_by(bindings.c.bound_at.desc())
        async with self.database.transaction() as connection:
            return [
                Binding(ps=row.ps, resource=row.resource, sub=row.sub, user=row.account, bound_at=row.bound_at)
                for row in await connection.execute(query)
            ]

    async def take_back(self, ps: str, *, user: str, now: float) -> list[IssuedAuthToken]:
        """Take back a user's confirmation of a person server, everywhere, and withdraw what was issued to it for them.

        Returns the tokens whose resources are to be told.
        """
        mine = and_(bindings.c.ps == ps, bindings.c.account == user)
        async with self.database.transaction() as connection:
            confirmed = list(await connection.execute(select(bindings).where(mine).with_for_update()))
            await connection.execute(delete(bindings).where(mine))
            return [
                token
                for row in confirmed
                for token in await withdraw_tokens(connection, ps=ps, resource=row.resource, sub=row.sub, now=now)
            ]

    async def has_billing(self, ps: str) -> bool:
        """Whether a billing relationship with `ps` exists."""
        async with self.database.transaction() as connection:
            return bool(await connection.scalar(select(func.count()).where(billing.c.ps == ps)))


async def bind(connection: AsyncConnection, binding: Binding) -> None:
    """Keep a confirmation, or the account that confirmed it last, in the caller's transaction."""
    key = key_of(binding.ps, binding.resource, binding.sub)
    values = {"account": binding.user, "bound_at": binding.bound_at}
    fresh = await insert_once(
        connection, bindings, key=key, ps=binding.ps, resource=binding.resource, sub=binding.sub, **values
    )
    if not fresh:
        await connection.execute(update(bindings).where(bindings.c.key == key).values(**values))
