"""A mission left out or exchanged on the way: by the agent, a resource, an intermediary, a person or an access server.

Whatever is asked in a mission is judged by it, kept in its log, and ends with it, so nobody may lose it on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from aauthlib.agent import AsyncAgent, ChallengeInvalid
from aauthlib.http import Fields, Request, Response
from aauthlib.messages.requirement import Requirement

from .realm import AS, CALENDAR, MAIL, PS, RELAY, VAULT, Agent, PersonToken, Realm
from .world import GONE, error_code, page_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENGINES = ("sqlite", "postgresql")

#: What may become of the claim on the way.
CHANGES = {"left out": GONE, "exchanged": "A" * 43}
changed = pytest.mark.parametrize("change", CHANGES)


@dataclass
class Mission:
    """A mission of Ada's, its agent with all it holds, and another agent of hers in a mission of its own."""

    realm: Realm
    client: Any
    """What acts in the mission: the library's own agent."""
    agent: Agent
    """The same agent, as a test speaks for it."""
    s256: str
    persons: dict[str, str]
    other: Agent
    other_s256: str


async def _begin(realm: Realm, text: str) -> tuple[AsyncAgent, Any, Agent]:
    whole = await realm.city.whole_agent()
    client = await whole.missions.propose(text, resources=[CALENDAR, VAULT, RELAY])
    own = whole.context.credentials.own
    assert own is not None
    assert own.key is not None
    assert own.token is not None
    return whole, client, Agent(realm.city, own.key, own.token.raw)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mission(realm: Realm) -> Mission:
    _, client, agent = await _begin(realm, "Plan the week.")
    _, others, other = await _begin(realm, "Plan another week.")
    persons = {}
    for resource in (CALENDAR, VAULT, RELAY):
        answer = await agent.ask_person_token(resource, mission_s256=client.s256)
        assert answer.status == 200, answer.body
        persons[resource] = answer.json()["person_token"]
    return Mission(realm, client, agent, client.s256, persons, other, others.s256)


def claims_of(realm: Realm, text: str) -> PersonToken:
    token: PersonToken = realm.city.read(text, PersonToken)
    return token


# ------------------------------------------------------------------------- the agent


@pytest.mark.spec("#missions", "#person-token-endpoint")
async def test_an_agent_that_leaves_its_mission_out_has_nothing_of_what_was_approved_in_it(mission: Mission) -> None:
    inside = await mission.agent.ask_person_token(CALENDAR, mission_s256=mission.s256)
    assert inside.status == 200
    outside = await mission.agent.ask_person_token(CALENDAR)
    assert outside.status == 202
    await mission.agent.call("DELETE", outside.headers.get("location") or "")


@pytest.mark.spec("#mission-endpoint-errors", "#person-token-endpoint")
async def test_an_agent_gets_nothing_in_the_mission_of_another_agent_of_the_same_person(mission: Mission) -> None:
    for s256 in (mission.other_s256, "A" * 43):
        answer = await mission.agent.ask_person_token(CALENDAR, mission_s256=s256)
        assert (answer.status, error_code(answer)) == (400, "invalid_request")


@pytest.mark.spec("#resource-token-verification", "#missions")
async def test_an_agent_does_not_redeem_outside_what_was_asked_inside(mission: Mission) -> None:
    realm, agent = mission.realm, mission.agent
    pending = await agent.ask_person_token(CALENDAR)
    outside = (await agent.approved(pending)).json()["person_token"]
    assert claims_of(realm, outside).mission_s256 is None
    for asked, presented in ((mission.persons[CALENDAR], outside), (outside, mission.persons[CALENDAR])):
        token = realm.city.resource_token(claims_of(realm, asked))
        answer = await agent.ask_auth_token(token, presented)
        assert (answer.status, error_code(answer)) == (400, "invalid_resource_token")


# ------------------------------------------------------------------------- a resource


@changed
@pytest.mark.spec("#resource-token-verification", "#missions")
async def test_a_resource_cannot_take_a_request_out_of_its_mission(mission: Mission, change: str) -> None:
    realm, claim = mission.realm, CHANGES[change]
    presented = mission.persons[CALENDAR]
    genuine = realm.city.resource_token(claims_of(realm, presented))
    token = realm.city.forged(genuine, realm.key_of(CALENDAR), mission_s256=claim)
    answer = await mission.agent.ask_auth_token(token, presented)
    assert (answer.status, error_code(answer)) == (400, "invalid_resource_token")


@changed
@pytest.mark.spec("#resource-token-verification", "#ps-to-as-token-request")
async def test_a_resource_cannot_take_a_request_out_of_its_mission_at_its_access_server(
    mission: Mission, change: str
) -> None:
    realm, claim = mission.realm, CHANGES[change]
    presented = mission.persons[VAULT]
    token = realm.city.forged(realm.vault_resource_token(presented), realm.key_of(VAULT), mission_s256=claim)
    for answer in (
        await mission.agent.ask_auth_token(token, presented),
        await realm.federated(mission.agent, presented, resource_token=token),
    ):
        assert (answer.status, error_code(answer)) == (400, "invalid_resource_token")


