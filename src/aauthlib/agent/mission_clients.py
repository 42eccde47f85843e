"""Missions as applications use them: `agent.missions.propose(...)` gives an agent that works in one (#missions).

Thin shells on the flows of `governance`, one blocking and one for an event loop, as `client` and `async_client` are on
those of `loop`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from ..effects import Report
from ..errors import AAuthError
from ..messages.missions import MissionBlob, Tool
from .async_client import AsyncAgent
from .client import Agent
from .context import AgentContext, OpenRequests
from .governance import GovernanceClient
from .missions import ApprovedMission, MissionUpdate, Permission
from .shell import Shell

__all__ = ["AsyncMission", "AsyncMissions", "Mission", "Missions"]


class Missions:
    """The missions of a blocking agent."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def propose(self, description: str, *, tools: Sequence[Tool | str] = (), resources: Sequence[str] = ()) -> Mission:
        """Propose a mission, wait until the person approves it, and return it (#mission-creation).

        `description` is Markdown. The person may change it, and leave out tools and resources: `changed` of what is
        returned says what they did. The answer brings a person token for each approved resource. Raises `Denied`,
        `UserUnreachable`, and as `GovernanceClient.propose`.
        """
        approved = self._agent.run(
            lambda opened: _governance(self._agent, opened).propose(description, tools=tools, resources=resources)
        )
        return Mission(self._agent, approved)

    def resume(self, blob: bytes, *, capabilities: Iterable[str] = ()) -> Mission:
        """The mission with these bytes, which were kept (`Mission.blob`), and with them what its person server can do
        (`Mission.approved.capabilities`). Nothing is sent; whether it still runs is the person server's to say. Raises
        `InvalidRequest` when they are no mission."""
        return Mission(self._agent, ApprovedMission.of(blob, capabilities=capabilities))


class AsyncMissions:
    """The missions of an asynchronous agent."""

    def __init__(self, agent: AsyncAgent) -> None:
        self._agent = agent

    async def propose(
        self, description: str, *, tools: Sequence[Tool | str] = (), resources: Sequence[str] = ()
    ) -> AsyncMission:
        """As `Missions.propose`."""
        approved = await self._agent.run(
            lambda opened: _governance(self._agent, opened).propose(description, tools=tools, resources=resources)
        )
        return AsyncMission(self._agent, approved)

    def resume(self, blob: bytes, *, capabilities: Iterable[str] = ()) -> AsyncMission:
        """As `Missions.resume`."""
        return AsyncMission(self._agent, ApprovedMission.of(blob, capabilities=capabilities))


class _Approved(Shell):
    """What both missions say of themselves."""

    approved: ApprovedMission
    updates: list[MissionUpdate]
    """The changes that were accepted through this object. What was agreed is the blob and all of them."""

    @property
    def s256(self) -> str:
        """Its identifier, together with the person server (#mission-identifier)."""
        return self.approved.s256

    @property
    def blob(self) -> bytes:
        """The mission itself, to be kept as it is; `resume` takes it."""
        return self.approved.blob

    @property
    def terms(self) -> MissionBlob:
        """What was approved: `description`, `approved_tools`, `approved_resources`, `expires_at`."""
        return self.approved.terms

    @property
    def changed(self) -> frozenset[str]:
        """What the person changed of the proposal: `description`, `tools`, `resources`."""
        return self.approved.changed


