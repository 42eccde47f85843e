"""A server's signing key in other hands: what it is worth, and how it is made worth nothing (#jwks-discovery)."""

from __future__ import annotations

import pytest

from .realm import AP, CALENDAR, PS, VAULT, Agent, Realm
from .world import error_code

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.spec("#jwks-discovery", "#common-verification")]
ENGINES = ("sqlite", "postgresql")

#: How long a key set is kept by whoever fetched it, and a process's view of its own keys, with a margin.
SOON_S = 400


async def _thief(realm: Realm) -> Agent:
    """Whoever has the person server's key, with an agent of theirs."""
    return realm.city.evil_agent()


async def test_a_leaked_key_signs_nothing_once_it_was_replaced(realm: Realm) -> None:
    city, thief = realm.city, await _thief(realm)
    stolen = realm.key_of(PS)

    def forged() -> str:
        return realm.person(PS, thief, key=stolen, sub="the-boss")

    assert (await thief.call("GET", f"{CALENDAR}/me", shown=forged())).status == 200, "what a key is worth"
    # A rotation alone does not help: the old key stays in the set for the tokens it signed.
    ring = city.person_app.server.keys.ring
    await ring.rotate(at_once=True)
    city.clock.now += SOON_S
    assert (await thief.call("GET", f"{CALENDAR}/me", shown=forged())).status == 200
    await ring.replace()
    city.clock.now += SOON_S
    answer = await thief.call("GET", f"{CALENDAR}/me", shown=forged())
    assert (answer.status, error_code(answer)) == (401, "unknown_key")
    # The same at a server that the key's owner asks, and at the owner.
    presented = realm.person(PS, thief, key=stolen, aud=VAULT)
    answer = await realm.federated(thief, presented)
    assert answer.status in (400, 401)
    # The honest ones go on.
    agent = await city.newcomer()
    assert (await agent.call("GET", f"{CALENDAR}/me", shown=await agent.person_token())).status == 200


async def test_a_key_of_another_server_under_the_same_name_is_not_taken(realm: Realm) -> None:
    """The attacker publishes a key under the `kid` of the provider's: a key is known by its issuer and `kid`."""
    city = realm.city
    genuine = realm.key_of(AP)
    agent = city.evil_agent()
    for claims in ({"iss": AP}, {"iss": AP, "sub": "aauth:boss@agents.example"}):
        token = city.forged(agent.token, city.evil, header={"kid": genuine.kid}, **claims)
        answer = await Agent(city, agent.key, token).call("GET", f"{CALENDAR}/agent")
        assert (answer.status, error_code(answer)) == (401, "invalid_jwt")


async def test_an_agent_token_of_a_replaced_key_is_refused_and_the_agent_gets_another(realm: Realm) -> None:
    city = realm.city
    whole = await city.whole_agent()
    assert (await whole.get(f"{CALENDAR}/agent")).status_code == 200
    stolen = realm.key_of(AP)
    forged = realm.agent(AP, "aauth:boss@agents.example", signer=stolen)
    assert (await forged.call("GET", f"{CALENDAR}/agent")).status == 200
    await city.provider._keys.replace()
    city.clock.now += SOON_S
    forged = realm.agent(AP, "aauth:boss@agents.example", signer=stolen)
    answer = await forged.call("GET", f"{CALENDAR}/agent")
    assert (answer.status, error_code(answer)) == (401, "unknown_key")
    assert (await whole.get(f"{VAULT}/agent")).status_code == 200
