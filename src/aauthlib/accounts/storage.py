"""What accounts need kept (#ps-approval-endpoint-auth). Every method is one transaction. Knows no database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..store.account_records import Account, Passkey, Session

__all__ = ["AccountStore"]


class AccountStore(Protocol):
    """Accounts, passkeys, sessions, and the secrets that the processes of one server share."""

    async def secret(self, name: str, fresh: bytes) -> bytes:
        """The server's secret with this name; `fresh` becomes it when there is none yet."""

    async def count_accounts(self) -> int:
        """How many accounts there are."""

    async def create_account(self, account: Account, *, first: bool, passkey: Passkey | None = None) -> None:
        """Keep a new account, with its passkey in the same transaction.

        Raises `AccountTaken` when the username is in use, or when `first` and there is an account already.
        """

    async def account(self, person_id: str) -> Account | None:
        """The account with this id."""

    async def account_named(self, username: str) -> Account | None:
        """The account with this username, in lower case."""

    async def set_password(self, person_id: str, password_hash: str, *, keep_session: str | None) -> None:
        """Replace the password and, when `keep_session` names one, end every other session."""

    async def add_passkey(self, passkey: Passkey) -> None:
        """Raises `AccountTaken` when the credential is registered already."""

    async def passkey(self, credential_id: bytes) -> Passkey | None:
        """The passkey with this id, whosever it is."""

    async def passkeys(self, person_id: str) -> Sequence[Passkey]:
        """A person's passkeys, oldest first."""

    async def count_passkeys(self) -> int:
        """How many passkeys there are."""

    async def use_passkey(self, passkey: Passkey, *, sign_count: int, backed_up: bool, now: float) -> bool:
        """Record a use. `False` when somebody used it since it was read: then the counter proves nothing."""

    async def remove_passkey(self, person_id: str, credential_id: bytes) -> bool:
        """Remove a passkey. `False` when it is the last way in; raises `NotFound` when the person has none such."""

    async def use_challenge(self, digest: str, *, expires_at: float, now: float) -> bool:
        """Use a challenge up. `False` when it was used before."""

    async def create_session(self, session: Session, *, now: float) -> None:
        """Keep a new session, and drop those past their time."""

    async def session(self, digest: str) -> Session | None:
        """The session with this digest."""

    async def sessions(self, person_id: str) -> Sequence[Session]:
        """A person's sessions, the latest used first."""

    async def touch_session(self, digest: str, *, now: float) -> None:
        """Note that a session is in use."""

    async def end_session(self, digest: str, *, person_id: str) -> bool:
        """`False` when this person has no such session."""

    async def end_other_sessions(self, person_id: str, *, keep: str) -> int:
        """End every session of this person but one. Returns how many there were."""

    async def replace_recovery_codes(self, person_id: str, digests: Sequence[str], *, now: float) -> None:
        """Keep these codes and none before them."""

    async def count_recovery_codes(self, person_id: str) -> int:
        """How many codes the person has left."""

    async def use_recovery_code(self, person_id: str, digest: str) -> bool:
        """Use a code up. `False` when the person has none such, or it was used."""

    async def count_attempt(self, limits: Sequence[tuple[str, int]], *, window_s: float, now: float) -> float:
        """Count one attempt for each `(what, limit)`, unless one of them has had its share.

        Returns how many seconds to wait, 0 when the attempt was counted and may be made.
        """

    async def clear_attempts(self, what: Sequence[str]) -> None:
        """Forget the attempts of these: they proved themselves."""
