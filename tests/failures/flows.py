"""The flows of the matrix: in which order servers are asked, and what has been issued by then.

A flow is a list of strikes, which are the requests a fault can hit, and of milestones between them: `auth guarded`
stands where the auth token for the resource `guarded` is issued. A server that is of no use from one strike on, and
stays so, leaves nothing behind but what stands above it.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from .hosts import Fault
from .town import AP, AS, DIRECT, GUARDED, MIDDLE, PS

PROMISES = Path(__file__).with_name("promises.toml")
#: Set by `make failures`, which tries every cell.
_ALL_OF_THEM = "FAILURES_ALL" in os.environ
#: Whatever is lost with an answer or with a process is lost at every request.
_ALWAYS = frozenset({Fault.LATE, Fault.KILLED})
#: Of the other failures, every how manieth cell of a flow is tried whenever the tests run.
_ONE_IN = 6


@dataclass(frozen=True, slots=True)
class Strike:
    """One request of a flow: the `count`-th of its kind that `host` gets, since the first one of `after` if given."""

    host: str
    what: str
    request: str
    count: int = 1
    after: str = ""
    asks_only: bool = False
    """It asks how things stand, and they go on whether it is answered or not."""

    def __str__(self) -> str:
        return f"{self.host}-{self.what}"


@dataclass(frozen=True, slots=True)
class Flow:
    """One way to the reports."""

    name: str
    title: str
    path: str
    order: tuple[Strike | str, ...]
    faults: tuple[Fault, ...] = tuple(Fault)
    resource: str = GUARDED
    scope: str = "reports.read"
    known: bool = False
    """Whoever asks looked at the servers' keys within the last minute, so may not look again (#jwks-discovery)."""
    denied: bool = False
    """The answer is no, whatever goes wrong."""
    whole: bool = False
    """Every cell of it is tried whenever the tests run."""

    @property
    def strikes(self) -> tuple[Strike, ...]:
        return tuple(entry for entry in self.order if isinstance(entry, Strike))

    @property
    def milestones(self) -> frozenset[str]:
        """All that may be issued."""
        return frozenset(entry for entry in self.order if isinstance(entry, str))

    def before(self, strike: Strike) -> frozenset[str]:
        """What may be issued if nobody answers this request."""
        if strike.asks_only:
            return self.milestones
        return frozenset(entry for entry in self.order[: self.order.index(strike)] if isinstance(entry, str))

    def everyday(self, strike: Strike, fault: Fault) -> bool:
        """Whether this cell is tried whenever the tests run; all are by `make failures`, which takes minutes."""
        if self.whole or fault in _ALWAYS:
            return True
        return (self.strikes.index(strike) + tuple(Fault).index(fault)) % _ONE_IN == 0

    def cells(self, *hosts: str) -> list[object]:
        """Parameters for a test: the strikes at these hosts, or at all, with the faults that are tried this time."""
        return [
            pytest.param(self, strike, fault, id=f"{self.name}-{strike}-{fault}")
            for strike in self.strikes
            if not hosts or strike.host in hosts
            for fault in self.faults
            if _ALL_OF_THEM or self.everyday(strike, fault)
        ]


#: Where a flow is hit in its middle only.
MIDDLE_OF_IT = tuple(fault for fault in Fault if fault not in (Fault.SLOW, Fault.REFUSING))

