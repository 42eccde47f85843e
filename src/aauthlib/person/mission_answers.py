"""What an agent is answered once its person has decided about anything but a token.

#mission-approval, #mission-update, #mission-completion, #permission-response, #interaction-response-poll-authority.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..base64url import b64url_encode
from ..deferred.pending import Completion, Pending
from ..errors import Expired, Revoked
from ..http import json_response
from ..store.person_mission_records import COMPLETED, Mission, MissionDelivery
from ..store.person_records import IssuedToken
from .asked import PERSON_TOKEN, Asked
from .core import PersonServerCore
from .mission_lookup import capped
from .ruling import left_to_others

__all__ = ["answer_of"]


async def answer_of(server: PersonServerCore, pending: Pending, asked: Asked) -> Completion:
    """The answer to a granted request that is not for a token. Raises what ends it otherwise."""
    decision = pending.decision
    match asked.kind:
        case "mission":
            return await _approved(server, pending, asked)
        case "mission_update":
            return Completion(json_response(200, {"s256": decision["s256"]}))
        case "mission_completion":
            return Completion(json_response(200, {"mission_status": "terminated", "termination_reason": COMPLETED}))
        case "question":
            return Completion(json_response(200, {"answer": decision["answer"]}))
        case "interaction" | "payment":
            # All there is to say: the person went there. What came of it is for the host of the page to say.
            return Completion(json_response(200, {"engaged": True}))
        case _:
            body = {"permission": decision["permission"]}
            if decision.get("reason"):
                body["reason"] = decision["reason"]
            return Completion(json_response(200, body))


async def _approved(server: PersonServerCore, pending: Pending, asked: Asked) -> Completion:
    """The approved mission with a person token for each approved resource. The bytes are those that were kept."""
    decision = pending.decision
    mission = await server.store.mission(asked.agent_id, str(decision["mission_s256"]))
    if mission is None or mission.ended(now=server.clock()) is not None:
        raise Revoked("The person ended this mission before its agent fetched it.")
    document: dict[str, Any] = {"s256": mission.s256, "mission": b64url_encode(mission.blob)}
    tokens = list[IssuedToken]()
    texts = dict[str, str]()
    person_id = str(decision["granted_by"])
    tenant = await server.store.tenant_of(person_id)
    left = await left_to_others(server, asked, person_id)
    # What the policy leaves to others than the person is declined here; the agent asks for it on its own.
    for resource in [each for each in decision["resources"] if each not in left]:
        try:
            completion = server.mint.person_token(_for(asked, resource, mission), person_id, tenant=tenant)
        except Expired:
            # The agent token it was proposed with has expired; the agent asks for what it needs (#mission-approval).
            break
        assert isinstance(completion.record, IssuedToken)
        tokens.append(completion.record)
        texts[resource] = completion.response.json()["person_token"]
    if await server.store.reaches(person_id):
        # What this server can do for the agent now; no term of the mission (#aauth-capabilities).
        document["capabilities"] = ["interaction"]
    if texts:
        document["person_tokens"] = texts
    return Completion(json_response(200, document), MissionDelivery(asked.agent_id, tuple(tokens)))


def _for(asked: Asked, resource: str, mission: Mission) -> Asked:
    return msgspec.structs.replace(
        asked,
        kind=PERSON_TOKEN,
        resource=resource,
        mission_s256=mission.s256,
        not_after=capped(asked.not_after, mission),
    )
