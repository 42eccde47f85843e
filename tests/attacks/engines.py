"""Where the parties of a city keep their state: a database of its own for each, on SQLite or on PostgreSQL.

On PostgreSQL each is a copy of one template that has the tables already, so that opening a city costs little.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from sqlalchemy.engine import URL, make_url

from aauthlib.store.database import Database

_TEMPLATE = f"aauthlib_attacks_{secrets.token_hex(4)}"


@dataclass
class Databases:
    """Gives each party the URL of an empty database."""

    folder: Path
    server: str | None = None
    """A PostgreSQL server; `None` for SQLite files in `folder`."""
    _made: list[str] = field(default_factory=list)

    async def url(self, name: str) -> str:
        """The URL of the database of the party `name`."""
        if self.server is None:
            return f"sqlite:///{self.folder / name}.db"
        made = f"aauthlib_attacks_{secrets.token_hex(6)}"
        async with _administrator(self.server) as administrator:
            await administrator.execute(f"CREATE DATABASE {made} TEMPLATE {await _template(self.server)}")
        self._made.append(made)
        return _url(self.server, made).render_as_string(hide_password=False)

    async def close(self) -> None:
        """Drop what was made on PostgreSQL; the files go with their folder."""
        if self.server is not None:
            async with _administrator(self.server) as administrator:
                for name in self._made:
                    await administrator.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def _template(server: str) -> str:
    """The database that others are copies of, made by the first who asks."""
    async with _administrator(server) as administrator:
        if not await administrator.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", _TEMPLATE):
            await administrator.execute(f"CREATE DATABASE {_TEMPLATE}")
            opened = await Database.open(_url(server, _TEMPLATE).render_as_string(hide_password=False))
            await opened.close()
    return _TEMPLATE


async def drop_template(server: str) -> None:
    """At the end of the run."""
    async with _administrator(server) as administrator:
        await administrator.execute(f"DROP DATABASE IF EXISTS {_TEMPLATE} WITH (FORCE)")


def _url(server: str, name: str) -> URL:
    return make_url(server).set(database=name)


@asynccontextmanager
async def _administrator(server: str) -> AsyncIterator[asyncpg.Connection]:
    url = make_url(server).set(drivername="postgresql")
    connection = await asyncpg.connect(url.render_as_string(hide_password=False))
    try:
        yield connection
    finally:
        await connection.close()
