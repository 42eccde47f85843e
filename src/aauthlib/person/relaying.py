"""The interaction endpoint (#interaction-endpoint): an agent reaches its person through their person server.

A page that somebody else hosts is relayed: this server only says whether the person went there, and whoever hosts it
says what came of it. For a page of this server's own, the answer is when its request has ended. A question is answered.
"""

from __future__ import annotations

import msgspec

from ..deferred.pending import Pending
from ..errors import InteractionUnavailable, InvalidCode, InvalidRequest, UserUnreachable
from ..http import Request, Response
from ..identifiers import endpoint_url, origin_of
from ..messages.bodies import decode_request
from ..messages.codes import code_digest
from ..messages.interaction import INTERACTION_TYPE, PAYMENT_TYPE, QUESTION_TYPE, InteractionRequest
from ..messages.requirement import APPROVAL, INTERACTION
from ..store.person_mission_records import LogEntry, Mission
from ..tokens import AgentToken
from .admission import admit
from .asked import QUESTION, Asked, AskedRelay
from .core import owner_of
from .mission_lookup import active_mission_of, declared
from .missions import about
from .permission import PermissionEndpoint

__all__ = ["InteractionEndpoint"]

_INTERACTION_PATH = "/interaction/"


class InteractionEndpoint(PermissionEndpoint):
    """What agents call to reach their person."""

    async def interaction(self, request: Request) -> Response:
        """POST to `interaction_endpoint` (#interaction-request): `202`; the poll brings the answer.

        Raises `InvalidRequest`, `MissionNotFound`, `MissionTerminated`, `InteractionUnavailable`, `UserUnreachable`,
        `RateLimited`, or a `SignatureError`.
        """
        agent = await self.calling_agent(request)
        self.check_person_server(agent)
        body = decode_request(InteractionRequest, request)
        body.check(lambda url: endpoint_url(url, dev=self.dev, what="The interaction URL"))
        mission = await active_mission_of(self, body.mission_s256, agent) if body.mission_s256 is not None else None
        body = msgspec.structs.replace(body, capabilities=await declared(self, body.capabilities, mission))
        if body.type == QUESTION_TYPE:
            return await self._question(body, agent, mission)
        return await self._relay(body, agent, mission)

    async def _question(self, body: InteractionRequest, agent: AgentToken, mission: Mission | None) -> Response:
        """Deliver a question; the poll brings the answer."""
        requirement = APPROVAL
        if not await self._reaches(agent):
            if "interaction" not in (body.capabilities or ()):
                raise UserUnreachable(
                    "This server cannot reach the person. An agent that can send them to a URL says so with "
                    "capabilities: interaction."
                )
            requirement = INTERACTION
        asked = Asked(
            kind=QUESTION,
            text=body.question,
            justification=body.description,
            mission_s256=mission.s256 if mission else None,
            **about(agent, mission, capabilities=body.capabilities),
        )
        return self.pending.accepted(await self.open_request(asked, requirement, agent, None))

    async def _relay(self, body: InteractionRequest, agent: AgentToken, mission: Mission | None) -> Response:
        """Bring the person to a page (#interaction-relay)."""
        assert body.url is not None and body.code is not None
        hosted = None
        if origin_of(body.url) == self.issuer:
            hosted = await self._own_page(body.url, body.code, agent)
        else:
            await admit(self, body.url, InvalidRequest)
        asked = Asked(
            kind=PAYMENT_TYPE if body.type == PAYMENT_TYPE else INTERACTION_TYPE,
            relay=AskedRelay(url=body.url, code=body.code, hosted=hosted.digest if hosted else None),
            justification=body.description,
            mission_s256=mission.s256 if mission else None,
            **about(agent, mission, capabilities=body.capabilities),
        )
        if not await self._reaches(agent):
            await self._note_unavailable(asked, mission)
            if body.capabilities is not None and "interaction" not in body.capabilities:
                raise UserUnreachable("Neither this server nor the agent can reach the person.")
            raise InteractionUnavailable("This server has no way to tell the person. Send them to the URL yourself.")
        # A page of this server's is done with when its own request is; a window is for pages of others.
        until = hosted.expires_at if hosted is not None else None
        if hosted is None and body.max_wait is not None:
            until = self.clock() + body.max_wait
        # Of a page of this server's the person was told when its request was opened.
        requirement = APPROVAL if hosted is None else None
        return self.pending.accepted(await self.open_request(asked, requirement, agent, None, until=until))

    async def _own_page(self, url: str, code: str, agent: AgentToken) -> Pending:
        """The agent's own open request that a page of this server belongs to. Raises `InvalidRequest` for any other."""
        path = url.removeprefix(self.issuer)
        try:
            digest = code_digest(code)
        except InvalidCode:
            digest = ""
        found = await self.store.get_interaction(path.removeprefix(_INTERACTION_PATH))
        # Nobody learns anything of another agent's interaction, and an agent knows the codes of its own.
        own = found is not None and found.owner == owner_of(agent) and found.code_digest == digest
        if found is None or not own or not path.startswith(_INTERACTION_PATH):
            raise InvalidRequest("This server has no such interaction of this agent's.")
        return found

    async def _reaches(self, agent: AgentToken) -> bool:
        """Whether this server knows the agent's person and can tell them something."""
        binding = (await self.store.standing(agent.identity, resource="")).binding
        return binding is not None and await self.store.reaches(binding.person_id)

    async def _note_unavailable(self, asked: Asked, mission: Mission | None) -> None:
        """A mission's log holds the requests that could not be passed on, too."""
        if mission is None:
            return
        content = {"asks": asked.kind, "url": asked.relay.url if asked.relay else "", "result": "unavailable"}
        await self.store.append_to_log(
            mission, LogEntry(at=self.clock(), kind="request", actor="agent", content=content)
        )
