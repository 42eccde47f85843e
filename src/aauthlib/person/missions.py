"""The mission endpoint (#missions): an agent proposes a mission, records a change in it, proposes that it is finished.

Every one of them is the person's to decide, so each answer is a deferred response (#deferred-responses).
"""

from __future__ import annotations

from typing import Any, Literal

from ..errors import InvalidIdentifier, InvalidRequest, UserUnreachable
from ..http import Request, Response
from ..identifiers import server_identifier
from ..messages.bodies import decode_request
from ..messages.missions import MissionProposal, MissionRequest, check_markdown, check_s256
from ..messages.requirement import APPROVAL, INTERACTION
from ..store.person_mission_records import Mission
from ..tokens import AgentToken
from .asked import MISSION, MISSION_COMPLETION, MISSION_UPDATE, Asked, AskedAgent
from .core import owner_of
from .mission_lookup import active_mission_of, capped, declared
from .opening import Opening
from .ruling import way_of

__all__ = ["MissionEndpoint", "about"]


#: Declared capabilities that matter once a request is open (#aauth-capabilities).
_CAPABILITIES = ("interaction", "clarification")


class MissionEndpoint(Opening):
    """What agents call about missions."""

    async def propose_mission(self, request: Request) -> Response:
        """POST to `mission_endpoint` (#mission-creation): `202`; the poll brings the approved mission.

        Raises `InvalidRequest`, `Denied` by the operator's policy, `UserUnreachable`, `RateLimited`, or a
        `SignatureError`.
        """
        agent = await self.calling_agent(request)
        self.check_person_server(agent)
        body = decode_request(MissionProposal, request)
        body.check(self._resource)
        for resource in body.resources:
            self.resources_named.count(owner_of(agent), resource)
        asked = Asked(kind=MISSION, proposal=body, **about(agent, capabilities=body.capabilities))
        standing = await self.store.standing(agent.identity, resource="")
        if standing.binding is not None:
            await way_of(self, asked, standing.binding.person_id, agreed_before=False)
        return await self.ask_about(asked, agent, body.capabilities)

    async def act_on_mission(self, request: Request, mission_s256: str) -> Response:
        """POST to a mission's own URL (#mission-update, #mission-completion): `202`.

        Raises `InvalidRequest`, `MissionNotFound` alike for no mission and another agent's, `MissionTerminated`,
        `UserUnreachable`, `RateLimited`, or a `SignatureError`.
        """
        agent = await self.calling_agent(request)
        self.check_person_server(agent)
        # Everything that can be said of the request itself is said before any mission is looked for.
        check_s256(mission_s256)
        body = decode_request(MissionRequest, request)
        kind, text = _wanted(body)
        mission = await active_mission_of(self, mission_s256, agent)
        able = await declared(self, body.capabilities, mission)
        asked = Asked(kind=kind, text=text, mission_s256=mission.s256, **about(agent, mission, capabilities=able))
        return await self.ask_about(asked, agent, able)

    async def ask_about(self, asked: Asked, agent: AgentToken, capabilities: list[str] | None) -> Response:
        """Ask the person about a mission or a permission. Raises `UserUnreachable` or `RateLimited`.

        An agent that says what it can do and cannot send the person to a page still reaches one who knows it: what it
        asks is among what waits for them at home.
        """
        requirement = INTERACTION
        if capabilities is not None and "interaction" not in capabilities:
            requirement = APPROVAL
            standing = await self.store.standing(agent.identity, resource="")
            if standing.binding is None:
                raise UserUnreachable(
                    "The person must be asked and this server cannot reach them. An agent that can send the person to "
                    "a URL says so with capabilities: interaction."
                )
        return self.pending.accepted(await self.open_request(asked, requirement, agent, None))

    def _resource(self, value: str) -> str:
        try:
            return server_identifier(value, dev=self.dev)
        except InvalidIdentifier as error:
            raise InvalidRequest(f"resources lists what is no resource's identifier. {error.detail}") from error


def _wanted(body: MissionRequest) -> tuple[Literal["mission_update", "mission_completion"], str]:
    """The operation and its text. Raises `InvalidRequest`."""
    if body.action == "update":
        return MISSION_UPDATE, check_markdown(body.description or "", "description")
    if body.action == "completion":
        return MISSION_COMPLETION, check_markdown(body.summary or "", "summary")
    raise InvalidRequest("action must be update or completion.")


def about(
    agent: AgentToken, mission: Mission | None = None, *, capabilities: list[str] | None = None
) -> dict[str, Any]:
    """What every request says of the agent."""
    return {
        "agent": AskedAgent(iss=agent.iss, sub=agent.sub, jti=agent.jti),
        "cnf": agent.cnf.to_jwk(),
        "not_after": capped(float(agent.exp), mission),
        "capabilities": tuple(value for value in _CAPABILITIES if value in (capabilities or ())),
    }
