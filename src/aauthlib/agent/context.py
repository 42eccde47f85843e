"""What the flows of one agent share: who it is, what it holds, what it was told to say and how patient it is.

Knows no transport. `aauthlib.agent.client` builds one; tests build their own with a clock they move.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from ..deferred.polling import PollPolicy
from ..effects import Clock, Flow
from ..keys import SigningKey
from ..tokens import AuthToken, PersonToken, TokenCache, VerificationPolicy
from ..verification import Level
from .credentials import Credential, Credentials
from .waits import Wait

__all__ = ["AgentContext", "AgentTokenSource", "GrantPreferences", "OpenRequests"]


class AgentTokenSource(Protocol):
    """Where agent tokens come from (#agent-token-acquisition-overview)."""

    @property
    def dates_tokens(self) -> bool:
        """Whether this agent itself sets `iat` and `exp`, so that a corrected clock makes a better token."""
        ...

    def obtain(self, *, clock_offset_s: float = 0.0) -> Flow[Credential]:
        """Get a fresh agent token with the key it is bound to.

        `clock_offset_s` is what to add to the clock to get that of the person server, for a source that dates the
        token itself.
        """
        ...

    def spawn(self, parent: Credential, discriminator: str, key: SigningKey) -> Flow[Credential]:
        """Get an agent token for a sub-agent of `parent`, bound to `key` (#sub-agents)."""
        ...


@dataclass(frozen=True, slots=True)
class GrantPreferences:
    """What goes with a request for a person or auth token (#ps-token-endpoint). All of it is the agent's claim."""

    justification: str | None = None
    """Markdown, shown to the person as the agent's words."""
    platform: str | None = None
    """Of the platform registry: `web`, `mobile`, `desktop`, `workload`, `self-hosted`."""
    device: str | None = None
    login_hint: str | None = None
    tenant: str | None = None
    domain_hint: str | None = None
    prompt: str | None = None
    mission_s256: str | None = None


class OpenRequests:
    """Pending URLs that are being waited for, so that they can be withdrawn, or kept, when the application stops."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[bool, Wait]] = {}
        self.kept = False
        """Whether the application has kept what it needs to go on with them, so that they are not withdrawn."""

    def opened(self, location: str, *, at_person_server: bool, wait: Wait) -> None:
        self._open[location] = (at_person_server, wait)

    def directed(self, location: str, url: str, code: str) -> None:
        """The person is wanted at a page, which only the first answer names."""
        if location in self._open:
            at_person_server, wait = self._open[location]
            self._open[location] = (at_person_server, msgspec.structs.replace(wait, url=url, code=code))

    def closed(self, location: str) -> None:
        self._open.pop(location, None)

    def waits(self) -> tuple[Wait, ...]:
        """What is open, the outermost first."""
        return tuple(wait for _, wait in self._open.values())

    def __bool__(self) -> bool:
        return bool(self._open)

    def __contains__(self, location: object) -> bool:
        return location in self._open

    def take(self) -> list[tuple[str, bool]]:
        """Everything open, each with whether it is at the person server; nothing is open afterwards."""
        taken = [(location, at_person_server) for location, (at_person_server, _) in self._open.items()]
        self._open.clear()
        return taken


@dataclass(slots=True)
class AgentContext:
    """One agent. Its flows change `credentials` and nothing else."""

    source: AgentTokenSource
    clock: Clock = time.time
    credentials: Credentials = field(default_factory=Credentials)
    verification: VerificationPolicy = field(default_factory=lambda: VerificationPolicy(iat_window_s=None))
    preferences: GrantPreferences = field(default_factory=GrantPreferences)
    capabilities: tuple[str, ...] = ("interaction",)
    """What this agent can handle (#aauth-capabilities)."""
    person_server_capabilities: tuple[str, ...] = ()
    """What its person server can do for it in the mission it works in (#mission-approval)."""
    poll: PollPolicy = field(default_factory=PollPolicy)
    max_round_trips: int = 12
    """Requests to a resource within one exchange, polls of a pending URL not counted."""
    request_timeout_s: float = 30.0
    max_body_bytes: int = 67_108_864
    generate_key: Callable[[], SigningKey] = SigningKey.generate
    tokens: TokenCache = field(default_factory=lambda: TokenCache(1000))
    parent: AgentContext | None = None
    """Set for a sub-agent: the agent that speaks to the person server for it."""
    upstream: PersonToken | AuthToken | None = field(default=None, repr=False)
    """Set for an intermediary, a resource that calls on for its caller: the token it was called with (#call-chaining).
    Such a context holds tokens of one person's; it is never used for another upstream token's."""

    def now(self) -> float:
        """What time it is, as far as our clock and what the person server said of it tell."""
        return self.clock() + self.credentials.clock_offset_s

    @property
    def declared(self) -> tuple[str, ...]:
        """What resources are told: what this agent can do itself and what its person server does for it."""
        return tuple(dict.fromkeys((*self.capabilities, *self.person_server_capabilities)))

    @property
    def dev(self) -> bool:
        return self.verification.dev

    @property
    def speaker(self) -> AgentContext:
        """The agent that signs at the person server."""
        return self.parent if self.parent is not None else self


#: Opening moves by the names applications use.
OPENINGS = {"anonymous": Level.ANONYMOUS, "pseudonym": Level.PSEUDONYM, "agent-token": Level.IDENTIFIED}
