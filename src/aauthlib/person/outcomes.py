"""How a request ended, and where the browser goes then (#interaction-callback-errors)."""

from __future__ import annotations

from ..deferred.machine import State
from ..deferred.pending import Pending
from ..store.person_records import PersonRequest
from .callbacks import CALLBACK_ERRORS, with_parameters

__all__ = ["callback_of", "outcome_of"]


def outcome_of(pending: Pending) -> State | None:
    """How a request ended; of a delivered one that stands in its decision."""
    if pending.waiting:
        return None
    if pending.state is not State.DELIVERED:
        return pending.state
    if "granted_by" in pending.decision:
        return State.GRANTED
    ends = {"deny": State.DENIED, "abandon": State.ABANDONED, "expire": State.EXPIRED, "fail": State.FAILED}
    return ends.get(str(pending.decision.get("event")))


def callback_of(request: PersonRequest) -> str | None:
    """The callback for the state the request is in."""
    if request.callback is None:
        return None
    error = CALLBACK_ERRORS.get(outcome_of(request.pending) or State.DELIVERED)
    return with_parameters(request.callback, error=error) if error else request.callback
