"""The accounts of a person server: first run, sign-in, sessions (#ps-approval-endpoint-auth).

A decision about an agent is worth what the sign-in before it is worth, so guessing is slow, sessions are random,
stored as digests, bounded in time, and new at each sign-in. Knows no HTTP framework, no page and no agent.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..base64url import b64url_encode
from ..effects import Clock
from ..errors import AAuthError
from ..store.account_records import Account, AccountTaken, Passkey, Session
from .account_storage import AccountStore
from .attempts import Attempts, network_of
from .passkeys import PasskeyRefused, Passkeys
from .passwords import Passwords, UnsuitablePassword

__all__ = [
    "Account",
    "AccountTaken",
    "Accounts",
    "Passkey",
    "PasskeyRefused",
    "Session",
    "SignInRefused",
    "SignedIn",
    "TooManyAttempts",
    "UnsuitableDetails",
    "UnsuitablePassword",
    "csrf_token",
]

_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}\Z")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}\Z")
_MAX_DISPLAY_NAME = 100

#: Wrong passwords for one name, whoever tries, and for one network, whatever the name, within the window.
FAILURES_BY_NAME = 10
FAILURES_BY_NETWORK = 30
FAILURE_WINDOW_S = 900
#: A session ends this long after sign-in, and this long after its last use, in seconds.
SESSION_LIFETIME_S = 14 * 86_400
SESSION_IDLE_S = 3 * 86_400
#: How long a sign-in counts as recent, for changes to how one signs in.
RECENT_S = 900
_TOUCH_EVERY_S = 300


class SignInRefused(AAuthError):
    """Name or password is wrong; which, is not said."""


class TooManyAttempts(AAuthError):
    """Guessing is slowed down."""

    def __init__(self, wait_s: float) -> None:
        minutes = max(1, round(wait_s / 60))
        super().__init__(f"Too many attempts. Try again in {minutes} minute{'s' if minutes > 1 else ''}.")
        self.wait_s = wait_s


class UnsuitableDetails(AAuthError):
    """A username, name or email address cannot be used; `field` says which, the text what to change."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


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


