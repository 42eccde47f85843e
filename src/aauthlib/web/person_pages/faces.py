"""How what is asked is put into words (#scopes, #consent-presentation)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...person.cascade import RECORDED, UNAVAILABLE, UNSUPPORTED, RevocationOutcome
from ...person.consent import ConnectedAgent, ConsentView, Grant

__all__ = [
    "AgentCard",
    "Place",
    "PlaceTold",
    "ServiceCard",
    "agent_cards",
    "places_told",
    "service_cards",
    "serving",
    "sharing",
]

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


@dataclass(frozen=True, slots=True)
class ServiceCard:
    """A resource that may act as an agent for agents that call it (#call-chaining), with what it may do."""

    service: str
    places: tuple[Place, ...]


def agent_cards(agents: Sequence[ConnectedAgent], grants: Sequence[Grant]) -> list[AgentCard]:
    """Each agent with its grants, by resource and account."""
    found = _places(grants)
    return [AgentCard(agent, found.get((agent.iss, agent.sub), ())) for agent in agents]


def service_cards(grants: Sequence[Grant]) -> list[ServiceCard]:
    """Each resource that was allowed something down a chain; such grants name no agent."""
    return [ServiceCard(iss, places) for (iss, sub), places in _places(grants).items() if not sub]


def _places(grants: Sequence[Grant]) -> dict[tuple[str, str], tuple[Place, ...]]:
    """Grants by agent, then by resource and account."""
    by_agent: dict[tuple[str, str], dict[tuple[str, str], list[Grant]]] = {}
    for grant in sorted(grants, key=lambda each: (each.resource, each.account or "", each.scope or "")):
        places = by_agent.setdefault((grant.agent_iss, grant.agent_sub), {})
        places.setdefault((grant.resource, grant.account or ""), []).append(grant)
    return {
        agent: tuple(Place(resource, account or None, tuple(found)) for (resource, account), found in places.items())
        for agent, places in by_agent.items()
    }


@dataclass(frozen=True, slots=True)
class PlaceTold:
    """A resource or access server, and what came of telling it that access ended."""

    name: str
    text: str
    told: bool


_TOLD = "It was told, and ends the access."
_REASONS = {
    UNSUPPORTED: "It takes no such notice. The access there ends by itself, within the hour.",
    UNAVAILABLE: "It could not be reached. It is told again until it answers; access there ends within the hour.",
}


def places_told(outcomes: Sequence[RevocationOutcome]) -> list[PlaceTold]:
    """What came of it everywhere, each place once and by its worst outcome, in the order of their names."""
    worst: dict[str, str | None] = {}
    for outcome in outcomes:
        own = None if outcome.outcome == RECORDED else outcome.outcome
        for name, error in ((outcome.resource, own), *outcome.downstream):
            worst[name] = worst.get(name) or error
    return [
        PlaceTold(name, _TOLD if error is None else _REASONS.get(error, _REASONS[UNAVAILABLE]), error is None)
        for name, error in sorted(worst.items())
    ]
