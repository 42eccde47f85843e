"""How a request ended, and where the browser goes then (#interaction-callback-errors)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..deferred.callbacks import CALLBACK_ERRORS, with_parameters
from ..deferred.machine import State
from ..deferred.pending import Pending
from ..store.approval_records import BecauseOf
from ..store.person_records import PersonRequest

__all__ = ["approval_of", "callback_of", "decided_by", "outcome_of"]


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


def decided_by(decision: Mapping[str, Any]) -> BecauseOf | None:
    """The policy under which a request was decided, where there was one."""
    version = decision.get("policy")
    if not version or "rule" not in decision:
        return None  # It was nobody's but the person's to decide.
    return BecauseOf(version=str(version), rule=str(decision.get("rule", "")), approval=decision.get("approval"))


def approval_of(request: PersonRequest) -> str | None:
    """What others than the person decide, or decided, about a request."""
    return request.approval or request.pending.decision.get("approval")
