"""What approvers at an access server decide about, and what they decided, as values (#approval-pending).

Who is asked and heard, and when a step is over, is as at every role (`policies.approvers`). This module
knows no SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import AAuthError
from ..policies.approvers import Approvers, Step
from .access_people_records import AccessPerson
from .access_records import DecisionRecord
from .approval_records import ADMINISTRATORS, Origin
from .approval_states import ApprovalState

__all__ = [
    "APPROVERS",
    "AccessApproval",
    "AccessApprovalEntry",
    "AccessBallot",
    "AccessOpening",
    "AccessStanding",
    "ApprovalChanged",
    "OwnRequest",
    "is_named",
    "may_give",
]

#: The groups that every access server has: whoever approves, and `approval_records.ADMINISTRATORS`.
APPROVERS = "approvers"


class OwnRequest(AAuthError):
    """Nobody approves what is asked for themselves."""


class ApprovalChanged(AAuthError):
    """What is asked, or by which policy, is not what was on the page any more. Nothing was decided."""


def is_named(person: AccessPerson, step: Step) -> bool:
    """Whether a step asks `person`: by username, or by a group they are in.

    A group is what administrators wrote down, never a username: somebody could call themselves like a group.
    """
    if person.role == "person":
        return False
    if person.username in step.people or APPROVERS in step.groups:
        return True
    if person.is_administrator:
        return ADMINISTRATORS in step.groups
    named = set(step.groups) - {ADMINISTRATORS}
    return bool(named) and (not person.approves or not named.isdisjoint(person.approves))


def may_give(person: AccessPerson, step: Step) -> bool:
    """Whether `person` is heard at a step: who is named, and administrators, who could name themselves anyway."""
    return person.is_administrator or is_named(person, step)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessOpening:
    """An approval that a token request needs: opened, or the one that is open for the same."""

    id: str
    """256 random bits in hex, for a new one."""
    key: str
    """Digest of what is asked, for whom, by which agent, and what was said of it: made anew, it has the same."""
    ps: str
    resource: str
    sub: str
    tenant_key: str | None
    subject: str | None
    """The account here whose holder it is for, where that is known."""
    shown: Mapping[str, Any] = field(repr=False)
    """What approvers see and the policy is asked about: JSON of `asked` and `learned`."""
    approvers: Approvers
    version: str
    """Of the policy that demands it."""
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessApproval:
    """Something that people of an access server decide about."""

    id: str
    key: str
    state: ApprovalState
    ps: str
    resource: str
    sub: str
    subject: str | None
    shown: Mapping[str, Any] = field(repr=False)
    approvers: Approvers
    version: str
    rule: str
    round: int
    """Counts how often it was begun anew because the policy changed."""
    stage: int
    depth: int
    """Escalations of this stage."""
    step_since: float
    created_at: float
    decided_at: float | None = None
    valid_until: float | None = None
    """Of one that was given or refused: until when that holds for the same request made anew, Unix seconds."""
    decided_by: str = ""
    """Who gave it, or refused, by username."""
    reason: str = ""
    """Why it was refused."""

    @property
    def step(self) -> Step:
        """Who is asked now."""
        return self.approvers.step(self.stage, self.depth)

    @property
    def due_at(self) -> float:
        """When the time of this step is over, Unix seconds."""
        return self.step_since + self.step.deadline_s

    @property
    def waiting(self) -> bool:
        return self.state is ApprovalState.WAITING


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessApprovalEntry:
    """One thing that happened to an approval, in order. Nothing is changed or removed while it is kept."""

    number: int
    at: float
    kind: str
    """`opened`, `approved`, `denied`, `stage`, `escalated`, `restarted`; and how it ended: `granted`, `refused`,
    `expired`, `withdrawn`."""
    person_id: str | None = None
    """Who did it, where that is an account here."""
    name: str = ""
    """Their username then, or the name the application gave; empty for the server."""
    text: str = ""
    """Their own words, unsanitised."""
    origin: Origin = field(default_factory=Origin)
    version: str = ""
    """The policy's."""
    round: int = 0
    stage: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessStanding:
    """Where an approval stands: who can still be heard at its step, and everything that happened."""

    approval: AccessApproval
    asked: tuple[AccessPerson, ...]
    """Who is named at its step and has not decided."""
    agreed: tuple[str, ...]
    """Whose yes counts at this step, by username."""
    spoken: frozenset[str]
    """Accounts that have decided in this round."""
    entries: tuple[AccessApprovalEntry, ...]
    waiting: int
    """Requests that wait for it just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessBallot:
    """One approver's decision."""

    name: str
    """The username; of an application's own approver, whom it vouches for, whatever it calls them."""
    person_id: str | None
    """The account; `None` for an application's own approver."""
    yes: bool
    reason: str = ""
    origin: Origin
    round: int | None
    """The round that was shown."""
    approvers: Approvers | None
    """What the policy demands now; `None` when that is no approval any more."""
    version: str
    rule: str
    record: DecisionRecord
    """For the log."""
