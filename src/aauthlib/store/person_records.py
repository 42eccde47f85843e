"""What a person server's store keeps, as values (#agent-person-binding, #person-token-endpoint, #token-revocation).

They stand here, below the role, so that a store can make them and the role can read them. This module knows no SQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..deferred.pending import Pending
from ..errors import AAuthError

__all__ = [
    "NAMING",
    "REVOCATION",
    "AgentId",
    "AgentOfAnotherPerson",
    "AuditRecord",
    "Binding",
    "Consent",
    "Decision",
    "FederatedToken",
    "Federation",
    "IssuedToken",
    "NotWaiting",
    "PersonRequest",
    "Standing",
    "TokenId",
]

#: Agent provider and agent identifier: how a PS recognises a returning agent.
AgentId = tuple[str, str]

#: `iss` and `jti` of a token; `None` for the `iss` of the person server itself.
TokenId = tuple[str | None, str]

#: In place of a scope value: the agent may name the person at the resource (person token). No scope value is empty.
NAMING = ""


#: The kind of pending request that is a server's revocation, not an agent's request.
REVOCATION = "revocation"


class AgentOfAnotherPerson(AAuthError):
    """The agent acts for somebody else at this person server (#agent-person-binding): one agent, one person."""


class NotWaiting(AAuthError):
    """The request is not waiting for this decision any more: it was decided, withdrawn, revoked, or it timed out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """An agent acts for this person and for nobody else (#agent-person-binding)."""

    agent: AgentId
    person_id: str
    connected_at: float
    last_used_at: float
    platform: str | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """A remembered yes: one scope value, or `NAMING`, at one resource and account."""

    agent: AgentId
    person_id: str
    resource: str
    scope: str
    account: str | None = None
    mission: str | None = None
    """The `s256` of the mission it holds for, and only for."""
    granted_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an agent stands with the person it is bound to, at one resource."""

    binding: Binding | None = None
    consents: frozenset[str] = frozenset()
    """Scope values, and `NAMING`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A person or auth token this server issued; the record serves revocation, not verification."""

    jti: str
    kind: str
    """`person_token` or `auth_token`."""
    aud: str
    exp: float
    agent: AgentId
    person_id: str
    sub: str
    """The directed identifier in it."""
    subagent: str | None = None
    presented_jti: str | None = None
    """The token of this server it was issued against, on a step-up or a first auth token."""
    upstream: TokenId | None = None
    """The upstream token it was asked for with (#call-chaining)."""
    root: AgentId | None = None
    """Down a chain: the agent at its top, whose binding to the person everything below hangs on."""
    access_server: str | None = None
    """Of a token that is to be revoked: the access server it was presented to, which is to be told instead of `aud`."""
    scope: str | None = None
    mission: str | None = None
    """The `mission_s256` in it."""
    justification: str | None = field(default=None, repr=False)
    """What the agent said it needs it for; goes to the mission's log and nowhere else."""
    issued_at: float
    revoked_at: float | None = None
    revocation: str | None = None
    """How telling the resource ended: `recorded`, `revocation_unsupported`, `revocation_unavailable`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Untold:
    """A resource or access server that could not be told yet that an agent's access ended."""

    recipient: str
    agent: AgentId
    tokens: int
    ends_at: float
    """When the last of these tokens expires, Unix seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedToken:
    """An auth token that an access server issued and this server handed out (#revocation-cascade, Records)."""

    iss: str
    jti: str
    aud: str
    exp: float
    agent: AgentId
    person_id: str
    sub: str
    presented: TokenId
    """The token presented to the access server: this server's, or an earlier one of that access server."""
    subagent: str | None = None
    scope: str | None = None
    upstream: TokenId | None = None
    root: AgentId | None = None
    mission: str | None = None
    issued_at: float
    revoked_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Federation:
    """Where a request stands with the access server that decides about it (#ps-as-federation)."""

    digest: str
    access_server: str
    tokens: Mapping[str, str] | None = field(default=None, repr=False)
    """Members of the token request; `None` once it was taken, or can be sent no more."""
    tokens_exp: float
    """When the resource token in `tokens` expires, Unix seconds."""
    location: str | None = None
    """The pending URL at the access server, once it has answered with one."""
    waits_for: Mapping[str, Any] | None = field(default=None, repr=False)
    """What the access server's last answer required: JSON of `person.federation.Waiting`."""
    due_at: float = 0.0
    """Not to be asked again before, Unix seconds."""
    failures: int = 0
    """Polls in a row that brought no answer."""
    questions: int = 0
    """Clarification questions so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRequest:
    """A pending request with what the person's side of it needs."""

    pending: Pending
    person_id: str | None = None
    """Who arrived with its code."""
    callback: str | None = None
    """Where the browser goes afterwards; checked."""
    resource_done: bool = False
    """The resource's own interaction was completed (#resource-initiated-interaction)."""
    acting_for: str | None = None
    """Down a chain: the person the upstream token stands for, who alone may decide."""
    approval: str | None = None
    """What others than the person decide about, where the request needs them."""

    @property
    def agent(self) -> AgentId:
        agent = self.pending.request["agent"]
        return (agent["iss"], agent["sub"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A yes and what it causes, written in one transaction."""

    person_id: str
    agent: AgentId
    resource: str
    scopes: Sequence[str]
    """Granted values; `NAMING` for a person token."""
    account: str | None = None
    version: str | None = None
    """Which version of the request it is about (`version_of`); any, when it is not said."""
    remember: bool = True
    platform: str | None = None
    device: str | None = None
    root: AgentId | None = None
    """Down a chain: the agent at its top. Such a decision neither uses nor makes a binding of `agent`."""
    mission: str | None = None
    """The mission it is made in; remembered for that mission alone."""
    because: Mapping[str, str] = field(default_factory=dict)
    """From where, and under which policy, for the log."""

    @property
    def remembered_for(self) -> AgentId:
        """Down a chain, what is remembered is about the intermediary, whatever agent identifier it uses."""
        return (self.agent[0], "") if self.root is not None else self.agent


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """Who did what, when, and what came of it. Never holds a token, a key or a code."""

    at: float
    person_id: str | None
    action: str
    agent: AgentId | None = None
    resource: str | None = None
    result: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
