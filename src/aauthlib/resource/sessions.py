"""Session tokens: what `AAuth-Access` carries and `Authorization: AAuth` presents (#aauth-access).

A session token is opaque, stored as a digest, and worth nothing without a signature of the agent it was given to. It
is replaced as it ages; the replacement ends the tokens before it once it is used, so a lost response locks nobody out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from ..base64url import b64url_encode
from ..effects import Clock
from ..http import Request
from ..messages.headers import parse_session_token
from ..store.resource_records import NewSession, Session
from ..verification import Caller
from .storage import ResourceStore

__all__ = ["SessionPolicy", "Sessions", "presented_session"]

_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class SessionPolicy:
    """How long sessions live. Seconds."""

    lifetime_s: float = 30 * 86_400.0
    """After which the person is asked again."""
    replace_after_s: float = 600.0
    """Age at which a token is replaced."""
    grace_s: float = 60.0
    """How long earlier tokens are good after the first use of a replacement, for requests under way."""
    interval_s: float = 60.0
    """Until a replacement that was not used is followed by another."""


def presented_session(request: Request, caller: Caller) -> str | None:
    """The session token `request` presents, if its signature covers it.

    An unsigned one is nobody's: there is no bearer path. Raises `InvalidRequest` for a malformed one or several.
    """
    token = parse_session_token(request.headers)
    if token is None or caller.signed is None or "authorization" not in caller.signed.covered:
        return None
    return token


class Sessions:
    """Issues, finds and replaces session tokens."""

    def __init__(
        self, store: ResourceStore, *, clock: Clock, policy: SessionPolicy, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._store = store
        self._clock = clock
        self._policy = policy
        self._random_bytes = random_bytes

    def issue(self, *, agent: tuple[str, str], user: str, scope: tuple[str, ...]) -> tuple[str, NewSession]:
        """A new session's token, and the record to be kept when it is delivered."""
        now = self._clock()
        token = self._token()
        record = NewSession(
            session_id=self._token(),
            digest=_digest(token),
            agent=agent,
            user=user,
            scope=scope,
            now=now,
            expires_at=now + self._policy.lifetime_s,
        )
        return token, record

    async def use(self, token: str, agent: tuple[str, str]) -> Session | None:
        """The session of `token` if it is valid and was given to `agent`; somebody else's is not told apart."""
        return await self._store.use_session(_digest(token), agent, self._clock(), grace_s=self._policy.grace_s)

    async def replacement(self, session: Session) -> str | None:
        """A new token for `session` when the one presented is old enough."""
        now = self._clock()
        if session.superseded or now - session.issued_at < self._policy.replace_after_s:
            return None
        token = self._token()
        stored = await self._store.replace_session(
            session.session_id, _digest(token), now, interval_s=self._policy.interval_s
        )
        return token if stored else None

    def _token(self) -> str:
        return b64url_encode(self._random_bytes(_TOKEN_BYTES))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("ascii")).hexdigest()
