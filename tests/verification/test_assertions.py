from __future__ import annotations

import pytest

from aauthlib.httpsig import JKTJWT, JWT
from aauthlib.verification import AssertionCache

pytestmark = pytest.mark.spec("signature-key#7.6")


def test_an_identifier_is_128_random_bits_and_stands_for_what_was_kept() -> None:
    drawn: list[int] = []

    def randomness(size: int) -> bytes:
        drawn.append(size)
        return bytes([len(drawn)]) * size

    cache = AssertionCache(random_bytes=randomness)
    first, second = cache.keep(JWT("a", cache=True), "k"), cache.keep(JKTJWT("a", cache=True), "k")
    assert drawn == [16, 16]
    assert first != second
    assert cache.resolve(first) == JWT("a")
    assert cache.resolve(second) == JKTJWT("a")
    assert cache.resolve("made-up") is None


def test_one_assertion_has_one_identifier_while_it_is_held() -> None:
    cache = AssertionCache()
    cid = cache.keep(JWT("a"), "k")
    assert cache.keep(JWT("a"), "k") == cid
    assert len(cache) == 1
    cache.discard(cid)
    cache.discard(cid)
    assert cache.resolve(cid) is None
    assert cache.keep(JWT("a"), "k") != cid


@pytest.mark.spec("signature-key#7.2")
def test_one_caller_drives_out_its_own_assertions_only() -> None:
    cache = AssertionCache(max_per_key=2)
    victim = cache.keep(JWT("victim"), "other")
    greedy = [cache.keep(JWT(f"{n}"), "greedy") for n in range(100)]
    assert len(cache) == 3
    assert cache.resolve(victim) == JWT("victim")
    assert [cache.resolve(cid) is not None for cid in greedy[-3:]] == [False, True, True]


@pytest.mark.spec("signature-key#7.2")
def test_what_is_least_recently_used_goes_first() -> None:
    cache = AssertionCache(max_entries=2)
    first, second = cache.keep(JWT("a"), "1"), cache.keep(JWT("b"), "2")
    cache.resolve(first)
    third = cache.keep(JWT("c"), "3")
    assert [cache.resolve(cid) is not None for cid in (first, second, third)] == [True, False, True]


@pytest.mark.spec("signature-key#7.2")
def test_the_whole_is_bounded_in_bytes() -> None:
    cache = AssertionCache(max_bytes=100)
    for n in range(10):
        cache.keep(JWT(f"{n}" * 40), f"{n}")
    assert len(cache) == 2


def test_showing_it_shows_no_token() -> None:
    assert "secret" not in repr(AssertionCache().keep) + repr(JWT("secret"))
