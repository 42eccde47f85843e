"""How an approval goes on, as a table of plain values (#approval-pending). Knows no SQL and no clock.

An approval is given when every step of its course was taken, and refused by the first no. Time is not waited for: what
a deadline leads to (`policies.approvers.passed`) is found whenever somebody looks, and dated to when it passed.

    WAITING ─APPROVE→ APPROVED ─WITHDRAW→ WITHDRAWN
       ├─DENY→ DENIED
       ├─TIME_OUT→ EXPIRED
       └─WITHDRAW→ WITHDRAWN
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from ..errors import AAuthError

__all__ = [
    "APPROVAL_TRANSITIONS",
    "ApprovalEvent",
    "ApprovalState",
    "IllegalApproval",
    "after",
]


class ApprovalState(StrEnum):
    """Where an approval stands."""

    WAITING = "waiting"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    """The person, or the end of what it hangs on, took the request back."""


class ApprovalEvent(StrEnum):
    """What can happen to an approval."""

    APPROVE = "approve"
    DENY = "deny"
    TIME_OUT = "time out"
    WITHDRAW = "withdraw"


APPROVAL_TRANSITIONS: Mapping[ApprovalState, Mapping[ApprovalEvent, ApprovalState]] = {
    ApprovalState.WAITING: {
        ApprovalEvent.APPROVE: ApprovalState.APPROVED,
        ApprovalEvent.DENY: ApprovalState.DENIED,
        ApprovalEvent.TIME_OUT: ApprovalState.EXPIRED,
        ApprovalEvent.WITHDRAW: ApprovalState.WITHDRAWN,
    },
    ApprovalState.APPROVED: {ApprovalEvent.WITHDRAW: ApprovalState.WITHDRAWN},
    ApprovalState.DENIED: {},
    ApprovalState.EXPIRED: {},
    ApprovalState.WITHDRAWN: {},
}


class IllegalApproval(AAuthError):
    """An event that cannot happen in this state; the text has both names."""

    def __init__(self, state: ApprovalState, event: ApprovalEvent) -> None:
        super().__init__(f"An approval that is {state} cannot {event}.")


def after(state: ApprovalState, event: ApprovalEvent) -> ApprovalState:
    """The state after `event`. Raises `IllegalApproval`."""
    try:
        return APPROVAL_TRANSITIONS[state][event]
    except KeyError:
        raise IllegalApproval(state, event) from None
