"""What a policy can decide about a token request (#as-response), as values.

A demand is answered by the person server (claims, a question, payment), by the person on this server's page, or by
whoever approves here; then the policy is asked again, with what came of it among the facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ..errors import ConfigurationError
from ..policies.approvers import Approvers
from .approvers import approvers_in_words, one_step

__all__ = [
    "Allow",
    "AskClaims",
    "AskQuestion",
    "Decision",
    "Demanded",
    "Deny",
    "Narrow",
    "NeedApproval",
    "NeedInteraction",
    "NeedPayment",
    "Verdict",
    "name_of",
]

_MAX_CLAIMS = 30
_MAX_TEXT = 4000


@dataclass(frozen=True, slots=True)
class Allow:
    """Grant everything the resource token asks for."""


@dataclass(frozen=True, slots=True)
class Narrow:
    """Grant these scope values, as far as they were asked for; none of them is a denial."""

    scope: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Deny:
    """Refuse. The reason goes to the person server, which relays it."""

    reason: str


@dataclass(frozen=True, slots=True)
class AskClaims:
    """Ask the person server for identity claims (#requirement-claims). Raises `ConfigurationError` for `sub`."""

    claims: tuple[str, ...]

    def __post_init__(self) -> None:
        if "sub" in self.claims:
            raise ConfigurationError("sub is in every presented token; an access server must not ask for it.")
        if not 0 < len(self.claims) <= _MAX_CLAIMS or not all(0 < len(name) <= 128 for name in self.claims):
            raise ConfigurationError(f"Ask for 1 to {_MAX_CLAIMS} claims, each named in at most 128 characters.")


@dataclass(frozen=True, slots=True)
class AskQuestion:
    """Ask a question (#requirement-clarification); the person server finds out who can answer it."""

    question: str
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < len(self.question) <= _MAX_TEXT or len(self.options) > 20:
            raise ConfigurationError(f"A question has 1 to {_MAX_TEXT} characters and at most 20 options.")


@dataclass(frozen=True, slots=True)
class NeedInteraction:
    """The person signs in here once and confirms that this person server speaks for them."""


@dataclass(frozen=True, slots=True)
class NeedApproval:
    """People here approve, without the person being sent anywhere (#approval-pending).

    `needed` of those whom `approvers` name: groups, and usernames with `@` in front; nobody named is anybody who
    approves. `by` is one name in short. `Approvers` say more: steps in order, who is asked after a deadline, whether
    four eyes are wanted, and how long a yes holds. Raises `ConfigurationError`.
    """

    by: str = field(default="", compare=False)
    approvers: Sequence[str] | Approvers = ()
    needed: int = field(default=1, compare=False)
    deadline: str = field(default="1d", compare=False)
    """Such as `30m`, `4h`, `2d`: nobody has approved then."""

    def __post_init__(self) -> None:
        if not isinstance(self.approvers, Approvers):
            names = tuple(self.approvers) or ((self.by,) if self.by else ())
            asked = one_step(names, self.needed, self.deadline, "This approval")
            object.__setattr__(self, "approvers", asked)
        self.asked.step(0, 0)

    @property
    def asked(self) -> Approvers:
        """Who is asked, as every role has it."""
        assert isinstance(self.approvers, Approvers)
        return self.approvers

    @property
    def said(self) -> str:
        """Whose approval, in words, step by step."""
        return ", then ".join(filter(None, map(approvers_in_words, self.asked.steps)))


@dataclass(frozen=True, slots=True)
class NeedPayment:
    """The person server settles this first (`402`). Amounts are in the smallest unit of `currency`."""

    amount: str
    currency: str
    description: str = ""

    def __post_init__(self) -> None:
        if not (self.amount.isascii() and self.amount.isdigit() and len(self.amount) <= 40):
            raise ConfigurationError("A payment's amount is a whole number, in the smallest unit of its currency.")


Demanded: TypeAlias = AskClaims | AskQuestion | NeedInteraction | NeedApproval | NeedPayment
Decision: TypeAlias = Allow | Narrow | Deny | Demanded

_NAMES: dict[type[object], str] = {
    Allow: "allow",
    Narrow: "narrow",
    Deny: "deny",
    AskClaims: "claims",
    AskQuestion: "question",
    NeedInteraction: "interaction",
    NeedApproval: "approval",
    NeedPayment: "payment",
}


def name_of(decision: Decision) -> str:
    """The decision's name in policies, in the log and on the command line."""
    return _NAMES[type(decision)]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision and where it comes from."""

    decision: Decision
    rule: str = field(default="")
    """Which rule or policy decided, for whoever reads the log."""
    version: str = field(default="")
    """Of the policy that decided."""
