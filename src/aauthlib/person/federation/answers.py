"""What comes of asking an access server, as values (#as-response, #auth-token-delivery)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from ...effects import Flow
from ...errors import ProblemError
from ...http import Fields
from ...keys import PublicKey
from ...tokens import AuthToken

__all__ = ["Delivered", "Ended", "Expected", "PaymentRequired", "Question", "Settlement", "Unpaid", "Waiting"]


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A clarification question (#requirement-clarification), in the access server's words."""

    text: str
    options: tuple[str, ...] = ()
    ends_at: float | None = None
    """When the access server stops waiting for the answer, Unix seconds."""
    agent_from: float | None = 0.0
    """From when on it is the agent's to answer, Unix seconds; `None` for an agent that takes no questions. The person
    may answer as long as nobody has."""
    answer: str | None = None
    """What is to be sent, or was: kept until the access server has said what follows. Of an update its reason."""
    updates: bool = False
    """The answer is an updated request."""

    @property
    def open(self) -> bool:
        """Whether an answer is wanted."""
        return self.answer is None


class Ended(msgspec.Struct, frozen=True):
    """A terminal error, kept until the agent fetches it: it may ask another process, or this one after a restart."""

    code: str
    status: int
    detail: str

    @classmethod
    def of(cls, error: ProblemError) -> Ended:
        return cls(error.code, error.status, error.detail)

    def error(self) -> ProblemError:
        """The error anew."""
        kind = type("RelayedError", (ProblemError,), {"code": self.code, "status": self.status})
        made: ProblemError = kind(self.detail)
        return made


class Waiting(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The access server has not decided."""

    location: str | None = None
    """The pending URL; `None` when the request was not taken yet and is to be sent again."""
    pause_s: float = 0.0
    """Not to be asked again before, in seconds."""
    interaction_url: str | None = None
    interaction_code: str | None = None
    question: Question | None = None
    approval: bool = False
    failed: bool = False
    """The poll brought no answer."""
    ended: Ended | None = None
    """It has decided, or cannot be asked any more, and this is how."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A verified auth token (#auth-token-delivery)."""

    token: AuthToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the auth token must say, all of it verified before the request was made."""

    person_server: str
    access_server: str
    aud: str
    sub: str
    cnf: PublicKey
    scope: frozenset[str]
    account: str | None
    mission_s256: str | None
    tenant: str | None
    not_after: float
    """The earliest `exp` of the tokens it hangs on, Unix seconds."""


@dataclass(frozen=True, slots=True)
class PaymentRequired:
    """What an access server wants paid, as it says it (#as-response)."""

    access_server: str
    headers: Fields
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unpaid:
    """The first answer is that a payment is required. Nothing is paid before it is kept where it is waited for."""

    location: str
    required: PaymentRequired


class Settlement(Protocol):
    """Settles payments that access servers require; how is out of the protocol's scope."""

    def settle(self, required: PaymentRequired) -> Flow[bool]:
        """Settle it. Returns whether it is settled; `False` ends the request as denied.

        The same is asked again when a process ended before the access server was polled: paying it twice is for the
        implementation to prevent, by what names the payment in `required`.
        """
        ...
