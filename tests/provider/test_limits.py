"""Fixed windows in bounded memory."""

from __future__ import annotations

import pytest

from aauthlib.errors import RateLimited
from aauthlib.provider.limits import RateLimit


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_one_use_too_many_says_when_to_come_back() -> None:
    clock = Clock()
    limit = RateLimit(2, window_s=60, clock=clock)
    limit.count("a")
    clock.now += 20
    limit.count("a")
    with pytest.raises(RateLimited) as raised:
        limit.count("a")
    assert raised.value.retry_after_s == 40
    clock.now += 40
    limit.count("a")


def test_names_are_counted_apart() -> None:
    limit = RateLimit(1, window_s=60, clock=Clock())
    limit.count("a")
    limit.count("b")
    with pytest.raises(RateLimited):
        limit.count("a")


def test_checking_does_not_count() -> None:
    limit = RateLimit(1, window_s=60, clock=Clock())
    for _ in range(5):
        limit.check()
    limit.count()
    with pytest.raises(RateLimited):
        limit.check()


def test_memory_is_bounded() -> None:
    limit = RateLimit(1, window_s=60, clock=Clock(), max_names=3)
    for name in "abcd":
        limit.count(name)
    limit.count("a")  # the oldest was forgotten
    with pytest.raises(RateLimited):
        limit.count("d")
