"""What is kept of the organisations (tenants) of a person server, as values (#person-token-org-policy).

They stand here, below the role, so that a store can make them and the role can read them. This module knows no SQL.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..errors import AAuthError

__all__ = [
    "ADMINISTRATOR",
    "MEMBER",
    "AlreadyMember",
    "Invitation",
    "LastAdministrator",
    "LinkedIdentity",
    "Member",
    "MemberAgent",
    "Role",
    "Tenant",
]

Role: TypeAlias = Literal["member", "administrator"]
MEMBER: Role = "member"
ADMINISTRATOR: Role = "administrator"


class AlreadyMember(AAuthError):
    """The person belongs to an organisation already: an account belongs to one at most."""


class LastAdministrator(AAuthError):
    """An organisation keeps an administrator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """An organisation. `tenant` is its identifier in tokens, `(iss, tenant)` names it to everybody."""

    tenant: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A person of an organisation."""

    person_id: str
    tenant: str
    role: Role
    joined_at: float
    username: str = ""
    display_name: str = ""
    agents: int = 0
    waiting: int = 0
    """Requests that wait for this person."""

    @property
    def is_administrator(self) -> bool:
        return self.role == ADMINISTRATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberAgent:
    """An agent that acts for a member."""

    iss: str
    sub: str
    person_id: str
    display_name: str
    last_used_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A link that makes whoever opens it a member, once."""

    digest: str
    tenant: str
    role: Role
    note: str = ""
    """For the administrators: whom it is for."""
    created_at: float
    expires_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedIdentity:
    """An identity at an organisation's OpenID Connect provider: `(iss, sub)` and nothing else names it."""

    iss: str
    sub: str
    person_id: str
    tenant: str
    created_at: float
    last_used_at: float
