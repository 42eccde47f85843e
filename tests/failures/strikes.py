"""Where a fault strikes, what may come of it, and what must be true afterwards whatever came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aauthlib.agent import ChallengeInvalid, EnrolmentFailed, RequestRefused
from aauthlib.discovery import TransportError
from aauthlib.errors import (
    AAuthError,
    AsUnreachable,
    ExpiredResourceToken,
    Gone,
    InvalidResourceToken,
    ServerError,
    TokenClockSkew,
)

from .hosts import UNNOTICED, Fault
from .town import ALICE, AP, AS, PS, Town

#: The request of the application was served.
SERVED = "served"

# A resource whose keys cannot be had is one whose token does not verify, wherever that is found out.
_GONE_SILENT = (TransportError, Gone, ChallengeInvalid, InvalidResourceToken)
_UNREADABLE = (TransportError, ChallengeInvalid, EnrolmentFailed, ServerError, InvalidResourceToken)
_WRONG_TIME = (RequestRefused, TokenClockSkew, ExpiredResourceToken, ChallengeInvalid, EnrolmentFailed)
#: What the agent may be told, by what happened to a server it speaks to itself.
_ERRORS: dict[Fault, tuple[type[AAuthError], ...]] = {
    Fault.ROTATED: (ChallengeInvalid,),
    Fault.LATE: _GONE_SILENT,
    Fault.KILLED: _GONE_SILENT,
    Fault.FROZEN: _GONE_SILENT,
    Fault.DOWN: _GONE_SILENT,
    Fault.GARBAGE: _UNREADABLE,
    Fault.REFUSING: _UNREADABLE,
    Fault.AHEAD: _WRONG_TIME,
    Fault.BEHIND: _WRONG_TIME,
}
#: With these nothing the server was needed for can have happened.
_USELESS = frozenset({Fault.FROZEN, Fault.DOWN, Fault.GARBAGE, Fault.REFUSING})


@dataclass(frozen=True, slots=True)
class Strike:
    """One request of a flow: the `count`-th one that `host` gets of this kind."""

    host: str
    what: str
    request: str
    count: int = 1

    def __str__(self) -> str:
        return f"{self.host}-{self.what}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: served, another answer of the resource, or an error."""

    served: bool
    status: int | None = None
    error: AAuthError | None = None

    def __str__(self) -> str:
        return SERVED if self.served else repr(self.error) if self.error is not None else f"status {self.status}"


async def attempt(call: Any) -> Outcome:
    """Make the call. Whatever is no error of this library's is a defect, and raised."""
    try:
        response = await call
    except AAuthError as error:
        return Outcome(False, None, error)
    return Outcome(response.status_code == 200 and response.text == "the reports", response.status_code)


def set_up(town: Town, strike: Strike, fault: Fault) -> None:
    """From here on the fault waits for its request."""
    for host in town.hosts.values():
        host.steps.clear()
    host = town.hosts[strike.host]
    host.fault, host.at = fault, (strike.request, strike.count)


def check_outcome(outcome: Outcome, strike: Strike, fault: Fault, *, known: bool = False) -> None:
    """The right error or success, for whoever asked.

    `known`: whoever asks looked at the server's keys within the last minute, so may not look again (#jwks-discovery).
    """
    if fault in UNNOTICED and not (known and fault is Fault.ROTATED):
        assert outcome.served, outcome
        return
    if outcome.served:
        assert fault not in _USELESS, "the server could not have been asked"
        return
    if outcome.error is None:
        # What the resource itself answers is the application's to read; it is never taken for the protocol's.
        assert strike.host not in (AP, PS, AS), outcome
        return
    if strike.host == AS:
        if fault is Fault.LATE and outcome.error.code == "gone":
            return  # It has given its final answer, to nobody.
        assert isinstance(outcome.error, AsUnreachable), outcome
        assert outcome.error.status == 502
        return
    assert isinstance(outcome.error, _ERRORS[fault]), outcome


async def check_books(town: Town, outcome: Outcome, *, scope: str, since: float) -> None:
    """Nothing was issued that should not have been, and both servers' books agree."""
    since -= 1000.0  # Some of it was dated by a wrong clock.
    mine = [row for row in await town.issued_by_access_server() if row["issued_at"] >= since]
    handed = [row for row in await town.handed_out() if row["issued_at"] >= since]
    vouched = [row for row in await town.issued_by_person_server() if row["issued_at"] >= since]
    assert {row["person_id"] for row in vouched} <= {ALICE}
    person_tokens = {row["jti"]: row for row in vouched}
    for row in mine:
        assert row["ps"] == town.hosts[PS].issuer
        root = person_tokens[row["root_jti"]]
        assert (row["aud"], row["sub"]) == (root["aud"], root["sub"])
        assert set(row["scope"].split()) <= set(scope.split())
        assert row["exp"] <= row["root_exp"] == root["exp"]
    issued = {row["jti"]: row for row in mine}
    for row in handed:
        assert (row["person_id"], row["aud"]) == (ALICE, issued[row["jti"]]["aud"])
        assert row["exp"] == issued[row["jti"]]["exp"]
    if outcome.served:
        assert handed, "a resource served what nobody has a record of"


def check_servers(town: Town) -> None:
    """No server broke: what went wrong elsewhere is said as what it is, never as an error of one's own."""
    for host in town.hosts.values():
        for step in host.steps:
            assert step.code != "server_error", (host.name, step)
            assert step.status < 500 or step.code in ("as_unreachable", "temporarily_unavailable"), (host.name, step)


__all__ = ["SERVED", "Outcome", "Strike", "attempt", "check_books", "check_outcome", "check_servers", "set_up"]
