"""Trying a cell of the matrix: how it ends, and what must be true afterwards whatever came of it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from aauthlib.agent import ChallengeInvalid, EnrolmentFailed, NoProgress, RequestRefused
from aauthlib.discovery import TransportError
from aauthlib.errors import AAuthError, AsUnreachable

from .flows import Flow, Strike, promises
from .hosts import Fault
from .ledger import Ledger, read_ledger
from .town import ALICE, AS, GUARDED, MIDDLE, PS, Town

#: The request of the application was served.
SERVED = "served"
#: With these nothing the server is needed for happens from the strike on.
USELESS = frozenset({Fault.FROZEN, Fault.DOWN, Fault.GARBAGE, Fault.REFUSING})
_ENDS: tuple[tuple[type[AAuthError], str], ...] = (
    (TransportError, "unreachable"),
    (ChallengeInvalid, "challenge refused"),
    (EnrolmentFailed, "no agent token"),
    (RequestRefused, "signature refused"),
    (NoProgress, "no progress"),
)

Call = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: served, another answer of the resource, or an error."""

    served: bool
    status: int | None = None
    error: AAuthError | None = None
    said: str = ""
    """The error that the answer names."""

    @property
    def end(self) -> str:
        """The word for it."""
        if self.served:
            return SERVED
        if self.error is None:
            return f"answer {self.status}"
        code = getattr(self.error, "code", type(self.error).__name__)
        return next((end for kind, end in _ENDS if isinstance(self.error, kind)), code)

    def __str__(self) -> str:
        return f"{self.end} ({self.error})" if self.error is not None else self.end


async def attempt(call: Any) -> Outcome:
    """Make the call. Whatever is no error of this library's is a defect, and raised."""
    try:
        response = await call
    except AAuthError as error:
        return Outcome(False, None, error)
    problem = "problem+json" in response.headers.get("content-type", "")
    said = response.json()["error"] if problem else ""
    return Outcome(response.status_code == 200 and response.text == "the reports", response.status_code, said=said)


@cache
def _promised() -> dict[str, dict[str, dict[str, str]]]:
    return promises()


async def survives(town: Town, flow: Flow, strike: Strike, fault: Fault, call: Call) -> Outcome:
    """`fault` strikes in the middle of `call`: it ends as promised, and nothing is issued that should not be.

    Once everything works again, for a minute and a half, the same call ends as if nothing had happened. Returns that
    second outcome.
    """
    before = await read_ledger(town)
    for each in town.hosts.values():
        each.steps.clear()
    host = town.hosts[strike.host]
    host.fault, host.at = fault, strike
    outcome = await attempt(call())
    assert host.struck, "the fault never happened"
    check_end(outcome.end, flow, strike, fault)
    if strike.host == AS and isinstance(outcome.error, AsUnreachable):
        assert outcome.error.status == 502
    issued = (await read_ledger(town)).since(before)
    check_books(town, flow, issued, outcome)
    if fault in USELESS and not outcome.served:
        assert issued.kinds <= flow.before(strike), "a server that is of no use was not needed for this"
    _check_servers(town)
    await town.heal()
    again = await attempt(call())
    if not flow.denied:
        assert again.served, f"{again}, although everything works again"
    check_books(town, flow, (await read_ledger(town)).since(before), again)
    return again


def check_end(end: str, flow: Flow, strike: Strike, fault: Fault) -> None:
    """It is the end that was promised.

    With `FAILURES_NOTES` in the environment, ends are written to that file instead: so the table is written anew.
    """
    if (notes := os.environ.get("FAILURES_NOTES")) is not None:
        with open(notes, "a", encoding="utf-8") as file:
            file.write(f"{flow.name}\t{strike}\t{fault}\t{end}\n")
        return
    promised = _promised().get(flow.name, {}).get(str(strike), {}).get(fault, "")
    assert end in promised.split("|"), f"it ended as {end!r}, and promised was {promised or 'nothing'!r}"


def check_books(town: Town, flow: Flow, issued: Ledger, outcome: Outcome) -> None:
    """Nothing was issued that should not have been, and the servers' books agree."""
    allowed = set(flow.scope.split())
    assert issued.kinds <= flow.milestones
    assert {row["person_id"] for row in issued.vouched} <= {ALICE}
    own = town.agent_name
    assert all(
        row["agent"] == own or row["agent"].startswith(own.replace("@", "+", 1)[: own.index("@") + 1])
        for row in issued.agents
    ), "somebody else got an agent token"
    person_tokens = {row["jti"]: row for row in issued.vouched}
    shown = [row for row in issued.vouched_before + issued.vouched if row["aud"] == town.hosts[MIDDLE].issuer]
    for row in issued.vouched:
        assert set((row["scope"] or "").split()) <= allowed
        if row["aud"] == town.hosts[MIDDLE].issuer or MIDDLE not in {kind.split()[1] for kind in flow.milestones}:
            assert row["agent_sub"] == own
            assert row["upstream_key"] is None
        else:
            # Down the chain: issued to the intermediary, for its caller, and over when the caller's token is.
            assert row["agent_sub"] == town.intermediary.agent
            assert row["upstream_key"] is not None
            assert row["root_sub"] == own
            assert row["exp"] <= max(upstream["exp"] for upstream in shown)
    for row in issued.granted:
        assert row["ps"] == town.hosts[PS].issuer
        assert row["aud"] == town.hosts[GUARDED].issuer
        root = person_tokens.get(row["root_jti"]) or issued.known[row["root_jti"]]
        assert (row["aud"], row["sub"]) == (root["aud"], root["sub"])
        assert set(row["scope"].split()) <= allowed
        assert row["exp"] <= row["root_exp"] == root["exp"]
    granted = {row["jti"]: row for row in issued.granted}
    for row in issued.handed:
        assert (row["person_id"], row["aud"]) == (ALICE, granted[row["jti"]]["aud"])
        assert row["exp"] == granted[row["jti"]]["exp"]
    if outcome.served:
        assert f"auth {flow.resource}" in issued.kinds, "a resource served what nobody has a record of"
        assert issued.handed or flow.resource != GUARDED


def _check_servers(town: Town) -> None:
    """No server broke: what went wrong elsewhere is said as what it is, never as an error of one's own.

    An intermediary is an application: it passes on what it was answered, and says of what it could not use that this
    made it fail.
    """
    for host in town.hosts.values():
        for step in host.steps:
            if host.name == MIDDLE and step.status == 500:
                continue
            assert step.code != "server_error", (host.name, step)
            assert step.status < 500 or step.code in ("as_unreachable", "temporarily_unavailable"), (host.name, step)


__all__ = ["SERVED", "USELESS", "Outcome", "attempt", "check_books", "check_end", "survives"]