FIRST_CONTACT = Flow(
    "first-contact",
    "First contact: nobody knows anybody, the person is asked twice, the access server decides",
    "/reports",
    (
        Strike(AP, "metadata", "GET /.well-known/aauth-agent.json"),
        Strike(AP, "refresh", "POST /refresh"),
        Strike(GUARDED, "first-call", "GET /reports"),
        Strike(PS, "metadata", "GET /.well-known/aauth-person.json"),
        Strike(PS, "person-token", "POST /person-token"),
        Strike(PS, "poll-for-person-token", "GET /pending/*"),
        f"person {GUARDED}",
        Strike(GUARDED, "second-call", "GET /reports", 2),
        Strike(GUARDED, "metadata", "GET /.well-known/aauth-resource.json"),
        Strike(PS, "auth-token", "POST /auth-token"),
        Strike(AS, "metadata", "GET /.well-known/aauth-access.json"),
        Strike(AS, "auth-token", "POST /auth-token"),
        f"auth {GUARDED}",
        # The person server may have asked the access server while the person was at its page.
        Strike(PS, "poll-for-auth-token", "GET /pending/*", 2),
        Strike(GUARDED, "last-call", "GET /reports", 3),
    ),
    whole=True,
)

DEMANDS = Flow(
    "demand",
    "The access server asks for something before it decides",
    "/reports",
    (
        f"person {GUARDED}",
        Strike(AS, "given-claims", "POST /pending/*"),
        Strike(AS, "given-an-answer", "POST /pending/*"),
        Strike(AS, "polled-for-interaction", "GET /pending/*"),
        Strike(AS, "polled-for-approval", "GET /pending/*"),
        Strike(AS, "polled-for-payment", "GET /pending/*"),
        f"auth {GUARDED}",
    ),
    MIDDLE_OF_IT,
)

STEP_UP = Flow(
    "step-up",
    "A step-up: the agent holds an auth token and needs more scope",
    "/reports",
    (f"person {GUARDED}", Strike(AS, "auth-token", "POST /auth-token"), f"auth {GUARDED}"),
    MIDDLE_OF_IT,
    scope="reports.read reports.write",
    known=True,
)

SUB_AGENT = Flow(
    "sub-agent",
    "A sub-agent, through its parent",
    "/reports",
    (
        Strike(AP, "sub-agent", "POST /subagent"),
        Strike(PS, "person-token", "POST /person-token"),
        f"person {GUARDED}",
        Strike(AS, "auth-token", "POST /auth-token"),
        f"auth {GUARDED}",
    ),
    MIDDLE_OF_IT,
    known=True,
)

DENIAL = Flow(
    "denial",
    "The access server says no",
    "/reports",
    (
        f"person {GUARDED}",
        Strike(PS, "poll-for-auth-token", "GET /pending/*", 2),
        Strike(AS, "auth-token", "POST /auth-token"),
    ),
    MIDDLE_OF_IT,
    denied=True,
)

CHAIN = Flow(
    "chain",
    "A chain: an intermediary calls on with the person token it was shown, and its caller sends the person",
    f"/for-person/{GUARDED}",
    (
        Strike(MIDDLE, "first-call", f"GET /for-person/{GUARDED}"),
        f"person {MIDDLE}",
        Strike(MIDDLE, "call", f"GET /for-person/{GUARDED}", 2),
        Strike(GUARDED, "first-call", "GET /reports"),
        Strike(PS, "person-token-downstream", "POST /person-token", 2),
        Strike(MIDDLE, "agent-metadata", "GET /.well-known/aauth-agent.json"),
        Strike(MIDDLE, "keys", "GET /aauth/jwks.json"),
        Strike(MIDDLE, "poll", "GET /aauth/chained/*", asks_only=True),
        Strike(PS, "poll-for-person-token-downstream", "GET /pending/*", 2),
        f"person {GUARDED}",
        Strike(GUARDED, "second-call", "GET /reports", 2),
        Strike(GUARDED, "metadata", "GET /.well-known/aauth-resource.json"),
        Strike(PS, "auth-token-downstream", "POST /auth-token"),
        Strike(AS, "metadata", "GET /.well-known/aauth-access.json"),
        Strike(AS, "auth-token", "POST /auth-token"),
        f"auth {GUARDED}",
        Strike(PS, "poll-for-auth-token-downstream", "GET /pending/*", after="POST /auth-token"),
        Strike(GUARDED, "last-call", "GET /reports", 3),
    ),
)