class Mission(Agent, _Approved):
    """An agent at work in a mission: every request it makes names it, and its person follows what it does.

    It shares keys, tokens and connections with the agent that proposed it. Once the person server says that the mission
    is over, everything raises `MissionTerminated` and nothing is sent (#mission-status-errors).
    """

    def __init__(self, agent: Agent, approved: ApprovedMission) -> None:
        super().__init__(
            agent.context.source,
            wire=agent.wire,
            context=_within(agent.context, approved),
            on_interaction=agent.on_interaction,
            on_clarification=agent.on_clarification,
            on_report=agent.on_report,
        )
        self.approved, self.updates = approved, []
        self.outbox = agent.outbox

    def permission(
        self, action: str, *, description: str | None = None, parameters: dict[str, Any] | None = None
    ) -> Permission:
        """As `Agent.permission`, in this mission. Nobody is asked about a tool that the mission approves."""
        if self.approved.approves(action):
            self.context.credentials.refuse_ended(self.s256)
            return Permission(granted=True, pre_approved=True)
        return super().permission(action, description=description, parameters=parameters)

    def audit(
        self,
        action: str,
        *,
        description: str | None = None,
        parameters: dict[str, Any] | None = None,
        result: dict[str, Any] | None = None,
    ) -> Future[None]:
        """Report an action that was done (#audit-endpoint). Does not wait; `.result()` of what is returned does.

        Reports arrive in the order they are made. One that fails is told to `on_report`, in another thread. `close` of
        the mission or its agent, and leaving their `with` block, wait until all were sent.
        """

        def send() -> None:
            try:
                self.run(
                    lambda opened: _governance(self, opened).audit(
                        action, description=description, parameters=parameters, result=result
                    )
                )
            except AAuthError as error:
                self.handle(_failed(action, error))
                raise

        return self.outbox.post(send)

    def update(self, description: str) -> MissionUpdate:
        """Record a change in the work and wait until the person accepts it (#mission-update). Raises `Denied`."""
        update = self.run(lambda opened: _governance(self, opened).update(description))
        self.updates.append(update)
        return update

    def complete(self, summary: str) -> None:
        """Propose that the mission is finished and wait until the person agrees; then it is over
        (#mission-completion). Raises `Denied` when they do not, and the mission goes on."""
        self.outbox.close()  # what was reported before belongs into the log, which ends with the mission
        self.run(lambda opened: _governance(self, opened).complete(summary))


class AsyncMission(AsyncAgent, _Approved):
    """As `Mission`, on an event loop."""

    def __init__(self, agent: AsyncAgent, approved: ApprovedMission) -> None:
        super().__init__(
            agent.context.source,
            wire=agent.wire,
            context=_within(agent.context, approved),
            on_interaction=agent.on_interaction,
            on_clarification=agent.on_clarification,
            on_report=agent.on_report,
        )
        self.approved, self.updates = approved, []
        self.outbox = agent.outbox

    async def permission(
        self, action: str, *, description: str | None = None, parameters: dict[str, Any] | None = None
    ) -> Permission:
        """As `Mission.permission`."""
        if self.approved.approves(action):
            self.context.credentials.refuse_ended(self.s256)
            return Permission(granted=True, pre_approved=True)
        return await super().permission(action, description=description, parameters=parameters)

    async def audit(
        self,
        action: str,
        *,
        description: str | None = None,
        parameters: dict[str, Any] | None = None,
        result: dict[str, Any] | None = None,
    ) -> asyncio.Task[None]:
        """As `Mission.audit`; the task that is returned ends once the report is recorded."""

        async def send() -> None:
            try:
                await self.run(
                    lambda opened: _governance(self, opened).audit(
                        action, description=description, parameters=parameters, result=result
                    )
                )
            except AAuthError as error:
                await self.handle(_failed(action, error))
                raise

        return await self.outbox.post(send)

    async def update(self, description: str) -> MissionUpdate:
        """As `Mission.update`."""
        update = await self.run(lambda opened: _governance(self, opened).update(description))
        self.updates.append(update)
        return update

    async def complete(self, summary: str) -> None:
        """As `Mission.complete`."""
        await self.outbox.aclose()
        await self.run(lambda opened: _governance(self, opened).complete(summary))


def _governance(agent: Shell, opened: OpenRequests) -> GovernanceClient:
    return GovernanceClient(agent.context, open_requests=opened)


def _within(context: AgentContext, approved: ApprovedMission) -> AgentContext:
    """The same agent, in a mission."""
    return replace(
        context,
        preferences=replace(context.preferences, mission_s256=approved.s256),
        person_server_capabilities=approved.capabilities,
    )


def _failed(action: str, error: AAuthError) -> Report:
    return Report("audit-failed", {"action": action, "reason": error.detail or type(error).__name__})
