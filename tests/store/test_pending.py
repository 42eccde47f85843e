"""Pending requests in a database, on every engine (#deferred-responses, #interaction-code-format)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from aauthlib.deferred.machine import Event, IllegalTransition, State
from aauthlib.deferred.pending import MAX_CODE_ATTEMPTS, Pending
from aauthlib.errors import InvalidCode, NotFound
from aauthlib.messages.codes import code_digest
from aauthlib.store.database import Database
from aauthlib.store.pending import SQLPendingStore, advance, load, pending_table
from aauthlib.store.waiters import Waiters

CODE, WRONG = code_digest("A1B2-C3D4"), code_digest("ZZZZ-ZZZZ")
PENDING = Pending(
    digest="d" * 64,
    owner="https://ap.example aauth:helper@ap.example",
    kind="person_token",
    state=State.PENDING,
    created_at=1000.0,
    expires_at=1900.0,
    requirement="interaction",
    handle="abcd2345",
    code_digest=CODE,
    request={"resource": "https://calendar.example", "note": "\u0000 ünïcode", "nested": {"list": [1, 2.5, None]}},
)


class Keeping(SQLPendingStore):
    """A store of a role that keeps something with each delivery."""

    fail = False

    async def record_delivery(self, connection: AsyncConnection, pending: Pending, record: object) -> None:
        self.delivered = (pending.state, record)
        if self.fail:
            raise NotFound("The role could not keep its record.")


class Contract:
    """What every engine must do."""

    @pytest.fixture
    async def store(self, database: Database) -> Keeping:
        database.waiters = Waiters(look_every_s=3600)
        store = Keeping(database)
        await store.create_pending(PENDING)
        return store

    async def test_a_pending_request_comes_back_as_it_was(self, store: Keeping) -> None:
        assert await store.get_pending(PENDING.digest) == PENDING
        assert await store.get_interaction("abcd2345") == PENDING
        assert await store.get_pending("e" * 64) is None
        assert await store.get_interaction("other") is None

    async def test_requests_without_an_interaction_do_not_collide(self, store: Keeping) -> None:
        for digest in ("1" * 64, "2" * 64):
            await store.create_pending(replace(PENDING, digest=digest, handle=None, code_digest=None))
        assert await store.get_pending("2" * 64) is not None

    @pytest.mark.spec("#deferred-response-state-machine")
    async def test_a_state_changes_only_as_the_table_says(self, store: Keeping) -> None:
        granted = await store.advance_pending(PENDING.digest, Event.GRANT, detail="yes")
        assert (granted.state, granted.detail) == (State.GRANTED, "yes")
        with pytest.raises(IllegalTransition):
            await store.advance_pending(PENDING.digest, Event.DENY)
        unchanged = await store.get_pending(PENDING.digest)
        assert unchanged is not None
        assert unchanged.state is State.GRANTED
        with pytest.raises(NotFound):
            await store.advance_pending("e" * 64, Event.GRANT)

    @pytest.mark.spec("#pending-url-security")
    async def test_of_many_deliveries_at_once_one_succeeds(self, store: Keeping) -> None:
        await store.advance_pending(PENDING.digest, Event.GRANT)
        results = await asyncio.gather(
            *(store.advance_pending(PENDING.digest, Event.DELIVER, record=n) for n in range(6)),
            return_exceptions=True,
        )
        assert sum(isinstance(result, Pending) for result in results) == 1
        assert sum(isinstance(result, IllegalTransition) for result in results) == 5

    async def test_what_a_delivery_records_and_the_delivery_stand_or_fall_together(self, store: Keeping) -> None:
        await store.advance_pending(PENDING.digest, Event.GRANT)
        store.fail = True
        with pytest.raises(NotFound):
            await store.advance_pending(PENDING.digest, Event.DELIVER, record="token record")
        assert store.delivered == (State.DELIVERED, "token record")
        after = await store.get_pending(PENDING.digest)
        assert after is not None
        assert after.state is State.GRANTED

    async def test_a_decision_is_kept_with_the_state_it_causes(self, store: Keeping) -> None:
        async with store.database.transaction() as connection:
            await advance(connection, PENDING.digest, Event.GRANT, decision={"scopes": ["a"]})
        async with store.database.transaction() as connection:
            pending = await load(connection, PENDING.digest, lock=True)
        assert pending.decision == {"scopes": ["a"]}

    @pytest.mark.spec("#interaction-code-format")
    async def test_the_right_code_is_consumed_once(self, store: Keeping) -> None:
        results = await asyncio.gather(
            *(store.consume_code("abcd2345", CODE, max_attempts=MAX_CODE_ATTEMPTS) for _ in range(4)),
            return_exceptions=True,
        )
        (arrived,) = [result for result in results if isinstance(result, Pending)]
        assert (arrived.state, arrived.code_consumed) == (State.INTERACTING, True)
        assert sum(isinstance(result, InvalidCode) for result in results) == 3

    @pytest.mark.spec("#interaction-code-format")
    async def test_wrong_codes_are_counted_and_the_last_ends_the_request(self, store: Keeping) -> None:
        for attempt in range(1, MAX_CODE_ATTEMPTS + 1):
            with pytest.raises(InvalidCode):
                await store.consume_code("abcd2345", WRONG, max_attempts=MAX_CODE_ATTEMPTS)
            pending = await store.get_pending(PENDING.digest)
            assert pending is not None
            assert pending.code_attempts == attempt
        assert pending.state is State.INVALID_CODE
        with pytest.raises(InvalidCode):
            await store.consume_code("abcd2345", CODE, max_attempts=MAX_CODE_ATTEMPTS)
        with pytest.raises(InvalidCode):
            await store.consume_code("no-such", CODE, max_attempts=MAX_CODE_ATTEMPTS)

    @pytest.mark.spec("#polling-with-get")
    async def test_a_waiter_is_woken_by_a_change(self, store: Keeping) -> None:
        wait = asyncio.create_task(store.wait_pending(PENDING, 30))
        await store.advance_pending(PENDING.digest, Event.DENY)
        await asyncio.wait_for(wait, 5)
        assert len(store.database.waiters) == 0

    @pytest.mark.spec("#polling-with-get")
    async def test_nobody_is_woken_by_what_is_not_committed(self, store: Keeping) -> None:
        wait = asyncio.create_task(store.wait_pending(PENDING, 30))
        with pytest.raises(NotFound):
            async with store.database.transaction() as connection:
                await advance(connection, PENDING.digest, Event.GRANT)
                raise NotFound("rolled back")
        await asyncio.sleep(0)
        assert not wait.done()
        await store.advance_pending(PENDING.digest, Event.DENY)
        await asyncio.wait_for(wait, 5)

    @pytest.mark.spec("#polling-with-get")
    async def test_a_waiter_notices_what_another_process_changed(self, store: Keeping) -> None:
        store.database.waiters = Waiters(look_every_s=0.02)
        wait = asyncio.create_task(store.wait_pending(PENDING, 30))
        await asyncio.sleep(0)
        elsewhere = Database(store.database.engine)
        await SQLPendingStore(elsewhere).advance_pending(PENDING.digest, Event.DENY)
        await asyncio.wait_for(wait, 5)

    @pytest.mark.spec("#polling-with-get")
    async def test_what_a_server_of_an_older_version_changed_is_noticed(self, store: Keeping) -> None:
        async with store.database.transaction() as connection:
            await connection.execute(update(pending_table).values(state="denied"))
        await asyncio.wait_for(store.wait_pending(PENDING, 30), 5)

    async def test_a_waiter_gives_up_in_time(self, store: Keeping) -> None:
        await asyncio.wait_for(store.wait_pending(PENDING, 0.05), 5)
        assert len(store.database.waiters) == 0


class TestOnSQLite(Contract):
    @pytest.fixture
    def database(self, sqlite: Database) -> Database:
        return sqlite


class TestOnPostgreSQL(Contract):
    @pytest.fixture
    def database(self, postgresql: Database) -> Database:
        return postgresql
