"""The permission and the audit endpoint (#permission-endpoint, #audit-endpoint)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aauthlib import errors
from aauthlib.person.mission_views import MissionRequestView

from .missions import answered, approved, call, log_of
from .parties import ALICE, World, arrive
from .test_missions import refusal


@pytest.mark.spec("#permission-response", "#mission-approval")
async def test_an_approved_tool_is_granted_at_once_and_logged(world: World) -> None:
    agent = world.agent()
    mission = await approved(agent)
    body = {"action": "WebSearch", "parameters": {"query": "flights"}, "mission_s256": mission.s256}
    response = await call(agent, "/permission", body)
    assert (response.status, response.json()) == (200, {"permission": "granted"})
    page = await world.server.mission_page(mission.s256, person_id=ALICE)
    assert page.log[-1].content == {
        "action": "WebSearch",
        "parameters": {"query": "flights"},
        "permission": "granted",
    }


@pytest.mark.spec("#permission-endpoint")
async def test_a_tool_the_person_left_out_is_asked_for(world: World) -> None:
    agent = world.agent()
    mission = await approved(agent, choices={"tools": ["WebSearch"]})
    response = await call(agent, "/permission", {"action": "BookFlight", "mission_s256": mission.s256})
    assert response.status == 202
    assert (await answered(agent, response)).json() == {"permission": "granted"}
    again = await call(agent, "/permission", {"action": "BookFlight", "mission_s256": mission.s256})
    assert again.status == 202


@pytest.mark.spec("#permission-response")
async def test_a_denial_is_an_answer_with_the_persons_reason(world: World) -> None:
    agent = world.agent()
    response = await call(agent, "/permission", {"action": "SendEmail", "description": "To Bob."})
    answer = await answered(agent, response, yes=False, reason="Not to Bob.")
    assert (answer.status, answer.json()) == (200, {"permission": "denied", "reason": "Not to Bob."})


@pytest.mark.spec("#permission-endpoint")
async def test_without_a_mission_nothing_is_granted_at_once(world: World) -> None:
    agent = world.agent()
    await approved(agent)
    response = await call(agent, "/permission", {"action": "WebSearch"})
    assert response.status == 202
    (view,) = await world.server.pending_for(ALICE)
    assert isinstance(view, MissionRequestView)
    assert (view.action, view.mission) == ("WebSearch", None)


@pytest.mark.spec("#permission-endpoint", "#mission-log")
async def test_an_action_allowed_for_the_mission_holds_in_it_alone(world: World) -> None:
    agent = world.agent()
    one, two = await approved(agent), await approved(agent)
    first = await call(agent, "/permission", {"action": "Shell", "mission_s256": one.s256})
    await answered(agent, first, remember=True)
    assert (await call(agent, "/permission", {"action": "Shell", "mission_s256": one.s256})).status == 200
    assert (await call(agent, "/permission", {"action": "shell", "mission_s256": one.s256})).status == 202
    assert (await call(agent, "/permission", {"action": "Shell", "mission_s256": two.s256})).status == 202
    assert (await world.server.mission_page(one.s256, person_id=ALICE)).allowed == ("Shell",)


@pytest.mark.spec("#permission-request", "#untrusted-input")
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": ""},
        {"action": "a\u202eb"},
        {"action": "x", "description": "x" * 4001},
        {"action": "x", "parameters": []},
        {"action": "x", "parameters": {"a": "x" * 17_000}},
        {"action": "x", "mission_s256": "short"},
    ],
    ids=lambda body: str(body)[:30],
)
async def test_what_could_not_be_shown_whole_is_refused(world: World, body: dict[str, Any]) -> None:
    assert isinstance(await refusal(call(world.agent(), "/permission", body)), errors.InvalidRequest)


@pytest.mark.spec("#audit-response", "#mission-log")
async def test_an_audit_record_is_in_the_log_once_it_is_acknowledged(world: World) -> None:
    agent = world.agent()
    mission = await approved(agent)
    record = {"action": "WebSearch", "description": "Found 12.", "parameters": {"q": "x"}, "result": {"n": 12}}
    response = await call(agent, "/audit", {**record, "mission_s256": mission.s256})
    assert (response.status, response.body) == (201, b"")
    page = await world.server.mission_page(mission.s256, person_id=ALICE)
    assert (page.log[-1].kind, page.log[-1].content) == ("audit", record)


@pytest.mark.spec("#audit-endpoint", "#mission-log")
async def test_records_that_come_at_once_are_all_kept_each_with_a_number_of_its_own(world: World) -> None:
    agent = world.agent()
    mission = await approved(agent)
    await asyncio.gather(
        *(call(agent, "/audit", {"action": f"step {n}", "mission_s256": mission.s256}) for n in range(12))
    )
    page = await world.server.mission_page(mission.s256, person_id=ALICE)
    records = [entry for entry in page.log if entry.kind == "audit"]
    assert sorted(entry.content["action"] for entry in records) == sorted(f"step {n}" for n in range(12))
    assert [entry.number for entry in page.log] == list(range(1, len(page.log) + 1))


@pytest.mark.spec("#audit-endpoint")
async def test_there_is_no_audit_outside_of_a_mission(world: World) -> None:
    assert isinstance(await refusal(call(world.agent(), "/audit", {"action": "x"})), errors.InvalidRequest)


@pytest.mark.spec("#audit-endpoint", "#mission-status-errors")
async def test_an_ended_mission_takes_no_record(world: World) -> None:
    agent = world.agent()
    mission = await approved(agent)
    await world.server.end_mission(mission.s256, person_id=ALICE)
    before = await log_of(world, mission.s256)
    error = await refusal(call(agent, "/audit", {"action": "x", "mission_s256": mission.s256}))
    assert isinstance(error, errors.MissionTerminated)
    assert await log_of(world, mission.s256) == before


@pytest.mark.spec("#audit-endpoint", "#freshness-and-replay")
async def test_a_replayed_record_is_refused(world: World) -> None:
    agent = world.agent()
    mission = await approved(agent)
    request = agent.signed("POST", "https://ps.example/audit", {"action": "x", "mission_s256": mission.s256})
    assert (await world.server.audit(request)).status == 201
    assert isinstance(await refusal(world.server.audit(request)), errors.InvalidSignature)


@pytest.mark.spec("#permission-endpoint", "#ps-approval-endpoint-auth")
async def test_an_update_is_not_refused_by_the_answer_of_a_permission(world: World) -> None:
    agent = world.agent()
    mission = await approved(agent)
    response = await call(agent, f"/mission/{mission.s256}", {"action": "update", "description": "More."})
    digest = await arrive(world, response)
    error = await refusal(world.server.answer_request(digest, person_id=ALICE, yes=False))
    assert isinstance(error, errors.InvalidRequest)
