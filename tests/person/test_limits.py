"""How much one agent may ask (#person-token-endpoint, Retention)."""

from __future__ import annotations

import pytest

from aauthlib.errors import RateLimited
from aauthlib.person import limits
from aauthlib.person.limits import DistinctResources

from .parties import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_resource_named_before_costs_nothing(clock: Clock) -> None:
    named = DistinctResources(clock=clock, limit=2)
    for _ in range(10):
        named.count("agent", "a")
        named.count("agent", "b")
    with pytest.raises(RateLimited) as caught:
        named.count("agent", "c")
    assert caught.value.retry_after_s == 3600
    named.count("other", "c")


def test_after_the_window_there_is_room_again(clock: Clock) -> None:
    named = DistinctResources(clock=clock, limit=1, window_s=10)
    named.count("agent", "a")
    clock.now += 9
    with pytest.raises(RateLimited) as caught:
        named.count("agent", "b")
    assert caught.value.retry_after_s == 1
    clock.now += 1
    named.count("agent", "b")


def test_the_agents_remembered_are_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MAX_AGENTS", 2)
    named = DistinctResources(clock=clock, limit=1)
    for agent in ("one", "two", "three"):
        named.count(agent, "a")
    named.count("one", "b")
    with pytest.raises(RateLimited):
        named.count("three", "b")
