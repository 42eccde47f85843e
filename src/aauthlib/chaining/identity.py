"""The agent an intermediary is, and what it holds for each of its callers (#intermediary-agent-identity).

One agent token serves every call; what is held beside it belongs to one upstream token and so to one person. Two
callers never share a person token, an auth token or a session.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace

from ..agent import AgentContext, Credential, Credentials, GrantPreferences
from ..agent.credentials import lasts
from ..agent.errors import ChallengeUnmet
from ..agent.provider_client import SelfIssued
from ..effects import Clock, Flow
from ..keys import SigningKey
from ..tokens import AuthToken, PersonToken, TokenCache, VerificationPolicy

__all__ = ["Callers", "OwnAgent"]

_MAX_CALLERS = 1000


@dataclass(slots=True)
class OwnAgent:
    """An agent token the intermediary issues to itself, signed with the key its metadata publishes.

    It is bound to a key that lives as long as this process and signs nothing but requests, so that no request can
    be mistaken for a token and a stolen memory image does not outlive the process at other parties.
    """

    issued: SelfIssued
    _held: Credential | None = field(default=None, repr=False)

    def obtain(self, *, clock_offset_s: float, given: Credential | None) -> Flow[Credential]:
        """The agent token, the same for every caller until it is due for another, or was `given` and dropped."""
        held = self._held
        fresh = held is not None and held.token is not None and lasts(held.token, self.issued.clock())
        if held is None or not fresh or clock_offset_s or held is given:
            held = self._held = yield from self.issued.obtain(clock_offset_s=clock_offset_s)
        return held


@dataclass(slots=True)
class ForOneCaller:
    """Where the context of one caller has the agent token from.

    It asks again for what it was given when another server did not take it: because a wrong clock had dated it, say.
    """

    agent: OwnAgent
    _given: Credential | None = field(default=None, repr=False)

    @property
    def dates_tokens(self) -> bool:
        return True

    def obtain(self, *, clock_offset_s: float = 0.0) -> Flow[Credential]:
        """The intermediary's agent token."""
        self._given = yield from self.agent.obtain(clock_offset_s=clock_offset_s, given=self._given)
        return self._given

    def spawn(self, parent: Credential, discriminator: str, key: SigningKey) -> Flow[Credential]:
        """Refused: a resource calls on under its own name, by which its caller's token names it."""
        yield from ()
        raise ChallengeUnmet(
            "An intermediary has no sub-agents: the upstream token names the resource itself, so it calls on itself."
        )


class Callers:
    """The contexts of an intermediary's agent, one for each upstream token; the longest unused goes first."""

    def __init__(
        self, agent: OwnAgent, *, clock: Clock, preferences: GrantPreferences, tokens: VerificationPolicy
    ) -> None:
        self._agent, self._clock, self._preferences, self._verification = agent, clock, preferences, tokens
        self._cache = TokenCache(1000)
        self._contexts: OrderedDict[str, AgentContext] = OrderedDict()

    def __len__(self) -> int:
        return len(self._contexts)

    def context(self, upstream: PersonToken | AuthToken) -> AgentContext:
        """What is held for `upstream`, a token that was verified on the caller's request."""
        context = self._contexts.get(upstream.raw)
        if context is None:
            context = AgentContext(
                ForOneCaller(self._agent),
                clock=self._clock,
                credentials=Credentials(),
                verification=self._verification,
                preferences=replace(self._preferences, mission_s256=upstream.mission_s256),
                tokens=self._cache,
                upstream=upstream,
            )
            self._forget_expired()
            self._contexts[upstream.raw] = context
            while len(self._contexts) > _MAX_CALLERS:
                self._contexts.popitem(last=False)
        self._contexts.move_to_end(upstream.raw)
        return context

    def _forget_expired(self) -> None:
        now = self._clock()
        for raw, context in list(self._contexts.items()):
            if context.upstream is None or context.upstream.exp > now:
                break  # Roughly by age; what is passed over here goes by the bound.
            del self._contexts[raw]
