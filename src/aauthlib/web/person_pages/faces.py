"""How what is asked is put into words (#scopes, #consent-presentation)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...person.consent import ConnectedAgent, ConsentView, Grant

__all__ = ["AgentCard", "agent_cards", "sharing"]

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


def sharing(view: ConsentView) -> list[str]:
    """What about the person the resource is told, in words, each once."""
    return list(dict.fromkeys(_CLAIMS.get(claim, claim) for claim in view.identity_claims))


@dataclass(frozen=True, slots=True)
class AgentCard:
    """A connected agent with what it may do."""

    agent: ConnectedAgent
    grants: tuple[Grant, ...]


def agent_cards(agents: Sequence[ConnectedAgent], grants: Sequence[Grant]) -> list[AgentCard]:
    """Each agent with its grants, by resource."""
    return [
        AgentCard(
            agent,
            tuple(
                sorted(
                    (grant for grant in grants if (grant.agent_iss, grant.agent_sub) == (agent.iss, agent.sub)),
                    key=lambda grant: (grant.resource, grant.scope is not None, grant.account or ""),
                )
            ),
        )
        for agent in agents
    ]
