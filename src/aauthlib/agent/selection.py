"""Choosing what to sign with: the best credential held for a resource, fresh from the top of the chain.

An auth token before a person token before the agent token before a pseudonym (#auth-token-usage, #person-token-usage);
what has fewer than five minutes left is replaced first (#re-authorization). Knows nothing of challenges.
"""

from __future__ import annotations

from ..effects import Flow
from ..messages.requirement import AUTH_TOKEN, PERSON_TOKEN
from ..tokens import AuthToken, PersonToken
from ..verification import Level
from .chain import agent_credential
from .context import AgentContext, GrantPreferences, OpenRequests
from .credentials import ANONYMOUS, Credential, lasts
from .person_server import PersonServerClient

__all__ = ["Selection"]


class Selection:
    """What one exchange presents to one resource, between the rungs `floor` and `ceiling`."""

    def __init__(
        self,
        agent: AgentContext,
        resource: str,
        *,
        preferences: GrantPreferences,
        open_requests: OpenRequests,
        person_server: PersonServerClient,
        ceiling: Level,
        floor: Level,
    ) -> None:
        self._agent, self._resource = agent, resource
        self._memory = agent.credentials.at(resource)
        self._preferences, self._open, self._person_server = preferences, open_requests, person_server
        self._ceiling, self._floor = ceiling, floor
        self.fresh: set[str] = set()
        """The `jti` of tokens that were obtained within this exchange: asking for another one is no progress."""

    def credential(self) -> Flow[Credential]:
        """The best credential held for this resource, refreshed from the top of the chain where it is due."""
        memory, mission = self._memory, self._preferences.mission_s256
        self._agent.speaker.credentials.refuse_ended(mission)
        if self._ceiling >= Level.AUTHORIZED and self.auth_token() is not None:
            own = self._agent.credentials.own or (yield from self._agent_token())
            token = self.auth_token()
            if token is not None and not lasts(token, self._agent.now()):
                yield from self._renew(token)
                own = yield from self._agent_token()
                token = self.auth_token()
            if token is not None:
                return Credential(Level.AUTHORIZED, own.key, token)
        if self._ceiling >= Level.PERSON and (mission in memory.person_tokens or self._floor >= Level.PERSON):
            # From the top of the chain: a new agent token may come with a new key, which ends what the old one had.
            own = yield from self._agent_token()
            held = memory.person_tokens.get(mission)
            if held is None or not lasts(held, self._agent.now()):
                held = yield from self.obtain_person_token()
                own = self._agent.credentials.own or own
            return Credential(Level.PERSON, own.key, held)
        level = min(max(memory.level, self._floor), self._ceiling)
        if level >= Level.IDENTIFIED:
            own = yield from self._agent_token()
            return own
        if level is Level.PSEUDONYM:
            return Credential(Level.PSEUDONYM, memory.pseudonym_key(self._agent.generate_key))
        return ANONYMOUS

    def _agent_token(self) -> Flow[Credential]:
        held = self._agent.credentials.own
        own = yield from agent_credential(self._agent)
        if own is not held and own.token is not None:
            self.fresh.add(own.token.jti)
        return own

    def auth_token(self) -> AuthToken | None:
        """The auth token held for this resource and mission."""
        token = self._memory.auth_token
        return token if token is not None and token.mission_s256 == self._preferences.mission_s256 else None

    def obtain_person_token(self) -> Flow[PersonToken]:
        """A person token for this resource; one that another exchange is obtaining right now is waited for."""
        mission = self._preferences.mission_s256
        before = self._memory.person_tokens.get(mission)
        with (yield from self._memory.turns.take(PERSON_TOKEN, limit_s=self._agent.poll.deadline_s)):
            held = self._memory.person_tokens.get(mission)
            if held is not None and held is not before and lasts(held, self._agent.now()):
                return held
            token = yield from self._person_server.person_token(self._resource)
            if not self.bound_to_current_key(token):
                token = yield from self._person_server.person_token(self._resource)
            self._memory.keep_person_token(token)
        self.fresh.add(token.jti)
        return token

    def bound_to_current_key(self, token: PersonToken | AuthToken) -> bool:
        """Whether the agent still has the key it had when it asked; a person may have taken their time."""
        own = self._agent.credentials.own
        return own is not None and own.key is not None and own.key.public == token.cnf

    def _renew(self, old: AuthToken) -> Flow[None]:
        """Replace an auth token that is about to expire (#re-authorization).

        Through the authorization endpoint when the resource has one, so that it has a say in the scope; otherwise the
        old token is dropped and the resource challenges against the person token.
        """
        from .authorization import renew  # authorization speaks to its endpoint through an Exchange

        with (yield from self._memory.turns.take(AUTH_TOKEN, limit_s=self._agent.poll.deadline_s)):
            if self._memory.auth_token is not old:
                return
            self._memory.auth_token = None
            token = yield from renew(self._agent, self._resource, old, self._preferences, self._open)
            if token is None and self._preferences.mission_s256 not in self._memory.person_tokens:
                yield from self.obtain_person_token()
