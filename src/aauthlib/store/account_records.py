"""What is kept of a server's accounts, as values (#ps-approval-endpoint-auth).

They stand here, below `accounts`, so that a store can make them and `accounts` can read them. This module knows no SQL.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import AAuthError

__all__ = ["Account", "AccountTaken", "Passkey", "Session"]


class AccountTaken(AAuthError):
    """The username is in use, or the server has its first account already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person of this server."""

    person_id: str
    username: str
    """As typed at sign-in: lower case."""
    display_name: str
    email: str | None = None
    password_hash: str | None = field(default=None, repr=False)
    user_handle: bytes = field(default=b"", repr=False)
    """How authenticators know this account; says nothing about the person."""
    created_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Passkey:
    """A public key credential of a person."""

    credential_id: bytes = field(repr=False)
    person_id: str
    public_key: bytes = field(repr=False)
    sign_count: int
    backed_up: bool
    name: str
    created_at: float
    last_used_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser that is signed in."""

    digest: str
    person_id: str
    browser: str
    """For the person to tell sessions apart, such as `Firefox on Linux`."""
    method: str
    """`password`, `passkey`, `recovery` (a recovery code) or `provider` (an organisation's)."""
    place: str = ""
    """The network it was begun from, such as `203.0.113.0/24`; empty when that is unknown."""
    created_at: float
    authenticated_at: float = 0.0
    """When the person proved who they are; earlier than `created_at` where a provider remembered them."""
    last_seen_at: float
    expires_at: float
