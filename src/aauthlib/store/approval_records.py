"""What approvers decide about, and what they decided, as values (#approval-pending).

They stand here, below the role, so that a store can make them and the role can read them. This module knows no SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import AAuthError
from ..policies.approvers import Approvers, Step
from .approval_states import ApprovalState
from .person_records import AgentId

__all__ = [
    "ADMINISTRATORS",
    "AgreedTo",
    "Approval",
    "ApprovalEntry",
    "Away",
    "AwayRefused",
    "Ballot",
    "BecauseOf",
    "Course",
    "DecidedAlready",
    "NotApprover",
    "Opening",
    "Origin",
    "TooManyComments",
]

#: The group that every organisation has: those who administer it.
ADMINISTRATORS = "administrators"


class NotApprover(AAuthError):
    """It is not, or not any more, for this person to decide."""


class DecidedAlready(AAuthError):
    """This person has decided, or somebody has in their place: one person, one voice."""


class TooManyComments(AAuthError):
    """One person has said as much about one request as is kept."""


class AwayRefused(AAuthError):
    """Nobody can decide in this person's place in that way; the text says why."""


class Course(Approvers, frozen=True, kw_only=True, omit_defaults=True):
    """What a policy demands before it lets a request through: the person, and others after them."""

    ask_person: bool = True
    """The person whose agent asks agrees first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """From where somebody decided, as far as it is kept: of the address the network alone."""

    network: str = ""
    browser: str = ""
    method: str = ""
    """How they had signed in: `password`, `passkey`, `recovery` or `provider`."""

    def details(self) -> dict[str, str]:
        """For the audit log; what is not known is left out."""
        told = {"network": self.network, "browser": self.browser, "method": self.method}
        return {name: value for name, value in told.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class BecauseOf:
    """The policy under which something was decided."""

    version: str
    rule: str
    approval: str | None = None
    """The approval, where others than the person agreed."""

    def details(self) -> dict[str, str]:
        """For the audit log."""
        told = {"policy": self.version, "rule": self.rule}
        return told if self.approval is None else {**told, "approval": self.approval}


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedTo:
    """The person's own yes, which came before the approvers are asked."""

    at: float
    remember: bool = False
    """To remember it once everybody has agreed."""
    before: bool = False
    """It was remembered from an earlier request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """An approval that a request needs: opened, or the one that is open or was given already."""

    id: str
    """256 random bits in hex, for a new one."""
    key: str
    """Digest of what is asked, for whom and by which agent: the same request made anew has the same."""
    person_id: str
    tenant: str | None
    agent: AgentId
    root: AgentId | None = None
    request: Mapping[str, Any] = field(repr=False)
    """What is asked, narrowed to what the person agreed to: JSON of `person.asked.Asked`."""
    course: Course
    because: BecauseOf
    agreed: AgreedTo | None = None
    waits_until: float = 0.0
    """Until when the request waits for it, Unix seconds, though it came with less time."""

    @property
    def shared(self) -> bool:
        """Whether the same request made anew has the same approval. One of its own has its id for a key."""
        return self.key != self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Something that others than the person decide about."""

    id: str
    key: str
    state: ApprovalState
    person_id: str
    """Whose agent asks."""
    tenant: str | None
    agent: AgentId
    root: AgentId | None
    request: Mapping[str, Any] = field(repr=False)
    course: Course
    because: BecauseOf
    round: int
    """Counts how often it was begun anew because the policy changed."""
    stage: int
    depth: int
    """Escalations of this stage."""
    step_since: float
    """When this step began, Unix seconds."""
    agreed: AgreedTo | None
    created_at: float
    decided_at: float | None = None
    valid_until: float | None = None
    """Of one that was given or refused: until when that holds for the same request made anew."""

    @property
    def step(self) -> Step:
        """Who is asked now."""
        return self.course.step(self.stage, self.depth)

    @property
    def due_at(self) -> float:
        """When the time of this step is over, Unix seconds."""
        return self.step_since + self.step.deadline_s

    @property
    def waiting(self) -> bool:
        return self.state is ApprovalState.WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalEntry:
    """One thing that happened to an approval, in order. Nothing is changed or removed while it is kept."""

    number: int
    at: float
    kind: str
    """`opened`, `agreed`, `approved`, `denied`, `comment`, `stage`, `escalated`, `restarted`; and how it ended:
    `granted`, `refused`, `expired`, `withdrawn`."""
    by: str | None = None
    """The person who did it; `None` for the server."""
    seat: str | None = None
    """In whose place, where that is somebody else."""
    name: str = ""
    """The display names of both, as of now; empty for somebody who is gone."""
    seat_name: str = ""
    text: str = ""
    """Somebody's own words, unsanitised."""
    origin: Origin = field(default_factory=Origin)
    version: str = ""
    """The policy's."""
    round: int = 0
    stage: int = 0
    counts: bool = False
    """Whether it is a yes that counts now: its approver may still decide, in this round and stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """One approver's decision."""

    person_id: str
    yes: bool
    comment: str = ""
    origin: Origin
    because: BecauseOf
    """What the policy says of the request now."""
    course: Course | None
    """What it demands now; `None` when it refuses."""
    round: int
    """The round that was shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Away:
    """Somebody is away, and who decides in their place meanwhile. Unix seconds."""

    person_id: str
    delegate: str
    delegate_name: str = ""
    since: float
    until: float

    def holds(self, *, now: float) -> bool:
        return self.since <= now < self.until
