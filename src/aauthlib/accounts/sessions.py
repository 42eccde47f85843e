"""Browsers that are signed in (#ps-approval-endpoint-auth).

A session has a secret of 256 random bits that is stored as a digest, is new at each sign-in, and ends by itself. What
is kept beside it is for its owner to recognise it by: the browser's name, and of the address the network alone.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..base64url import b64url_encode
from ..effects import Clock
from ..store.account_records import Account, Session
from .networks import place_of
from .storage import AccountStore

__all__ = ["RECENT_S", "SESSION_IDLE_S", "SESSION_LIFETIME_S", "Sessions", "SignedIn", "csrf_token", "single_line"]

#: A session ends this long after sign-in, and this long after its last use, in seconds.
SESSION_LIFETIME_S = 14 * 86_400
SESSION_IDLE_S = 3 * 86_400
#: How long a sign-in counts as recent, for changes to how one signs in and for what cannot be undone.
RECENT_S = 900
_TOUCH_EVERY_S = 300


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session just begun, with the secret that is not stored."""

    account: Account
    secret: str


def csrf_token(secret: str) -> str:
    """What forms of the browser that holds `secret` carry; tells nothing about it."""
    return b64url_encode(hmac.digest(secret.encode("utf-8"), b"aauth csrf", "sha256"))


def session_digest(secret: str) -> str:
    """What is stored of a session's secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


class Sessions:
    """The part of `Accounts` that is about who is signed in."""

    _store: AccountStore
    _clock: Clock
    _random_bytes: Callable[[int], bytes]

    async def start_session(
        self,
        account: Account,
        *,
        method: str,
        browser: str = "",
        address: str | None = None,
        authenticated_at: float | None = None,
    ) -> SignedIn:
        """Begin a session with a fresh secret of 256 bits.

        `browser` is a description for the person, `address` the client's, of which the network is kept.
        `authenticated_at` is when a provider saw them prove who they are, Unix seconds; by default it is now.
        """
        secret = b64url_encode(self._random_bytes(32))
        now = self._clock()
        session = Session(
            digest=session_digest(secret),
            person_id=account.person_id,
            browser=single_line(browser)[:100],
            method=method,
            place=place_of(address),
            created_at=now,
            authenticated_at=now if authenticated_at is None else authenticated_at,
            last_seen_at=now,
            expires_at=now + SESSION_LIFETIME_S,
        )
        await self._store.create_session(session, now=now)
        return SignedIn(account, secret)

    async def session(self, secret: str) -> tuple[Session, Account] | None:
        """The session with this secret and its account, unless it has ended."""
        session = await self._store.session(session_digest(secret))
        if session is None:
            return None
        now = self._clock()
        if session.expires_at <= now or session.last_seen_at + SESSION_IDLE_S <= now:
            await self._store.end_session(session.digest, person_id=session.person_id)
            return None
        account = await self._store.account(session.person_id)
        if account is None:
            return None
        if now - session.last_seen_at >= _TOUCH_EVERY_S:
            await self._store.touch_session(session.digest, now=now)
        return session, account

    def is_recent(self, session: Session) -> bool:
        """Whether the person signed in recently enough to change how they sign in."""
        return self._clock() - session.authenticated_at <= RECENT_S

    async def sessions(self, person_id: str) -> Sequence[Session]:
        """A person's sessions, the latest used first."""
        now = self._clock()
        found = await self._store.sessions(person_id)
        return [each for each in found if each.expires_at > now and each.last_seen_at + SESSION_IDLE_S > now]

    async def end_session(self, digest: str, *, person_id: str) -> bool:
        """End a session of this person. `False` when there is none such."""
        return await self._store.end_session(digest, person_id=person_id)

    async def end_other_sessions(self, session: Session) -> int:
        """End every session of the person but this one. Returns how many there were."""
        return await self._store.end_other_sessions(session.person_id, keep=session.digest)


def single_line(text: str) -> str:
    """Text without control and direction-changing characters, spaces collapsed."""
    kept = (character if unicodedata.category(character)[0] != "C" else " " for character in text)
    return " ".join("".join(kept).split())
