"""What an access server's store keeps, as values (#as-token-endpoint, #token-revocation, #ps-as-trust-establishment).

They stand here, below the role, so that a store can make them and the role can read them. This module knows no SQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..deferred.pending import Pending

__all__ = [
    "APPROVED",
    "CONFIRMED",
    "DECIDED_BY_PEOPLE",
    "DECLINED",
    "EXCHANGE",
    "REFUSED",
    "REVOCATION",
    "Binding",
    "DecisionRecord",
    "Exchange",
    "Ground",
    "IssuedAuthToken",
    "Learned",
]

#: Kinds of pending requests at an access server.
EXCHANGE = "auth_token"
REVOCATION = "revocation"


class Learned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an exchange taught the server beyond the tokens: JSON, dropped when the exchange ends."""

    claims: dict[str, Any] = {}
    """Identity claims the PS gave, of those it was asked for."""
    claims_asked: tuple[str, ...] = ()
    answers: dict[str, str] = {}
    """Question to answer."""
    user: str | None = None
    """The account here that confirmed the person server."""
    paid: bool = False
    approved_by: str | None = None
    version: str = ""
    """Of the policy that decided last, on all of this."""
    updates: tuple[str, ...] = ()
    """Why the request was updated, each time, as the agent says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A pending token request, with what it waits for."""

    pending: Pending
    learned: Learned
    terms: Mapping[str, Any] = field(default_factory=dict)
    """Of what it waits for: the claims, the question, the price."""
    step: int = 0
    """How often what it waits for has changed."""
    approval: str | None = None
    """The approval that it waits for."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A token of another party that an auth token hangs on; revoking it takes the auth token back."""

    iss: str
    jti: str
    exp: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedAuthToken:
    """An auth token this server issued; the record serves revocation, not verification."""

    jti: str
    ps: str
    aud: str
    sub: str
    exp: float
    grounds: Sequence[Ground]
    """The presented token first."""
    root: Ground
    """The person token at the start of a chain of step-ups; the presented token where there is none."""
    scope: str | None = None
    issued_at: float
    revoked_at: float | None = None
    revocation: str | None = None
    """How telling the resource ended: `recorded`, `revocation_unsupported`, `revocation_unavailable`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """An account here says that this person server speaks for its holder (#ps-as-trust-establishment)."""

    ps: str
    resource: str
    sub: str
    user: str
    bound_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """A decision and why. Never holds a token, a key, a code or the value of an identity claim."""

    at: float
    ps: str
    agent: str
    resource: str
    sub: str
    scope: str
    decision: str
    """What the policy decided, or one of `DECIDED_BY_PEOPLE`."""
    reason: str
    rule: str
    version: str
    decided_by: str = ""
    """The username of whoever decided, where it was a person."""


#: What people decide at an access server: about a request that waits for an approval, and about a person server.
APPROVED, REFUSED, CONFIRMED, DECLINED = "approved", "refused", "confirmed", "declined"
DECIDED_BY_PEOPLE = (APPROVED, REFUSED, CONFIRMED, DECLINED)
