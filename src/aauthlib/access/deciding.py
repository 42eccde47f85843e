"""Asking the policy, and what each decision leads to (#as-response, #as-decision-logic).

One place turns a decision into what follows: a grant, an end, or what the request waits for. What no policy may get
wrong is in `guarding`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import msgspec

from ..deferred.machine import Event
from ..messages.requirement import APPROVAL, CLAIMS, CLARIFICATION, INTERACTION
from ..store.access_approval_records import AccessOpening
from ..store.access_records import DecisionRecord, Learned
from ..store.approval_states import ApprovalState
from .approving import holds, opening_of
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
from .guarding import guarded, within_means

__all__ = ["PAYMENT", "Outcome", "demanded", "evaluate", "known_user"]

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
    learned: Learned
    """What is still known of the exchange, and by which version of the policy it was decided on."""
    log: DecisionRecord
    opening: AccessOpening | None = None
    """The approval that it waits for."""


async def evaluate(server: AccessServerCore, asked: Asked, learned: Learned) -> Outcome:
    """Ask the policy about `asked`, with what was learned since."""
    facts = await _facts(server, asked, learned)
    said = await server.decider.decide(facts)
    if facts.approved_by is not None and said.version != learned.version:
        facts, learned, said = await _approved(server, facts, learned, None)
    opening = _opening(server, asked, learned, facts, said)
    found = await server.store.standing_approval(opening.key, now=server.clock()) if opening is not None else None
    if opening is not None and found is not None and holds(found, opening):
        if found.state is ApprovalState.DENIED:
            # Nobody is asked the same again at once.
            said = Verdict(Deny(found.reason), rule=said.rule, version=said.version)
        else:
            version = said.version
            facts, learned, said = await _approved(server, facts, learned, found.decided_by)
            if said.version != version:
                facts, learned, said = await _approved(server, facts, learned, None)
        opening = _opening(server, asked, learned, facts, said)
    verdict = guarded(facts, said)
    if server.on_decision is not None:
        server.on_decision(facts, verdict)
    verdict = within_means(verdict, interactive=server.interactive, payable=server.settlement is not None)
    learned = msgspec.structs.replace(learned, version=verdict.version)
    outcome = _outcome(asked, verdict.decision, learned=learned, log=_record(server, asked, verdict))
    return replace(outcome, opening=opening) if outcome.requirement == APPROVAL else outcome


async def demanded(server: AccessServerCore, asked: Asked, learned: Learned) -> Verdict:
    """What the policy says of `asked` while nobody has approved it."""
    facts = await _facts(server, asked, msgspec.structs.replace(learned, approved_by=None))
    return guarded(facts, await server.decider.decide(facts))


async def _approved(
    server: AccessServerCore, facts: Facts, learned: Learned, by: str | None
) -> tuple[Facts, Learned, Verdict]:
    """Ask again with an approval; or without one, where the policy changed since it was given: whose approval is wanted
    now, and for what, may be another."""
    learned = msgspec.structs.replace(learned, approved_by=by)
    facts = msgspec.structs.replace(facts, approved_by=by)
    return facts, learned, await server.decider.decide(facts)


def _opening(
    server: AccessServerCore, asked: Asked, learned: Learned, facts: Facts, said: Verdict
) -> AccessOpening | None:
    """The approval that is demanded, if one is and none was given."""
    if not isinstance(said.decision, NeedApproval) or facts.approved_by is not None:
        return None
    return opening_of(asked, learned, facts, said, new_id=server.random_id())


def _outcome(asked: Asked, decision: Decision, *, learned: Learned, log: DecisionRecord) -> Outcome:
    follows = partial(Outcome, learned=learned, log=log)
    match decision:
        case Allow():
            return follows(event=Event.GRANT, scope=asked.scope)
        case Narrow(scope):
            return follows(event=Event.GRANT, scope=scope)
        case Deny(reason):
            return follows(event=Event.DENY, detail=reason[:_MAX_REASON])
        case AskClaims(claims):
            return follows(requirement=CLAIMS, terms={"claims": list(claims)})
        case AskQuestion(question, options):
            return follows(requirement=CLARIFICATION, terms={"question": question, "options": list(options)})
        case NeedInteraction():
            return follows(requirement=INTERACTION)
        case NeedApproval():
            return follows(requirement=APPROVAL, terms={"by": decision.said})
        case NeedPayment(amount, currency, description):
            terms = {"amount": amount, "currency": currency, "description": description}
            return follows(requirement=PAYMENT, terms=terms)


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
        case NeedApproval():
            return decision.said
        case NeedPayment(amount, currency):
            return f"{amount} {currency}"
        case _:
            return ""
