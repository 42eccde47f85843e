"""What an agent provider keeps: values, the protocol of its store, and what the store refuses (#agent-tokens).

Every method of the protocol is a transaction. The three errors are this project's, as the ceremonies are each
provider's own (draft-hardt-aauth-bootstrap): a client that does not know their codes goes by the status, `403`, and
shows the `detail`. Nothing here knows SQL or a request.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..errors import ProblemError
from .keyring import KeyStore

__all__ = [
    "Delegation",
    "Enrollment",
    "EnrollmentRefused",
    "EnrollmentRevoked",
    "EnrollmentUnknown",
    "IssuedToken",
    "ProviderStore",
]


class EnrollmentRefused(ProblemError):
    """The provider's gate did not admit the key: no invitation, a wrong one, or no room."""

    code = "enrollment_refused"
    status = 403


class EnrollmentUnknown(ProblemError):
    """No agent is enrolled with the key that signed; the client enrols first."""

    code = "enrollment_unknown"
    status = 403


class EnrollmentRevoked(ProblemError):
    """The enrolment of this key was revoked. It stays so: a new agent needs a new key."""

    code = "enrollment_revoked"
    status = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrollment:
    """One install: a durable key and the agent it is (#per-install-identity). Times are Unix seconds."""

    thumbprint: str
    """Of the durable key (RFC 7638, SHA-256)."""
    agent: str
    """The agent identifier, stable for the life of the install."""
    label: str | None
    """What the client calls itself. Its own claim."""
    ps: str | None
    """The person server named at enrolment, which later tokens name unless a refresh names another."""
    enrolled_at: float
    revoked_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """An agent token that was issued, kept until its `exp`: what a revocation has to reach."""

    jti: str
    agent: str
    """The `sub`: the install's agent, or a sub-agent of it."""
    ps: str | None
    exp: float
    revoked_at: float | None = None
    """When its person server confirmed the revocation, or when there was none to tell."""


@dataclass(frozen=True, slots=True)
class Delegation:
    """A naming JWT that was used, by the digest of its `jti`; remembered until its `exp`."""

    digest: str
    exp: float


class ProviderStore(Protocol):
    """What an agent provider needs kept."""

    async def enroll(self, enrollment: Enrollment, *, most: int) -> tuple[Enrollment, bool]:
        """Keep `enrollment`, unless its key is enrolled already. Returns what stands, and whether it is new.

        Raises `EnrollmentRefused` when `most` installs are enrolled.
        """
        ...

    async def enrollment(self, thumbprint: str) -> Enrollment | None:
        """The enrolment of a durable key."""
        ...

    async def enrollment_of(self, agent: str) -> Enrollment | None:
        """The enrolment of an agent, by its identifier."""
        ...

    async def enrollments(self, *, limit: int, after: str = "") -> Sequence[Enrollment]:
        """Up to `limit` enrolments in the order of their agent identifiers, after the identifier `after`."""
        ...

    async def record_issued(
        self, thumbprint: str, token: IssuedToken, *, now: float, delegation: Delegation | None = None
    ) -> None:
        """Keep a token that is about to be handed out, if the enrolment still stands.

        Forgets what expired. Raises `EnrollmentUnknown`, `EnrollmentRevoked`, or `InvalidJWT` when `delegation` was
        used before.
        """
        ...

    async def issued(self, jti: str) -> IssuedToken | None:
        """A token that was issued and is still kept."""
        ...

    async def revoke_enrollment(self, agent: str, *, now: float) -> Sequence[IssuedToken]:
        """Mark the enrolment revoked; from then on nothing is issued to it or its sub-agents.

        Returns its tokens, and its sub-agents', that are alive and whose revocation is not confirmed. Repeating it
        changes nothing and returns what is still open. Raises `EnrollmentUnknown`.
        """
        ...

    async def unconfirmed(self, *, now: float, limit: int, except_for: Collection[str] = ()) -> Sequence[IssuedToken]:
        """Living tokens of revoked enrolments whose revocation their person server has not confirmed, in the order in
        which they expire; none of the person servers `except_for`."""
        ...

    async def mark_revoked(self, jti: str, *, now: float) -> None:
        """The revocation of a token is confirmed."""
        ...

    @property
    def signing_keys(self) -> KeyStore:
        """What it signs with."""
        ...
