"""`aauth db`: the schema of a server's database, looked at and upgraded without starting the server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from ..errors import ConfigurationError
from ..store.database import Database
from ..store.upgrading import differences, schema_state
from .exits import Exit
from .screen import Screen, safe

__all__ = ["check_database", "existing", "on_database", "show_revision", "upgrade_database"]

T = TypeVar("T")


def upgrade_database(screen: Screen, url: str) -> int:
    """Bring the tables to this version's schema, or make them."""
    before = on_database(url, Database.upgrade)
    if before.current:
        screen.say(f"The database is at revision {before.newest} already.")
    else:
        screen.say(f"The database is at revision {before.newest} now (it was at {safe(before.revision or 'none')}).")
    return Exit.OK


def show_revision(screen: Screen, url: str) -> int:
    """Say where the database stands. Fails when this version cannot start on it without an upgrade."""
    state = on_database(existing(url), schema_state)
    if screen.json_output:
        screen.document({"revision": state.revision, "newest": state.newest, "current": state.current})
    screen.say(f"The database is at revision {safe(state.revision or 'none')}; this version works with {state.newest}.")
    return Exit.OK if state.current else Exit.INVALID


def check_database(screen: Screen, url: str) -> int:
    """Compare every table with what this version expects. Fails when something differs."""
    state = on_database(existing(url), schema_state)
    if not state.current:
        return show_revision(screen, url)
    found = on_database(existing(url), differences)
    for line in found:
        screen.say(safe(line))
    screen.say("The tables differ from the schema; see above." if found else "The tables are what they should be.")
    return Exit.INVALID if found else Exit.OK


def on_database(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    """What `work` returns of the database, opened as it is. Raises `ConfigurationError` when it cannot be."""

    async def main() -> T:
        database = Database.connect(url)
        try:
            return await work(database)
        except (OSError, SQLAlchemyError) as error:
            raise ConfigurationError(f"The database cannot be used: {type(error).__name__}.") from error
        finally:
            await database.close()

    return asyncio.run(main())


def existing(url: str) -> str:
    """`url`, unless it is a SQLite file that is not there: looking must not make one."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not (parsed.database and Path(parsed.database).is_file()):
        raise ConfigurationError(f"There is no database file {parsed.database}.")
    return url
