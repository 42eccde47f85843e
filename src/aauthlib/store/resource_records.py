"""What a resource keeps, as values: persons, sessions, held and chained invocations (#deferred-auth-token,
#aauth-access, #interaction-chaining).

Both resource stores speak in these. Knows no SQL and no role, and needs nothing installed beside the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["HELD_TRANSITIONS", "Held", "HeldState", "InvocationRecord", "NewSession", "PersonRecord", "Session"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRecord:
    """A person as this resource knows them: `(iss, sub)`, never `sub` alone (#person-token-verification)."""

    iss: str
    """The person server whose namespace `sub` belongs to."""
    sub: str
    tenant: str | None
    first_seen: float
    last_seen: float
    user: str | None = None
    """The application's own account, once linked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A session to be kept, with the digest of its first token."""

    session_id: str
    digest: str
    agent: tuple[str, str]
    """`(iss, sub)` of the agent token it is bound to."""
    user: str
    scope: tuple[str, ...]
    now: float
    expires_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session, as found by one of its tokens."""

    session_id: str
    agent: tuple[str, str]
    user: str
    scope: tuple[str, ...]
    created_at: float
    expires_at: float
    issued_at: float
    """When the token that was presented was issued."""
    superseded: bool
    """Whether a later token of the session is in use already."""


class HeldState(StrEnum):
    """Where a held invocation stands."""

    HELD = "held"
    EXECUTING = "executing"
    DONE = "done"
    """Executed; its result is retained."""
    FAILED = "failed"
    """Execution began and its result is not known. It is never executed again."""
    CANCELLED = "cancelled"
    EXPIRED = "expired"


#: Every change of state there is. An invocation reaches EXECUTING at most once.
HELD_TRANSITIONS: Mapping[HeldState, frozenset[HeldState]] = {
    HeldState.HELD: frozenset({HeldState.EXECUTING, HeldState.CANCELLED, HeldState.EXPIRED}),
    HeldState.EXECUTING: frozenset({HeldState.DONE, HeldState.FAILED}),
    HeldState.DONE: frozenset(),
    HeldState.FAILED: frozenset(),
    HeldState.CANCELLED: frozenset(),
    HeldState.EXPIRED: frozenset(),
}

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An invocation that waits for an auth token, or its retained result."""

    digest: str
    """Digest of the id in its pending URL."""
    agent_jkt: str
    """Thumbprint of the key that made the request, and that must sign every poll."""
    method: str
    target: str
    """Path and query as sent."""
    headers: Pairs = field(repr=False)
    """Without the signature and every credential."""
    body: bytes = field(repr=False)
    scopes: tuple[str, ...]
    account: str | None
    created_at: float
    expires_at: float
    token_expires_at: float
    """When the resource token that was sent last expires."""
    state: HeldState = HeldState.HELD
    jti: tuple[str, str] | None = None
    """`(iss, jti)` of the auth token it was executed with."""
    started_at: float | None = None
    retain_until: float | None = None
    """The auth token's `exp`."""
    status: int | None = None
    result_headers: Pairs = field(default=(), repr=False)
    result_body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationRecord:
    """What an intermediary keeps of an invocation whose caller waits, beside its pending request.

    The upstream token is known by its name alone, so that a copy of the database acts for nobody.
    """

    digest: str
    """Of the pending request."""
    iss: str
    """Who issued the upstream token."""
    jti: str
    nonce: str = field(repr=False)
    """Known to the person's browser, which comes back with it."""
    alive_until: float
    """When the process that carries it out is given up, unless it says again that it lives."""
    step: int = 0
    """How many times the person was needed below."""
    url: str | None = None
    """Where the person is needed now."""
    code: str | None = field(default=None, repr=False)
    """What they bring there."""
    coded: int = 1
    """Which of our own codes is the one that counts."""
    shown: bool = False
    """Whether the caller was given that code."""
    visited: int = 0
    """The last step the person was taken to."""
    seen_at: float = 0.0
    """When the person was here last, or was needed anew."""
    callback: str | None = None
    """Where the person goes when all is over."""
