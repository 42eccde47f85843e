"""What a role gives to the pages on which its people sign in (#ps-approval-endpoint-auth)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ...accounts import Account, Accounts
from ...messages.codes import random_code
from ...notifying import Notifier
from ...store.attempts import Attempts
from ..pages import Pages

__all__ = ["SETUP_TRIES", "SETUP_WINDOW_S", "AccountSite", "OtherWay", "WaysIn", "new_setup_code"]

#: How often the setup code may be guessed from one network.
SETUP_TRIES = 10
SETUP_WINDOW_S = 900
#: 140 bits, since a setup code has no end but the first account.
_SETUP_CODE_SYMBOLS = 28


async def new_setup_code(accounts: Accounts, *, required: bool, random_below: Callable[[int], int]) -> str | None:
    """What whoever makes the first account must type, where that is `required` and there is no account yet."""
    if not required or not await accounts.first_run():
        return None
    return random_code(random_below, length=_SETUP_CODE_SYMBOLS)


@dataclass(frozen=True, slots=True)
class OtherWay:
    """A way to sign in elsewhere: where its form goes, and whose it is."""

    action: str
    name: str


@dataclass(frozen=True, slots=True)
class WaysIn:
    """What the sign-in page offers beside this server's own passwords and passkeys, and what it fills in."""

    username: str = ""
    login_hint: str = ""
    others: Sequence[OtherWay] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSite(ABC):
    """What the pages stand on."""

    accounts: Accounts
    pages: Pages
    session_cookie: str
    setup_attempts: Attempts
    setup_code: str | None = field(default=None, repr=False)
    """What whoever makes the first account must type; `None` on a development server."""
    notifier: Notifier | None = None
    """Tells people; without one there is no page for it."""

    @abstractmethod
    def is_page(self, target: str) -> bool:
        """Whether `target` is a page of this server that a sign-in may lead to."""

    @abstractmethod
    async def arrive(self, handle: str, code: str, *, account: Account, callback: str | None) -> str:
        """`account` follows an interaction's code, which is thereby used up. Returns the page where they decide.

        Raises `InvalidCode`, `Expired`, or what else the role refuses them for.
        """

    @abstractmethod
    async def check_code(self, handle: str, code: str) -> None:
        """Compare an interaction's code without using it up. Raises `InvalidCode` or `Expired`."""

    async def ways_in(self, handle: str, code: str) -> WaysIn:
        """What to offer somebody who signs in on the way to an interaction, if to one at all."""
        return WaysIn()

    @abstractmethod
    async def made(self, account: Account) -> None:
        """The first account of the server was made, before it is signed in."""
