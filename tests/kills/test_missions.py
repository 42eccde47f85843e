"""The person server is killed at every step of a mission, of a permission, of a report."""

from __future__ import annotations

from typing import Any

import pytest

from aauthlib.http import Response

from .matrix import survives
from .scene import REPORTS, Scene
from .town import Town

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]


async def propose(scene: Scene) -> Response:
    proposal = {
        "description": "# Write the summary\n\nRead the reports of this quarter.",
        "tools": [{"name": "WebSearch", "description": "Search the web"}],
        "resources": [scene.town.issuer(REPORTS)],
        "capabilities": ["interaction"],
    }
    return await scene.call("/mission", proposal)


async def approved(scene: Scene) -> None:
    """Ada has approved a mission."""
    answer = await propose(scene)
    await scene.decide(answer)
    document = await scene.finish(answer)
    assert document is not None
    scene.kept["s256"] = document["s256"]


async def act(scene: Scene, **body: Any) -> Response:
    return await scene.call(f"/mission/{scene.kept['s256']}", {"capabilities": ["interaction"], **body})


@pytest.mark.spec("#mission-creation", "#mission-approval")
async def test_a_mission_is_approved_once(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        answer = await propose(scene)
        await scene.decide(answer)
        document = await scene.finish(answer)
        if document is not None:
            token = document["person_tokens"][town.issuer(REPORTS)]
            answer = await scene.call("/audit", {"mission_s256": document["s256"], "action": "WebSearch"})
            assert answer.status == 201 and token

    reported = frozenset({("log", ("audit", "agent"))})
    await survives(town, flow, repeated=reported, optional=reported)


@pytest.mark.spec("#mission-update")
async def test_an_update_is_agreed_to_once(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        answer = await act(scene, action="update", description="The last two quarters, too.")
        await scene.decide(answer)
        document = await scene.finish(answer)
        assert document is None or list(document) == ["s256"]

    await survives(town, flow, prepare=approved)


@pytest.mark.spec("#mission-completion")
async def test_a_mission_is_completed_once(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        answer = await act(scene, action="completion", summary="It is written.")
        await scene.decide(answer)
        document = await scene.finish(answer)
        assert document in (None, {"mission_status": "terminated", "termination_reason": "completed"})
        answer = await act(scene, action="completion", summary="It is written.")
        assert answer.json()["error"] == "mission_terminated"

    # A request whose answer was lost waits until the mission ends.
    left = frozenset({("requests", ("mission_completion", "revoked"))})
    await survives(town, flow, prepare=approved, repeated=left)


@pytest.mark.spec("#mission-management", "#mission-status-errors")
async def test_a_mission_that_is_ended_stays_ended(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        page = f"{town.issuer('person')}/missions/{scene.kept['s256']}"
        await scene.fill_in(page, "reason", {"reason": "revoked"}, None)
        answer = await act(scene, action="update", description="One more.")
        assert answer.json()["error"] == "mission_terminated"

    await survives(town, flow, prepare=approved)


@pytest.mark.spec("#permission-endpoint", "#permission-response")
async def test_a_permission_is_given_once(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        mine = {"mission_s256": scene.kept["s256"], "capabilities": ["interaction"]}
        answer = await scene.call("/permission", {"action": "WebSearch", **mine})
        assert answer.json() == {"permission": "granted"}
        answer = await scene.call("/permission", {"action": "PayDeposit", "description": "20 EUR.", **mine})
        await scene.decide(answer)
        assert await scene.finish(answer) in (None, {"permission": "granted"})

    await survives(town, flow, prepare=approved, repeated=frozenset({("log", ("permission", "agent"))}))


@pytest.mark.spec("#permission-response")
async def test_a_permission_that_is_denied_stays_denied(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        mine = {"mission_s256": scene.kept["s256"], "capabilities": ["interaction"]}
        answer = await scene.call("/permission", {"action": "PayDeposit", **mine})
        await scene.decide(answer, "deny", reason="Not from this account.")
        denied = {"permission": "denied", "reason": "Not from this account."}
        assert await scene.finish(answer) in (None, denied)

    await survives(town, flow, prepare=approved)


@pytest.mark.spec("#audit-endpoint", "#audit-response")
async def test_a_report_that_was_acknowledged_is_kept(town: Town) -> None:
    async def flow(scene: Scene) -> None:
        for action in ("WebSearch", "ReadReport"):
            answer = await scene.call("/audit", {"mission_s256": scene.kept["s256"], "action": action})
            assert answer.status == 201

    await survives(town, flow, prepare=approved, repeated=frozenset({("log", ("audit", "agent"))}))
