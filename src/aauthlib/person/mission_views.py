"""What the pages show of missions, as values (#consent-presentation, #mission-log).

Descriptions, tools, updates, summaries and audit records are the agent's words, and are claims until the person makes
them theirs. Nothing is sanitised yet; who renders it must. Knows no store and no framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..deferred.machine import WAITING, State
from ..messages.missions import MissionBlob, Tool
from ..policies.approvers import Step
from ..store.approval_records import BecauseOf
from ..store.person_conversations import Turn
from ..store.person_mission_records import LogEntry, Mission
from .consent import AgentFace, ResourceFace

__all__ = ["MissionFace", "MissionPage", "MissionRequestView", "title_of"]

_MAX_TITLE = 80


def title_of(description: str) -> str:
    """The first line of a description that says something, without its Markdown marks."""
    for line in description.splitlines():
        text = line.strip().lstrip("#>*-` ").rstrip("#*_` ").strip()
        if text:
            return text if len(text) <= _MAX_TITLE else text[:_MAX_TITLE].rstrip() + "…"
    return "A mission"


@dataclass(frozen=True, slots=True, kw_only=True)
class MissionFace:
    """A mission in a list, or beside a request made in it."""

    s256: str
    agent_iss: str
    agent_sub: str
    terms: MissionBlob
    approved_at: float
    expires_at: float | None
    ended_at: float | None = None
    reason: str | None = None
    """Why it ended; `None` while it is active."""

    @property
    def title(self) -> str:
        return title_of(self.terms.description)

    @classmethod
    def of(cls, mission: Mission, *, now: float) -> MissionFace:
        """The mission as it stands at `now`."""
        reason = mission.ended(now=now)
        return cls(
            s256=mission.s256,
            agent_iss=mission.agent[0],
            agent_sub=mission.agent[1],
            terms=mission.terms(),
            approved_at=mission.approved_at,
            expires_at=mission.expires_at,
            ended_at=(mission.terminated_at or mission.expires_at) if reason is not None else None,
            reason=reason,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MissionRequestView:
    """What a person decides about that is not for a token: missions, permissions, relays, questions."""

    digest: str
    kind: Literal["mission", "mission_update", "mission_completion", "permission", "interaction", "payment", "question"]
    agent: AgentFace
    state: State
    outcome: State | None
    created_at: float
    expires_at: float
    callback: str | None = None
    mission: MissionFace | None = None
    """The mission it is about, or was approved as."""
    description: str = ""
    """Agent-asserted Markdown: of a proposal, an update, a completion, an action."""
    tools: tuple[Tool, ...] = ()
    resources: tuple[ResourceFace, ...] = ()
    action: str = ""
    parameters: Mapping[str, Any] | None = field(default=None, repr=False)
    replaceable: tuple[MissionFace, ...] = ()
    """Of a proposal: the agent's active missions, one of which it may replace."""
    conversation: tuple[Turn, ...] = ()
    takes_questions: bool = False
    """The agent declared that it answers questions."""
    questions_left: int = 0
    permission: str | None = None
    """How a permission request was answered: `granted` or `denied`."""
    url: str = ""
    """Of a relay: where the browser goes, code included. The agent named it, and nobody has checked it."""
    code: str = ""
    hosted: str | None = None
    """Of a relay to a page of this server: the request that is decided on there."""
    context: str = ""
    """Agent-asserted Markdown beside a relay or a question."""
    answer: str | None = None
    """How a question was answered."""
    steps: tuple[Step, ...] = ()
    """While it waits for the person: who is asked after their yes, by the operator's policy."""
    policy_refusal: str | None = None
    """While it waits for the person: why the operator's policy refuses what is asked."""
    left_to_others: tuple[str, ...] = ()
    """Of a proposal: tools and resources that the policy does not leave to the person alone. Each use is asked for."""
    approval: str | None = None
    """What others than the person decide, or decided, about it."""
    decided_by: BecauseOf | None = None
    """The policy under which it was decided."""

    @property
    def waiting(self) -> bool:
        """Whether a decision is still to be made."""
        return self.state in WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class MissionPage:
    """One mission with the newest part of its log, oldest entry first."""

    mission: MissionFace
    log: tuple[LogEntry, ...]
    earlier: int | None = None
    """The number before which there are more entries; `None` when these are the first."""
    allowed: tuple[str, ...] = ()
    """Actions the person allowed for as long as it lasts, beside its tools."""
