"""Single flight holds nothing for keys that nobody waits for."""

from __future__ import annotations

import asyncio

import pytest

from aauthlib.transport.flights import AsyncFlights, ThreadFlights


def test_a_turn_leaves_nothing_behind() -> None:
    flights = ThreadFlights()
    with flights.turn("a"), flights.turn("b"):
        assert len(flights) == 2
    assert len(flights) == 0


def test_a_turn_that_fails_leaves_nothing_behind() -> None:
    flights = ThreadFlights()
    with pytest.raises(ValueError, match="x"), flights.turn("a"):
        raise ValueError("x")
    assert len(flights) == 0


async def test_a_flight_leaves_nothing_behind() -> None:
    flights: AsyncFlights[int] = AsyncFlights()

    async def find() -> int:
        assert len(flights) == 1
        return 7

    assert await flights.fly("a", "question", lambda: None, find) == 7
    assert len(flights) == 0


async def test_a_failed_flight_fails_all_who_asked_the_same() -> None:
    flights: AsyncFlights[int] = AsyncFlights()
    flown = []

    async def find() -> int:
        flown.append(True)
        await asyncio.sleep(0)
        raise ValueError("x")

    results = await asyncio.gather(
        *(flights.fly("a", "question", lambda: None, find) for _ in range(5)), return_exceptions=True
    )
    assert [type(result) for result in results] == [ValueError] * 5
    assert flown == [True]


async def test_another_question_at_the_same_key_waits_its_turn() -> None:
    flights: AsyncFlights[str] = AsyncFlights()
    under_way: list[str] = []
    order: list[str] = []

    def finder(name: str) -> object:
        async def find() -> str:
            assert under_way == []
            under_way.append(name)
            await asyncio.sleep(0)
            order.append(under_way.pop())
            return name

        return find

    names = ["x", "y", "z"]
    found = await asyncio.gather(*(flights.fly("a", name, lambda: None, finder(name)) for name in names))  # type: ignore[arg-type]
    assert found == names
    assert sorted(order) == names
