"""Bringing a database to the schema of this version: made whole when it is empty, upgraded by Alembic when it is older.

One process does it, under a lock, in one transaction; the others wait and find it done. A database that is newer than
this version is left alone. Which revisions there are says `store.migrations`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, Connection, MetaData, String, Table, create_mock_engine, insert, inspect, select, text
from sqlalchemy.engine.mock import MockConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ..errors import ConfigurationError
from .migrations import LOCATION, VERSION_TABLE, revisions

if TYPE_CHECKING:
    from .database import Database

__all__ = ["SchemaState", "differences", "run_revisions", "schema_state", "upgrade_schema", "whole_schema"]

#: Who upgrades holds this PostgreSQL advisory lock: any number nobody else uses.
_LOCK = 0x41417574_68646200

_version = Table(VERSION_TABLE, MetaData(), Column("version_num", String(32), primary_key=True))


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Where a database stands."""

    revision: str | None
    """Its revision; `None` when it has none yet."""
    empty: bool
    """Whether it holds none of our tables."""

    @property
    def newest(self) -> str:
        """The revision this version of aauthlib works with."""
        return revisions()[-1]

    @property
    def current(self) -> bool:
        return self.revision == self.newest


#: Modules without tables whose dependency an installation need not have.
_WITHOUT_TABLES = frozenset({"replay_valkey"})


def whole_schema() -> MetaData:
    """`database.schema` with the tables of every module here, whichever of them the program uses."""
    from . import __name__ as package
    from . import __path__ as folders
    from .database import schema

    for module in iter_modules(folders):
        if not module.ispkg and module.name not in _WITHOUT_TABLES:
            import_module(f"{package}.{module.name}")
    return schema


async def schema_state(database: Database) -> SchemaState:
    """Where `database` stands. Changes nothing."""
    async with database.transaction() as connection:
        return await connection.run_sync(_state)


async def upgrade_schema(database: Database, *, migrating: AsyncEngine | None = None) -> SchemaState:
    """Bring `database` to the newest revision, if it is not there. Returns where it stood before.

    `migrating` is the engine to change tables through where that is another one. Raises `ConfigurationError` when the
    database is newer than this version, or holds tables that are not ours. Then nothing has changed.
    """
    before = await schema_state(database)
    _refuse_newer(before)
    if before.current:
        return before
    if before.empty or migrating is None:
        async with database.transaction() as connection:
            return await _upgrade(connection)
    async with migrating.begin() as connection:
        return await _upgrade(connection)


async def differences(database: Database) -> list[str]:
    """How the tables of `database` differ from what this version expects, a line each. Changes nothing."""
    async with database.transaction() as connection:
        return await connection.run_sync(_differences)


async def _upgrade(connection: AsyncConnection) -> SchemaState:
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    state = await connection.run_sync(_state)  # Again: another process may have been faster.
    _refuse_newer(state)
    if state.current:
        return state
    if state.empty and state.revision is None:
        await connection.run_sync(_create)
        return state
    if state.revision is None:
        await connection.run_sync(_adopt)
    else:
        await connection.run_sync(run_revisions)
    if connection.dialect.name == "sqlite":
        broken = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).all()
        if broken:
            raise ConfigurationError(f"The upgrade would leave rows of {broken[0][0]} without what they refer to.")
    return state


def _state(connection: Connection) -> SchemaState:
    inspector = inspect(connection)
    revision = None
    if inspector.has_table(VERSION_TABLE):
        revision = connection.scalar(select(_version.c.version_num))
        if revision == revisions()[-1]:
            return SchemaState(revision, empty=False)
    return SchemaState(revision, empty=not set(inspector.get_table_names()) & set(whole_schema().tables))


def _refuse_newer(state: SchemaState) -> None:
    if state.revision is not None and state.revision not in revisions():
        raise ConfigurationError(
            f"The database is at schema revision {state.revision}, and this version of aauthlib knows up to"
            f" {state.newest}. It was upgraded by a newer version: run that one, or restore the backup from before."
        )


def _adopt(connection: Connection) -> None:
    """Take over tables from before there were revisions. Raises `ConfigurationError` when they are somebody else's."""
    foreign = "The database holds tables that are not of this schema{}. Give aauthlib a database of its own."
    try:
        run_revisions(connection)
    except (SQLAlchemyError, KeyError) as error:  # A column that a revision changes may not be there (KeyError).
        raise ConfigurationError(foreign.format("")) from error
    inspector = inspect(connection)
    for table in whole_schema().sorted_tables:
        missing = set(table.c.keys()) - {column["name"] for column in inspector.get_columns(table.name)}
        if missing:
            raise ConfigurationError(foreign.format(f": {table.name} lacks {', '.join(sorted(missing))}"))


@cache
def _statements(dialect: str) -> tuple[str, ...]:
    """What makes the whole schema, written out once in a process: every test opens an empty database."""
    made: list[str] = []

    def keep(statement: Any, *_: object) -> None:
        made.append(str(statement.compile(dialect=engine.dialect)))

    engine: MockConnection = create_mock_engine(f"{dialect}://", keep)
    whole_schema().create_all(engine, checkfirst=False)
    _version.create(engine, checkfirst=False)
    return tuple(made)


def _create(connection: Connection) -> None:
    for statement in _statements(connection.dialect.name):
        connection.exec_driver_sql(statement)
    connection.execute(insert(_version).values(version_num=revisions()[-1]))


def run_revisions(connection: Connection, target: str = "head") -> None:
    """Apply every revision up to `target` that was not applied yet, in the transaction of `connection`."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(LOCATION).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, target)


def _differences(connection: Connection) -> list[str]:
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    ours = set(whole_schema().tables)

    def included(name: str | None, kind: str, _: object) -> bool:
        return kind != "table" or name in ours

    options = {"version_table": VERSION_TABLE, "compare_type": True, "include_name": included}
    context = MigrationContext.configure(connection, opts=options)
    return [str(difference) for difference in compare_metadata(context, whole_schema())]
