"""Revocation of somebody else's token: every party tries every kind of token at every server that takes revocations.

A revocation names its issuer by its signature alone, so in one's own name one revokes one's own. After each party's
attempts everything the victim has still works.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
import pytest_asyncio

from aauthlib.http import Response
from aauthlib.tokens import ResourceToken

from .deputies import Scene, set_the_scene
from .realm import (
    ACCESS_DWK,
    AGENT_DWK,
    AP,
    AS,
    CALENDAR,
    EVIL_AP,
    EVIL_AS,
    EVIL_PS,
    EVIL_RESOURCE,
    MAIL,
    PERSON_DWK,
    PS,
    RELAY,
    RESOURCE_DWK,
    VAULT,
    AuthToken,
    PersonToken,
    Realm,
)
from .world import AgentToken

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENGINES = ("sqlite", "postgresql")

ENDPOINTS = {
    "person server": f"{PS}/revocation",
    "access server": f"{AS}/revocation",
    "resource": f"{CALENDAR}/aauth/revoke",
    "guarded resource": f"{VAULT}/aauth/revoke",
    "intermediary": f"{RELAY}/aauth/revoke",
}
#: Who signs in its own right as what. Of the honest ones each tries the tokens that are not its own.
SERVERS = {
    "agent provider": (AP, AGENT_DWK),
    "other agent provider": (EVIL_AP, AGENT_DWK),
    "resource": (CALENDAR, RESOURCE_DWK),
    "other resource": (MAIL, RESOURCE_DWK),
    "attacker's resource": (EVIL_RESOURCE, RESOURCE_DWK),
    "intermediary as resource": (RELAY, RESOURCE_DWK),
    "intermediary as agent provider": (RELAY, AGENT_DWK),
    "person server": (PS, PERSON_DWK),
    "other person server": (EVIL_PS, PERSON_DWK),
    "access server": (AS, ACCESS_DWK),
    "other access server": (EVIL_AS, ACCESS_DWK),
}


@dataclass
class Held:
    """What the victim holds, with who issued it, and how to see that it still is worth something."""

    scene: Scene
    jtis: dict[str, tuple[str, str]]
    """By kind: issuer and `jti`."""
    works: dict[str, Callable[[], Awaitable[Response]]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def held(realm: Realm) -> Held:
    scene = await set_the_scene(realm)
    city, victim = realm.city, scene.victim
    kinds = {AgentToken: victim.token, PersonToken: scene.persons[CALENDAR]}
    asked = city.resource_token(city.read(scene.persons[CALENDAR], PersonToken))
    jtis = {kind.typ: (city.read(text, kind).iss, city.read(text, kind).jti) for kind, text in kinds.items()}
    jtis["person token at the vault"] = (PS, city.read(scene.persons[VAULT], PersonToken).jti)
    jtis["person token at the service"] = (PS, city.read(scene.persons[RELAY], PersonToken).jti)
    jtis["auth token of the person server"] = (PS, city.read(scene.auths[CALENDAR], AuthToken).jti)
    jtis["auth token of the access server"] = (AS, city.read(scene.auths[VAULT], AuthToken).jti)
    jtis["resource token"] = (CALENDAR, city.read(asked, ResourceToken).jti)
    works: dict[str, Callable[[], Awaitable[Response]]] = {
        "agent token": lambda: victim.ask_person_token(CALENDAR),
        "person token": lambda: victim.call("GET", f"{CALENDAR}/me", shown=scene.persons[CALENDAR]),
        "person token at the vault": lambda: victim.call("GET", f"{VAULT}/me", shown=scene.persons[VAULT]),
        "person token at the service": lambda: victim.call("GET", f"{RELAY}/me", shown=scene.persons[RELAY]),
        "auth token of the person server": lambda: victim.call(
            "GET", f"{CALENDAR}/events", shown=scene.auths[CALENDAR]
        ),
        "auth token of the access server": lambda: victim.call("GET", f"{VAULT}/read", shown=scene.auths[VAULT]),
        "resource token": lambda: victim.ask_auth_token(asked, scene.persons[CALENDAR]),
        "person token at the access server": lambda: realm.federated(victim, scene.persons[VAULT]),
    }
    return Held(scene, jtis, works)


async def still_works(held: Held) -> list[str]:
    """What does not any more."""
    return [name for name, call in held.works.items() if (await call()).status != 200]


@pytest.mark.spec("#who-revokes-what", "#revocation-request")
@pytest.mark.parametrize("who", SERVERS)
async def test_no_server_revokes_what_another_issued(held: Held, who: str) -> None:
    realm, (issuer, dwk) = held.scene.realm, SERVERS[who]
    tried = 0
    for url in ENDPOINTS.values():
        for kind, (owner, jti) in held.jtis.items():
            if owner == issuer:
                continue
            body = {"jti": jti, "exp": int(realm.city.clock()) + 600}
            answer = await realm.send(realm.as_server(issuer, dwk, "POST", url, body))
            # `200` says that its own token of that name is revoked, which it may be.
            assert (answer.status, answer.headers.get("location")) in ((200, None), (403, None)), (url, kind)
            if answer.status == 403:
                assert answer.json()["error"] in ("unsupported_iss", "access_denied")
            tried += 1
    assert tried >= 2 * len(ENDPOINTS)
    assert await still_works(held) == []


@pytest.mark.spec("#who-revokes-what", "#revocation-request")
async def test_nobody_revokes_in_anothers_name(held: Held) -> None:
    """Whoever has a key has it for the name that publishes it; whoever has none has no name."""
    realm, city = held.scene.realm, held.scene.city
    for url in ENDPOINTS.values():
        for owner, jti in held.jtis.values():
            body = {"jti": jti, "exp": int(city.clock()) + 600}
            dwk = next(dwk for issuer, dwk in SERVERS.values() if issuer == owner)
            for request in (
                realm.as_server(owner, dwk, "POST", url, body, key=city.evil),
                city.signed("POST", url, city.thief, body=body),
            ):
                assert (await realm.send(request)).status == 401
    assert await still_works(held) == []


@pytest.mark.spec("#revocation-request")
async def test_an_agent_revokes_nothing_by_any_token_it_has(held: Held) -> None:
    scene, city = held.scene, held.scene.city
    mine = [scene.mallory.token, *scene.mallorys.values()]
    for url in ENDPOINTS.values():
        for _, jti in held.jtis.values():
            body = {"jti": jti, "exp": int(city.clock()) + 600}
            for shown in mine:
                assert (await scene.mallory.call("POST", url, body, shown=shown)).status == 401
    for text in (scene.persons[CALENDAR], scene.auths[VAULT], scene.victim.token):
        for url in ENDPOINTS.values():
            body = {"jti": "any", "exp": int(city.clock()) + 600}
            assert (await scene.thief(text).call("POST", url, body)).status == 401
    assert await still_works(held) == []


@pytest.mark.spec("#who-revokes-what", "#revocation-cascade")
async def test_the_body_of_a_revocation_names_no_issuer(held: Held) -> None:
    realm, city = held.scene.realm, held.scene.city
    for url in ENDPOINTS.values():
        for owner, jti in held.jtis.values():
            for issuer, dwk in ((EVIL_PS, PERSON_DWK), (EVIL_AP, AGENT_DWK), (EVIL_RESOURCE, RESOURCE_DWK)):
                body = {"jti": jti, "exp": int(city.clock()) + 600, "iss": owner, "issuer": owner, "sub": owner}
                answer = await realm.send(realm.as_server(issuer, dwk, "POST", url, body))
                assert answer.status in (200, 400, 403)
    assert await still_works(held) == []
