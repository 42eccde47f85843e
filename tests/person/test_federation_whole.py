"""Person server and access server of this project together, in one process: four parties, one pattern."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from aauthlib import errors
from aauthlib.access.core import AUTH_TOKEN_PATH, REVOCATION_PATH
from aauthlib.access.decisions import (
    Allow,
    AskClaims,
    AskQuestion,
    Decision,
    Deny,
    Narrow,
    NeedApproval,
    NeedInteraction,
)
from aauthlib.access.facts import Facts
from aauthlib.access.policy import CallablePolicy
from aauthlib.access.server import AccessServer
from aauthlib.effects import Send
from aauthlib.errors import AAuthError
from aauthlib.http import Request, Response
from aauthlib.messages.metadata import dump_metadata
from aauthlib.messages.problems import error_response
from aauthlib.person.cascade import RECORDED
from aauthlib.store.access import SQLAccessStore
from aauthlib.store.database import Database
from aauthlib.tokens import AuthToken

from .parties import ALICE, AS, CALENDAR, PS, World, requirement_of
from .test_federation import BOTH, ask, later, post, trusting
from .test_upstream import chained, intermediary, upstream_of


class Demands:
    """A policy that wants one thing after the other, then allows."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.facts: list[Facts] = []

    def __call__(self, facts: Facts) -> Decision:
        self.facts.append(facts)
        while self.decisions and isinstance(self.decisions[0], NeedApproval):
            if facts.approved_by is None:
                return self.decisions[0]  # Asked again whenever somebody votes.
            self.decisions.pop(0)
        return self.decisions.pop(0) if self.decisions else Allow()


@pytest.fixture
async def demands() -> Demands:
    return Demands()


@pytest.fixture
async def access(world: World, tmp_path: Path, demands: Demands) -> AsyncIterator[AccessServer]:
    database = await Database.open(f"sqlite:///{tmp_path}/as.db")
    server = await AccessServer.open(
        issuer=AS,
        store=SQLAccessStore(database),
        wire=world.wire,
        policy=CallablePolicy(demands),
        clock=world.clock,
        interactive=True,
    )
    elsewhere = world.network.send

    async def send(effect: Send) -> Response:
        if effect.request.origin != AS:
            return await elsewhere(effect)
        try:
            return await serve(server, effect.request)
        except AAuthError as error:
            return error_response(error)

    world.network.send = send  # type: ignore[method-assign]
    world.directory._metadata[AS] = dump_metadata(server.metadata())
    world.directory._metadata[PS] = dump_metadata(world.server.metadata())
    world.directory.publish(AS, server.jwks())
    world.directory.publish(PS, world.server.jwks())
    yield server
    await server.aclose()
    await database.close()


async def serve(server: AccessServer, request: Request) -> Response:
    pending_id = request.path.removeprefix("/pending/")
    match request.method, request.path:
        case "POST", path if path == AUTH_TOKEN_PATH:
            return await server.auth_token(request)
        case "POST", path if path == REVOCATION_PATH:
            return await server.revoke(request)
        case "GET", _:
            return await server.poll(request, pending_id)
        case "DELETE", _:
            return await server.cancel(request, pending_id)
        case _:
            return await server.answer(request, pending_id)


@pytest.mark.spec("#ps-as-federation", "#as-token-endpoint", "#auth-token-delivery")
async def test_the_access_server_allows_and_narrows(world: World, access: AccessServer, demands: Demands) -> None:
    agent, presented = await trusting(world, scope="calendar.read calendar.write")
    demands.decisions = [Narrow(("calendar.read",))]
    response = await ask(world, agent, presented, "calendar.read calendar.write")
    token: AuthToken = await world.verified(response.json()["auth_token"], AuthToken)
    assert (token.iss, token.dwk, token.scope, token.sub) == (
        AS,
        "aauth-access.json",
        ("calendar.read",),
        presented.sub,
    )


@pytest.mark.spec("#auth-token-delivery")
async def test_the_access_server_denies_and_the_agent_hears_why(
    world: World, access: AccessServer, demands: Demands
) -> None:
    agent, presented = await trusting(world)
    demands.decisions = [Deny("Contractors have no access.")]
    with pytest.raises(errors.ProblemError, match="Contractors have no access") as caught:
        await ask(world, agent, presented)
    assert (caught.value.code, caught.value.status) == ("denied", 403)


@pytest.mark.spec(
    "#ps-as-trust-establishment", "#requirement-claims", "#requirement-clarification", "#approval-pending"
)
async def test_claims_a_question_an_interaction_and_an_approval_one_after_the_other(
    world: World, access: AccessServer, demands: Demands
) -> None:
    await world.server.set_profile(ALICE, {"email": "alice@example.org", "name": "Alice"})
    agent, presented = await trusting(world, scope="email calendar.read")
    demands.decisions = [
        AskClaims(("email", "name")),
        AskQuestion("Why now?"),
        NeedInteraction(),
        NeedApproval("the calendar's owner"),
    ]
    response = await ask(world, agent, presented, "email calendar.read", capabilities=BOTH)
    assert requirement_of(response).value == "clarification"
    assert response.json()["clarification"] == "Why now?"
    # The person released the email address, and not the name.
    assert demands.facts[-1].claims == {"email": "alice@example.org"}
    await post(world, agent, response, action="clarification_response", clarification_response="A meeting.")
    polled = await later(world, agent, response)
    requirement = requirement_of(polled)
    assert requirement.value == "interaction"
    assert (requirement.url or "").startswith(AS)
    handle = (requirement.url or "").rpartition("/")[2]
    await access.arrive(handle, requirement.code or "", "alice")
    await access.approve(handle, "alice")
    polled = await later(world, agent, response)
    assert requirement_of(polled).value == "approval"
    (approval,) = await access.approvals()
    await access.decide_approval(approval.id, by="owner", approved=True)
    polled = await later(world, agent, response)
    token: AuthToken = await world.verified(polled.json()["auth_token"], AuthToken)
    assert token.scope == ("email", "calendar.read")


@pytest.mark.spec("#call-chaining", "#upstream-token-verification", "#ps-to-as-token-request")
async def test_a_chain_ends_at_a_resource_with_an_access_server(world: World, access: AccessServer) -> None:
    upstream = await upstream_of(world)
    service = intermediary(world)
    presented = await chained(world, upstream, service=service)
    response = await ask(world, service, presented, "mail.send", upstream_token=upstream.raw)
    (waiting,) = await world.server.pending_for(ALICE)
    await world.server.approve(waiting.digest, person_id=ALICE)
    polled = await service.poll(response)
    token: AuthToken = await world.verified(polled.json()["auth_token"], AuthToken)
    assert (token.iss, token.sub) == (AS, presented.sub)
    assert token.exp <= upstream.exp


@pytest.mark.spec("#revocation-cascade", "#revocation-response")
async def test_disconnecting_ends_the_access_at_the_resource_through_the_access_server(
    world: World, access: AccessServer
) -> None:
    agent, presented = await trusting(world)
    response = await ask(world, agent, presented)
    token: AuthToken = await world.verified(response.json()["auth_token"], AuthToken)
    world.network.sent.clear()
    outcomes = await world.server.disconnect(ALICE, agent.identity)
    (at_server,) = [outcome for outcome in outcomes if outcome.resource == AS]
    assert at_server.outcome == RECORDED
    assert at_server.downstream == ((CALENDAR, None),)
    assert at_server.complete
    revoked = [msgspec.json.decode(request.body)["jti"] for request in world.network.sent]
    assert token.jti in revoked
    with pytest.raises(errors.RevokedPresentedToken):
        await ask(world, agent, presented)
