"""The schema: made whole, upgraded from every revision, refused when it is not ours (`store.upgrading`)."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, inspect, text
from sqlalchemy.engine import make_url

from aauthlib.errors import ConfigurationError
from aauthlib.store import upgrading
from aauthlib.store.database import Database
from aauthlib.store.migrations import LOCATION, VERSION_TABLE, revisions
from aauthlib.store.person_tables import bindings
from aauthlib.store.upgrading import differences, run_revisions, schema_state, whole_schema
from tests.store.conftest import new_postgresql

BASELINE = "0001"


@pytest.fixture
async def url(request: pytest.FixtureRequest, engine: str, tmp_path: Path) -> AsyncIterator[str]:
    """A database with nothing in it."""
    if engine == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.db'}"
        return
    async with new_postgresql(request.getfixturevalue("needs_postgres")) as made:
        yield made


both = pytest.mark.parametrize("engine", ["sqlite", "postgresql"])


async def at_revision(url: str, revision: str) -> Database:
    """A database that got every revision up to `revision`, one by one."""
    database = Database.connect(url)
    async with database.transaction() as connection:
        await connection.run_sync(run_revisions, revision)
    return database


def shape(connection: Connection) -> dict[str, Any]:
    """Everything the database says of its tables but their order of columns."""
    inspector = inspect(connection)
    shapes = {}
    for name in sorted(set(inspector.get_table_names()) - {VERSION_TABLE}):
        columns = {
            c["name"]: (str(c["type"]), c["nullable"], str(c["default"]).strip("'").split("'")[0])
            for c in inspector.get_columns(name)
        }
        unique = sorted(str((u["name"], u["column_names"])) for u in inspector.get_unique_constraints(name))
        indexes = sorted(str((i["name"], i["column_names"], bool(i["unique"]))) for i in inspector.get_indexes(name))
        foreign = sorted(
            str((f["name"], f["constrained_columns"], f["referred_table"], f["options"]))
            for f in inspector.get_foreign_keys(name)
        )
        shapes[name] = (columns, inspector.get_pk_constraint(name), unique, indexes, foreign)
    return shapes


def fill(connection: Connection) -> None:
    """A row in every table, with a value in every column."""
    tables = MetaData()
    tables.reflect(connection)
    for number, table in enumerate(tables.sorted_tables):
        if table.name == VERSION_TABLE:
            continue
        refers = {column.name for key in table.foreign_keys for column in [key.parent]}
        values: dict[str, Any] = {}
        for column in table.c:
            kind = column.type.python_type
            if column.name in refers:
                values[column.name] = "refers"
            elif kind is str:
                values[column.name] = "refers" if column.primary_key else "{}"
            else:
                values[column.name] = {int: number, float: 1.5, bool: True, bytes: b"bytes"}[kind]
        connection.execute(table.insert().values(**values))


def contents(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table."""
    tables = MetaData()
    tables.reflect(connection)
    return {
        table.name: [dict(row._mapping) for row in connection.execute(table.select())]
        for table in tables.sorted_tables
        if table.name != VERSION_TABLE
    }


@pytest.fixture
def later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A version with one revision more, which makes `account` anew where the engine cannot alter it."""
    folder = tmp_path / "migrations"
    shutil.copytree(LOCATION, folder)
    number = f"{len(revisions()) + 1:04}"
    (folder / "versions" / f"r{number}_test.py").write_text(
        f"""
import sqlalchemy as sa
from alembic import op
revision, down_revision = {number!r}, {revisions()[-1]!r}
def upgrade():
    with op.batch_alter_table("account", recreate="auto") as account:
        account.add_column(sa.Column("nickname", sa.Text(), server_default="none"))
        account.alter_column("email", type_=sa.Text())
