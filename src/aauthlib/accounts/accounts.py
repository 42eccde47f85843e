"""The accounts of one server: first run, sign-in, sessions (#ps-approval-endpoint-auth).

A decision about an agent is worth what the sign-in before it is worth, so guessing is slow, sessions are random,
stored as digests, bounded in time, and new at each sign-in. Knows no HTTP framework, no page and no agent.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence

from ..base64url import b64url_encode
from ..effects import Clock
from ..errors import AAuthError
from ..store.account_records import Account, AccountTaken, Passkey, Session
from .guessing import Guessing, SignInRefused
from .passkeys import Passkeys
from .passwords import Passwords
from .recovery import RecoveryCodes
from .sessions import Sessions, single_line
from .storage import AccountStore

__all__ = ["Accounts", "UnsuitableDetails"]

_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}\Z")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,189}\Z")
_MAX_DISPLAY_NAME = 100


class UnsuitableDetails(AAuthError):
    """A username, name or email address cannot be used; `field` says which, the text what to change."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


class Accounts(Sessions):
    """Everything about who signs in at one server."""

    def __init__(
        self,
        store: AccountStore,
        *,
        issuer: str,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        random_below: Callable[[int], int] = secrets.randbelow,
        passwords: Passwords | None = None,
    ) -> None:
        self._store, self._clock, self._random_bytes = store, clock, random_bytes
        self._passwords = passwords or Passwords()
        self.passkeys = Passkeys(store, issuer=issuer, clock=clock, random_bytes=random_bytes)
        self.recovery = RecoveryCodes(store, clock=clock, random_below=random_below)
        self._guessing = Guessing(store, "password", clock=clock)
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

    def new_person_id(self) -> str:
        """How this server knows an account that is about to be made: 128 random bits."""
        return b64url_encode(self._random_bytes(16))

    def details(self, username: str, display_name: str, email: str | None) -> tuple[str, str, str | None]:
        """The three as kept. Raises `UnsuitableDetails`."""
        name = single_line(display_name)
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
        if first and not await self.first_run():
            raise AccountTaken("This server has its account already.")
        account, passkey = await self.prepare(
            username,
            display_name,
            password=password,
            email=email,
            credential=credential,
            user_handle=user_handle,
            binder=binder,
            passkey_name=passkey_name,
        )
        await self._store.create_account(account, first=first, passkey=passkey)
        self._set_up = True
        return account

    async def prepare(
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
    ) -> tuple[Account, Passkey | None]:
        """An account as it will be kept, with its passkey; nothing is stored. Raises as `create` for its arguments."""
        kept, name, address = self.details(username, display_name, email)
        person_id = self.new_person_id()
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
        return account, passkey

    async def account(self, person_id: str) -> Account | None:
        """The account with this id."""
        return await self._store.account(person_id)

    async def verify_password(self, username: str, password: str, *, address: str | None = None) -> Account:
        """The account, when name and password fit. `address` is the client's, for limiting.

        Raises `SignInRefused`, after the same work for names that exist and names that do not, or `TooManyAttempts`.
        """
        name = username.strip().lower()[:64]
        await self._guessing.count(name, address)
        account = await self._store.account_named(name)
        if not await self._passwords.matches(password, account.password_hash if account else None) or account is None:
            raise SignInRefused("The username or the password is wrong.")
        await self._guessing.clear(name, address)
        return account

    async def change_password(self, account: Account, *, current: str, new: str, session: Session) -> None:
        """Set a password and end the other sessions. `current` is ignored when the account has none.

        Raises `SignInRefused`, `TooManyAttempts` or `UnsuitablePassword`.
        """
        if account.password_hash is not None:
            await self._guessing.count(account.username, None)
            if not await self._passwords.matches(current, account.password_hash):
                raise SignInRefused("The current password is wrong.")
            await self._guessing.clear(account.username, None)
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
        label = single_line(name)[:64] or "Passkey"
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
