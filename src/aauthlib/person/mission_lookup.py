"""Which mission a request is made in, and whether it is active (#mission-endpoint-errors, #mission-status-errors).

Every decision path comes through here or through `store.person_mission_log.active_mission`; both compare the clock.
"""

from __future__ import annotations

import logging

from ..deferred.pending import Pending
from ..errors import InvalidRequest, MissionNotFound, MissionTerminated, RateLimited
from ..messages.missions import check_s256
from ..store.person_mission_records import Mission
from ..tokens import AgentToken
from .asked import Asked
from .core import PersonServerCore, owner_of
from .upstream import Upstream

__all__ = ["active_mission_of", "capped", "declared", "mission_of_request", "refuse_ended_mission"]

_log = logging.getLogger("aauthlib.person")


async def active_mission_of(server: PersonServerCore, s256: str, agent: AgentToken) -> Mission:
    """The agent's mission, active.

    Raises `InvalidRequest` for what names no mission, `MissionNotFound` alike for one that does not exist and one of
    another agent, `RateLimited` after too many of those, and `MissionTerminated` for the agent's own.
    """
    check_s256(s256)
    owner = owner_of(agent)
    wait_s = server.mission_misses.wait_s(owner)
    if wait_s > 0:
        raise RateLimited("Too many missions were named that this agent does not have.", retry_after_s=int(wait_s) + 1)
    mission = await server.store.mission(agent.identity, s256)
    if mission is None:
        server.mission_misses.count(owner)
        # Who, but not which: what was named may be a live mission of somebody else's.
        _log.warning("an agent named a mission that is not its own: %s", owner)
        raise MissionNotFound("This agent has no such mission at this person server.")
    reason = mission.ended(now=server.clock())
    if reason is not None:
        raise MissionTerminated("This mission has ended. Stop acting on it.", reason=reason)
    return mission


async def mission_of_request(
    server: PersonServerCore, s256: str | None, agent: AgentToken, upstream: Upstream | None
) -> Mission | None:
    """The mission of a person token request (#person-token-endpoint); down a chain it is the upstream token's.

    Raises `InvalidRequest`, `RateLimited` or `MissionTerminated`.
    """
    if upstream is not None:
        carried = upstream.token.mission_s256
        if s256 is not None and s256 != carried:
            raise InvalidRequest("mission_s256 is another mission than that of the upstream token.")
        return await server.store.mission(upstream.root, carried) if carried is not None else None
    if s256 is None:
        return None
    try:
        return await active_mission_of(server, s256, agent)
    except MissionNotFound as error:
        raise InvalidRequest("mission_s256 names no mission of this agent.") from error


async def declared(
    server: PersonServerCore, capabilities: list[str] | None, mission: Mission | None
) -> list[str] | None:
    """What the agent can do: as the request says, else as it said when its mission was approved (#auth-token-request).

    `None` where neither says it.
    """
    if capabilities is not None or mission is None:
        return capabilities
    return await server.store.capabilities_at_approval(mission.s256)


def capped(not_after: float, mission: Mission | None) -> float:
    """`not_after`, or when the mission expires: no token outlives its mission (#mission-approval)."""
    ends = mission.expires_at if mission is not None else None
    return not_after if ends is None else min(not_after, ends)


async def refuse_ended_mission(server: PersonServerCore, pending: Pending | None) -> None:
    """Raise `MissionTerminated` when the mission of a request has ended; do nothing else."""
    if pending is None:
        return
    asked = Asked.of(pending.request)
    if asked.mission_s256 is None:
        return
    mission = await server.store.mission(asked.root or asked.agent_id, asked.mission_s256)
    reason = mission.ended(now=server.clock()) if mission is not None else None
    if reason is not None:
        raise MissionTerminated("The mission this request belongs to has ended.", reason=reason)
