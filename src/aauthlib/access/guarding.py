"""What no policy may get wrong, whoever wrote it (#as-response). Knows no server: `aauth policy test` uses it too.

The granted scope lies within what was asked, an identity scope is not granted without having asked for its claims, and
a demand that was met is not made for ever.
"""

from __future__ import annotations

from dataclasses import replace

from ..messages.identity_scopes import IDENTITY_SCOPES
from .decisions import (
    Allow,
    AskClaims,
    AskQuestion,
    Decision,
    Deny,
    Narrow,
    NeedApproval,
    NeedInteraction,
    NeedPayment,
    Verdict,
)
from .facts import Facts

__all__ = ["guarded", "within_means"]

_AGAIN = "What this access server asked for was given, and does not suffice."


def guarded(facts: Facts, verdict: Verdict) -> Verdict:
    """The verdict, or the one that must stand in its place."""
    decision = verdict.decision
    granted: tuple[str, ...] | None = None
    if isinstance(decision, Allow):
        granted = facts.scope
    elif isinstance(decision, Narrow):
        granted = tuple(value for value in facts.scope if value in decision.scope)
        decision = Narrow(granted) if granted else Deny("Nothing of what was asked for is allowed.")
    if granted:
        claims = [name for value in granted for name in IDENTITY_SCOPES.get(value, ())]
        missing = tuple(dict.fromkeys(name for name in claims if name not in facts.claims_asked))
        if missing:
            decision = AskClaims(missing)
    return replace(verdict, decision=Deny(_AGAIN) if _was_met(facts, decision) else decision)


def within_means(verdict: Verdict, *, interactive: bool, payable: bool) -> Verdict:
    """The verdict, or a denial where it demands what a server cannot take: a sign-in, or a payment."""
    match verdict.decision:
        case NeedInteraction() if not interactive:
            why = "The policy wants the person to sign in here, and nobody can sign in at this access server."
        case NeedPayment() if not payable:
            why = "The policy wants a payment, and this access server takes none."
        case _:
            return verdict
    return replace(verdict, decision=Deny(why))


def _was_met(facts: Facts, decision: Decision) -> bool:
    match decision:
        case AskClaims(claims):
            return bool(set(claims) & set(facts.claims_asked))
        case AskQuestion(question):
            return question in facts.answers
        case NeedInteraction():
            return facts.bound_user is not None
        case NeedApproval():
            return facts.approved_by is not None
        case NeedPayment():
            return facts.paid
    return False