CHAIN_OF_GRANTS = Flow(
    "chain-of-grants",
    "A chain: an intermediary calls on with the auth token it was shown, and the person server alone decides",
    f"/for-grant/{DIRECT}",
    (
        f"person {MIDDLE}",
        Strike(PS, "auth-token", "POST /auth-token"),
        f"auth {MIDDLE}",
        Strike(MIDDLE, "call", f"GET /for-grant/{DIRECT}", 3),
        Strike(DIRECT, "first-call", "GET /reports"),
        Strike(PS, "person-token-downstream", "POST /person-token", 2),
        Strike(MIDDLE, "poll", "GET /aauth/chained/*", asks_only=True),
        f"person {DIRECT}",
        Strike(DIRECT, "second-call", "GET /reports", 2),
        Strike(PS, "auth-token-downstream", "POST /auth-token", 2),
        f"auth {DIRECT}",
        Strike(DIRECT, "last-call", "GET /reports", 3),
    ),
    resource=DIRECT,
)

CHAIN_DENIED = Flow(
    "chain-denied",
    "The person does not let an intermediary call on",
    f"/for-person/{GUARDED}",
    (
        f"person {MIDDLE}",
        Strike(PS, "person-token-downstream", "POST /person-token"),
        Strike(MIDDLE, "poll", "GET /aauth/chained/*", asks_only=True),
        Strike(PS, "poll-for-person-token-downstream", "GET /pending/*"),
    ),
    MIDDLE_OF_IT,
    denied=True,
)

_TOLD = (
    Strike(AS, "told", "POST /revocation"),
    Strike(GUARDED, "told", "POST /aauth/revoke"),
    Strike(DIRECT, "told", "POST /aauth/revoke"),
    Strike(MIDDLE, "told", "POST /aauth/revoke"),
)
_EVERYTHING = tuple(f"{kind} {name}" for kind in ("person", "auth") for name in (GUARDED, DIRECT, MIDDLE))

DISCONNECTED = Flow(
    "disconnected",
    "A person disconnects an agent that has access everywhere, also by way of an intermediary",
    "/reports",
    (*_EVERYTHING, *_TOLD),
    MIDDLE_OF_IT,
)

ENROLMENT_REVOKED = Flow(
    "enrolment-revoked",
    "An agent provider revokes an agent that has access everywhere, also by way of an intermediary",
    "/reports",
    (*_EVERYTHING, Strike(PS, "told", "POST /revocation"), *_TOLD[:2]),
    MIDDLE_OF_IT,
)

GRANTS_WITHDRAWN = Flow(
    "grants-withdrawn",
    "An access server takes back what it granted",
    "/reports",
    (*_EVERYTHING, _TOLD[1]),
    MIDDLE_OF_IT,
)

FLOWS = (FIRST_CONTACT, DEMANDS, STEP_UP, SUB_AGENT, DENIAL, CHAIN, CHAIN_OF_GRANTS, CHAIN_DENIED)
REVOCATIONS = (DISCONNECTED, ENROLMENT_REVOKED, GRANTS_WITHDRAWN)


def promises() -> dict[str, dict[str, dict[str, str]]]:
    """How each cell ends: by flow, strike and fault; more than one end where a race decides, with bars between them."""
    return tomllib.loads(PROMISES.read_text(encoding="utf-8"))


__all__ = [
    "CHAIN",
    "CHAIN_DENIED",
    "CHAIN_OF_GRANTS",
    "DEMANDS",
    "DENIAL",
    "DISCONNECTED",
    "ENROLMENT_REVOKED",
    "FIRST_CONTACT",
    "FLOWS",
    "GRANTS_WITHDRAWN",
    "MIDDLE_OF_IT",
    "REVOCATIONS",
    "STEP_UP",
    "SUB_AGENT",
    "Flow",
    "Strike",
    "promises",
]
