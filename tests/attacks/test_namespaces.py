"""One person server speaking for another's people: by issuer, `ps`, `sub`, tenant, mission, claims or pending request.

Anybody can run a person server. What it says is about its own people, whatever names it uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from aauthlib.access import Allow, AskClaims, Decision, Facts, Trust
from aauthlib.access.trust import Turnstile

from .realm import (
    ACCESS_DWK,
    AGENT_DWK,
    AS,
    CALENDAR,
    EVIL_PS,
    PERSON_DWK,
    PS,
    RELAY,
    RESOURCE_DWK,
    VAULT,
    Agent,
    AuthToken,
    PersonToken,
    Realm,
)
from .world import EVIL_AP, error_code

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENGINES = ("sqlite", "postgresql")


@dataclass
class Two:
    """Ada's agent with what her person server vouches for, and an agent of the attacker's person server."""

    realm: Realm
    agent: Agent
    persons: dict[str, PersonToken]
    evil: Agent


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(realm: Realm) -> Two:
    agent = await realm.city.newcomer()
    persons = {
        resource: realm.city.read(await agent.person_token(resource), PersonToken)
        for resource in (CALENDAR, VAULT, RELAY)
    }
    evil = realm.agent(EVIL_AP, "aauth:evil@evil-agents.example", ps=EVIL_PS)
    return Two(realm, agent, persons, evil)


def _evil_person(two: Two, resource: str, **changes: Any) -> str:
    """What the attacker's person server says: Ada's very identifier at the resource."""
    return two.realm.person(EVIL_PS, two.evil, aud=resource, sub=two.persons[resource].sub, **changes)


# ------------------------------------------------------------------------- at a resource


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": PS},
        {"iss": PS, "dwk": ACCESS_DWK},
        {"iss": f"{PS}/"},
        {"iss": "https://PERSON.example"},
        {"iss": "https://person.example.evil-person.example"},
        {"iss": "https://person.example@evil-person.example"},
        {"iss": f"{PS}#{EVIL_PS}"},
        {"iss": [EVIL_PS, PS]},
    ],
    ids=lambda claims: str(claims)[:60],
)
@pytest.mark.spec("#person-token-verification", "#server-identifiers")
async def test_a_person_token_in_anothers_name_is_refused(two: Two, claims: dict[str, Any]) -> None:
    token = two.realm.city.forged(_evil_person(two, CALENDAR), two.realm.city.evil, **claims)
    answer = await two.evil.call("GET", f"{CALENDAR}/me", shown=token)
    assert answer.status == 401
    assert "aauth-requirement" not in answer.headers


@pytest.mark.spec("#request-context-binding", "#directed-identifiers")
async def test_the_same_sub_of_another_person_server_is_another_person_at_a_resource(two: Two) -> None:
    ours = await two.agent.call("GET", f"{CALENDAR}/me", shown=two.persons[CALENDAR].raw)
    theirs = await two.evil.call("GET", f"{CALENDAR}/me", shown=_evil_person(two, CALENDAR))
    assert (ours.status, theirs.status) == (200, 200)
    store = two.realm.city.resources[CALENDAR].store
    now = two.realm.city.clock()
    mine = await store.see_person(PS, two.persons[CALENDAR].sub, None, now)
    assert mine.user is None
    await store.link_person(PS, two.persons[CALENDAR].sub, "ada-at-calendar")
    assert (await store.see_person(EVIL_PS, two.persons[CALENDAR].sub, None, now)).user is None


@pytest.mark.parametrize("dwk", [PERSON_DWK, ACCESS_DWK])
@pytest.mark.parametrize("resource", [CALENDAR, VAULT])
@pytest.mark.spec("#auth-token-structure", "#jwt-trust-verification")
async def test_an_auth_token_that_names_anothers_ps_is_refused(two: Two, resource: str, dwk: str) -> None:
    values = {"aud": resource, "sub": two.persons[resource].sub, "scope": ["calendar.read", "vault.read"], "ps": PS}
    token = two.realm.auth(EVIL_PS, dwk, two.evil, **values)
    path = "/events" if resource == CALENDAR else "/read"
    answer = await two.evil.call("GET", resource + path, shown=token)
    assert (answer.status, error_code(answer)) in ((401, "invalid_jwt"), (401, "unknown_key"), (401, "issuer_missing"))


# ------------------------------------------------------------------------- at an access server


@pytest.mark.spec("#resource-token-verification", "#auth-tokens")
async def test_the_same_sub_of_another_person_server_is_another_person_at_an_access_server(two: Two) -> None:
    realm, seen = two.realm, list[Facts]()

    def decide(facts: Facts) -> Decision:
        seen.append(facts)
        return Allow()

    with realm.deciding(decide):
        theirs = await realm.federated(two.evil, _evil_person(two, VAULT), ps=EVIL_PS)
        ours = await realm.federated(two.agent, two.persons[VAULT].raw)
    assert [facts.person_server for facts in seen] == [EVIL_PS, PS]
    granted = [realm.city.read(answer.json()["auth_token"], AuthToken) for answer in (theirs, ours)]
    assert [(token.ps, token.sub) for token in granted] == [
        (EVIL_PS, two.persons[VAULT].sub),
        (PS, two.persons[VAULT].sub),
    ]


@pytest.mark.spec("#ps-as-trust-establishment")
async def test_a_tenant_of_another_person_servers_is_not_believed(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    realm, seen, server = two.realm, list[Facts](), two.realm.access.server
    known = Turnstile(Trust({PS: ["corp"]}), server.turnstile.limits, clock=realm.city.clock)
    monkeypatch.setattr(server, "turnstile", known)

    def decide(facts: Facts) -> Decision:
        seen.append(facts)
        return Allow()

    monkeypatch.setattr(realm, "decide", decide)
    for tenant in ("corp", "CORP", "corp ", f"{PS} corp"):
        token = _evil_person(two, VAULT, tenant=tenant)
        assert (await realm.federated(two.evil, token, ps=EVIL_PS)).status == 200
    genuine = realm.person(PS, two.agent, aud=VAULT, sub=two.persons[VAULT].sub, tenant="corp")
    await realm.federated(two.agent, genuine)
    assert [(facts.person_server, facts.trusted) for facts in seen] == [*[(EVIL_PS, False)] * 4, (PS, True)]


@pytest.mark.spec("#pending-url-security", "#requirement-claims")
async def test_another_person_server_neither_sees_nor_answers_what_one_was_asked(two: Two) -> None:
    realm = two.realm
    with realm.deciding(lambda facts: Allow() if "email" in facts.claims else AskClaims(("email",))):
        waiting = await realm.federated(two.agent, two.persons[VAULT].raw)
        assert waiting.status == 202
        location = waiting.headers.get("location") or ""
        for issuer, dwk in ((EVIL_PS, PERSON_DWK), (PS, AGENT_DWK), (VAULT, RESOURCE_DWK), (AS, ACCESS_DWK)):
            for method, body in (("GET", None), ("POST", {"email": "ada@corp.example"}), ("DELETE", None)):
                answer = await realm.send(realm.as_server(issuer, dwk, method, location, body))
                assert answer.status in (401, 403, 404), (issuer, method)
        # Nor does the honest one by an agent's signature.
        assert (await two.agent.call("GET", location)).status == 401
        answer = await realm.send(
            realm.as_server(PS, PERSON_DWK, "POST", location, {"email": "a@b.example", "sub": "boss", "iss": EVIL_PS})
        )
    if answer.status == 200:
        token = realm.city.read(answer.json()["auth_token"], AuthToken)
        assert (token.ps, token.sub) == (PS, two.persons[VAULT].sub)
    else:
        assert answer.status == 400


# ------------------------------------------------------------------------- at a person server


@pytest.mark.spec("#upstream-token-verification", "#missions")
async def test_a_mission_of_another_person_servers_is_none_here(two: Two) -> None:
    realm, service = two.realm, two.realm.service()
    token = realm.person(EVIL_PS, two.evil, aud=RELAY, sub=two.persons[RELAY].sub, mission_s256="A" * 43)
    answer = await service.ask_person_token(CALENDAR, upstream_token=token)
    assert (answer.status, error_code(answer)) == (400, "invalid_upstream_token")


@pytest.mark.spec("#upstream-token-verification")
async def test_an_upstream_token_of_another_person_servers_causes_no_look_at_its_keys(two: Two) -> None:
    realm, service = two.realm, two.realm.service()
    asked = len(realm.city.network.asked)
    for issuer in (EVIL_PS, "https://nobody-ever-heard-of.example"):
        token = realm.person(issuer, two.evil, aud=RELAY, key=realm.city.evil)
        answer = await service.ask_person_token(CALENDAR, upstream_token=token)
        assert (answer.status, error_code(answer)) == (400, "invalid_upstream_token")
    assert not [url for url in realm.city.network.asked[asked:] if "evil-person" in url or "nobody" in url]


@pytest.mark.spec("#resource-token-verification")
async def test_a_person_server_issues_for_its_own_people_alone(two: Two) -> None:
    """A resource names Ada's identifier beside the attacker's token, and the other way round."""
    realm, city = two.realm, two.realm.city
    theirs = realm.person(EVIL_PS, two.agent, sub=two.persons[CALENDAR].sub)
    ours = two.persons[CALENDAR].raw
    for named, presented in ((theirs, ours), (ours, theirs), (theirs, theirs)):
        genuine = city.resource_token(city.read(named, PersonToken))
        for claims in ({}, {"aud": PS}, {"aud": PS, "ps": PS}, {"ps": EVIL_PS}):
            token = city.forged(genuine, realm.key_of(CALENDAR), **claims)
            answer = await two.agent.ask_auth_token(token, presented)
            assert answer.status == 400
            assert error_code(answer) in ("invalid_presented_token", "invalid_resource_token")
