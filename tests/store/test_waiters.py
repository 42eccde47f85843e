from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from aauthlib.deferred.machine import Event
from aauthlib.deferred.pending import PendingRequests
from aauthlib.store.database import Database
from aauthlib.store.pending import SQLPendingStore
from aauthlib.store.resource_memory import MemoryResourceStore
from aauthlib.store.waiters import Waiters

pytestmark = pytest.mark.spec("#polling-with-get")


def looker(answers: list[bool], looked: asyncio.Event) -> Callable[[], Awaitable[bool]]:
    """A `changed` that gives `answers` in order, the last one for ever, and says when it was asked."""

    async def changed() -> bool:
        looked.set()
        return answers.pop(0) if len(answers) > 1 else answers[0]

    return changed


async def test_a_wake_ends_the_wait_at_once() -> None:
    waiters, looked = Waiters(poll_interval_s=3600), asyncio.Event()
    wait = asyncio.create_task(waiters.wait("a", 3600, looker([False], looked)))
    await looked.wait()

    waiters.wake("a")

    async with asyncio.timeout(5):
        await wait


async def test_everybody_who_waits_for_the_same_is_woken_and_nobody_else() -> None:
    waiters = Waiters(poll_interval_s=3600)
    looked = [asyncio.Event() for _ in range(4)]
    same = [asyncio.create_task(waiters.wait("a", 3600, looker([False], event))) for event in looked[:3]]
    other = asyncio.create_task(waiters.wait("b", 3600, looker([False], looked[3])))
    await asyncio.gather(*(event.wait() for event in looked))

    waiters.wake("a")
    async with asyncio.timeout(5):
        await asyncio.gather(*same)

    assert not other.done()
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)
    assert len(waiters) == 0


async def test_a_change_that_was_made_already_is_seen_without_a_wake() -> None:
    async with asyncio.timeout(5):
        await Waiters(poll_interval_s=3600).wait("a", 3600, looker([True], asyncio.Event()))


async def test_a_change_by_another_process_is_seen_at_the_next_look() -> None:
    async with asyncio.timeout(5):
        await Waiters(poll_interval_s=0.01).wait("a", 3600, looker([False, False, True], asyncio.Event()))


async def test_a_wait_ends_when_its_time_is_up() -> None:
    waiters = Waiters(poll_interval_s=3600)

    async with asyncio.timeout(5):
        await waiters.wait("a", 0.01, looker([False], asyncio.Event()))
        await waiters.wait("a", 0, looker([False], asyncio.Event()))

    assert len(waiters) == 0


async def test_waking_when_nobody_waits_is_nothing() -> None:
    waiters = Waiters()

    waiters.wake("a")

    assert len(waiters) == 0


async def test_a_cancelled_wait_leaves_nothing_behind() -> None:
    waiters, looked = Waiters(poll_interval_s=3600), asyncio.Event()
    wait = asyncio.create_task(waiters.wait("a", 3600, looker([False], looked)))
    await looked.wait()

    wait.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wait

    assert len(waiters) == 0


async def test_a_look_that_fails_leaves_nothing_behind() -> None:
    waiters = Waiters()

    async def broken() -> bool:
        raise RuntimeError("the database is gone")

    with pytest.raises(RuntimeError):
        await waiters.wait("a", 3600, broken)
    assert len(waiters) == 0


async def test_a_store_uses_the_waiters_it_is_given_even_while_nobody_waits() -> None:
    waiters = Waiters()
    database = await Database.open("sqlite://")
    try:
        assert SQLPendingStore(database, waiters=waiters).waiters is waiters
    finally:
        await database.close()


async def test_what_one_part_of_a_process_decides_wakes_whoever_waits_in_another() -> None:
    waiters, looked = Waiters(poll_interval_s=3600), asyncio.Event()
    store = MemoryResourceStore(lambda: 0.0, waiters=waiters)
    opened = await PendingRequests(store, issuer="https://r.example", clock=lambda: 0.0).open(
        kind="test", owner="o", request={}
    )
    wait = asyncio.create_task(waiters.wait(opened.pending.digest, 3600, looker([False], looked)))
    await looked.wait()

    await store.advance_pending(opened.pending.digest, Event.GRANT)

    async with asyncio.timeout(5):
        await wait
