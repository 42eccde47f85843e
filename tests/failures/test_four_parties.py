"""Every server fails in every way at every step of a four-party exchange, over real HTTP and real databases.

The agent ends with the right error or with success, nothing is issued that should not be, and once everything works
again the same agent is served. The flow is `#ps-as-federation` from first contact on: the agent has enrolled and knows
nobody, the person is asked twice, the access server decides.
"""

from __future__ import annotations

import pytest

from aauthlib.access import (
    Allow,
    AskClaims,
    AskQuestion,
    Decision,
    Deny,
    Facts,
    NeedApproval,
    NeedInteraction,
    NeedPayment,
)
from aauthlib.errors import Denied

from .hosts import Fault
from .strikes import Outcome, Strike, attempt, check_books, check_outcome, check_servers, set_up
from .town import AP, AS, GUARDED, PS, Town

pytestmark = pytest.mark.asyncio(loop_scope="module")

STEPS = (
    Strike(AP, "metadata", "GET /.well-known/aauth-agent.json"),
    Strike(AP, "refresh", "POST /refresh"),
    Strike(GUARDED, "first-call", "GET /reports"),
    Strike(PS, "metadata", "GET /.well-known/aauth-person.json"),
    Strike(PS, "person-token", "POST /person-token"),
    Strike(PS, "poll-for-person-token", "GET /pending/*"),
    Strike(GUARDED, "second-call", "GET /reports", 2),
    Strike(GUARDED, "metadata", "GET /.well-known/aauth-resource.json"),
    Strike(PS, "auth-token", "POST /auth-token"),
    Strike(AS, "metadata", "GET /.well-known/aauth-access.json"),
    Strike(AS, "auth-token", "POST /auth-token"),
    Strike(PS, "poll-for-auth-token", "GET /pending/*", 2),
    Strike(GUARDED, "last-call", "GET /reports", 3),
)


def cell(strike: Strike, fault: Fault) -> object:
    return pytest.param(strike, fault, id=f"{strike}-{fault}")


@pytest.mark.spec("#ps-as-federation", "#auth-token-delivery", "#jwks-discovery")
@pytest.mark.parametrize(("strike", "fault"), [cell(strike, fault) for strike in STEPS for fault in Fault])
async def test_a_first_contact_survives(town: Town, strike: Strike, fault: Fault) -> None:
    begun = town.time.now
    set_up(town, strike, fault)
    outcome = await attempt(town.agent.get(town.url(GUARDED, "/reports")))
    assert town.hosts[strike.host].struck, "the fault never happened"
    check_outcome(outcome, strike, fault)
    await check_books(town, outcome, scope="reports.read", since=begun)
    check_servers(town)
    await town.heal()
    again = await attempt(town.agent.get(town.url(GUARDED, "/reports")))
    assert again.served, f"{again}, although everything works again"
    await check_books(town, again, scope="reports.read", since=begun)


# ---------------------------------------------------------------- whatever the access server asks for

DEMANDS: dict[str, tuple[Decision, Strike]] = {
    "claims": (AskClaims(("email",)), Strike(AS, "given-claims", "POST /pending/*")),
    "question": (AskQuestion("What for?"), Strike(AS, "given-answer", "POST /pending/*")),
    "interaction": (NeedInteraction(), Strike(AS, "polled", "GET /pending/*")),
    "approval": (NeedApproval("the owner"), Strike(AS, "polled", "GET /pending/*")),
    "payment": (NeedPayment("100", "EUR"), Strike(AS, "polled", "GET /pending/*")),
}
MIDDLE = (
    Fault.LATE,
    Fault.RESTARTED,
    Fault.KILLED,
    Fault.ROTATED,
    Fault.FROZEN,
    Fault.DOWN,
    Fault.GARBAGE,
    Fault.AHEAD,
    Fault.BEHIND,
)


def _met(facts: Facts, demand: Decision) -> bool:
    match demand:
        case AskClaims(names):
            return set(names) <= set(facts.claims_asked)
        case AskQuestion(question):
            return question in facts.answers
        case NeedInteraction():
            return facts.bound_user is not None
        case NeedApproval():
            return facts.approved_by is not None
        case NeedPayment():
            return facts.paid
    return True


