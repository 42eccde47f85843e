"""What a pending request at the person server asks, as verified facts (#person-token-endpoint, #ps-token-endpoint).

It is what the store keeps of a request: enough to show it and to issue at delivery. It holds no token, and of what the
agent says only what the page shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from ..keys import PublicKey
from ..messages.missions import MissionProposal
from ..store.person_records import AgentId, TokenId

__all__ = [
    "AUTH_TOKEN",
    "MISSION",
    "MISSION_COMPLETION",
    "MISSION_UPDATE",
    "PERMISSION",
    "PERSON_TOKEN",
    "QUESTION",
    "RELAYS",
    "TOKENS",
    "Asked",
    "AskedAgent",
    "AskedInteraction",
    "AskedPermission",
    "AskedRelay",
    "AskedUpstream",
]

PERSON_TOKEN: Literal["person_token"] = "person_token"
AUTH_TOKEN: Literal["auth_token"] = "auth_token"
MISSION: Literal["mission"] = "mission"
MISSION_UPDATE: Literal["mission_update"] = "mission_update"
MISSION_COMPLETION: Literal["mission_completion"] = "mission_completion"
PERMISSION: Literal["permission"] = "permission"

QUESTION: Literal["question"] = "question"

#: The kinds that bring the person to somebody's page.
RELAYS = frozenset({"interaction", "payment"})
#: The kinds that end in a token for a resource. The others are an agent's own affair with its person.
TOKENS = frozenset({PERSON_TOKEN, AUTH_TOKEN})


class AskedAgent(msgspec.Struct, frozen=True, kw_only=True):
    """The agent that signed, and the agent token it signed with."""

    iss: str
    sub: str
    jti: str


class AskedInteraction(msgspec.Struct, frozen=True, kw_only=True):
    """The resource's own interaction, and the last part of the URL it calls back."""

    url: str
    code: str
    flow: str


class AskedUpstream(msgspec.Struct, frozen=True, kw_only=True):
    """Down a chain: the upstream token, and whom it stands for."""

    iss: str | None
    """`None` for a token of this server."""
    jti: str
    person_id: str
    caller: str
    """The agent that called the intermediary, for the page."""
    root_iss: str
    root_sub: str


class AskedPermission(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the agent wants to do that no resource governs (#permission-request)."""

    action: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class AskedRelay(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The page that the agent wants its person to go to (#interaction-request)."""

    url: str
    code: str
    hosted: str | None = None
    """Of a page of this server: the digest of the request it belongs to."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request: for a token, about a mission or a permission, or to reach the person."""

    kind: Literal[
        "person_token",
        "auth_token",
        "mission",
        "mission_update",
        "mission_completion",
        "permission",
        "interaction",
        "payment",
        "question",
    ]
    agent: AskedAgent
    cnf: dict[str, str]
    """The key the token is bound to: the agent's or the sub-agent's."""
    resource: str = ""
    """Where, of a request for a token; empty for the others."""
    not_after: float
    """The earliest `exp` of the tokens it hangs on, Unix seconds."""
    subagent: str | None = None
    subagent_jti: str | None = None
    # Of an auth token request:
    sub: str | None = None
    scope: tuple[str, ...] = ()
    account: str | None = None
    resource_jti: str | None = None
    presented_jti: str | None = None
    """Only of a token this server issued."""
    access_server: str | None = None
    """Who decides about the access after the person, where it is not this server."""
    stepped_up_jti: str | None = None
    """In place of `presented_jti`: the access server's own auth token that was presented, on a step-up."""
    presented_exp: float | None = None
    tenant: str | None = None
    """The organisation in the presented token, which the auth token repeats."""
    upstream: AskedUpstream | None = None
    mission_s256: str | None = None
    """The mission it is made in."""
    proposal: MissionProposal | None = None
    text: str | None = None
    """Of an update what changed, of a completion the summary, the question itself: Markdown."""
    permission: AskedPermission | None = None
    relay: AskedRelay | None = None
    capabilities: tuple[str, ...] = ()
    """Of those the agent declared, what a request that is open depends on."""
    interaction: AskedInteraction | None = None
    # For the page:
    justification: str | None = None
    platform: str | None = None
    device: str | None = None
    reauthenticate: bool = False
    # Hints of the agent's, about whom to ask (#auth-token-request):
    login_hint: str | None = None
    domain_hint: str | None = None
    wanted_tenant: str | None = None
    """`tenant` of the request: nobody else than one of this organisation may agree."""

    @property
    def agent_id(self) -> AgentId:
        return (self.agent.iss, self.agent.sub)

    @property
    def owner(self) -> str:
        """Who may poll: the agent that asked, whatever its key is by then."""
        return f"{self.agent.iss} {self.agent.sub}"

    @property
    def root(self) -> AgentId | None:
        """Down a chain: the agent at its top."""
        return (self.upstream.root_iss, self.upstream.root_sub) if self.upstream is not None else None

    @property
    def upstream_id(self) -> TokenId | None:
        return (self.upstream.iss, self.upstream.jti) if self.upstream is not None else None

    @property
    def hangs_on(self) -> list[tuple[str, str]]:
        """`iss` and `jti` of the tokens of others whose revocation ends this request."""
        pairs = [
            (self.agent.iss, self.agent.jti),
            (self.agent.iss, self.subagent_jti),
            (self.resource, self.resource_jti),
        ]
        return [(iss, jti) for iss, jti in pairs if jti is not None]

    @property
    def key(self) -> PublicKey:
        return PublicKey.from_jwk(self.cnf)

    def to_request(self) -> dict[str, Any]:
        """The JSON to keep."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Asked:
        """Read what `to_request` made."""
        return msgspec.convert(dict(request), cls)
