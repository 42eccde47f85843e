"""An agent and its person about missions, for the tests: what each of them does in one line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aauthlib.base64url import b64url_decode
from aauthlib.http import Response
from aauthlib.person.server import PersonServer

from .parties import ALICE, CALENDAR, PS, Agent, World, arrive

PROPOSAL: dict[str, Any] = {
    "description": "# Plan a trip\n\nFind a week in May and propose an itinerary before booking.",
    "tools": [{"name": "WebSearch", "description": "Search the web"}, {"name": "BookFlight"}],
    "resources": [CALENDAR],
}
#: Well formed, and no mission's.
UNKNOWN = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


@dataclass
class Approved:
    """A mission as its agent got it."""

    agent: Agent
    answer: dict[str, Any]

    @property
    def s256(self) -> str:
        value: str = self.answer["s256"]
        return value

    @property
    def blob(self) -> bytes:
        return b64url_decode(self.answer["mission"])


async def call(agent: Agent, path: str, body: Any, *, server: PersonServer | None = None) -> Response:
    """POST to an endpoint of the person server."""
    at = server if server is not None else agent.world.server
    request = agent.signed("POST", PS + path, body)
    if path == "/mission":
        return await at.propose_mission(request)
    if path.startswith("/mission/"):
        return await at.act_on_mission(request, path.rpartition("/")[2])
    if path == "/interaction":
        return await at.interaction(request)
    return await (at.permission(request) if path == "/permission" else at.audit(request))


async def propose(agent: Agent, **changes: Any) -> Response:
    return await call(agent, "/mission", {**PROPOSAL, **changes})


async def approved(
    agent: Agent, person: str = ALICE, *, choices: dict[str, Any] | None = None, **changes: Any
) -> Approved:
    """A mission that the person approved."""
    response = await propose(agent, **changes)
    digest = await arrive(agent.world, response, person)
    await agent.world.server.approve_mission(digest, person_id=person, **(choices or {}))
    answer = await agent.poll(response)
    assert answer.status == 200, answer.body
    return Approved(agent, answer.json())


async def answered(agent: Agent, response: Response, person: str = ALICE, **choices: Any) -> Response:
    """The answer to an update, a completion or a permission request that the person decides."""
    digest = await arrive(agent.world, response, person)
    await agent.world.server.answer_request(digest, person_id=person, **{"yes": True, **choices})
    return await agent.poll(response)


async def log_of(world: World, s256: str, person: str = ALICE) -> list[tuple[str, str]]:
    """Kind and actor of each entry of a mission's log."""
    page = await world.server.mission_page(s256, person_id=person)
    return [(entry.kind, entry.actor) for entry in page.log]
