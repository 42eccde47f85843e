"""Telling many recipients of revocations (#revocation-cascade): one that is down holds up nobody."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import pytest

from aauthlib.deferred.revoking import RECORDED, UNAVAILABLE, Notice, Revoked
from aauthlib.transport.telling import Outcomes, tell_all, telling

DOWN, UP = "https://down.example", "https://up.example"


def notices(recipient: str, count: int) -> list[Notice]:
    return [Notice(jti=f"{recipient} {number}", exp=1.0, recipient=recipient) for number in range(count)]


@pytest.mark.spec("#revocation-cascade", "#revocation-response")
async def test_a_recipient_that_fails_is_left_and_the_others_are_told_all() -> None:
    asked, kept = Counter[str](), dict[Notice, str]()

    async def tell(notice: Notice) -> Revoked:
        asked[notice.recipient] += 1
        await asyncio.sleep(0)
        return Revoked(UNAVAILABLE if notice.recipient == DOWN else RECORDED)

    async def keep(outcomes: Outcomes) -> None:
        kept.update({notice: result.outcome for notice, result in outcomes})

    due = [*notices(DOWN, 500), *notices(UP, 500)]
    told = await tell_all(due, tell, keep)
    assert [result.outcome for result in told] == [UNAVAILABLE] * 500 + [RECORDED] * 500
    assert asked[UP] == 500
    assert asked[DOWN] < 10
    assert kept == {notice: result.outcome for notice, result in zip(due, told, strict=True)}


@pytest.mark.spec("#revocation-cascade")
async def test_when_time_is_up_what_was_told_is_kept_and_the_rest_is_unavailable() -> None:
    kept = dict[Notice, str]()

    async def tell(notice: Notice) -> Revoked:
        if notice.recipient == DOWN:
            await asyncio.Event().wait()
        return Revoked(RECORDED)

    async def keep(outcomes: Outcomes) -> None:
        kept.update({notice: result.outcome for notice, result in outcomes})

    due = [*notices(DOWN, 1), *notices(UP, 3)]
    told = await tell_all(due, tell, keep, within_s=0.05)
    assert [result.outcome for result in told] == [UNAVAILABLE, RECORDED, RECORDED, RECORDED]
    assert len(kept) == 4


async def test_telling_begins_at_once_and_outlives_an_error(caplog: pytest.LogCaptureFixture) -> None:
    called, twice, quoted = 0, asyncio.Event(), "what-somebody-sent"

    async def tell_again() -> int:
        nonlocal called
        called += 1
        if called == 1:
            raise RuntimeError(quoted)
        twice.set()
        return 0

    with caplog.at_level(logging.ERROR, logger="aauthlib.transport"):
        async with telling(tell_again, every_s=0.001):
            await asyncio.wait_for(twice.wait(), 5)
    assert "RuntimeError" in caplog.text
    assert quoted not in caplog.text
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "telling of revocations"]
