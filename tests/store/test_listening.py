"""Two processes on one PostgreSQL: what is decided in one wakes who waits in the other (#polling-with-get)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

import pytest
from sqlalchemy import URL, text

from aauthlib.deferred.machine import Event, State
from aauthlib.deferred.pending import Pending
from aauthlib.store.database import Database
from aauthlib.store.listening import APPLICATION_NAME, PostgreSQLListener
from aauthlib.store.pending import SQLPendingStore, advance
from aauthlib.store.waiters import Waiters

pytestmark = pytest.mark.spec("#polling-with-get")

PENDING = Pending(digest="d" * 64, owner="o", kind="k", state=State.PENDING, created_at=0.0, expires_at=900.0)
_LISTENERS = "FROM pg_stat_activity WHERE application_name = :name AND datname = current_database()"


class Observed(PostgreSQLListener):
    """Says when it begins or ceases to listen, and tries again when it is let."""

    def __init__(self, database: Database, **options: float) -> None:
        super().__init__(database.engine, sleep=self._until_let, **options)
        self.turns: asyncio.Queue[bool] = asyncio.Queue()
        self.may_try_again = asyncio.Event()
        self.told: list[tuple[str, str]] = []

    async def _until_let(self, _: float) -> None:
        await self.may_try_again.wait()
        self.may_try_again.clear()

    async def run(self, told: Callable[[str, str], None], turned: Callable[[], None]) -> None:
        def on_told(key: str, stamp: str) -> None:
            self.told.append((key, stamp))
            told(key, stamp)

        def on_turned() -> None:
            turned()
            self.turns.put_nowait(self.listening)

        await super().run(on_told, on_turned)

    async def turn(self) -> bool:
        async with asyncio.timeout(5):
            return await self.turns.get()


@dataclass
class Pooler:
    """Something between us and PostgreSQL that fails without saying so."""

    url: str
    fault: Literal["none", "silent", "keeps notifications"] = "none"

    @classmethod
    @asynccontextmanager
    async def before(cls, url: URL) -> AsyncIterator[Pooler]:
        pooler = cls("")

        async def requests(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65_536):
                sink.write(data)
            sink.close()

        async def answers(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while kind := await source.read(1):
                length = await source.readexactly(4)
                data = kind + length + await source.readexactly(int.from_bytes(length) - 4)
                if pooler.fault == "silent" or (pooler.fault == "keeps notifications" and kind == b"A"):
                    continue
                sink.write(data)
            sink.close()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there_reader, there_writer = await asyncio.open_connection(url.host, url.port)
            with suppress(ConnectionError):
                await asyncio.gather(requests(reader, there_writer), answers(there_reader, writer))

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            here = url.set(host="127.0.0.1", port=port).update_query_dict({"ssl": "disable"})
            pooler.url = here.render_as_string(hide_password=False)
            yield pooler


@dataclass
class Processes:
    """`here` somebody waits, `there` it is decided."""

    here: Database
    there: Database
    store: SQLPendingStore = field(init=False)
    ear: Observed = field(init=False)

    async def wait(
        self, *, far: Database | None = None, look_every_s: float = 3600, **options: float
    ) -> asyncio.Task[None]:
        """Somebody who waits and is listening, by way of `far`."""
        self.store, self.ear = SQLPendingStore(self.here), Observed(far or self.here, **options)
        self.here.waiters = Waiters(self.ear, look_every_s=look_every_s, look_anyway_s=3600)
        await self.store.create_pending(PENDING)
        task = asyncio.create_task(self.store.wait_pending(PENDING, 3600))
        assert await self.ear.turn() is True
        return task

    async def decide(self) -> None:
        await SQLPendingStore(self.there).advance_pending(PENDING.digest, Event.GRANT)

    async def break_the_connection(self) -> None:
        query = text(f"SELECT pg_terminate_backend(pid) {_LISTENERS}")
        async with self.there.transaction() as connection:
            assert (await connection.execute(query, {"name": APPLICATION_NAME})).all() == [(True,)]
        assert await self.ear.turn() is False


@pytest.fixture
async def processes(postgresql: Database, needs_postgres: str) -> AsyncIterator[Processes]:
    there = await Database.open(needs_postgres)
    yield Processes(postgresql, there)
    await there.close()


async def within(task: asyncio.Task[None]) -> None:
    async with asyncio.timeout(5):
        await task


async def test_a_decision_in_one_process_wakes_the_poll_in_another(processes: Processes) -> None:
    wait = await processes.wait()

    await processes.decide()

    await within(wait)
    assert processes.ear.told == [(PENDING.digest, "1 granted")]


async def test_what_is_rolled_back_is_told_to_nobody(processes: Processes) -> None:
    wait = await processes.wait()

    with pytest.raises(RuntimeError):
        async with processes.there.transaction() as connection:
            await advance(connection, PENDING.digest, Event.GRANT)
            raise RuntimeError
    await processes.decide()

    await within(wait)
    assert processes.ear.told == [(PENDING.digest, "1 granted")]


async def test_without_the_connection_whoever_waits_looks_for_itself(processes: Processes) -> None:
    wait = await processes.wait(look_every_s=0.02)
    await processes.break_the_connection()

    await processes.decide()

    await within(wait)
    assert processes.ear.told == []


async def test_what_happened_while_the_connection_was_away_is_seen_when_it_is_back(processes: Processes) -> None:
    wait = await processes.wait()
    await processes.break_the_connection()
    await processes.decide()
    await asyncio.sleep(0)
    assert not wait.done()

    processes.ear.may_try_again.set()

    assert await processes.ear.turn() is True
    await within(wait)


async def test_a_new_connection_hears_as_the_old_one_did(processes: Processes) -> None:
    wait = await processes.wait()
    await processes.break_the_connection()
    processes.ear.may_try_again.set()
    assert await processes.ear.turn() is True

    await processes.decide()

    await within(wait)
    assert processes.ear.told == [(PENDING.digest, "1 granted")]


@pytest.mark.parametrize("fault", ["silent", "keeps notifications"])
async def test_a_connection_that_passes_nothing_on_is_given_up(
    processes: Processes, fault: Literal["silent", "keeps notifications"]
) -> None:
    async with Pooler.before(processes.there.engine.url) as pooler:
        far = Database.connect(pooler.url)
        wait = await processes.wait(far=far, look_every_s=0.02, beat_every_s=0.02, beat_timeout_s=0.2)

        pooler.fault = fault
        assert await processes.ear.turn() is False
        await processes.decide()

        await within(wait)
        await far.close()
        await processes.here.close()


async def test_one_connection_listens_for_everybody_and_goes_with_the_database(processes: Processes) -> None:
    tasks = [await processes.wait()]
    tasks += [asyncio.create_task(processes.store.wait_pending(PENDING, 3600)) for _ in range(20)]
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = :name AND datname = current_database()"
    )
    async with processes.there.transaction() as connection:
        assert await connection.scalar(query, {"name": APPLICATION_NAME}) == 1

    await processes.decide()
    async with asyncio.timeout(5):
        await asyncio.gather(*tasks)
    await processes.here.close()

    async with processes.there.transaction() as connection, asyncio.timeout(5):
        while await connection.scalar(query, {"name": APPLICATION_NAME}):
            await connection.execute(text("SELECT pg_stat_clear_snapshot()"))
