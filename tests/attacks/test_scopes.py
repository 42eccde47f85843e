"""Scope that grows on the way: by an access server, a person server, a resource, an intermediary, or an agent.

What was shown to the person is the most that anybody gets.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import pytest_asyncio

from aauthlib.access import Narrow
from aauthlib.agent import ChallengeInvalid

from .realm import (
    ACCESS_DWK,
    AS,
    CALENDAR,
    EVIL_AS,
    MAIL,
    PS,
    RELAY,
    VAULT,
    Agent,
    AuthToken,
    PersonToken,
    Realm,
)
from .world import error_code, page_of

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENGINES = ("sqlite", "postgresql")

WIDER = "vault.read vault.write"
#: What else an auth token says that nobody was asked about.
MORE = {
    "scope": WIDER,
    "another scope": "vault.write",
    "a scope in other letters": "Vault.read",
    "an identity scope": "vault.read email",
}


@dataclass
class Asking:
    realm: Realm
    agent: Agent
    vault: str
    calendar: str
    relay: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asking(realm: Realm) -> Asking:
    agent = await realm.city.newcomer()
    tokens = [await agent.person_token(resource) for resource in (VAULT, CALENDAR, RELAY)]
    return Asking(realm, agent, *tokens)


# ------------------------------------------------------------------------- the access server


@pytest.mark.parametrize("wider", MORE)
@pytest.mark.spec("#auth-token-delivery", "#scopes")
async def test_an_access_server_grants_no_more_than_the_person_saw(asking: Asking, wider: str) -> None:
    realm = asking.realm
    with realm.turned(realm.resigned("auth_token", AS, scope=MORE[wider])):
        answer = await realm.vault_token(asking.agent, asking.vault)
    assert (answer.status, error_code(answer)) == (502, "as_unreachable")
    assert "more scope" in answer.json()["detail"]
    # Nothing of it is on record as handed out, and the honest answer still comes.
    assert (await realm.vault_token(asking.agent, asking.vault)).status == 200


@pytest.mark.parametrize(
    ("claims", "says"),
    [({"account": "the-boss"}, "another account"), ({"tenant": "the-bosses"}, "another organisation")],
    ids=["account", "organisation"],
)
@pytest.mark.spec("#auth-token-delivery", "#auth-token-structure")
async def test_an_access_server_grants_for_no_other_account_or_organisation(
    asking: Asking, claims: dict[str, str], says: str
) -> None:
    realm = asking.realm
    with realm.turned(realm.resigned("auth_token", AS, **claims)):
        answer = await realm.vault_token(asking.agent, asking.vault)
    assert (answer.status, error_code(answer)) == (502, "as_unreachable")
    assert says in answer.json()["detail"]


@pytest.mark.spec("#as-decision-logic", "#scopes")
async def test_what_the_access_server_narrowed_does_not_come_back_by_the_person_server(asking: Asking) -> None:
    realm, agent = asking.realm, asking.agent
    with realm.deciding(lambda facts: Narrow(("vault.read",))):
        answer = await realm.vault_token(agent, asking.vault, "vault.read", "vault.write")
    token = answer.json()["auth_token"]
    assert realm.city.read(token, AuthToken).scope == ("vault.read",)
    assert (await agent.call("GET", f"{VAULT}/read", shown=token)).status == 200
    assert (await agent.call("POST", f"{VAULT}/write", {}, shown=token)).status == 401


# ------------------------------------------------------------------------- the person server


@pytest.mark.spec("#auth-token-response-verification", "#scopes")
async def test_an_agent_takes_no_more_than_was_asked_for(realm: Realm) -> None:
    agent = await realm.city.whole_agent()
    tamper = realm.resigned("auth_token", PS, scope="calendar.read calendar.delete")
    with realm.turned(tamper), pytest.raises(ChallengeInvalid, match="more scope"):
        await agent.get(f"{CALENDAR}/events")


@pytest.mark.spec("#auth-token-response-verification", "#account-binding")
async def test_an_agent_takes_no_token_for_an_account_it_did_not_name(realm: Realm) -> None:
    agent = await realm.city.whole_agent()
    with (
        realm.turned(realm.resigned("auth_token", PS, account="the-boss")),
        pytest.raises(ChallengeInvalid, match="another account"),
    ):
        await agent.get(f"{CALENDAR}/events")


@pytest.mark.spec("#auth-token-response-verification")
async def test_an_agent_takes_no_more_through_a_person_server_that_does_not_look(realm: Realm) -> None:
    agent = await realm.city.whole_agent()
    tamper = realm.resigned("auth_token", AS, at=PS, scope=WIDER)
    with realm.turned(tamper), pytest.raises(ChallengeInvalid, match="more scope"):
        await agent.get(f"{VAULT}/read")


# ------------------------------------------------------------------------- the resource


@pytest.mark.spec("#resource-token-verification", "#scopes")
async def test_a_resource_cannot_add_to_what_it_asked_after_the_person_saw_it(asking: Asking) -> None:
    """The token that was shown is the one that is granted: another one is another request, and is shown itself."""
    realm, city = asking.realm, asking.realm.city
    agent = await city.newcomer()
    presented = await agent.person_token(VAULT)
    assert (await realm.vault_token(agent, presented, "vault.read")).status == 200
    wider = await realm.ask_vault(agent, presented, "vault.read", "vault.write")
    assert wider.status == 202
    await city.ada.visit(page_of(wider))
    assert "vault.write" in city.ada.text
    await city.ada.submit(city.ada.form_with("decision"), {}, button=("decision", "deny"))
    assert error_code(await agent.poll(wider)) == "denied"


@pytest.mark.spec("#scopes", "#jwt-trust-verification")
async def test_a_resource_does_not_serve_scope_its_own_access_server_did_not_grant(asking: Asking) -> None:
    realm, agent = asking.realm, asking.agent
    for issuer in (EVIL_AS, AS):
        token = realm.auth(issuer, ACCESS_DWK, agent, aud=VAULT, scope=["vault.read"], sub="x")
        answer = await agent.call("POST", f"{VAULT}/write", {}, shown=token)
        assert answer.status == 401


# ------------------------------------------------------------------------- the intermediary


@pytest.mark.spec("#call-chaining", "#scopes")
async def test_a_service_has_nothing_of_what_its_caller_was_granted(asking: Asking) -> None:
    realm, agent, service = asking.realm, asking.agent, asking.realm.service()
    own = await agent.auth_token(asking.calendar, "calendar.read", "calendar.write")
    assert (await agent.call("GET", f"{CALENDAR}/events", shown=own)).status == 200
    answer = await service.ask_person_token(CALENDAR, upstream_token=asking.relay)
    if answer.status == 202:
        await realm.city.ada.visit(page_of(answer))
        await realm.city.ada.submit(realm.city.ada.form_with("decision"), {}, button=("decision", "approve"))
        answer = await service.poll(answer)
    below = answer.json()["person_token"]
    token = realm.city.resource_token(realm.city.read(below, PersonToken), scope=["calendar.read"])
    answer = await service.ask_auth_token(token, below, upstream_token=asking.relay)
    assert answer.status == 202, "the person is asked about the service, whatever the agent may do"
    await realm.city.ada.visit(page_of(answer))
    assert "relay.example" in realm.city.ada.text
    await realm.city.ada.submit(realm.city.ada.form_with("decision"), {}, button=("decision", "deny"))
    assert error_code(await service.poll(answer)) == "denied"
    # And the agent has nothing of the service's: its own token is for the resource it asked for.
    assert (await agent.call("GET", f"{MAIL}/events", shown=own)).status == 401


@pytest.mark.spec("#call-chaining", "#resource-token-verification")
async def test_a_service_cannot_redeem_its_callers_resource_token(asking: Asking) -> None:
    realm, service = asking.realm, asking.realm.service()
    token = realm.city.resource_token(realm.city.read(asking.calendar, PersonToken))
    for body in ({}, {"upstream_token": asking.relay}):
        answer = await service.ask_auth_token(token, asking.calendar, **body)
        assert (answer.status, error_code(answer)) == (400, "invalid_resource_token")
