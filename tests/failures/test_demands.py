"""Whatever the access server asks for before it decides, while it fails."""

from __future__ import annotations

import pytest

from aauthlib.access import AskClaims, AskQuestion, Decision, Facts, NeedApproval, NeedInteraction, NeedPayment

from .flows import DEMANDS, Flow, Strike
from .hosts import Fault
from .strikes import survives
from .town import Town

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASKED: dict[str, Decision] = {
    "given-claims": AskClaims(("email",)),
    "given-an-answer": AskQuestion("What for?"),
    "polled-for-interaction": NeedInteraction(),
    "polled-for-approval": NeedApproval("the owner"),
    "polled-for-payment": NeedPayment("100", "EUR"),
}


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
@pytest.mark.parametrize(("flow", "strike", "fault"), DEMANDS.cells())
async def test_what_the_access_server_asks_for_survives(town: Town, flow: Flow, strike: Strike, fault: Fault) -> None:
    town.policy.demands, town.policy.met = [ASKED[strike.what]], _met
    await survives(town, flow, strike, fault, lambda: town.agent.get(town.reports))
