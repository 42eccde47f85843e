"""Revocation as a weapon: more of them than a server can keep, from one name or from many.

What is kept is bounded, whoever sends too much is told so, and honest servers are served all the while.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest

from aauthlib.http import Response
from aauthlib.resource.ratelimit import Limit

from .realm import (
    ACCESS_DWK,
    AGENT_DWK,
    AS,
    CALENDAR,
    EVIL_AP,
    EVIL_AS,
    EVIL_PS,
    EVIL_RESOURCE,
    PERSON_DWK,
    PS,
    VAULT,
    City,
    Realm,
)
from .world import AgentToken

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENGINES = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Door:
    """A revocation endpoint: who may call it in its own right, and what bounds it."""

    url: str
    dwk: str
    issuer: str
    """Of the attacker's, in the role that may revoke here."""
    most: str = ""
    most_of_all: str = ""


DOORS = {
    "resource": Door(
        f"{CALENDAR}/aauth/revoke",
        PERSON_DWK,
        EVIL_PS,
        "aauthlib.resource.revocations._MOST_PER_SERVER",
        "aauthlib.resource.revocations._MOST_OF_ALL",
    ),
    "person server": Door(
        f"{PS}/revocation",
        AGENT_DWK,
        EVIL_AP,
        "aauthlib.person.revocation.MAX_REVOCATIONS_HELD",
        "aauthlib.person.revocation.MAX_REVOCATIONS_OF_ALL",
    ),
    "access server": Door(f"{AS}/revocation", PERSON_DWK, EVIL_PS),
}
everywhere = pytest.mark.parametrize("role", DOORS)


async def revoke(realm: Realm, door: Door, jti: str, *, issuer: str = "", dwk: str = "") -> Response:
    body = {"jti": jti, "exp": int(realm.city.clock()) + 600}
    return await realm.send(realm.as_server(issuer or door.issuer, dwk or door.dwk, "POST", door.url, body))


def is_told_to_wait(answer: Response) -> bool:
    assert int(answer.headers.get("retry-after") or 0) > 0
    return (answer.status, answer.json()["error"]) == (429, "rate_limited")


def bound(monkeypatch: pytest.MonkeyPatch, realm: Realm, door: Door, *, of_all: bool, most: int) -> None:
    where = door.most_of_all if of_all else door.most
    if where:
        monkeypatch.setattr(where, most)
        return
    turnstile = realm.access.server.turnstile
    name = "revocations_of_all" if of_all else "revocations_held"
    monkeypatch.setattr(turnstile, "limits", replace(turnstile.limits, **{name: most}))


@pytest.mark.spec("#who-revokes-what", "#revocation-response")
@pytest.mark.parametrize("issuer", [EVIL_AS, EVIL_RESOURCE])
async def test_an_access_server_that_is_not_the_resources_own_revokes_nothing(realm: Realm, issuer: str) -> None:
    for url in (f"{CALENDAR}/aauth/revoke", f"{VAULT}/aauth/revoke"):
        answer = await revoke(realm, Door(url, ACCESS_DWK, issuer), "any")
        assert answer.status in (401, 403), "unsupported_iss, or no such access server"
        assert answer.status == 401 or answer.json()["error"] == "unsupported_iss"


@everywhere
@pytest.mark.spec("#revocation-response")
async def test_one_server_is_bounded_in_entries_and_may_repeat_itself(
    realm: Realm, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    door = DOORS[role]
    bound(monkeypatch, realm, door, of_all=False, most=2)
    for jti in ("one", "two"):
        assert (await revoke(realm, door, jti)).status == 200
    assert is_told_to_wait(await revoke(realm, door, "three"))
    assert (await revoke(realm, door, "one")).status == 200


@everywhere
@pytest.mark.spec("#revocation-response")
async def test_one_server_is_bounded_in_rate(realm: Realm, monkeypatch: pytest.MonkeyPatch, role: str) -> None:
    door = DOORS[role]
    monkeypatch.setattr("aauthlib.resource.revocations._LIMIT", Limit(3, 60.0))
    monkeypatch.setattr(realm.city.person_app.server.revocation_rate, "_limit", 3)
    monkeypatch.setattr(realm.access.server.turnstile._revocations, "_limit", 3)
    answers = [await revoke(realm, door, "one") for _ in range(5)]
    assert is_told_to_wait(answers[-1])
    # Another one is not slowed by it.
    realm.city.network.publish("https://another.example", door.dwk, realm.city.evil)
    assert (await revoke(realm, door, "one", issuer="https://another.example")).status == 200
    realm.city.clock.now += 120


@everywhere
@pytest.mark.spec("#revocation-response")
async def test_many_names_together_are_bounded_and_honest_servers_are_served(
    realm: Realm, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    city, door = realm.city, DOORS[role]
    dies = await _victim(realm, role)
    bound(monkeypatch, realm, door, of_all=True, most=0)
    strangers = [f"https://flood{number}.example" for number in range(3)]
    for issuer in strangers:
        city.network.publish(issuer, door.dwk, city.evil)
        assert is_told_to_wait(await revoke(realm, door, "any", issuer=issuer))
    # Who is known here is served, and it has effect.
    await dies()


Dies = Callable[[], Awaitable[None]]


async def _victim(realm: Realm, role: str) -> Dies:
    """An agent with a token; what is returned has an honest server revoke it, and looks."""
    city: City = realm.city
    agent = await city.newcomer()
    if role == "person server":
        await agent.person_token(CALENDAR)

        async def provider_revokes() -> None:
            await city.provider.revoke(city.read(agent.token, AgentToken).sub)
            assert (await agent.ask_person_token(CALENDAR)).status == 401

        return provider_revokes
    resource = CALENDAR if role == "resource" else VAULT
    presented = await agent.person_token(resource)
    if role == "access server":
        assert (await realm.vault_token(agent, presented)).status == 200
    else:
        assert (await agent.call("GET", f"{CALENDAR}/me", shown=presented)).status == 200

    async def person_server_revokes() -> None:
        from .realm import PersonToken

        jti = city.read(presented, PersonToken).jti
        assert (await revoke(realm, DOORS[role], jti, issuer=PS)).status == 200
        if role == "resource":
            assert (await agent.call("GET", f"{CALENDAR}/me", shown=presented)).status == 401
        else:
            answer = await realm.federated(agent, presented)
            assert (answer.status, answer.json()["error"]) == (400, "revoked_presented_token")

    return person_server_revokes
