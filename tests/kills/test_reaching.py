"""The person server is killed at every step of an agent reaching its person, and of the person being told."""

from __future__ import annotations

import asyncio

import pytest

from aauthlib.deferred.pending import id_digest

from .matrix import survives
from .scene import Scene
from .test_tokens import known
from .town import Town

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]


@pytest.mark.spec("#interaction-relay", "#interaction-response-poll-authority")
async def test_a_relay_ends_when_the_person_went_there(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        page = {"url": town.issuer("booking") + "/confirm", "code": "X7K2-M9P4"}
        answer = await scene.call("/interaction", {"type": "interaction", "description": "Please confirm.", **page})
        await scene.decide(answer)
        assert await scene.finish(answer) in (None, {"engaged": True})

    await survives(town, flow, prepare=known)


@pytest.mark.spec("#interaction-relay", "#polling-error-codes")
async def test_a_relay_the_person_declines_stays_declined(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        page = {"url": town.issuer("booking") + "/confirm", "code": "X7K2-M9P4"}
        answer = await scene.call("/interaction", {"type": "payment", **page})
        await scene.decide(answer, "deny")
        assert (await scene.follow(answer)).status in (403, 410)

    await survives(town, flow, prepare=known)


@pytest.mark.spec("#interaction-endpoint")
async def test_a_question_is_answered_once(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        question = {"type": "question", "question": "Which one?", "capabilities": ["interaction"]}
        answer = await scene.call("/interaction", question)
        await scene.decide(answer, answer="The refundable one.")
        assert await scene.finish(answer) in (None, {"answer": "The refundable one."})

    await survives(town, flow, prepare=known)


@pytest.mark.spec("#approval-pending")
async def test_the_person_is_told_whatever_happens(town: Town) -> None:
    """Once; twice when nobody knows whether the first message left."""

    async def flow(scene: Scene) -> None:
        answer = await scene.ask_auth_token(scene.kept["token"], "reports.read")
        digest = id_digest((answer.headers.get("location") or "").rpartition("/")[2])
        told = False
        for _ in range(60):
            told = await asyncio.to_thread(town.others.await_arrival, "/told", digest, 0.2)
            scene.revive()
            if told and not await scene.untold(digest):
                break
        assert told
        assert town.others.count("/told", digest) in (1, 2 if scene.died else 1)

    await survives(town, flow, prepare=known, telling=True)
