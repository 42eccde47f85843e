"""Who belongs to an access server, as values (#ps-as-trust-establishment). This module knows no SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["ADMINISTRATOR", "APPROVER", "PERSON", "ROLES", "AccessInvitation", "AccessPerson", "Role"]

Role: TypeAlias = Literal["person", "approver", "administrator"]
#: Confirms person servers for themselves, and nothing else.
PERSON: Role = "person"
APPROVER: Role = "approver"
ADMINISTRATOR: Role = "administrator"
ROLES: tuple[Role, ...] = (PERSON, APPROVER, ADMINISTRATOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPerson:
    """Somebody with an account at an access server."""

    person_id: str
    role: Role
    approves: tuple[str, ...] = ()
    """Of an approver: whose approvals they give, as policies name them (`by`); none for every one."""
    since: float = 0.0
    username: str = ""
    display_name: str = ""

    @property
    def is_administrator(self) -> bool:
        return self.role == ADMINISTRATOR

    @property
    def approves_at_all(self) -> bool:
        """Whether this person decides about anybody's requests."""
        return self.role != PERSON


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessInvitation:
    """A link that gives whoever opens it an account here with this role, once."""

    digest: str
    role: Role
    approves: tuple[str, ...] = ()
    note: str = ""
    """For the administrators: whom it is for."""
    created_at: float
    expires_at: float
