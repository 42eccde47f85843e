"""What pages show of approvals, as values: the server makes them, the pages render them (#approval-pending).

As on the consent page, every text is attributed by its place: the resource's own words in `resource` and `scopes`, the
agent's in `justification_markdown` and `permission`, people's in the entries of `standing`. Nothing is sanitised yet.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..policies.approvers import Step
from ..store.approval_records import Approval, BecauseOf
from ..store.approval_states import ApprovalState
from ..store.person_approvals import Standing
from .asked import Asked, AskedPermission
from .consent import AgentFace, ResourceFace, ScopeLine

__all__ = ["ApprovalLine", "ApprovalView"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalLine:
    """One approval in a list. Names come from identifiers that were verified; `action` is the agent's word."""

    id: str
    kind: str
    subject: str
    """The display name of the person whose agent asks; empty for somebody who is gone."""
    agent_iss: str
    agent_sub: str
    resource: str
    scopes: tuple[str, ...]
    action: str
    state: ApprovalState
    stage: int
    stages: int
    step: Step
    created_at: float
    due_at: float
    decided_at: float | None

    @classmethod
    def of(cls, approval: Approval, asked: Asked, subject: str) -> ApprovalLine:
        return cls(
            id=approval.id,
            subject=subject,
            kind=asked.kind,
            agent_iss=asked.agent.iss,
            agent_sub=asked.agent.sub,
            resource=asked.resource,
            scopes=asked.scope,
            action=asked.permission.action if asked.permission is not None else "",
            state=approval.state,
            stage=approval.stage,
            stages=len(approval.course.steps),
            step=approval.step,
            created_at=approval.created_at,
            due_at=approval.due_at,
            decided_at=approval.decided_at,
        )

    @property
    def waiting(self) -> bool:
        return self.state is ApprovalState.WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalView:
    """Everything the page of one approval shows."""

    line: ApprovalLine
    standing: Standing
    agent: AgentFace
    resource: ResourceFace | None = None
    scopes: tuple[ScopeLine, ...] = ()
    account: str | None = None
    access_server: str | None = None
    justification_markdown: str | None = None
    permission: AskedPermission | None = None
    mission_description: str | None = None
    """Of the mission it is asked in: the agent's words, which its person approved."""
    seat: str
    """In whose place whoever looks may decide; empty: in nobody's."""
    own: bool
    """Whoever looks is the person whose agent asks."""
    has_spoken: bool
    """Whoever looks has decided already."""

    @property
    def seat_name(self) -> str:
        """Who is away, where one decides in somebody else's place."""
        return next((seat.name for seat in self.standing.asked if seat.person_id == self.seat), "")

    @property
    def because(self) -> BecauseOf:
        return self.standing.approval.because

    @property
    def round(self) -> int:
        return self.standing.approval.round
