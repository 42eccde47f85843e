"""The person server is killed at every step of handing out tokens."""

from __future__ import annotations

import pytest

from .matrix import survives
from .scene import Scene
from .town import Town

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]


async def known(scene: Scene) -> None:
    """Ada has let the agent name her."""
    scene.kept["token"] = await scene.person_token()


async def trusted(scene: Scene) -> None:
    """She has let it read, too."""
    await known(scene)
    scene.kept["read"] = await scene.auth_token(scene.kept["token"], "reports.read")


@pytest.mark.spec("#person-token-endpoint", "#ps-token-endpoint")
async def test_what_was_allowed_before_is_given_at_once(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        answer = await scene.ask_person_token()
        assert answer.status == 200
        answer = await scene.ask_auth_token(scene.kept["token"], "reports.read")
        assert answer.status == 200

    await survives(town, flow, prepare=trusted)


@pytest.mark.spec("#deferred-responses", "#agent-person-binding")
async def test_a_yes_is_given_once_and_not_lost(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        token = await scene.person_token()
        granted = await scene.auth_token(token, "reports.read reports.write")
        assert granted.scope == ("reports.read", "reports.write")

    await survives(town, flow)


@pytest.mark.spec("#polling-error-codes")
async def test_a_no_stays_one(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        answer = await scene.ask_person_token()
        await scene.decide(answer, "deny")
        answer = await scene.follow(answer)
        assert answer.status == 403 or (answer.status == 410 and scene.died), answer.body

    await survives(town, flow)


@pytest.mark.spec("#re-authorization")
async def test_a_step_up_asks_once(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        granted = await scene.auth_token(scene.kept["read"], "reports.read reports.write")
        assert granted.scope == ("reports.read", "reports.write")

    await survives(town, flow, prepare=trusted)


@pytest.mark.spec("#clarification-chat", "#agent-response-to-clarification")
async def test_a_conversation_goes_on(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        async def ask():
            return await scene.ask_auth_token(
                scene.kept["token"], "reports.read", capabilities=("interaction", "clarification")
            )

        answer = await ask()
        location = answer.headers.get("location") or ""
        await scene.ask(answer, "What for?")
        while (asked := await scene.poll(location)).json().get("clarification") is not None:
            assert asked.json()["clarification"] == "What for?"
            await scene.call(location, {"action": "clarification_response", "clarification_response": "The summary."})
        assert asked.status == 202
        await scene.visit(scene.page_of(answer))
        assert "The summary." in scene.town.ada.text
        await scene.decide(answer)
        answer = await scene.follow(answer)
        if answer.status == 410:
            answer = await ask()
        assert answer.status == 200, answer.body

    await survives(town, flow, prepare=known)


@pytest.mark.spec("#updated-request")
async def test_an_updated_request_is_the_one_that_is_decided(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        token = scene.kept["token"]

        async def ask(scope: str):
            return await scene.ask_auth_token(token, scope, capabilities=("interaction", "clarification"))

        answer = await ask("reports.read reports.write")
        location = answer.headers.get("location") or ""
        await scene.ask(answer, "Why write?")
        while (await scene.poll(location)).json().get("clarification") is not None:
            less = {"resource_token": scene.resource_token(token, "reports.read"), "presented_token": token.raw}
            await scene.call(location, {"action": "updated_request", **less})
        await scene.decide(answer)
        answer = await scene.follow(answer)
        if answer.status == 410:
            answer = await ask("reports.read")
        assert answer.status == 200, answer.body

    await survives(town, flow, prepare=known)


@pytest.mark.spec("#parent-mediated-authorization", "#sub-agents")
async def test_a_sub_agent_gets_what_its_parent_asks_for(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        child = scene.agent.sub_agent(ps=None)
        token = await scene.person_token(subagent_token=child.token)
        assert token.cnf.thumbprint == child.key.thumbprint
        granted = await scene.auth_token(token, "reports.read", subagent_token=child.token)
        assert granted.cnf.thumbprint == child.key.thumbprint

    await survives(town, flow)


@pytest.mark.spec("#cancel-request")
async def test_a_withdrawn_request_is_not_granted(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        answer = await scene.ask_person_token()
        location = answer.headers.get("location") or ""
        answer = await scene.call(location, None, "DELETE")
        assert answer.status == 204 or (answer.status == 410 and scene.died)
        assert (await scene.poll(location)).status == 410

    await survives(town, flow)
