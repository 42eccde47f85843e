"""What an access server wants, composed in one exchange with the real person server, payment and all (#as-response)."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from sqlalchemy import select

from aauthlib.access import (
    AccessServer,
    Allow,
    AskClaims,
    AskQuestion,
    CallablePolicy,
    NeedApproval,
    NeedInteraction,
    NeedPayment,
    TestSettlement,
)
from aauthlib.deferred.pending import Completion, id_digest
from aauthlib.effects import Flow
from aauthlib.http import Response
from aauthlib.person.asked import Asked
from aauthlib.person.federation import PaymentRequired
from aauthlib.store.person_records import Federation
from aauthlib.store.person_tables import federations
from aauthlib.tokens import AuthToken

from . import test_federation_whole
from .parties import ALICE, AS, World, requirement_of, resource_token
from .test_federation import BOTH, ask, later, post, trusting
from .test_federation_whole import Demands

demands, access = test_federation_whole.demands, test_federation_whole.access


class Purse:
    """Pays what it is asked once, and can end its process right after."""

    def __init__(self, settlement: TestSettlement, *, dies: int = 0) -> None:
        self.settlement, self.dies = settlement, dies
        self.paid: list[str] = []

    def settle(self, required: PaymentRequired) -> Flow[bool]:
        reference = msgspec.json.decode(required.body)["payment"]["id"]
        if reference not in self.paid:
            self.paid.append(reference)
            self.settlement.pay(reference)
        if self.dies:
            self.dies -= 1
            raise asyncio.CancelledError
        yield from ()
        return True


@pytest.fixture
def purse(world: World, access: AccessServer) -> Purse:
    access.settlement = TestSettlement()
    made = Purse(access.settlement)
    world.server.settlement = made
    return made


@pytest.mark.spec(
    "#as-response",
    "#ps-as-trust-establishment",
    "#requirement-claims",
    "#requirement-clarification",
    "#approval-pending",
    "#auth-token-delivery",
)
async def test_everything_an_access_server_can_want_comes_one_after_the_other_in_one_exchange(
    world: World, access: AccessServer, demands: Demands, purse: Purse
) -> None:
    await world.server.set_profile(ALICE, {"email": "alice@example.org"})
    agent, presented = await trusting(world, scope="email calendar.read calendar.write")
    demands.decisions = [
        NeedPayment("500", "EUR"),
        AskClaims(("email", "email_verified")),
        AskQuestion("Which project?"),
        NeedInteraction(),
        AskQuestion("Why does it write?"),
        NeedApproval("owner"),
    ]
    response = await ask(world, agent, presented, "email calendar.read calendar.write", capabilities=BOTH)
    place = (await federation(world, response)).location
    # Paid and given by the person server, asked of the agent.
    assert (len(purse.paid), demands.facts[-1].paid, demands.facts[-1].claims) == (
        1,
        True,
        {"email": "alice@example.org", "email_verified": False},
    )
    assert response.json()["clarification"] == "Which project?"
    await post(world, agent, response, action="clarification_response", clarification_response="Apollo")
    # Confirmed by the person.
    requirement = requirement_of(await later(world, agent, response))
    handle = (requirement.url or "").rpartition("/")[2]
    await access.arrive(handle, requirement.code or "", "alice")
    await access.approve(handle, "alice")
    # Answered by asking for less.
    assert (await later(world, agent, response)).json()["clarification"] == "Why does it write?"
    fresh = await agent.person_token()
    text = resource_token(world, fresh, scope="email calendar.read", access_server=AS)
    pair = {"resource_token": text, "presented_token": fresh.raw}
    await post(world, agent, response, action="updated_request", **pair)
    # Approved by somebody there.
    assert requirement_of(await later(world, agent, response)).value == "approval"
    (view,) = await access.approvals()
    await access.decide_approval(view.id, by="olga", approved=True)
    polled = await later(world, agent, response)
    token: AuthToken = await world.verified(polled.json()["auth_token"], AuthToken)
    assert (token.scope, token.claims["email"]) == (("email", "calendar.read"), "alice@example.org")
    facts = demands.facts[-1]
    assert (facts.bound_user, facts.approved_by, facts.answers) == ("alice", "olga", {"Which project?": "Apollo"})
    assert (await federation(world, response)).location == place, "every step is at the same Location"
    told = [record.decision for record in reversed(await access.store.history())]
    assert told == [
        "payment",
        "claims",
        "question",
        "interaction",
        "confirmed",
        "question",
        "approval",
        "approved",
        "allow",
    ]


async def federation(world: World, response: Response) -> Federation:
    pending_id = (response.headers.get("location") or "").rpartition("/")[2]
    record = await world.server.store.federation(id_digest(pending_id))
    assert record is not None
    return record


@pytest.mark.spec("#as-response", "#ps-as-trust-establishment")
async def test_a_payment_is_made_once_for_all_agents_of_the_person_server(
    world: World, access: AccessServer, purse: Purse
) -> None:
    access.decider = CallablePolicy(lambda facts: Allow() if facts.paid else NeedPayment("500", "EUR"))
    first, presented = await trusting(world)
    assert (await ask(world, first, presented)).status == 200
    second, presented = await trusting(world, world.agent("another"))
    assert (await ask(world, second, presented)).status == 200
    assert len(purse.paid) == 1


@pytest.mark.spec("#as-response")
async def test_a_process_that_ends_while_it_pays_loses_neither_the_request_nor_the_payment(
    world: World, access: AccessServer, purse: Purse
) -> None:
    access.decider = CallablePolicy(lambda facts: Allow() if facts.paid else NeedPayment("500", "EUR"))
    agent, presented = await trusting(world)
    purse.dies = 1
    with pytest.raises(asyncio.CancelledError):
        await ask(world, agent, presented)
    record = await _only_federation(world)
    assert record.location is not None, "where it waits was kept before anything was paid"
    pending = await world.server.store.get_pending(record.digest)
    assert pending is not None
    world.clock.now += 200
    outcome = await world.server.federate(pending, Asked.of(pending.request))
    assert isinstance(outcome, Completion)
    assert len(purse.paid) == 1


async def _only_federation(world: World) -> Federation:
    async with world.database.transaction() as connection:
        digest = (await connection.execute(select(federations.c.digest))).scalar_one()
    record = await world.server.store.federation(digest)
    assert record is not None
    return record