@changed
@pytest.mark.spec("#resource-challenge-verification", "#missions")
async def test_an_agent_takes_no_challenge_that_left_its_mission(mission: Mission, change: str) -> None:
    realm, claim = mission.realm, CHANGES[change]

    def tamper(request: Request, response: Response) -> Response | None:
        header = response.headers.get("aauth-requirement")
        if request.origin != CALENDAR or header is None or "resource-token" not in header:
            return None
        token = Requirement.parse(header).resource_token or ""
        spoiled = realm.city.forged(token, realm.key_of(CALENDAR), mission_s256=claim)
        return Response(401, Fields({"aauth-requirement": f'requirement=auth-token;resource-token="{spoiled}"'}))

    asked = len(realm.city.network.asked)
    with realm.turned(tamper), pytest.raises(ChallengeInvalid, match="mission"):
        await mission.client.get(f"{CALENDAR}/events")
    assert f"{PS}/auth-token" not in realm.city.network.asked[asked:]


# ------------------------------------------------------------------------- a person server, an access server


@changed
@pytest.mark.spec("#person-token-endpoint", "#missions")
async def test_an_agent_takes_no_person_token_for_another_mission(mission: Mission, change: str) -> None:
    realm = mission.realm
    tamper = realm.resigned("person_token", PS, mission_s256=CHANGES[change])
    with realm.turned(tamper), pytest.raises(ChallengeInvalid, match="mission"):
        await mission.client.get(f"{MAIL}/me")


@changed
@pytest.mark.parametrize(("resource", "path", "issuer"), [(CALENDAR, "/events", PS), (VAULT, "/read", AS)])
@pytest.mark.spec("#auth-token-response-verification", "#auth-token-structure")
async def test_an_agent_takes_no_auth_token_for_another_mission(
    mission: Mission, change: str, resource: str, path: str, issuer: str
) -> None:
    """The person server's own, or an access server's that the person server did not look at."""
    realm = mission.realm
    tamper = realm.resigned("auth_token", issuer, at=PS, mission_s256=CHANGES[change])
    with realm.turned(tamper), pytest.raises(ChallengeInvalid, match="mission"):
        await mission.client.get(resource + path)


@changed
@pytest.mark.spec("#auth-token-delivery", "#auth-token-structure")
async def test_an_access_server_cannot_take_a_grant_out_of_its_mission(mission: Mission, change: str) -> None:
    realm = mission.realm
    with realm.turned(realm.resigned("auth_token", AS, mission_s256=CHANGES[change])):
        answer = await realm.vault_token(mission.agent, mission.persons[VAULT])
    assert (answer.status, error_code(answer)) == (502, "as_unreachable")
    assert "another mission" in answer.json()["detail"]


# ------------------------------------------------------------------------- an intermediary


@pytest.mark.spec("#call-chaining", "#missions")
async def test_a_service_stays_in_its_callers_mission_whatever_it_says(mission: Mission) -> None:
    realm, service, upstream = mission.realm, mission.realm.service(), mission.persons[RELAY]
    for named in ({}, {"mission_s256": mission.other_s256}, {"mission_s256": "A" * 43}):
        answer = await service.ask_person_token(CALENDAR, upstream_token=upstream, **named)
        if answer.status == 202:
            answer = await _decided(realm, service, answer)
        if answer.status == 200:
            token = answer.json()["person_token"]
            assert claims_of(realm, token).mission_s256 == mission.s256
        else:
            assert named
            assert (answer.status, error_code(answer)) == (400, "invalid_request")


@changed
@pytest.mark.spec("#upstream-token-verification", "#missions")
async def test_a_service_cannot_change_the_mission_in_its_callers_token(mission: Mission, change: str) -> None:
    realm, claim = mission.realm, CHANGES[change]
    for key in (realm.relay_key, realm.city.evil):
        spoiled = realm.city.forged(mission.persons[RELAY], key, mission_s256=claim)
        answer = await realm.service().ask_person_token(CALENDAR, upstream_token=spoiled)
        assert (answer.status, error_code(answer)) == (400, "invalid_upstream_token")


@pytest.mark.spec("#call-chaining", "#resource-token-verification")
async def test_a_service_does_not_redeem_in_no_mission_what_it_was_called_for_in_one(mission: Mission) -> None:
    realm, service = mission.realm, mission.realm.service()
    fresh = await realm.city.newcomer()
    outside = await fresh.person_token(RELAY)
    answer = await service.ask_person_token(MAIL, upstream_token=outside)
    if answer.status == 202:
        answer = await _decided(realm, service, answer)
    below = answer.json()["person_token"]
    token = realm.city.resource_token(claims_of(realm, below), issuer=MAIL)
    answer = await service.ask_auth_token(token, below, upstream_token=mission.persons[RELAY])
    assert answer.status == 400
    assert error_code(answer) in ("invalid_presented_token", "invalid_resource_token", "invalid_upstream_token")


async def _decided(realm: Realm, agent: Agent, pending: Response) -> Response:
    await realm.city.ada.visit(page_of(pending))
    await realm.city.ada.submit(realm.city.ada.form_with("decision"), {}, button=("decision", "approve"))
    return await agent.poll(pending)
