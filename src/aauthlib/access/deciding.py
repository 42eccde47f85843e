"""Asking the policy, and what each decision leads to (#as-response, #as-decision-logic).

One place turns a decision into what follows: a grant, an end, or what the request waits for. It sees to what no policy
may get wrong: the granted scope lies within what was asked, an identity scope is not granted without having asked for
its claims, and a demand that was met is not made for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..deferred.machine import Event
from ..messages.identity_scopes import IDENTITY_SCOPES
from ..messages.requirement import APPROVAL, CLAIMS, CLARIFICATION, INTERACTION
from ..store.access_records import DecisionRecord, Learned
from .asked import Asked
from .core import AccessServerCore
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
    name_of,
)
from .facts import Facts

__all__ = ["PAYMENT", "Outcome", "evaluate", "known_user"]

#: In place of a requirement value: what is answered with `402`.
PAYMENT = "payment"
_MAX_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What follows from a decision."""

    event: Event | None = None
    """`GRANT` or `DENY` when the request ends with it."""
    scope: tuple[str, ...] = ()
    detail: str = ""
    requirement: str | None = None
    terms: Mapping[str, Any] = field(default_factory=dict)
    log: DecisionRecord


async def evaluate(server: AccessServerCore, asked: Asked, learned: Learned) -> Outcome:
    """Ask the policy about `asked`, with what was learned since."""
    facts = await _facts(server, asked, learned)
    verdict = _guarded(server, facts, await server.decider.decide(facts))
    if server.on_decision is not None:
        server.on_decision(facts, verdict)
    decision = verdict.decision
    log = _record(server, asked, verdict)
    match decision:
        case Allow():
            return Outcome(event=Event.GRANT, scope=asked.scope, log=log)
        case Narrow(scope):
            return Outcome(event=Event.GRANT, scope=scope, log=log)
        case Deny(reason):
            return Outcome(event=Event.DENY, detail=reason[:_MAX_REASON], log=log)
        case AskClaims(claims):
            return Outcome(requirement=CLAIMS, terms={"claims": list(claims)}, log=log)
        case AskQuestion(question, options):
            return Outcome(requirement=CLARIFICATION, terms={"question": question, "options": list(options)}, log=log)
        case NeedInteraction():
            return Outcome(requirement=INTERACTION, log=log)
        case NeedApproval(by):
            return Outcome(requirement=APPROVAL, terms={"by": by}, log=log)
        case NeedPayment(amount, currency, description):
            terms = {"amount": amount, "currency": currency, "description": description}
            return Outcome(requirement=PAYMENT, terms=terms, log=log)


async def _facts(server: AccessServerCore, asked: Asked, learned: Learned) -> Facts:
    store = server.store
    bound = learned.user or await known_user(server, asked)
    return Facts(
        agent=asked.agent,
        provider=asked.provider,
        person_server=asked.ps,
        resource=asked.resource,
        sub=asked.sub,
        scope=asked.scope,
        now=server.clock(),
        sub_agent=asked.sub_agent,
        account=asked.account,
        tenant=asked.tenant,
        mission_s256=asked.mission_s256,
        chained=asked.upstream is not None,
        step_up=asked.step_up,
        agent_claims=asked.agent_claims,
        trusted=server.turnstile.trust.covers(asked.ps, asked.tenant),
        claims=learned.claims,
        claims_asked=learned.claims_asked,
        answers=learned.answers,
        bound_user=bound,
        paid=learned.paid or await store.has_billing(asked.ps),
        approved_by=learned.approved_by,
    )


async def known_user(server: AccessServerCore, asked: Asked) -> str | None:
    """The account here whose holder stands by the person server, or is known because it is this server itself."""
    if asked.ps == server.issuer and server.person_of is not None:
        return await server.person_of(asked.resource, asked.sub)
    return await server.store.bound_user(asked.ps, resource=asked.resource, sub=asked.sub)


def _guarded(server: AccessServerCore, facts: Facts, verdict: Verdict) -> Verdict:
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
    refused = _cannot(server, facts, decision)
    return Verdict(Deny(refused) if refused else decision, rule=verdict.rule, version=verdict.version)


def _cannot(server: AccessServerCore, facts: Facts, decision: Decision) -> str | None:
    """Why a demand cannot be made."""
    again = "What this access server asked for was given, and does not suffice."
    match decision:
        case AskClaims(claims) if set(claims) & set(facts.claims_asked):
            return again
        case AskQuestion(question) if question in facts.answers:
            return again
        case NeedInteraction() if facts.bound_user is not None:
            return again
        case NeedApproval() if facts.approved_by is not None:
            return again
        case NeedPayment() if facts.paid:
            return again
        case NeedInteraction() if not server.interactive:
            return "The policy wants the person to sign in here, and nobody can sign in at this access server."
        case NeedPayment() if server.settlement is None:
            return "The policy wants a payment, and this access server takes none."
    return None


def _record(server: AccessServerCore, asked: Asked, verdict: Verdict) -> DecisionRecord:
    return DecisionRecord(
        at=server.clock(),
        ps=asked.ps,
        agent=asked.sub_agent or asked.agent,
        resource=asked.resource,
        sub=asked.sub,
        scope=" ".join(asked.scope),
        decision=name_of(verdict.decision),
        reason=_reason(verdict.decision)[:_MAX_REASON],
        rule=verdict.rule[:_MAX_REASON],
        version=verdict.version[:100],
    )


def _reason(decision: Decision) -> str:
    """What was decided in particular; names of claims, never their values."""
    match decision:
        case Deny(reason):
            return reason
        case Narrow(scope):
            return " ".join(scope)
        case AskClaims(claims):
            return " ".join(claims)
        case AskQuestion(question):
            return question
        case NeedApproval(by):
            return by
        case NeedPayment(amount, currency):
            return f"{amount} {currency}"
        case _:
            return ""
