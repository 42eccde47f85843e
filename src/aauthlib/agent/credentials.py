"""What an agent holds, in memory and bounded: tokens, sessions, keys and lessons, per server.

Person tokens are kept per resource and mission, auth tokens and session tokens per resource (#person-token-endpoint,
#auth-token-usage, #aauth-access). Nothing here talks or reads a clock, and nothing of it is written to disk: every
token can be had again, and one that is not stored cannot be stolen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from ..errors import MissionTerminated
from ..httpsig import HWK, JWT, Cached, SignatureKey
from ..keys import SigningKey
from ..tokens import AgentToken, AuthToken, PersonToken
from ..verification import Level
from .repetition import CreatedTimes
from .turns import Turns

__all__ = ["REFRESH_MARGIN_S", "Credential", "Credentials", "ServerMemory", "lasts"]

#: Tokens are refreshed when fewer than five minutes remain.
REFRESH_MARGIN_S = 300.0
_MAX_SERVERS = 1000
_MAX_MISSIONS = 32
_MAX_CIDS = 32
_MAX_ENDED = 1000

AnyToken: TypeAlias = AgentToken | PersonToken | AuthToken


def lasts(token: AnyToken, now: float) -> bool:
    """Whether `token` is far enough from its end to be presented.

    The margin is five minutes. For a token that never had ten minutes to live it is half its life: otherwise it would
    be due for a refresh from the moment it was issued.
    """
    return token.exp - now >= min(REFRESH_MARGIN_S, (token.exp - token.iat) / 2)


@dataclass(frozen=True, slots=True)
class Credential:
    """What one request is signed with: a rung of the trust ladder, its key, its token."""

    level: Level
    key: SigningKey | None = field(default=None, repr=False)
    token: AnyToken | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """For people."""
        return _NAMES[self.level]

    @property
    def presented(self) -> PersonToken | AuthToken | None:
        """The token a resource token can be issued against (#resource-token)."""
        return self.token if isinstance(self.token, PersonToken | AuthToken) else None

    def signature_key(self, *, cid: str | None = None, cache: bool = False) -> SignatureKey | None:
        """The `Signature-Key` to send; `None` for an anonymous request.

        `cid` is the identifier the server issued for the token, `cache` asks it to issue one.
        """
        if self.token is not None:
            return Cached(cid) if cid is not None else JWT(self.token.raw, cache)
        return HWK.of(self.key.public) if self.key is not None else None


_NAMES = {
    Level.ANONYMOUS: "no credential",
    Level.PSEUDONYM: "a pseudonymous key",
    Level.IDENTIFIED: "its agent token",
    Level.PERSON: "a person token",
    Level.AUTHORIZED: "an auth token",
}

ANONYMOUS = Credential(Level.ANONYMOUS)


@dataclass(slots=True)
class ServerMemory:
    """What is held for, and was learned about, one server."""

    level: Level
    """The lowest rung worth starting at: the application's choice at first, raised by what the server asked."""
    auth_token: AuthToken | None = field(default=None, repr=False)
    person_tokens: OrderedDict[str | None, PersonToken] = field(default_factory=OrderedDict, repr=False)
    """By `mission_s256`; `None` for outside of any mission."""
    session: tuple[str, str] | None = field(default=None, repr=False)
    """The newest session token, and the thumbprint of the key it was received under."""
    pseudonym: SigningKey | None = field(default=None, repr=False)
    """A key of its own for each server, so that two of them cannot tell that they see the same agent."""
    components: tuple[str, ...] = ()
    """Covered components the server wants beyond the base."""
    clock_offset_s: float = 0.0
    """Seconds to add to our clock to get the server's."""
    turns: Turns = field(default_factory=Turns, repr=False)
    created: CreatedTimes = field(default_factory=CreatedTimes, repr=False)
    algorithms: tuple[str, ...] | None = None
    """What the server accepts of the algorithms known here (`Accept-Signature-Alg`); `None` if it never said."""
    caches: bool = False
    """Whether it holds tokens so that they need not be sent again (`cached` in `Accept-Signature-Scheme`)."""
    _cids: OrderedDict[str, str] = field(default_factory=OrderedDict, repr=False)
    """Cache identifiers it issued, by token."""

    def forget_tokens(self) -> None:
        """Drop person and auth tokens."""
        self.auth_token = None
        self.person_tokens.clear()

    def forget_mission(self, s256: str) -> None:
        """Drop what was issued in a mission."""
        self.person_tokens.pop(s256, None)
        if self.auth_token is not None and self.auth_token.mission_s256 == s256:
            self.auth_token = None

    def keep_person_token(self, token: PersonToken) -> None:
        self.person_tokens[token.mission_s256] = token
        self.person_tokens.move_to_end(token.mission_s256)
        while len(self.person_tokens) > _MAX_MISSIONS:
            self.person_tokens.popitem(last=False)

    def session_for(self, key: SigningKey | None) -> str | None:
        """The session token, if it was received under `key`."""
        if self.session is None or key is None or self.session[1] != key.thumbprint:
            return None
        return self.session[0]

    def cid_for(self, credential: Credential) -> str | None:
        """The cache identifier to present instead of the token."""
        return self._cids.get(credential.token.raw) if credential.token is not None else None

    def keep_cid(self, token: AnyToken, cid: str) -> None:
        self._cids[token.raw] = cid
        self._cids.move_to_end(token.raw)
        while len(self._cids) > _MAX_CIDS:
            self._cids.popitem(last=False)

    def forget_cid(self, cid: str) -> None:
        """Present in full again what `cid` stood for, unless the server issued another one since."""
        for text in [text for text, issued in self._cids.items() if issued == cid]:
            del self._cids[text]

    def pseudonym_key(self, generate: Callable[[], SigningKey]) -> SigningKey:
        """The key this server knows the agent by when it knows nothing else, of an algorithm it accepts."""
        if self.pseudonym is None:
            self.pseudonym = generate()
        if self.algorithms and self.pseudonym.alg not in self.algorithms:
            self.pseudonym = SigningKey.generate(self.algorithms[0])
        return self.pseudonym


class Credentials:
    """The agent's own credential, and a bounded memory per server (by origin); the longest unused goes first."""

    def __init__(self, *, opening: Level = Level.IDENTIFIED, max_servers: int = _MAX_SERVERS) -> None:
        self.own: Credential | None = None
        """The agent token with its key."""
        self._bound_to: SigningKey | None = None
        self.clock_offset_s = 0.0
        """What the person server or provider taught us to add to our clock."""
        self.turns = Turns()
        self._ended_missions: OrderedDict[str, str | None] = OrderedDict()
        self._opening = opening
        self._servers: OrderedDict[str, ServerMemory] = OrderedDict()
        self._max_servers = max_servers

    def __len__(self) -> int:
        return len(self._servers)

    def at(self, origin: str) -> ServerMemory:
        """The memory of the server at `origin`."""
        memory = self._servers.get(origin)
        if memory is None:
            memory = self._servers[origin] = ServerMemory(self._opening)
            while len(self._servers) > self._max_servers:
                self._servers.popitem(last=False)
        self._servers.move_to_end(origin)
        return memory

    def adopt(self, own: Credential) -> None:
        """Take a new agent token. With a new key, everything bound to the old one is dropped (#re-authorization)."""
        if self._bound_to is not None and self._bound_to != own.key:
            self.forget_tokens()
        self.own, self._bound_to = own, own.key

    def forget_tokens(self) -> None:
        """Drop every person and auth token; pseudonyms, sessions and lessons stay."""
        for memory in self._servers.values():
            memory.forget_tokens()

    # ------------------------------------------------------------------ missions

    def end_mission(self, s256: str, reason: str | None) -> None:
        """A mission is over, for `reason` as far as it was told: what is held in it is dropped and not used again."""
        self._ended_missions[s256] = reason
        while len(self._ended_missions) > _MAX_ENDED:
            self._ended_missions.popitem(last=False)
        for memory in self._servers.values():
            memory.forget_mission(s256)

    def refuse_ended(self, s256: str | None) -> None:
        """Raise `MissionTerminated` for a mission that is known to be over (#mission-status-errors)."""
        if s256 is not None and s256 in self._ended_missions:
            raise MissionTerminated(
                "This mission has ended, so nothing more is done in it.", reason=self._ended_missions[s256]
            )
