"""The permission and the audit endpoint (#permission-endpoint, #audit-endpoint): what no resource governs.

An agent asks before it acts, and says afterwards what it did. What the mission approved, or the person allowed for as
long as it lasts, is granted at once; everything else is the person's to decide, unless the operator's policy says
otherwise.
"""

from __future__ import annotations

from typing import Any

from ..errors import Denied, RateLimited
from ..http import Fields, Request, Response, json_response
from ..messages.bodies import decode_request
from ..messages.missions import AuditRequest, PermissionRequest
from ..store.person_mission_records import LogEntry, Mission
from .asked import PERMISSION, Asked, AskedPermission
from .core import owner_of
from .mission_lookup import active_mission_of, declared
from .missions import MissionEndpoint, about
from .ruling import way_of

__all__ = ["PermissionEndpoint"]


class PermissionEndpoint(MissionEndpoint):
    """What agents call about their own actions."""

    async def permission(self, request: Request) -> Response:
        """POST to `permission_endpoint` (#permission-response): `200` with the decision, or `202`.

        Raises `InvalidRequest`, `MissionNotFound`, `MissionTerminated`, `UserUnreachable`, `RateLimited`, or a
        `SignatureError`.
        """
        agent = await self.calling_agent(request)
        self.check_person_server(agent)
        body = decode_request(PermissionRequest, request)
        body.check()
        mission = await active_mission_of(self, body.mission_s256, agent) if body.mission_s256 is not None else None
        able = await declared(self, body.capabilities, mission)
        asked = Asked(
            kind=PERMISSION,
            permission=AskedPermission(action=body.action, description=body.description, parameters=body.parameters),
            mission_s256=mission.s256 if mission else None,
            **about(agent, mission, capabilities=able),
        )
        standing = await self.store.standing(
            agent.identity, resource="", mission=mission.s256 if mission is not None else None
        )
        if standing.binding is None:
            return await self.ask_about(asked, agent, able)
        approved = mission is not None and (
            any(tool.name == body.action for tool in mission.terms().approved_tools) or body.action in standing.consents
        )
        try:
            way = await way_of(self, asked, standing.binding.person_id, agreed_before=approved)
        except Denied as error:
            # A permission that is denied is an answer, too (#permission-response).
            return await self._answer(mission, body, {"permission": "denied", "reason": error.detail})
        if way.approval is not None:
            return self.pending.accepted(await self.open_for_approvers(asked, way.approval, agent, None))
        if way.through:
            return await self._answer(mission, body, {"permission": "granted"})
        return await self.ask_about(asked, agent, able)

    async def _answer(self, mission: Mission | None, body: PermissionRequest, answer: dict[str, str]) -> Response:
        """Answer at once, with an entry in the mission's log."""
        if mission is not None:
            entry = LogEntry(at=self.clock(), kind="permission", actor="agent", content={**_told(body), **answer})
            await self.store.append_to_log(mission, entry)
        return json_response(200, answer)

    async def audit(self, request: Request) -> Response:
        """POST to `audit_endpoint` (#audit-response): `201` once the record is in the mission's log for good.

        Raises `InvalidRequest`, `MissionNotFound`, `MissionTerminated`, `RateLimited`, or a `SignatureError`.
        """
        agent = await self.calling_agent(request)
        self.check_person_server(agent)
        body = decode_request(AuditRequest, request)
        body.check()
        owner = owner_of(agent)
        wait_s = self.audit_rate.wait_s(owner)
        if wait_s > 0:
            raise RateLimited("This agent reports more than this server records.", retry_after_s=int(wait_s) + 1)
        self.audit_rate.count(owner)
        mission = await active_mission_of(self, body.mission_s256, agent)
        content = {**_told(body), **({"result": body.result} if body.result is not None else {})}
        await self.store.append_to_log(mission, LogEntry(at=self.clock(), kind="audit", actor="agent", content=content))
        return Response(201, Fields([("cache-control", "no-store")]))


def _told(body: PermissionRequest | AuditRequest) -> dict[str, Any]:
    """What the agent says of an action, for the log."""
    said = {"action": body.action, "description": body.description, "parameters": body.parameters}
    return {name: value for name, value in said.items() if value is not None}
