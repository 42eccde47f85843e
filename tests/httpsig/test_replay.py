"""A state-changing request is served once: what counts as the same, for how long, and within which bounds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import InvalidSignature
from aauthlib.fields import serialize
from aauthlib.http import Fields, Request
from aauthlib.httpsig import HWK, INLINE, MemoryReplayCache, SignedRequest, refuse_replay, select, sign
from aauthlib.keys import SigningKey

NOW = 1_800_000_000
URL = "https://api.example/x"
KEY, OTHER = SigningKey.generate(), SigningKey.generate()
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def request(method: str = "POST", url: str = URL, *, key: SigningKey = KEY, body: bytes = b"{}", **how: Any) -> Request:
    plain = Request(method, url, Fields({"content-type": "application/json"} if body else {}), body)
    return sign(plain, key, HWK.of(key.public), **{"created": NOW, **how})


def verified(message: Request, key: SigningKey = KEY, now: float = NOW) -> SignedRequest:
    signed = select(message, INLINE, now=now)
    signed.verify(key.public)
    return signed


async def receive(cache: MemoryReplayCache, message: Request, key: SigningKey = KEY, now: float = NOW) -> None:
    await refuse_replay(cache, verified(message, key, now), key.public, now=now)


@pytest.mark.spec("#freshness-and-replay")
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH", "post", "QUERY", "GETX"])
async def test_a_state_changing_request_is_served_once(method: str) -> None:
    cache, captured = MemoryReplayCache(), request(method)
    await receive(cache, captured)
    for _ in range(3):
        with pytest.raises(InvalidSignature, match="received before"):
            await receive(cache, captured)


@pytest.mark.spec("#freshness-and-replay")
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_a_request_that_changes_nothing_may_be_repeated_and_takes_no_room(method: str) -> None:
    cache, poll = MemoryReplayCache(), request(method, body=b"")
    for _ in range(3):
        await receive(cache, poll)
    assert len(cache) == 0


@pytest.mark.spec("#freshness-and-replay")
async def test_without_a_cache_nothing_is_remembered() -> None:
    captured = verified(request())
    for _ in range(2):
        await refuse_replay(None, captured, KEY.public, now=NOW)


@pytest.mark.spec("#freshness-and-replay")
async def test_every_part_of_the_tuple_tells_requests_apart() -> None:
    cache = MemoryReplayCache()
    await receive(cache, request())
    await receive(cache, request(key=OTHER), OTHER)
    await receive(cache, request(created=NOW + 1))
    await receive(cache, request("PUT"))
    await receive(cache, request(url="https://b.example/x"))
    await receive(cache, request(url="https://api.example/y"))
    assert len(cache) == 6


@pytest.mark.spec("#freshness-and-replay")
async def test_two_requests_of_one_second_differ_in_what_they_cover() -> None:
    cache = MemoryReplayCache()
    await receive(cache, request(body=b'{"a":1}'))
    await receive(cache, request(body=b'{"a":2}'))
    await receive(cache, request(nonce="once"))
    await receive(cache, request(nonce="twice"))
    with pytest.raises(InvalidSignature):
        await receive(cache, request(nonce="once"))


@pytest.mark.spec("#freshness-and-replay")
async def test_what_is_not_covered_does_not_make_a_replay_a_new_request() -> None:
    cache = MemoryReplayCache()
    captured = request(cover_body=False)
    await receive(cache, captured)
    dressed = captured.with_headers(
        x_request_id="1", signature_key="  " + (captured.headers.get("signature-key") or "")
    )
    for changed in (dressed, Request(captured.method, URL + "?fresh", captured.headers, b'{"b":2}')):
        with pytest.raises(InvalidSignature, match="received before"):
            await receive(cache, changed)


@pytest.mark.spec("#freshness-and-replay")
async def test_a_second_signature_that_verifies_does_not_make_a_replay_a_new_request() -> None:
    key = SigningKey.generate("ES256")
    cache, captured = MemoryReplayCache(), request(key=key)
    await receive(cache, captured, key)

    octets = select(captured, INLINE, now=NOW).signature
    other_s = (P256_ORDER - int.from_bytes(octets[32:], "big")).to_bytes(32, "big")
    malleated = captured.with_headers(signature=serialize({"sig": (octets[:32] + other_s, {})}))
    assert verified(malleated, key).signature != octets  # it verifies: anybody could have made it

    with pytest.raises(InvalidSignature, match="received before"):
        await receive(cache, malleated, key)
    with pytest.raises(InvalidSignature, match="received before"):
        await receive(cache, request(key=key), key)  # nor does the signer's own second try, whose bytes differ


@pytest.mark.spec("#freshness-and-replay")
async def test_it_is_remembered_until_its_signature_is_too_old_to_be_accepted() -> None:
    cache = MemoryReplayCache()
    early, ahead = request(created=NOW - 50), request(created=NOW + 50)
    await receive(cache, early)
    await receive(cache, ahead)
    with pytest.raises(InvalidSignature, match="received before"):
        await receive(cache, early, now=NOW + 10)
    with pytest.raises(InvalidSignature, match="ago"):
        await receive(cache, early, now=NOW + 11)
    with pytest.raises(InvalidSignature, match="received before"):
        await receive(cache, ahead, now=NOW + 110)
    await receive(cache, request("PUT", created=NOW + 111), now=NOW + 111)
    assert len(cache) == 1  # what is over was forgotten


@pytest.mark.spec("#freshness-and-replay")
async def test_the_window_is_the_verifiers_own() -> None:
    cache = MemoryReplayCache()
    signed = verified(request())
    await refuse_replay(cache, signed, KEY.public, now=NOW, window_s=600)
    with pytest.raises(InvalidSignature):
        await refuse_replay(cache, signed, KEY.public, now=NOW + 599, window_s=600)


def test_a_full_memory_forgets_what_would_be_over_first() -> None:
    cache = MemoryReplayCache(max_entries=3)
    for digest, until in (("a", 30), ("b", 10), ("c", 20), ("d", 40)):
        assert cache.add(digest, until=until, now=0)
        assert len(cache) <= 3
    assert not cache.add("a", until=30, now=0)
    assert cache.add("b", until=10, now=0)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 30), st.integers(0, 60)), max_size=60))
def test_it_says_new_exactly_once_within_the_bound(steps: list[tuple[int, int, int]]) -> None:
    cache, clock, ends = MemoryReplayCache(max_entries=100), 0.0, dict[str, float]()
    for name, pause, lasts in steps:
        clock += pause
        ends = {digest: end for digest, end in ends.items() if end >= clock}
        assert cache.add(str(name), until=clock + lasts, now=clock) is (str(name) not in ends)
        ends.setdefault(str(name), clock + lasts)
        assert len(cache) == len(ends)


def test_a_hundred_thousand_requests_are_remembered_unless_told_otherwise() -> None:
    cache = MemoryReplayCache()

    for number in range(100_001):
        assert cache.add(str(number), until=NOW + 60 + number / 1e6, now=NOW)

    assert len(cache) == 100_000
    assert cache.add("0", until=NOW + 61, now=NOW)
    assert not cache.add("100000", until=NOW + 61, now=NOW)
