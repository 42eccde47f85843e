from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

import pytest

from aauthlib.deferred.machine import Event
from aauthlib.deferred.pending import PendingRequests
from aauthlib.store.resource_memory import MemoryResourceStore
from aauthlib.store.waiters import Waiters

pytestmark = pytest.mark.spec("#polling-with-get")


class Board:
    """Stamps to look at, and how often somebody did."""

    def __init__(self, **stamps: str) -> None:
        self.stamps = stamps
        self.looks: list[list[str]] = []
        self.looked = asyncio.Event()

    async def look(self, keys: Sequence[str]) -> Mapping[str, str]:
        self.looks.append(sorted(keys))
        self.looked.set()
        return {key: self.stamps[key] for key in keys if key in self.stamps}


class Ear:
    """A listener that hears what the test says."""

    listening = True

    def __init__(self) -> None:
        self.running = asyncio.Event()

    async def run(self, told: Callable[[str, str], None], turned: Callable[[], None]) -> None:
        self.told, self.turned = told, turned
        self.running.set()
        await asyncio.Event().wait()


def never_looking(listener: Ear | None = None) -> Waiters:
    """Only a newcomer is looked at."""
    return Waiters(listener, look_every_s=3600, look_anyway_s=3600)


async def within(awaitable: Awaitable[object]) -> None:
    async with asyncio.timeout(5):
        await awaitable


async def waiting(waiters: Waiters, board: Board, key: str = "a", seen: str = "1") -> asyncio.Task[None]:
    """Somebody who waits, and whose first look was in vain."""
    board.stamps[key] = seen
    board.looked.clear()
    task = asyncio.create_task(waiters.wait(key, seen, 3600, board.look))
    await within(board.looked.wait())
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_a_wake_ends_the_wait_at_once() -> None:
    waiters = never_looking()
    wait = await waiting(waiters, Board())

    waiters.wake("a", "2")

    await within(wait)


async def test_a_wake_by_what_was_seen_already_is_none() -> None:
    waiters, board = never_looking(), Board()
    wait = await waiting(waiters, board)

    waiters.wake("a", "1")
    await asyncio.sleep(0)
    assert not wait.done()

    waiters.wake("a", "2")
    await within(wait)


async def test_everybody_who_waits_for_the_same_is_woken_and_nobody_else() -> None:
    waiters, board = never_looking(), Board()
    same = [await waiting(waiters, board) for _ in range(3)]
    other = await waiting(waiters, board, "b")

    waiters.wake("a", "2")
    await within(asyncio.gather(*same))

    assert not other.done()
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)
    assert len(waiters) == 0


@pytest.mark.parametrize("stamps", [{"a": "2"}, {}], ids=["changed", "gone"])
async def test_what_changed_before_somebody_waited_is_seen_by_a_look(stamps: dict[str, str]) -> None:
    await within(never_looking().wait("a", "1", 3600, Board(**stamps).look))


async def test_a_change_by_another_process_is_seen_at_the_next_look() -> None:
    waiters, board = Waiters(look_every_s=0.01), Board()
    wait = await waiting(waiters, board)

    board.stamps["a"] = "2"

    await within(wait)


async def test_all_who_wait_are_looked_at_together() -> None:
    waiters, board = never_looking(), Board(**{f"k{number:04}": "2" for number in range(1200)})

    async with asyncio.timeout(5):
        await asyncio.gather(*(waiters.wait(key, "1", 3600, board.look) for key in list(board.stamps)))

    assert [len(keys) for keys in board.looks] == [500, 500, 200]


async def test_what_is_heard_from_another_process_wakes() -> None:
    ear, board = Ear(), Board()
    waiters = never_looking(ear)
    wait = await waiting(waiters, board)

    ear.told("a", "2")

    await within(wait)
    await waiters.close()


async def test_what_nobody_heard_is_looked_for_when_the_listener_is_back() -> None:
    ear, board = Ear(), Board()
    waiters = never_looking(ear)
    wait = await waiting(waiters, board)
    board.stamps["a"] = "2"
    await asyncio.sleep(0)
    assert not wait.done()

    ear.turned()

    await within(wait)
    await waiters.close()


async def test_while_nobody_listens_everybody_looks() -> None:
    ear, board = Ear(), Board()
    ear.listening = False
    waiters = Waiters(ear, look_every_s=0.01, look_anyway_s=3600)
    wait = await waiting(waiters, board)

    board.stamps["a"] = "2"

    await within(wait)
    await waiters.close()


async def test_what_nobody_tells_is_found_by_a_look_now_and_then() -> None:
    waiters, board = Waiters(Ear(), look_every_s=3600, look_anyway_s=0.01), Board()
    wait = await waiting(waiters, board)

    board.stamps["a"] = "2"

    await within(wait)
    await waiters.close()


async def test_a_wait_ends_when_its_time_is_up() -> None:
    waiters = never_looking()

    await within(waiters.wait("a", "1", 0.01, Board(a="1").look))
    await within(waiters.wait("a", "1", 0, Board(a="1").look))

    assert len(waiters) == 0


async def test_a_cancelled_wait_leaves_nothing_behind() -> None:
    waiters = never_looking()
    wait = await waiting(waiters, Board())

    wait.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wait

    assert len(waiters) == 0
    waiters.wake("a", "2")


async def test_a_look_that_fails_is_repeated_and_said(caplog: pytest.LogCaptureFixture) -> None:
    failures = [RuntimeError("postgresql://user:secret@host is gone")]
    board = Board(a="2")

    async def sometimes(keys: Sequence[str]) -> Mapping[str, str]:
        if failures:
            raise failures.pop()
        return await board.look(keys)

    with caplog.at_level(logging.WARNING, "aauthlib.store"):
        await within(Waiters(look_every_s=0.01).wait("a", "1", 3600, sometimes))

    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


async def test_more_than_may_wait_are_held_for_a_moment_only() -> None:
    waiters, board = Waiters(look_every_s=0.01, most=1), Board()
    first = await waiting(waiters, board)

    await within(waiters.wait("b", "1", 3600, Board(b="1").look))

    assert len(waiters) == 1
    waiters.wake("a", "2")
    await within(first)


async def test_the_end_of_the_waiters_ends_their_tasks() -> None:
    ear = Ear()
    before = asyncio.all_tasks()
    waiters = never_looking(ear)
    wait = await waiting(waiters, Board())
    await within(ear.running.wait())

    await waiters.close()

    assert asyncio.all_tasks() - before == {wait}
    waiters.wake("a", "2")
    await within(wait)


async def test_what_one_part_of_a_process_decides_wakes_whoever_waits_in_another() -> None:
    waiters = never_looking()
    store = MemoryResourceStore(lambda: 0.0, waiters=waiters)
    opened = await PendingRequests(store, issuer="https://r.example", clock=lambda: 0.0).open(
        kind="test", owner="o", request={}
    )
    board, pending = Board(), opened.pending
    wait = await waiting(waiters, board, pending.digest, pending.stamp)

    await store.advance_pending(pending.digest, Event.GRANT)

    await within(wait)