@pytest.mark.spec("#as-response", "#ps-as-trust-establishment", "#auth-token-delivery", "#deferred-responses")
@pytest.mark.parametrize(
    ("asked", "fault"), [pytest.param(name, fault, id=f"{name}-{fault}") for name in DEMANDS for fault in MIDDLE]
)
async def test_what_the_access_server_asks_for_survives(town: Town, asked: str, fault: Fault) -> None:
    demand, strike = DEMANDS[asked]
    town.policy.demands, town.policy.met = [demand], _met
    begun = town.time.now
    set_up(town, strike, fault)
    outcome = await attempt(town.agent.get(town.url(GUARDED, "/reports")))
    assert town.hosts[AS].struck, "the fault never happened"
    check_outcome(outcome, strike, fault)
    await check_books(town, outcome, scope="reports.read", since=begun)
    check_servers(town)
    await town.heal()
    again = await attempt(town.agent.get(town.url(GUARDED, "/reports")))
    assert again.served, f"{again}, although everything works again"


# ---------------------------------------------------------------- step-up, sub-agents, denials


@pytest.mark.spec("#re-authorization", "#ps-to-as-token-request")
@pytest.mark.parametrize("fault", MIDDLE, ids=str)
async def test_a_step_up_survives(town: Town, fault: Fault) -> None:
    strike = Strike(AS, "auth-token", "POST /auth-token")
    assert (await attempt(town.agent.get(town.url(GUARDED, "/reports")))).served
    begun = town.time.now
    set_up(town, strike, fault)
    outcome = await attempt(town.agent.post(town.url(GUARDED, "/reports"), json={}))
    assert town.hosts[AS].struck, "the fault never happened"
    check_outcome(outcome, strike, fault, known=True)
    check_servers(town)
    await check_books(town, outcome, scope="reports.read reports.write", since=begun)
    await town.heal()
    assert (await attempt(town.agent.post(town.url(GUARDED, "/reports"), json={}))).served
    assert (await attempt(town.agent.get(town.url(GUARDED, "/reports")))).served


SUB_AGENT_STEPS = (
    Strike(AP, "sub-agent", "POST /subagent"),
    Strike(PS, "person-token", "POST /person-token"),
    Strike(AS, "auth-token", "POST /auth-token"),
)


@pytest.mark.spec("#parent-mediated-authorization", "#sub-agents")
@pytest.mark.parametrize(("strike", "fault"), [cell(strike, fault) for strike in SUB_AGENT_STEPS for fault in MIDDLE])
async def test_a_sub_agent_survives(town: Town, strike: Strike, fault: Fault) -> None:
    assert (await attempt(town.agent.get(town.url(GUARDED, "/reports")))).served
    begun = town.time.now
    set_up(town, strike, fault)
    child = town.agent.spawn("search")
    outcome = await attempt(child.get(town.url(GUARDED, "/reports")))
    assert town.hosts[strike.host].struck, "the fault never happened"
    check_outcome(outcome, strike, fault, known=True)
    check_servers(town)
    await check_books(town, outcome, scope="reports.read", since=begun)
    await town.heal()
    assert (await attempt(child.get(town.url(GUARDED, "/reports")))).served


DENIALS = (
    Strike(PS, "poll-for-auth-token", "GET /pending/*", 2),
    Strike(AS, "auth-token", "POST /auth-token"),
)


@pytest.mark.spec("#auth-token-delivery", "#polling-error-codes")
@pytest.mark.parametrize(("strike", "fault"), [cell(strike, fault) for strike in DENIALS for fault in MIDDLE])
async def test_a_denial_stays_one(town: Town, strike: Strike, fault: Fault) -> None:
    """Nothing that goes wrong, and no retry, turns a no into a token."""
    town.policy.end = Deny("Not for agents.")
    before = len(await town.issued_by_access_server()), len(await town.handed_out())
    set_up(town, strike, fault)
    outcome = await attempt(town.agent.get(town.url(GUARDED, "/reports")))
    assert not outcome.served
    if not isinstance(outcome.error, Denied):
        check_outcome(outcome, strike, fault)
    check_servers(town)
    await town.heal()
    again: Outcome = await attempt(town.agent.get(town.url(GUARDED, "/reports")))
    assert isinstance(again.error, Denied)
    assert "Not for agents." in str(again.error)
    after = len(await town.issued_by_access_server()), len(await town.handed_out())
    assert after <= before
    town.policy.end = Allow()