class Accounts:
    """Everything about who signs in at one person server."""

    def __init__(
        self,
        store: AccountStore,
        *,
        issuer: str,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        passwords: Passwords | None = None,
    ) -> None:
        self._store, self._clock, self._random_bytes = store, clock, random_bytes
        self._passwords = passwords or Passwords()
        self.passkeys = Passkeys(store, issuer=issuer, clock=clock, random_bytes=random_bytes)
        self._by_name = Attempts(limit=FAILURES_BY_NAME, window_s=FAILURE_WINDOW_S, clock=clock)
        self._by_network = Attempts(limit=FAILURES_BY_NETWORK, window_s=FAILURE_WINDOW_S, clock=clock)
        self._set_up = False

    # ------------------------------------------------------------------ accounts

    async def first_run(self) -> bool:
        """Whether the server has no account yet."""
        if not self._set_up:
            self._set_up = await self._store.count_accounts() > 0
        return not self._set_up

    def new_user_handle(self) -> bytes:
        """How authenticators will know an account that is about to be made: 256 random bits."""
        return self._random_bytes(32)

    def details(self, username: str, display_name: str, email: str | None) -> tuple[str, str, str | None]:
        """The three as kept. Raises `UnsuitableDetails`."""
        name = _single_line(display_name)
        if not name or len(name) > _MAX_DISPLAY_NAME:
            raise UnsuitableDetails("display_name", f"Enter your name, in at most {_MAX_DISPLAY_NAME} characters.")
        kept = username.strip().lower()
        if not _USERNAME.match(kept):
            raise UnsuitableDetails(
                "username", "Use 1 to 32 of the letters a to z, digits, dots, hyphens and underscores."
            )
        address = (email or "").strip() or None
        if address is not None and not _EMAIL.match(address):
            raise UnsuitableDetails("email", "Enter an email address such as name@example.com, or leave it empty.")
        return kept, name, address

    async def create(
        self,
        username: str,
        display_name: str,
        *,
        password: str | None = None,
        email: str | None = None,
        credential: str | None = None,
        user_handle: bytes | None = None,
        binder: str = "",
        passkey_name: str = "Passkey",
        first: bool = False,
    ) -> Account:
        """Make an account with a password, or with a passkey that answered `passkeys.registration_options`.

        With `first` only when the server has no account yet. Raises `UnsuitableDetails`, `UnsuitablePassword`,
        `PasskeyRefused` or `AccountTaken`.
        """
        kept, name, address = self.details(username, display_name, email)
        if first and not await self.first_run():
            raise AccountTaken("This server has its account already.")
        person_id = b64url_encode(self._random_bytes(16))
        handle = user_handle if user_handle is not None else self.new_user_handle()
        hashed = passkey = None
        if credential is not None:
            passkey = await self.passkeys.verify_registration(
                credential, person_id=person_id, user_handle=handle, binder=binder, name=passkey_name
            )
        else:
            hashed = await self._passwords.hash(password or "", username=kept)
        account = Account(
            person_id=person_id,
            username=kept,
            display_name=name,
            email=address,
            password_hash=hashed,
            user_handle=handle,
            created_at=self._clock(),
        )
        await self._store.create_account(account, first=first, passkey=passkey)
        self._set_up = True
        return account

    async def account(self, person_id: str) -> Account | None:
        """The account with this id."""
        return await self._store.account(person_id)

    async def verify_password(self, username: str, password: str, *, address: str | None = None) -> Account:
        """The account, when name and password fit. `address` is the client's, for limiting.

        Raises `SignInRefused`, after the same work for names that exist and names that do not, or `TooManyAttempts`.
        """
        name = username.strip().lower()[:64]
        network = network_of(address)
        self._count_attempt(name, network)
        account = await self._store.account_named(name)
        if not await self._passwords.matches(password, account.password_hash if account else None) or account is None:
            raise SignInRefused("The username or the password is wrong.")
        self._by_name.clear(name)
        if network is not None:
            self._by_network.clear(network)
        return account

    def _count_attempt(self, name: str, network: str | None) -> None:
        wait_s = max(self._by_name.wait_s(name), self._by_network.wait_s(network) if network else 0.0)
        if wait_s > 0:
            raise TooManyAttempts(wait_s)
        self._by_name.count(name)
        if network is not None:
            self._by_network.count(network)

    async def change_password(self, account: Account, *, current: str, new: str, session: Session) -> None:
        """Set a password and end the other sessions. `current` is ignored when the account has none.

        Raises `SignInRefused`, `TooManyAttempts` or `UnsuitablePassword`.
        """
        if account.password_hash is not None:
            self._count_attempt(account.username, None)
            if not await self._passwords.matches(current, account.password_hash):
                raise SignInRefused("The current password is wrong.")
            self._by_name.clear(account.username)
        hashed = await self._passwords.hash(new, username=account.username)
        await self._store.set_password(account.person_id, hashed, keep_session=session.digest)

    # ------------------------------------------------------------------ passkeys of an account

    async def has_passkeys(self) -> bool:
        """Whether anybody at this server has a passkey."""
        return await self._store.count_passkeys() > 0

    async def passkeys_of(self, person_id: str) -> Sequence[Passkey]:
        """A person's passkeys, oldest first."""
        return await self._store.passkeys(person_id)

    async def add_passkey(self, account: Account, credential: str, *, binder: str, name: str) -> None:
        """Add a passkey that answered `passkeys.registration_options`. Raises `PasskeyRefused` or `AccountTaken`."""
        label = _single_line(name)[:64] or "Passkey"
        passkey = await self.passkeys.verify_registration(
            credential, person_id=account.person_id, user_handle=account.user_handle, binder=binder, name=label
        )
        await self._store.add_passkey(passkey)

    async def remove_passkey(self, person_id: str, credential_id: bytes) -> None:
        """Raises `NotFound`, or `UnsuitableDetails` when it is the last way to sign in."""
        if not await self._store.remove_passkey(person_id, credential_id):
            raise UnsuitableDetails(
                "passkey", "This is your only way to sign in. Add a password or another passkey before you remove it."
            )

    # ------------------------------------------------------------------ sessions

    async def start_session(self, account: Account, *, method: str, browser: str = "") -> SignedIn:
        """Begin a session with a fresh secret of 256 bits. `browser` is a description for the person."""
        secret = b64url_encode(self._random_bytes(32))
        now = self._clock()
        session = Session(
            digest=session_digest(secret),
            person_id=account.person_id,
            browser=_single_line(browser)[:100],
            method=method,
            created_at=now,
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
        return self._clock() - session.created_at <= RECENT_S

    async def sessions(self, person_id: str) -> Sequence[Session]:
        """A person's sessions, the latest used first."""
        now = self._clock()
        found = await self._store.sessions(person_id)
        return [each for each in found if each.expires_at > now and each.last_seen_at + SESSION_IDLE_S > now]

    async def end_session(self, digest: str, *, person_id: str) -> bool:
        """End a session of this person. `False` when there is none such."""
        return await self._store.end_session(digest, person_id=person_id)


def _single_line(text: str) -> str:
    """Text without control and direction-changing characters, spaces collapsed."""
    kept = (character if unicodedata.category(character)[0] != "C" else " " for character in text)
    return " ".join("".join(kept).split())
