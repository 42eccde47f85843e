"""What approvers are asked, and how an approval answers for a request (#approval-pending, #as-decision-logic).

An approval is about what is asked, for whom, and what was said of it; the same made anew finds it. It counts for the
version of the policy that demanded it, and for the very approvers that one names.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..store.access_approval_records import AccessApproval, AccessOpening
from ..store.access_records import DecisionRecord, Learned
from ..store.rows import key_of
from .asked import Asked
from .decisions import NeedApproval, Verdict
from .facts import Facts

__all__ = ["asked_of", "holds", "learned_of", "opening_of", "record_of"]


def opening_of(asked: Asked, learned: Learned, facts: Facts, verdict: Verdict, *, new_id: str) -> AccessOpening:
    """The approval that `verdict` demands of this request; `verdict.decision` is a `NeedApproval`."""
    assert isinstance(verdict.decision, NeedApproval)
    return AccessOpening(
        id=new_id,
        key=_key(asked, facts),
        ps=asked.ps,
        resource=asked.resource,
        sub=asked.sub,
        tenant_key=key_of(asked.ps, asked.tenant) if asked.tenant is not None else None,
        subject=facts.bound_user,
        shown={"asked": asked.to_request(), "learned": msgspec.to_builtins(learned)},
        approvers=verdict.decision.asked,
        version=verdict.version,
        rule=verdict.rule,
    )


def holds(approval: AccessApproval, opening: AccessOpening) -> bool:
    """Whether what was decided is what is demanded now."""
    return (approval.version, approval.approvers) == (opening.version, opening.approvers)


def asked_of(approval: AccessApproval) -> Asked:
    """What is asked."""
    return Asked.of(approval.shown["asked"])


def learned_of(approval: AccessApproval) -> Learned:
    """What was learned of it; nothing once it is decided."""
    return msgspec.convert(approval.shown.get("learned", {}), Learned)


def record_of(approval: AccessApproval, decision: str, *, at: float, by: str, reason: str = "") -> DecisionRecord:
    """What somebody decided, for the log."""
    asked = asked_of(approval)
    return DecisionRecord(
        at=at,
        ps=asked.ps,
        agent=asked.sub_agent or asked.agent,
        resource=asked.resource,
        sub=asked.sub,
        scope=" ".join(asked.scope),
        decision=decision,
        reason=reason,
        rule=approval.rule,
        version=approval.version,
        decided_by=by[:64],
    )


def _key(asked: Asked, facts: Facts) -> str:
    """Equal for two requests that approvers could not tell apart."""
    said: list[Any] = [sorted(facts.scope), sorted(facts.claims.items(), key=str), sorted(facts.answers.items())]
    return key_of(
        asked.ps,
        asked.provider,
        asked.agent,
        asked.sub_agent,
        asked.resource,
        asked.sub,
        asked.account,
        asked.tenant,
        asked.mission_s256,
        facts.bound_user,
        "chained" if facts.chained else "direct",
        msgspec.json.encode(said, order="deterministic").decode(),
    )
