"""The matrix for people: docs/failures.md, made of the promises that the tests hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .flows import FLOWS, REVOCATIONS, Flow, promises
from .hosts import Fault
from .town import AP, AS, DIRECT, GUARDED, MIDDLE, PS

DOCUMENT = Path(__file__).resolve().parent.parent.parent / "docs" / "failures.md"

_SERVERS = {
    AP: "agent provider",
    PS: "person server",
    AS: "access server",
    GUARDED: "resource",
    DIRECT: "resource",
    MIDDLE: "intermediary",
}
_FAULTS = {
    Fault.SLOW: "takes seconds, and its answer comes in crumbs",
    Fault.LATE: "does what was asked, and answers when nobody listens any more",
    Fault.RESTARTED: "is stopped, and another process on its database answers from this request on",
    Fault.KILLED: "dies with the request unanswered, and is back for the next",
    Fault.ROTATED: "signs with a new key from this request on, without having announced it",
    Fault.FROZEN: "accepts connections and answers nothing, until further notice",
    Fault.DOWN: "refuses connections, until further notice",
    Fault.GARBAGE: "answers what nobody can read, until further notice",
    Fault.REFUSING: "answers a plain `500`, until further notice",
    Fault.AHEAD: "has a clock that is seven minutes ahead, until further notice",
    Fault.BEHIND: "has a clock that is seven minutes behind, until further notice",
}
_ENDS = {
    "served": "The request is answered as if nothing had happened.",
    "unreachable": "The agent is told which server it could not reach (`TransportError`).",
    "no agent token": "The agent provider gave no agent token that could be used (`EnrolmentFailed`).",
    "signature refused": (
        "A server refuses the signature or its token and says why; the agent could not mend it (`RequestRefused`)."
    ),
    "challenge refused": (
        "What a server answered is not to be trusted or not to be read; nothing is done on its word "
        "(`ChallengeInvalid`)."
    ),
    "no progress": "A server asks again for what it was given (`NoProgress`).",
    "told at once": "Whoever ends the access hears that everybody concerned knows.",
    "told later": (
        "Whoever ends the access hears who could not be told. They are told when they are back; until then they may "
        "honour what they hold, and nobody issues anything new."
    ),
}
_CODE = "The agent is given this error of the protocol."
_ANSWER = "The application gets this status, and the body, from the resource it called: they are its own to read."

_HEAD = """# What happens when a server fails

Written by `make docs` from the tests in [tests/failures](../tests/failures); do not edit. `make check` fails when it is
out of date.

Each flow is carried out between real servers over HTTP, each on a database of its own, and one of them fails at one
request. A table says how the flow ends for whoever began it, by the request at which the failure begins (rows) and by
what it is (columns). Whatever the end, the tests hold for every cell:

- Nothing is issued that should not be: what all servers have written down as issued agrees, stays within what was asked
  and allowed, and does not outlive what it hangs on. A server that is of no use from a request on leaves nothing behind
  that needed it.
- No server takes the failure of another for its own, and none answers with an error that is no answer of the protocol.
- A minute and a half after everything works again, the same agent is served at its next call, without a restart.
- A no stays a no. Access that ended stays ended: every server is then killed and started again, everybody is told who
  could not be told before, and a copy of an old token is refused with `revoked_jwt`.

Where a race decides, a cell names every end.
"""


def render() -> str:
    """The document."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    promised = promises()
    yield _HEAD
    yield "| failure | the server |"
    yield "|---|---|"
    for fault, text in _FAULTS.items():
        yield f"| {fault} | {text} |"
    ends = sorted(
        {end for flow in promised.values() for row in flow.values() for cell in row.values() for end in cell.split("|")}
    )
    yield ""
    yield "| end | what it means |"
    yield "|---|---|"
    for end in ends:
        yield f"| {_shown(end)} | {_ENDS.get(end) or (_ANSWER if end.startswith('answer') else _CODE)} |"
    for flow in (*FLOWS, *REVOCATIONS):
        yield from _table(flow, promised.get(flow.name, {}))


def _table(flow: Flow, rows: dict[str, dict[str, str]]) -> Iterator[str]:
    yield ""
    yield f"## {flow.title}"
    yield ""
    yield "| request | " + " | ".join(flow.faults) + " |"
    yield "|---|" + "---|" * len(flow.faults)
    for strike in flow.strikes:
        cells = [" or ".join(map(_shown, rows[str(strike)][fault].split("|"))) for fault in flow.faults]
        yield f"| {_SERVERS[strike.host]}: {strike.what.replace('-', ' ')} | " + " | ".join(cells) + " |"


def _shown(end: str) -> str:
    return f"`{end}`" if "_" in end or end in ("gone", "denied", "expired", "revoked") else end


__all__ = ["DOCUMENT", "render"]
