"""What is kept of an intermediary's invocations: the same in memory, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from aauthlib.chaining import ChainStore
from aauthlib.deferred.machine import Event, IllegalTransition, State
from aauthlib.deferred.pending import Pending
from aauthlib.errors import NotFound
from aauthlib.store.database import Database
from aauthlib.store.resource import SQLResourceStore
from aauthlib.store.resource_memory import MemoryResourceStore
from aauthlib.store.resource_records import InvocationRecord

from .test_resource import NOW, Clock, pending

pytestmark = pytest.mark.spec("#interaction-chaining")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def chained(digest: str = "p1", owner: str = "ada") -> Pending:
    return pending(digest, owner=owner, kind="chained", request={"ps": "https://ps.example"})


def record(digest: str = "p1", alive_until: float = NOW + 30) -> InvocationRecord:
    return InvocationRecord(digest=digest, iss="https://ps.example", jti="j1", nonce="n", alive_until=alive_until)


async def opened(store: ChainStore, digest: str = "p1") -> None:
    assert await store.open_invocation(chained(digest), record(digest), most=9, now=NOW)


class Contract:
    """What every store does."""

    async def test_an_invocation_is_kept_with_its_pending_request(self, store: ChainStore) -> None:
        await opened(store)
        assert await store.get_invocation("p1") == record()
        kept = await store.get_pending("p1")
        assert kept is not None and kept.request == {"ps": "https://ps.example"}
        assert await store.get_invocation("another") is None

    async def test_as_many_of_one_caller_wait_as_may_and_those_of_lost_processes_do_not_count(
        self, store: ChainStore
    ) -> None:
        assert await store.open_invocation(chained("p1"), record("p1"), most=1, now=NOW)
        assert not await store.open_invocation(chained("p2"), record("p2"), most=1, now=NOW)
        assert await store.get_pending("p2") is None
        assert await store.open_invocation(chained("p3", owner="bob"), record("p3"), most=1, now=NOW)
        await store.beat_invocations(["p1"], NOW)
        assert await store.open_invocation(chained("p4"), record("p4"), most=1, now=NOW)
        await store.decide_pending("p4", Event.DENY, {})
        assert await store.open_invocation(chained("p5"), record("p5"), most=1, now=NOW)

    async def test_who_waits_is_woken_when_the_person_is_needed(self, store: ChainStore) -> None:
        await opened(store)
        before = await store.get_pending("p1")
        assert before is not None
        waiting = asyncio.create_task(store.wait_pending(before, 10))
        await asyncio.sleep(0)
        await store.direct_invocation("p1", "https://ps.example/i", "AAAA-BBBB", now=NOW + 5)
        await asyncio.wait_for(waiting, 5)
        after = await store.get_pending("p1")
        assert after is not None and after.state is State.PENDING and after.stamp != before.stamp
        known = await store.get_invocation("p1")
        assert known is not None
        assert (known.step, known.url, known.code, known.seen_at) == (1, "https://ps.example/i", "AAAA-BBBB", NOW + 5)

    async def test_nobody_is_needed_for_what_is_over(self, store: ChainStore) -> None:
        await opened(store)
        await store.decide_pending("p1", Event.CANCEL, {})
        with pytest.raises(IllegalTransition):
            await store.direct_invocation("p1", "https://ps.example/i", "AAAA-BBBB", now=NOW)
        with pytest.raises(NotFound):
            await store.direct_invocation("another", "https://ps.example/i", "AAAA-BBBB", now=NOW)

    @pytest.mark.spec("#interaction-code-format")
    async def test_a_new_code_counts_in_place_of_the_one_that_was_used_and_only_one_poll_makes_it(
        self, store: ChainStore
    ) -> None:
        await opened(store)
        await store.consume_code("h-p1", "right", max_attempts=5)
        assert await store.recode_invocation("p1", 1, "another")
        assert not await store.recode_invocation("p1", 1, "a third")
        arrived = await store.consume_code("h-p1", "another", max_attempts=5)
        assert arrived.code_consumed
        known = await store.get_invocation("p1")
        assert known is not None and (known.coded, known.shown) == (2, True)

    async def test_changes_and_signs_of_life_are_kept(self, store: ChainStore) -> None:
        await opened(store)
        await opened(store, "p2")
        await store.update_invocation("p1", visited=2, callback="https://trips.example/back", seen_at=NOW + 1)
        await store.beat_invocations(["p1"], NOW + 60)
        wanted = replace(
            record(), visited=2, callback="https://trips.example/back", seen_at=NOW + 1, alive_until=NOW + 60
        )
        assert await store.get_invocation("p1") == wanted
        assert await store.get_invocation("p2") == record("p2")


class TestInMemory(Contract):
    @pytest.fixture
    def store(self, clock: Clock) -> ChainStore:
        return MemoryResourceStore(clock)


class TestOnSQLite(Contract):
    @pytest.fixture
    def store(self, sqlite: Database, clock: Clock) -> ChainStore:
        return SQLResourceStore(sqlite, clock)

    async def test_a_result_is_forgotten_with_its_time_and_how_it_ended_an_hour_later(
        self, store: ChainStore, clock: Clock
    ) -> None:
        await opened(store)
        await store.decide_pending("p1", Event.GRANT, {"body": "c2VjcmV0"})
        clock.now = NOW + 901
        await store.open_invocation(chained("p2"), record("p2"), most=9, now=clock.now)
        kept = await store.get_pending("p1")
        assert kept is not None and kept.decision == {}
        clock.now = NOW + 900 + 3601
        await store.open_invocation(chained("p3"), record("p3"), most=9, now=clock.now)
        assert await store.get_pending("p1") is None
        assert await store.get_invocation("p1") is None


class TestOnPostgreSQL(TestOnSQLite):
    @pytest.fixture
    def store(self, postgresql: Database, clock: Clock) -> ChainStore:
        return SQLResourceStore(postgresql, clock)
