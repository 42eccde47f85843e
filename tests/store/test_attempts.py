"""Counting attempts in memory."""

from __future__ import annotations

import pytest

from aauthlib.store.attempts import Attempts
from tests.person.parties import Clock

pytestmark = pytest.mark.spec("#ps-approval-endpoint-auth")


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
