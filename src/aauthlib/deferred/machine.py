"""The deferred-response state machine (#deferred-responses), as two tables that both sides obey.

Rules for whoever edits this file:

1. `TRANSITIONS` is the whole truth about a pending request at a server. A state changes only through `transition`,
   inside the transaction that records why.
2. Every waiting state is answered with `202`; every terminal state is answered once and then leads to `DELIVERED` or is
   gone. Only a grant can be DELIVERed, so that what was granted cannot reach the agent once it was revoked; errors are
   REPORTed. What a state looks like on the wire stands in `WIRE_STATUS` and `WIRE_ERRORS`, nowhere else.
3. `INITIAL` and `POLLING` say what a client does with each status code of the spec's diagram. A status that is not in
   the table ends the exchange with an error.
4. Nothing here knows a role, a token, a clock or a socket.

                               ASK   GRANT, DENY, ABANDON, EXPIRE, REVOKE, REJECT_CODE, FAIL
    PENDING ─ARRIVE→ INTERACTING ⇄ CLARIFYING ──────────────────────────────→ terminal ─DELIVER, REPORT→ DELIVERED
       └───────────────┴───────────────┴──CANCEL→ CANCELLED                                 (410 from now on)
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from ..errors import (
    AAuthError,
    Abandoned,
    Denied,
    Expired,
    Gone,
    InvalidCode,
    ProblemError,
    Revoked,
    ServerError,
)

__all__ = [
    "INITIAL",
    "POLLING",
    "TERMINAL",
    "TRANSITIONS",
    "WAITING",
    "WIRE_ERRORS",
    "WIRE_STATUS",
    "Action",
    "Event",
    "IllegalTransition",
    "State",
    "transition",
]


class State(StrEnum):
    """Where a pending request stands."""

    PENDING = "pending"
    INTERACTING = "interacting"
    CLARIFYING = "clarifying"
    GRANTED = "granted"
    DENIED = "denied"
    ABANDONED = "abandoned"
    EXPIRED = "expired"
    REVOKED = "revoked"
    INVALID_CODE = "invalid_code"
    FAILED = "failed"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


class Event(StrEnum):
    """What can happen to a pending request."""

    ARRIVE = "arrive"
    """The person arrived with a valid code."""
    ASK = "ask"
    """The person asks the agent a question."""
    ANSWER = "answer"
    GRANT = "grant"
    DENY = "deny"
    ABANDON = "abandon"
    EXPIRE = "expire"
    REVOKE = "revoke"
    REJECT_CODE = "reject_code"
    """Too many wrong codes were tried."""
    FAIL = "fail"
    CANCEL = "cancel"
    """The agent withdrew its request (DELETE)."""
    DELIVER = "deliver"
    """What was granted was given to the agent."""
    REPORT = "report"
    """The error it ended with was given to the agent."""


_ENDS: Mapping[Event, State] = {
    Event.GRANT: State.GRANTED,
    Event.DENY: State.DENIED,
    Event.ABANDON: State.ABANDONED,
    Event.EXPIRE: State.EXPIRED,
    Event.REVOKE: State.REVOKED,
    Event.REJECT_CODE: State.INVALID_CODE,
    Event.FAIL: State.FAILED,
    Event.CANCEL: State.CANCELLED,
}

TRANSITIONS: Mapping[State, Mapping[Event, State]] = {
    # Nobody asks before somebody has arrived, so an answered question always finds the person there.
    State.PENDING: {Event.ARRIVE: State.INTERACTING, **_ENDS},
    State.INTERACTING: {Event.ARRIVE: State.INTERACTING, Event.ASK: State.CLARIFYING, **_ENDS},
    State.CLARIFYING: {Event.ARRIVE: State.CLARIFYING, Event.ANSWER: State.INTERACTING, **_ENDS},
    # A decision that was made but not fetched yet can still be revoked, time out or be withdrawn.
    State.GRANTED: {
        Event.DELIVER: State.DELIVERED,
        # Making the answer failed: the role had a reason to refuse that the decision did not know.
        Event.REPORT: State.DELIVERED,
        Event.EXPIRE: State.EXPIRED,
        Event.REVOKE: State.REVOKED,
        Event.FAIL: State.FAILED,
        Event.CANCEL: State.CANCELLED,
    },
    State.DENIED: {Event.REPORT: State.DELIVERED},
    State.ABANDONED: {Event.REPORT: State.DELIVERED},
    State.EXPIRED: {Event.REPORT: State.DELIVERED},
    State.REVOKED: {Event.REPORT: State.DELIVERED},
    State.INVALID_CODE: {Event.REPORT: State.DELIVERED},
    State.FAILED: {Event.REPORT: State.DELIVERED},
    State.DELIVERED: {},
    State.CANCELLED: {},
}

WAITING = frozenset({State.PENDING, State.INTERACTING, State.CLARIFYING})
TERMINAL = frozenset(State) - WAITING

#: The `status` member of a `202` body. Agents treat what they do not know as pending (#pending-response).
WIRE_STATUS: Mapping[State, str] = {
    State.PENDING: "pending",
    State.INTERACTING: "interacting",
    State.CLARIFYING: "pending",
}

#: The error a terminal state is answered with; GRANTED is answered with the result.
WIRE_ERRORS: Mapping[State, type[ProblemError]] = {
    State.DENIED: Denied,
    State.ABANDONED: Abandoned,
    State.EXPIRED: Expired,
    State.REVOKED: Revoked,
    State.INVALID_CODE: InvalidCode,
    State.FAILED: ServerError,
    State.DELIVERED: Gone,
    State.CANCELLED: Gone,
}


class IllegalTransition(AAuthError):
    """An event that cannot happen in this state; the text has both names."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"A pending request that is {state} cannot {event}.")
        self.state = state
        self.event = event


def transition(state: State, event: Event) -> State:
    """The state after `event`. Raises `IllegalTransition`."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalTransition(state, event) from None


class Action(StrEnum):
    """What a client does next."""

    DONE = "done"
    """Process the response; polling is over."""
    POLL = "poll"
    """Poll the `Location` URL."""
    SLOW_DOWN = "slow down"
    """Add five seconds to the interval, then poll."""
    BACK_OFF = "back off"
    """Wait for `Retry-After`, then try the same again."""
    SETTLE = "settle"
    """Payment is required: settle it, then poll the `Location` URL."""
    CHALLENGE = "challenge"
    """Credentials are missing or wrong: the challenge loop decides."""
    FAIL = "fail"
    """The exchange is over; the response says why."""


#: By the status of the initial response.
INITIAL: Mapping[int, Action] = {
    200: Action.DONE,
    202: Action.POLL,
    400: Action.FAIL,
    401: Action.CHALLENGE,
    402: Action.SETTLE,
    500: Action.FAIL,
    502: Action.FAIL,
    503: Action.BACK_OFF,
}

#: By the status of a poll.
POLLING: Mapping[int, Action] = {
    200: Action.DONE,
    202: Action.POLL,
    401: Action.CHALLENGE,
    402: Action.SETTLE,
    403: Action.FAIL,
    408: Action.FAIL,
    410: Action.FAIL,
    429: Action.SLOW_DOWN,
    500: Action.FAIL,
    502: Action.FAIL,
    503: Action.BACK_OFF,
}
