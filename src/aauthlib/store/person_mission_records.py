"""Missions as a person server keeps them, as values (#missions, #mission-management). This module knows no SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..messages.missions import MissionBlob, Tool, read_blob
from .person_records import AgentId, IssuedToken

__all__ = [
    "ADMINISTRATIVE",
    "COMPLETED",
    "EXPIRED",
    "REVOKED",
    "SUPERSEDED",
    "Approval",
    "LogEntry",
    "Mission",
    "MissionDelivery",
    "Verdict",
]

# Why a mission ended (#mission-management). The list is open.
COMPLETED = "completed"
REVOKED = "revoked"
EXPIRED = "expired"
SUPERSEDED = "superseded"
ADMINISTRATIVE = "administrative"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mission:
    """An approved mission. What was approved never changes; whether it is over stands beside it."""

    s256: str
    agent: AgentId
    person_id: str
    blob: bytes = field(repr=False)
    """The very bytes `s256` is the digest of."""
    approved_at: float
    expires_at: float | None = None
    """Unix seconds, rounded down to what the blob says."""
    terminated_at: float | None = None
    termination_reason: str | None = None

    def ended(self, *, now: float) -> str | None:
        """Why it is over at `now`; `None` while it is active. It is over from `expires_at` on, whoever noticed."""
        if self.terminated_at is not None:
            return self.termination_reason or REVOKED
        return EXPIRED if self.expires_at is not None and now >= self.expires_at else None

    def terms(self) -> MissionBlob:
        """What was approved, read from the blob."""
        return read_blob(self.blob)


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A person's yes to a proposal, as changed by them."""

    person_id: str
    agent: AgentId
    description: str
    tools: Sequence[Tool] = ()
    resources: Sequence[str] = ()
    expires_at: float | None = None
    replaces: str | None = None
    """The `s256` of an active mission of the same agent that ends with this approval (`superseded`)."""
    because: Mapping[str, str] = field(default_factory=dict)
    """From where, and under which policy, for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A person's answer to anything but a request for a token or a proposal."""

    person_id: str
    agent: AgentId
    kind: str
    yes: bool
    reason: str | None = None
    """Of a permission that is denied: Markdown for the agent."""
    answer: str | None = None
    """Of a question: Markdown for the agent."""
    remember_action: str | None = None
    """Of a permission in a mission: the action that needs no further question while the mission lasts."""
    because: Mapping[str, str] = field(default_factory=dict)
    """From where, and under which policy, for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One line of a mission's log, in the order in which things happened (#mission-log)."""

    at: float
    kind: str
    """`proposal`, `approval`, `request`, `decision`, `issue`, `update`, `permission`, `audit`,
    `question`, `answer`, `change`, `termination`."""
    actor: str
    """`agent`, `person` or `server`: whose word it is."""
    content: Mapping[str, Any] = field(default_factory=dict)
    s256: str | None = None
    """Of an accepted update: the digest of its bytes."""
    number: int = 0


@dataclass(frozen=True, slots=True)
class MissionDelivery:
    """What is recorded when an approved mission is handed to its agent: the person tokens that go with it."""

    agent: AgentId
    tokens: tuple[IssuedToken, ...] = ()