"""
    )
    monkeypatch.setattr(upgrading, "LOCATION", folder)
    known = (*revisions(), number)
    monkeypatch.setattr(upgrading, "revisions", lambda: known)
    return folder


# ---------------------------------------------------------------------- the revisions themselves


def test_the_revisions_are_one_chain_in_the_order_of_their_numbers() -> None:
    config = Config()
    config.set_main_option("script_location", str(LOCATION))
    scripts = ScriptDirectory.from_config(config)
    chain = [script.revision for script in scripts.walk_revisions()][::-1]
    assert scripts.get_heads() == [revisions()[-1]]
    assert tuple(chain) == revisions()


@both
async def test_the_revisions_lead_to_the_schema_that_an_empty_database_gets(url: str, tmp_path: Path) -> None:
    upgraded = await at_revision(url, "head")
    assert await differences(upgraded) == []
    async with upgraded.transaction() as connection:
        by_revisions = await connection.run_sync(shape)
        await connection.run_sync(lambda sync: whole_schema().drop_all(sync))
        await connection.exec_driver_sql(f"DROP TABLE {VERSION_TABLE}")
    await upgraded.upgrade()

    assert (await schema_state(upgraded)).current
    assert await differences(upgraded) == []
    async with upgraded.transaction() as connection:
        assert await connection.run_sync(shape) == by_revisions
    await upgraded.close()


@both
async def test_a_difference_between_tables_and_schema_is_found(url: str) -> None:
    database = await Database.open(url)
    async with database.transaction() as connection:
        await connection.execute(text("ALTER TABLE pending ADD COLUMN stray INTEGER"))
        await connection.execute(text("DROP TABLE person_bindings"))

    found = "\n".join(await differences(database))

    await database.close()
    assert "stray" in found
    assert "person_bindings" in found


# ---------------------------------------------------------------------- upgrading


@both
async def test_an_upgrade_from_the_first_revision_keeps_every_row(url: str) -> None:
    old = await at_revision(url, BASELINE)
    async with old.transaction() as connection:
        await connection.run_sync(fill)
        before = await connection.run_sync(contents)
    await old.close()

    database = await Database.open(url)

    async with database.transaction() as connection:
        after = await connection.run_sync(contents)
    assert (await schema_state(database)).current
    await database.close()
    assert len(before) > 30
    for table, rows in before.items():
        assert len(rows) == len(after[table]) == 1, table
        kept = rows[0].keys() & after[table][0].keys()
        assert {name: after[table][0][name] for name in kept} == {name: rows[0][name] for name in kept}, table


@both
async def test_a_table_made_anew_keeps_what_refers_to_it(url: str, later: Path) -> None:
    old = await at_revision(url, BASELINE)
    async with old.transaction() as connection:
        await connection.run_sync(fill)
    await old.close()

    database = await Database.open(url)

    async with database.transaction() as connection:
        after = await connection.run_sync(contents)
    await database.close()
    assert after["account"][0]["nickname"] == "none"
    assert [len(after[name]) for name in ("session", "passkey", "recovery_code")] == [1, 1, 1]


@both
async def test_processes_that_start_at_once_make_or_upgrade_it_once(url: str, later: Path) -> None:
    async def start() -> None:
        await (await Database.open(url)).close()

    old = await at_revision(url, BASELINE)
    await old.close()
    await asyncio.gather(*(start() for _ in range(5)))

    database = Database.connect(url)
    assert (await schema_state(database)).current
    async with database.transaction() as connection:
        assert len((await connection.exec_driver_sql(f"SELECT * FROM {VERSION_TABLE}")).all()) == 1
    await database.close()


@both
async def test_processes_that_start_at_once_on_nothing_all_start(url: str) -> None:
    databases = await asyncio.gather(*(Database.open(url) for _ in range(5)))
    assert await differences(databases[0]) == []
    await asyncio.gather(*(database.close() for database in databases))


@both
async def test_an_upgrade_that_fails_leaves_the_old_schema_whole(url: str, later: Path) -> None:
    script = next((later / "versions").glob("r*_test.py"))
    script.write_text(script.read_text() + "    raise RuntimeError('in the middle')\n")
    old = await at_revision(url, BASELINE)
    async with old.transaction() as connection:
        before = await connection.run_sync(shape)

    with pytest.raises(RuntimeError, match="in the middle"):
        await Database.open(url)

    async with old.transaction() as connection:
        assert await connection.run_sync(shape) == before
    assert (await schema_state(old)).revision == BASELINE
    await old.close()


@both
async def test_a_database_of_a_newer_version_is_refused_and_left_alone(url: str) -> None:
    database = await Database.open(url)
    async with database.transaction() as connection:
        await connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")

    with pytest.raises(ConfigurationError, match=f"revision 9999.*up to {revisions()[-1]}.*newer version"):
        await Database.open(url)

    assert (await schema_state(database)).revision == "9999"
    assert await differences(database) == []
    await database.close()


# ---------------------------------------------------------------------- from before revisions


@both
async def test_tables_from_before_revisions_are_kept_and_completed(url: str) -> None:
    old = await at_revision(url, BASELINE)
    async with old.transaction() as connection:
        await connection.run_sync(fill)
        await connection.exec_driver_sql(f"DROP TABLE {VERSION_TABLE}")
        await connection.exec_driver_sql("DROP TABLE access_exchanges")
    await old.close()

    database = await Database.open(url)

    assert await differences(database) == []
    async with database.transaction() as connection:
        assert len((await connection.execute(bindings.select())).all()) == 1
    await database.close()


@both
async def test_tables_of_somebody_else_are_refused_and_left_alone(url: str) -> None:
    theirs = Database.connect(url)
    async with theirs.transaction() as connection:
        await connection.exec_driver_sql("CREATE TABLE account (number INTEGER PRIMARY KEY, balance INTEGER)")

    with pytest.raises(ConfigurationError, match=r"not of this schema.*a database of its own"):
        await Database.open(url)

    async with theirs.transaction() as connection:
        assert list(await connection.run_sync(shape)) == ["account"]
    await theirs.close()


@both
async def test_the_version_table_of_an_application_beside_is_not_touched(url: str) -> None:
    database = Database.connect(url)
    async with database.transaction() as connection:
        await connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        await connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('theirs')")

    await database.upgrade()

    async with database.transaction() as connection:
        assert (await connection.exec_driver_sql("SELECT version_num FROM alembic_version")).scalars().all() == [
            "theirs"
        ]
    await database.close()


def test_files_that_are_not_numbered_one_after_the_other_are_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "versions").mkdir()
    for name in ("r0001_a.py", "r0002_b.py", "r0002_c.py"):
        (tmp_path / "versions" / name).touch()
    monkeypatch.setattr("aauthlib.store.migrations.LOCATION", tmp_path)

    with pytest.raises(RuntimeError, match=re.escape("['0001', '0002', '0002']")):
        revisions.__wrapped__()


def test_the_schema_is_known_without_what_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("valkey", "valkey.asyncio"):
        monkeypatch.setitem(sys.modules, name, None)  # as where it is not installed
    monkeypatch.delitem(sys.modules, "aauthlib.store.replay_valkey", raising=False)

    assert bindings.name in whole_schema().tables


async def test_a_database_in_memory_has_the_whole_schema() -> None:
    database = await Database.open("sqlite://")
    assert make_url(str(database.engine.url)).database in (None, "", ":memory:")
    assert await differences(database) == []
    await database.close()
