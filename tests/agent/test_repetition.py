"""Our own quick repetitions are not taken for replays (#freshness-and-replay)."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from aauthlib.agent.credentials import Credential, ServerMemory
from aauthlib.agent.repetition import CreatedTimes
from aauthlib.agent.sending import Attempt, sign_request
from aauthlib.http import Fields, Request
from aauthlib.httpsig import INLINE, MemoryReplayCache, inline_key, refuse_replay, verify
from aauthlib.keys import SigningKey
from aauthlib.verification import Level

NOW = 1_800_000_000.5
POST = Request("POST", "https://api.example/x", Fields({"content-type": "application/json"}), b"{}")
GET = Request("GET", "https://api.example/x")


@pytest.mark.spec("#freshness-and-replay")
async def test_identical_requests_at_the_same_moment_are_all_served_by_a_server_that_remembers() -> None:
    key, memory, cache = SigningKey.generate(), ServerMemory(Level.PSEUDONYM), MemoryReplayCache()
    attempt = Attempt(POST, Credential(Level.PSEUDONYM, key))

    async def once() -> int:
        verified = verify(sign_request(attempt, memory, now=NOW), inline_key, INLINE, NOW)
        await refuse_replay(cache, verified.signed, verified.key, now=NOW)
        return verified.created

    created = await asyncio.gather(*(once() for _ in range(15)))
    assert created == [int(NOW) + number for number in range(15)]


@pytest.mark.spec("#freshness-and-replay")
def test_requests_that_differ_and_those_that_change_nothing_are_dated_now() -> None:
    times = CreatedTimes()
    others = [
        POST,
        Request("PUT", POST.url, POST.headers, POST.body),
        Request("POST", POST.url + "?a", POST.headers, POST.body),
        Request("POST", POST.url, POST.headers, b"[]"),
    ]
    assert {times.next(request, "token", NOW) for request in others} == {int(NOW)}
    assert times.next(POST, "another token", NOW) == int(NOW)
    assert {times.next(GET, "token", NOW) for _ in range(5)} == {int(NOW)}


@pytest.mark.spec("#freshness-and-replay")
def test_no_request_is_dated_so_far_ahead_that_a_server_would_refuse_it() -> None:
    times = CreatedTimes()
    dated = [times.next(POST, "token", NOW) for _ in range(100)]
    assert max(dated) <= int(NOW) + 20
    assert len(set(dated[:20])) == 20
    assert times.next(POST, "token", NOW + 100) == int(NOW) + 100
    assert times.next(POST, "token", NOW + 50) == int(NOW) + 50  # a clock that was set back starts over


def test_threads_never_get_the_same_time() -> None:
    times = CreatedTimes()
    with ThreadPoolExecutor(8) as pool:
        dated = list(pool.map(lambda _: times.next(POST, "token", NOW), range(20)))
    assert len(set(dated)) == 20


def test_what_is_remembered_is_bounded() -> None:
    times = CreatedTimes()
    for number in range(1500):
        times.next(Request("POST", f"https://api.example/{number}"), "token", NOW)
    assert len(times) == 1000
