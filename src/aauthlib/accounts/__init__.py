"""People who sign in at a server: accounts, passwords, passkeys, recovery codes, sessions (#ps-approval-endpoint-auth).

Below the roles, since a person server and an access server have people sign in the same way. Knows no HTTP framework,
no page, no agent and no role; who may do what at a server is the role's business.
"""

from ..store.account_records import Account, AccountTaken, Passkey, Session
from .accounts import Accounts, UnsuitableDetails
from .guessing import SignInRefused, TooManyAttempts
from .passkeys import PasskeyRefused
from .passwords import UnsuitablePassword
from .sessions import SignedIn, csrf_token, single_line

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
    "single_line",
]
