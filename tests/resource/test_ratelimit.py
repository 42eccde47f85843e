"""Token buckets with a clock that is told what time it is."""

from __future__ import annotations

import pytest

from aauthlib.errors import ConfigurationError
from aauthlib.resource import Limit, RateLimiter
from aauthlib.resource.ratelimit import address_key
from tests.resource.world import Clock


def test_a_limit_is_written_as_a_number_and_a_period() -> None:
    assert Limit.parse("3/minute") == Limit(3, 60)
    assert Limit.parse("10/second").times(2) == Limit(20, 1)
    for text in ("3", "0/minute", "3/fortnight", "-1/day", "3 / minute", "3/minute\n"):
        with pytest.raises(ConfigurationError):
            Limit.parse(text)


def test_a_bucket_empties_and_refills_evenly() -> None:
    clock = Clock()
    limiter, limit = RateLimiter(clock), Limit.parse("3/minute")
    assert [limiter.take("a", limit) for _ in range(3)] == [0, 0, 0]
    assert limiter.take("a", limit) == pytest.approx(20)
    clock.now += 15
    assert limiter.take("a", limit) == pytest.approx(5)
    clock.now += 5.001
    assert limiter.take("a", limit) == 0
    assert limiter.take("a", limit) > 0
    clock.now += 3600
    assert [limiter.take("a", limit) > 0 for _ in range(4)] == [False, False, False, True]


def test_each_key_has_its_own_bucket() -> None:
    limiter, limit = RateLimiter(Clock()), Limit.parse("1/minute")
    assert limiter.take("a", limit) == 0
    assert limiter.take("a", limit) > 0
    assert limiter.take("b", limit) == 0


def test_a_clock_that_steps_back_neither_fills_nor_empties() -> None:
    clock = Clock()
    limiter, limit = RateLimiter(clock), Limit.parse("2/minute")
    limiter.take("a", limit)
    clock.now -= 1000
    assert limiter.take("a", limit) == 0
    assert limiter.take("a", limit) > 0


def test_the_number_of_buckets_is_bounded() -> None:
    limiter, limit = RateLimiter(Clock(), max_buckets=10), Limit.parse("1/minute")
    for number in range(100):
        limiter.take(number, limit)
    assert len(limiter) == 10
    assert limiter.take(99, limit) > 0


def test_one_host_on_ipv6_is_counted_by_its_network() -> None:
    assert address_key("2001:db8:1:2::1") == address_key("2001:db8:1:2:ffff::9")
    assert address_key("2001:db8:1:2::1") != address_key("2001:db8:1:3::1")
    assert address_key("::ffff:192.0.2.1") == address_key("192.0.2.1") == "192.0.2.1"
    assert address_key("unix:/run/x") == "unix:/run/x"
