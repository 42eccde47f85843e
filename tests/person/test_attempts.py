"""Counting attempts."""

from __future__ import annotations

import pytest

from aauthlib.person.attempts import Attempts, network_of

from .parties import Clock

pytestmark = pytest.mark.spec("#ps-approval-endpoint-auth")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("127.0.0.1", None),
        ("::ffff:127.0.0.1", None),
        ("::1", None),
        ("testclient", None),
        (None, None),
    ],
)
def test_a_client_is_known_by_what_its_provider_gave_it(address: str | None, network: str | None) -> None:
    assert network_of(address) == network


def test_the_wait_ends_with_the_window_of_the_first_attempt() -> None:
    clock = Clock()
    attempts = Attempts(limit=2, window_s=60, clock=clock)
    attempts.count("a")
    clock.now += 50
    attempts.count("a")
    assert attempts.wait_s("a") == 10
    assert attempts.wait_s("b") == 0
    clock.now += 10
    assert attempts.wait_s("a") == 0
    attempts.count("a")
    assert attempts.wait_s("a") == 0


def test_who_proved_themselves_starts_anew() -> None:
    attempts = Attempts(limit=1, window_s=60, clock=Clock())
    attempts.count("a")
    attempts.clear("a")
    assert attempts.wait_s("a") == 0


def test_what_is_remembered_is_bounded() -> None:
    attempts = Attempts(limit=1, window_s=60, clock=Clock())
    for number in range(10_001):
        attempts.count(str(number))
    assert attempts.wait_s("0") == 0
    assert attempts.wait_s("10000") > 0
