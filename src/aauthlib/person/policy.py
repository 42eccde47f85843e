"""What the operator's policy decides about requests, before and beside the person (#approval-pending).

A policy is asked once it is known for whom an agent acts. It may let a request through, refuse it, leave it to the
person, or to approvers with or without the person. `guarded` is what no policy may get wrong; it knows no server, so
that `aauth policy test` says what a server does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from ..errors import ConfigurationError
from ..messages.identity_scopes import IDENTITY_SCOPES
from ..store.approval_records import BecauseOf, Course
from .asked import MISSION, Asked

__all__ = [
    "ASK_PERSON",
    "AskPerson",
    "Facts",
    "PersonPolicy",
    "Refuse",
    "Verdict",
    "facts_of",
    "guarded",
    "name_of",
]

#: What is demanded where no policy says anything: the person is asked.
ASK_PERSON = Course()

_MAX_AMOUNT = 999_999_999_999_999


class Facts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request as a policy sees it."""

    kind: str
    """`person_token`, `auth_token`, `permission` or `mission`."""
    agent: str
    """The agent identifier; of a sub-agent's request, its parent."""
    provider: str
    resource: str = ""
    scope: tuple[str, ...] = ()
    now: float = 0.0
    """Unix seconds."""
    tenant: str | None = None
    """The person's organisation here."""
    username: str | None = None
    """Whom the agent acts for."""
    account: str | None = None
    sub_agent: str | None = None
    access_server: str | None = None
    mission_s256: str | None = None
    chained: bool = False
    step_up: bool = False
    action: str | None = None
    """Of a permission."""
    amount: int | None = None
    """Of a permission, in its smallest unit. Agent-asserted, as the whole of a permission request is."""
    currency: str | None = None

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Facts:
        """A recorded request. Raises `ConfigurationError`."""
        unknown = sorted(set(document) - set(cls.__struct_fields__))
        if unknown:
            raise ConfigurationError(f"A request to a person server has no member {', '.join(unknown)}.")
        try:
            return msgspec.convert(dict(document), cls)
        except msgspec.ValidationError as error:
            raise ConfigurationError(str(error)) from error


@dataclass(frozen=True, slots=True)
class Refuse:
    """No."""

    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy decides, and which of its rules did."""

    decision: Course | Refuse
    """A course with no step and without the person lets the request through."""
    because: BecauseOf


def name_of(decision: Course | Refuse) -> str:
    """The decision's name in policies, in the log and on the command line."""
    if isinstance(decision, Refuse):
        return "deny"
    return "approvers" if decision.steps else "ask" if decision.ask_person else "allow"


def guarded(facts: Facts, verdict: Verdict) -> Verdict:
    """The verdict, or the one that must stand in its place.

    Identity claims are released by the person alone, and a mission is theirs to approve; what is asked in it is ruled
    on when it is asked.
    """
    decision = verdict.decision
    if isinstance(decision, Refuse):
        return verdict
    if facts.kind == MISSION:
        return Verdict(ASK_PERSON, verdict.because)
    if not decision.ask_person and IDENTITY_SCOPES.keys() & set(facts.scope):
        return Verdict(msgspec.structs.replace(decision, ask_person=True), verdict.because)
    return verdict


class PersonPolicy(Protocol):
    """Decides what a request needs."""

    @property
    def version(self) -> str:
        """Names what decides now, for the log."""

    @property
    def groups(self) -> frozenset[str]:
        """Every group it may ask, to be filled by the organisations' administrators."""

    async def look(self) -> str:
        """Take over what has changed, and return the version that decides now."""

    async def decide(self, facts: Facts) -> Verdict:
        """Decide on these facts. When it raises, the request fails as `server_error`, with nothing granted."""


class AskPerson:
    """The policy of a server that has none: everything is the person's to decide."""

    version = ""
    groups: frozenset[str] = frozenset()

    async def look(self) -> str:
        return self.version

    async def decide(self, facts: Facts) -> Verdict:
        return Verdict(ASK_PERSON, BecauseOf(version="", rule=""))


def facts_of(asked: Asked, *, tenant: str | None, username: str | None, now: float) -> Facts:
    """What a policy sees of a request."""
    action, amount, currency = None, None, None
    if asked.permission is not None:
        action = asked.permission.action
        amount, currency = _amount(asked.permission.parameters or {})
    return Facts(
        kind=asked.kind,
        agent=asked.agent.sub,
        provider=asked.agent.iss,
        resource=asked.resource,
        scope=asked.scope,
        now=now,
        tenant=tenant,
        username=username,
        account=asked.account,
        sub_agent=asked.subagent,
        access_server=asked.access_server,
        mission_s256=asked.mission_s256,
        chained=asked.upstream is not None,
        step_up=asked.stepped_up_jti is not None,
        action=action,
        amount=amount,
        currency=currency,
    )


def _amount(parameters: Mapping[str, Any]) -> tuple[int | None, str | None]:
    """`amount`, a whole number, and `currency`; both or neither."""
    amount, currency = parameters.get("amount"), parameters.get("currency")
    if type(amount) is not int or not 0 <= amount <= _MAX_AMOUNT or not isinstance(currency, str):
        return None, None
    return amount, currency
