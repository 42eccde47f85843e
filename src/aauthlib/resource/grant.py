"""What a resource hands its application: who calls, and what they may do.

Everything in a `Grant` was verified on this very request. Knows no token format beyond the claims it carries over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..store.resource_records import PersonRecord, Session
from ..tokens import AuthToken, PersonToken
from ..verification import Caller, Level

__all__ = ["ANONYMOUS_GRANT", "Decision", "Grant", "grant_of"]


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """The caller of one request, as `scope["aauth"]` shows it to the application."""

    level: Level
    """What the caller proved, which can be more than the route asked for."""
    pseudonym: str | None = None
    """Thumbprint of the caller's key (the durable one under `jkt-jwt`)."""
    agent: tuple[str, str] | None = None
    """`(iss, sub)` of the agent token. A person or auth token does not say which agent presents it."""
    server: str | None = None
    """The identifier of a server that signed in its own right."""
    signer: tuple[str, str] | None = None
    """Who signed under a scheme beyond the AAuth profile: `jwks` and the URL, `self-jwt` and the issuer, `x509` and the
    certificate's subject."""
    person: tuple[str, str] | None = None
    """`(iss, sub)`: the person server and its identifier of the person for this resource. Opaque."""
    tenant: str | None = None
    user: str | None = None
    """The application's own account: linked to the person, or signed in on this resource's page."""
    scope: frozenset[str] = frozenset()
    """What was granted. Empty below an auth token or a session."""
    account: str | None = None
    """The account the grant is bound to (#account-binding); it grants nothing at another."""
    mission_s256: str | None = None
    claims: Mapping[str, Any] = {}
    """The claims of the token that was presented, such as the identity claims of an auth token."""
    presented: PersonToken | AuthToken | None = None
    """The token itself, with which an intermediary calls on for its caller (#call-chaining)."""

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        # What a token says about a person does not belong where a grant is logged.
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in ("claims", "presented")]

    def __repr__(self) -> str:
        return f"Grant({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def has_scope(self, *scopes: str) -> bool:
        """Whether every one of `scopes` was granted."""
        return self.scope.issuperset(scopes)


ANONYMOUS_GRANT = Grant(level=Level.ANONYMOUS)


@dataclass(frozen=True, slots=True)
class Decision:
    """A request that may be served, and the header fields its response carries besides the application's own."""

    grant: Grant
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def grant_of(caller: Caller, *, record: PersonRecord | None = None, session: Session | None = None) -> Grant:
    """The grant of a verified caller: `record` is the person's, `session` the one its session token belongs to."""
    presented, auth = caller.presented, caller.auth_token
    scope: frozenset[str] = frozenset()
    if auth is not None and auth.scope is not None:
        scope = frozenset(auth.scope)
    elif session is not None:
        scope = frozenset(session.scope)
    return Grant(
        level=caller.level,
        pseudonym=caller.pseudonym,
        agent=caller.agent_token.identity if caller.agent_token is not None else None,
        server=caller.server.id if caller.server is not None else None,
        signer=caller.signer,
        person=(presented.person_server, presented.sub) if presented is not None else None,
        tenant=presented.tenant if presented is not None else None,
        user=session.user if session is not None else record.user if record is not None else None,
        scope=scope,
        account=auth.account if auth is not None else None,
        mission_s256=presented.mission_s256 if presented is not None else None,
        claims=caller.token.claims if caller.token is not None else {},
        presented=presented,
    )
