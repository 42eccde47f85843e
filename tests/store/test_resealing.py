"""A database is brought under a key, and from one key to the next, while it is used."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from aauthlib.errors import ConfigurationError
from aauthlib.store import person_tables
from aauthlib.store.database import Database
from aauthlib.store.keyring import KeyRing
from aauthlib.store.person import SQLPersonStore
from aauthlib.store.resealing import reseal, sealed_columns
from aauthlib.store.sealed import Sealed, SealedBytes
from aauthlib.store.sealing import PREFIX, Sealer, new_key
from aauthlib.store.upgrading import whole_schema

from .conftest import new_postgresql

Open = Callable[..., Awaitable[Database]]
PEOPLE = 450
"""More than one transaction's worth."""


@pytest.fixture(params=["sqlite", "postgresql"])
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens one and the same database with whatever keys."""
    handles: list[Database] = []

    async def open_with(*keys: str) -> Database:
        handles.append(await Database.open(url, sealer=Sealer.parse(" ".join(keys))))
        return handles[-1]

    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'sealed.db'}"
        yield open_with
        for handle in handles:
            await handle.close()
        return
    async with new_postgresql(request.getfixturevalue("needs_postgres")) as url:
        yield open_with
        for handle in handles:
            await handle.close()


async def fill(database: Database) -> None:
    store = SQLPersonStore(database)
    await KeyRing(store.signing_keys, clock=time.time, longest_token_s=3600).refresh()
    await store.directed_key(first=b"k" * 32)
    async with database.transaction() as connection:
        rows = [{"person_id": f"person-{number:04}", "claims": '{"name":"Ana"}'} for number in range(PEOPLE)]
        await connection.execute(person_tables.profiles.insert(), rows)


async def raw(database: Database, query: str) -> list[Any]:
    """What really stands there."""
    async with database.reading() as connection:
        return [row[0] for row in await connection.execute(text(query))]


async def everything_sealed(database: Database) -> bool:
    queries = (
        "SELECT claims FROM person_profiles",
        "SELECT jwk FROM person_signing_keys",
        "SELECT value FROM person_secrets",
    )
    values = [value for query in queries for value in await raw(database, query)]
    assert len(values) == PEOPLE + 2
    return all(database.sealer.is_current(value) for value in values)


async def readable(database: Database) -> None:
    """All of it is what it was."""
    store = SQLPersonStore(database)
    (key,) = await store.signing_keys.keys()
    assert "d" in key.jwk
    assert await store.directed_key(first=b"other" * 8) == b"k" * 32
    async with database.reading() as connection:
        claims = (await connection.execute(select(person_tables.profiles.c.claims))).scalars().all()
    assert set(claims) == {'{"name":"Ana"}'} and len(claims) == PEOPLE


async def test_what_was_there_before_is_encrypted(opened: Open) -> None:
    await fill(await opened())
    database = await opened(new_key())
    assert not await everything_sealed(database)
    await readable(database)
    heard: dict[str, int] = {}
    assert await reseal(database, heard.__setitem__) == PEOPLE + 2
    assert heard == {"person_profiles": PEOPLE, "person_signing_keys": 1, "person_secrets": 1}
    assert await everything_sealed(database)
    await readable(database)
    assert await reseal(database) == 0, "nothing is left to do"


async def test_a_key_is_replaced(opened: Open) -> None:
    old, new = new_key(), new_key()
    await fill(await opened(old))
    both = await opened(new, old)
    assert not await everything_sealed(both)
    await reseal(both)
    only = await opened(new)
    assert await everything_sealed(only)
    await readable(only)


async def test_one_that_was_interrupted_goes_on(opened: Open) -> None:
    await fill(await opened())
    database = await opened(new_key())
    transaction, left = database.transaction, iter(range(2))

    def interrupted() -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return transaction()

    database.transaction = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        await reseal(database)
    database.transaction = transaction  # type: ignore[method-assign]
    await readable(database)
    assert 0 < await reseal(database) <= PEOPLE + 2
    assert await everything_sealed(database)
    await readable(database)


async def test_servers_go_on_writing_meanwhile(opened: Open) -> None:
    await fill(await opened())
    key = new_key()
    database, server = await opened(key), await opened(key)
    profiles = person_tables.profiles

    async def serve() -> None:
        for number in range(0, PEOPLE, 9):
            async with server.transaction() as connection:
                this = profiles.c.person_id == f"person-{number:04}"
                await connection.execute(profiles.update().where(this).values(claims='{"name":"Eva"}'))

    await asyncio.gather(reseal(database), serve())
    assert await everything_sealed(database)
    async with database.reading() as connection:
        claims = list((await connection.execute(select(profiles.c.claims))).scalars())
    assert claims.count('{"name":"Eva"}') == len(range(0, PEOPLE, 9))


async def test_nothing_is_encrypted_without_a_key(opened: Open) -> None:
    database = await opened()
    await fill(database)
    with pytest.raises(ConfigurationError, match="new-key"):
        await reseal(database)


@pytest.mark.parametrize("keys", [(), (new_key(),)], ids=["no-key", "wrong-key"])
async def test_a_server_does_not_start_on_keys_it_cannot_open(opened: Open, keys: tuple[str, ...]) -> None:
    await fill(await opened(new_key()))
    database = await opened(*keys)
    ring = KeyRing(SQLPersonStore(database).signing_keys, clock=time.time, longest_token_s=3600)
    with pytest.raises(ConfigurationError, match=r"person_signing_keys\.jwk .* AAUTHLIB_ENCRYPTION_KEY"):
        await ring.refresh()
    with pytest.raises(ConfigurationError, match="AAUTHLIB_ENCRYPTION_KEY"):
        await SQLPersonStore(database).directed_key(first=b"k" * 32)


async def test_a_private_key_opens_in_its_own_row_only(opened: Open) -> None:
    database = await opened(new_key())
    await fill(database)
    async with database.transaction() as connection:
        await connection.execute(text("UPDATE person_signing_keys SET kid = 'another'"))
    with pytest.raises(ConfigurationError, match="moved"):
        await SQLPersonStore(database).signing_keys.keys()


def _sealed() -> list[Any]:
    return [column for table in whole_schema().sorted_tables for column in sealed_columns(table)]


def test_every_encrypted_column_says_where_it_is() -> None:
    assert len(_sealed()) > 30
    for column in _sealed():
        if isinstance(column.type, Sealed | SealedBytes):
            assert column.type.place == f"{column.table.name}.{column.name}"
            assert column.type.load_dialect_impl is not None
            assert not column.primary_key and not column.unique and not column.index


@pytest.mark.parametrize("ask", [lambda c: c == "x", lambda c: c.contains("x"), lambda c: c.desc(), lambda c: c > "x"])
def test_the_database_is_never_asked_to_compare_what_it_cannot_read(ask: Callable[[Any], Any]) -> None:
    claims = person_tables.profiles.c.claims
    with pytest.raises(TypeError, match="encrypted at rest"):
        ask(claims)
    assert claims.is_(None) is not None
    assert func.count(claims) is not None
    assert PREFIX
