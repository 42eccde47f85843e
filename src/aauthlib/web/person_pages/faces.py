"""How what is asked is put into words (#scopes, #consent-presentation)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...person.consent import ConnectedAgent, ConsentView, Grant

__all__ = ["AgentCard", "Place", "agent_cards", "serving", "sharing"]

#: Claims in words; claims of one kind are said once.
_CLAIMS = {
    "name": "your name",
    "nickname": "your nickname",
    "preferred_username": "your username",
    "picture": "your picture",
    "website": "your website",
    "locale": "your language",
    "zoneinfo": "your time zone",
    "email": "your email address",
    "email_verified": "your email address",
    "phone_number": "your phone number",
    "phone_number_verified": "your phone number",
    "address": "your postal address",
    "tenant": "your organisation",
    "groups": "your groups",
    "roles": "your roles",
}

_MODES = {
    "person-token": "It says that it serves every agent that acts as you, without asking you again.",
    "auth-token": "It says that it asks you again for what the agent may do.",
    "session-token": "It says that it has its own page to ask you what the agent may do.",
}


def sharing(view: ConsentView) -> list[str]:
    """What about the person the resource is told, in words, each once."""
    return list(dict.fromkeys(_CLAIMS.get(claim, claim) for claim in view.identity_claims))


def serving(view: ConsentView) -> str:
    """What a resource says of its way of serving (`access_mode`), in words."""
    return _MODES.get(view.resource.access_mode or "", "It decides itself what an agent that acts as you may do.")


@dataclass(frozen=True, slots=True)
class Place:
    """A resource, one account there, and what an agent may do with it."""

    resource: str
    account: str | None
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class AgentCard:
    """A connected agent with what it may do."""

    agent: ConnectedAgent
    places: tuple[Place, ...]


def agent_cards(agents: Sequence[ConnectedAgent], grants: Sequence[Grant]) -> list[AgentCard]:
    """Each agent with its grants, by resource and account."""
    by_agent: dict[tuple[str, str], dict[tuple[str, str], list[Grant]]] = {}
    for grant in sorted(grants, key=lambda each: (each.resource, each.account or "", each.scope or "")):
        places = by_agent.setdefault((grant.agent_iss, grant.agent_sub), {})
        places.setdefault((grant.resource, grant.account or ""), []).append(grant)
    return [
        AgentCard(
            agent,
            tuple(
                Place(resource, account or None, tuple(found))
                for (resource, account), found in by_agent.get((agent.iss, agent.sub), {}).items()
            ),
        )
        for agent in agents
    ]
