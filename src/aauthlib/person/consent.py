"""What a consent page shows (#consent-presentation), as values: the server makes them, the pages render them.

Every text here was written by somebody else and is attributed by its place: `ResourceFace` and `ScopeLine` are what
the resource asserts, `AgentFace.platform_label`, `AgentFace.device` and `ConsentView.justification_markdown` what the
agent claims, the provider fields what the agent provider publishes. Nothing is sanitised yet; who renders it must.
This module knows no store, no template and no framework.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..deferred.machine import State
from ..errors import AAuthError
from ..messages.identity_scopes import IDENTITY_SCOPES
from ..policies.approvers import Step
from ..store.approval_records import BecauseOf
from ..store.person_conversations import RequestChanged, TooManyQuestions, Turn
from ..store.person_records import AgentOfAnotherPerson, NotWaiting

if TYPE_CHECKING:
    from .mission_views import MissionFace

__all__ = [
    "IDENTITY_SCOPES",
    "IDENTITY_SCOPE_DESCRIPTIONS",
    "AgentFace",
    "AgentOfAnotherPerson",
    "ConnectedAgent",
    "ConsentView",
    "Grant",
    "Hints",
    "NotWaiting",
    "OtherOrganisation",
    "RequestChanged",
    "ResourceFace",
    "ResourceInteraction",
    "ResourceInteractionFirst",
    "ScopeLine",
    "ServerQuestion",
    "TooManyQuestions",
    "Turn",
]

#: What approving an identity scope releases, in the words of this server.
IDENTITY_SCOPE_DESCRIPTIONS: dict[str, str] = {
    "openid": "Recognise you when you come back, by an identifier that no other service sees",
    "profile": "See your name and what else is in your profile here",
    "email": "See your email address",
    "phone": "See your phone number",
    "address": "See your postal address",
}


class OtherOrganisation(AAuthError):
    """The agent asked for somebody of another organisation than the person's (#auth-token-request, `tenant`)."""


class ResourceInteractionFirst(AAuthError):
    """The resource wants the person on its own page before the decision (#resource-initiated-interaction)."""


@dataclass(frozen=True, slots=True)
class Hints:
    """Whom the agent would have asked (#auth-token-request). Agent-asserted: good for filling in a form."""

    login_hint: str | None = None
    domain_hint: str | None = None
    tenant: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFace:
    """Who asks. `iss` and `sub` are verified; the provider's fields are what the provider publishes of itself."""

    iss: str
    sub: str
    provider_name: str | None = None
    provider_logo: str | None = None
    """`https` URL."""
    provider_description: str | None = None
    platform_label: str | None = None
    """What the agent says it runs on, in words. Agent-asserted."""
    device: str | None = None
    """Name of the device, at most 64 printable characters. Agent-asserted."""
    is_new: bool = True
    """This person has not connected the agent before."""
    parent: str | None = None
    """On a request for a sub-agent: the agent that signs for it. `sub` is then the sub-agent."""
    sub_agent: str | None = None
    """The sub-agent's identifier, when the request is for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceFace:
    """Where it wants access. `issuer` is verified; the rest is what the resource publishes of itself."""

    issuer: str
    name: str | None = None
    description_markdown: str | None = None
    logo: str | None = None
    """`https` URL."""
    tos_uri: str | None = None
    policy_uri: str | None = None
    access_mode: str | None = None
    is_new: bool = True
    """This person has never allowed any agent anything at this resource."""
    reachable: bool = True
    """Whether its metadata could be fetched just now."""


@dataclass(frozen=True, slots=True)
class ScopeLine:
    """One scope value, with the resource's own description of it, or the standard one of an identity scope."""

    value: str
    description_markdown: str | None = None
    already_granted: bool = False
    identity: bool = False
    """It releases claims about the person instead of access at the resource."""


@dataclass(frozen=True, slots=True)
class ResourceInteraction:
    """The resource's own page, to be visited before the decision (#resource-initiated-interaction)."""

    url: str
    """What the browser is sent to: the resource's URL with its code and this server's callback."""
    completed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerQuestion:
    """What an access server asks before it decides (#requirement-clarification), in its words."""

    text: str
    options: tuple[str, ...] = ()
    agent_too: bool = False
    """The agent was asked as well: who answers first answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentView:
    """Everything the page shows about one request."""

    digest: str
    kind: Literal["person_token", "auth_token"]
    agent: AgentFace
    resource: ResourceFace
    scopes: tuple[ScopeLine, ...] = ()
    account: str | None = None
    """The account at the resource that the access is limited to (#account-binding). Resource-asserted."""
    justification_markdown: str | None = None
    """Agent-asserted."""
    identity_claims: tuple[str, ...] = ()
    """Claims about the person that approving releases, by name; only those this server has."""
    resource_interaction: ResourceInteraction | None = None
    other_organisation: str | None = None
    """The agent asks for somebody of this organisation, and the person is not: only a no is possible."""
    mission: MissionFace | None = None
    """The mission it is asked in."""
    access_server: str | None = None
    """Who decides after the person, by the rules of the resource (#access-server-federation). All or nothing: it is not
    told of a part."""
    access_interaction: str | None = None
    """After the yes: the access server's own page, which it wants the person on, with its code."""
    access_question: ServerQuestion | None = None
    """After the yes: what the access server asks, while nobody has answered."""
    access_refusal: str | None = None
    """After the yes: why there is no access after all, in the access server's words or ours."""
    on_behalf_of: str | None = None
    """Down a chain: the agent that called the one that asks (#call-chaining)."""
    version: str
    """Names the request exactly as it is shown; a decision says which version it is about."""
    steps: tuple[Step, ...] = ()
    """While it waits for the person: who is asked after their yes, by the operator's policy."""
    policy_refusal: str | None = None
    """While it waits for the person: why the operator's policy refuses what is asked."""
    approval: str | None = None
    """What others than the person decide, or decided, about it."""
    decided_by: BecauseOf | None = None
    """The policy under which it was decided."""
    conversation: tuple[Turn, ...] = ()
    """What was said about the request so far (#clarification-chat)."""
    takes_questions: bool = False
    """The agent declared that it answers questions."""
    questions_left: int = 0
    created_at: float
    expires_at: float
    """Unix seconds."""
    state: State
    outcome: State | None = None
    """How it ended, also after the agent has its answer (`DELIVERED`); `None` while it waits, or when it is unknown."""
    code_shown: str | None = None
    """Digits for the person to compare, where a page was reached without a code. None in this version."""
    reauthenticate: bool = False
    """The agent asks that the person signs in anew before deciding (`prompt=login`)."""
    callback: str | None = None
    """Where the browser goes now or, while `waiting`, will go after the decision, if the agent asked for it and its
    provider permits it. Of a request that ended otherwise than by a yes it carries the `error` parameter
    (#interaction-callback-errors)."""

    @property
    def waiting(self) -> bool:
        """Whether a decision is still to be made."""
        return self.state in (State.PENDING, State.INTERACTING, State.CLARIFYING)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectedAgent:
    """An agent bound to the person (#agent-person-binding)."""

    iss: str
    sub: str
    connected_at: float
    last_used_at: float
    platform: str | None = None
    device: str | None = None
    """Agent-asserted, as of the request it was connected by."""
    resources: tuple[str, ...] = ()
    """Resources at which it may name the person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A remembered consent: this agent may, at this resource, without asking again."""

    agent_iss: str
    agent_sub: str
    resource: str
    scope: str | None
    """`None` for the permission to name the person there (person token)."""
    account: str | None
    granted_at: float
