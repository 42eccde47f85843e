"""Rate limits per rung, seen from outside."""

from __future__ import annotations

import pytest

from aauthlib.keys import SigningKey
from aauthlib.resource import Policy, Route, person
from tests.resource.world import World


@pytest.mark.spec("signature-key#4.5", "signature-key#4.4")
async def test_an_anonymous_caller_beyond_its_limit_learns_that_signing_helps_and_it_does(world: World) -> None:
    assert [(await world.unsigned("GET", "/events")).status for _ in range(3)] == [200] * 3
    response = await world.unsigned("GET", "/events")
    assert (response.status, response.json()["error"]) == (429, "rate_limited")
    assert response.headers.get("retry-after") == "20"
    assert response.headers.get("accept-signature-scheme") == "hwk, jkt-jwt, jwt"
    assert "signature-error" not in response.headers
    assert (await world.get("/events")).status == 200
    assert (await world.unsigned("GET", "/events", client="192.0.2.2")).status == 200
    world.clock.now += 20
    assert (await world.unsigned("GET", "/events")).status == 200


@pytest.mark.spec("signature-key#4.5")
async def test_a_key_has_a_limit_of_its_own_and_is_not_told_to_sign(world: World) -> None:
    assert [(await world.get("/hello")).status for _ in range(6)] == [200] * 5 + [429]
    assert "accept-signature-scheme" not in (await world.get("/hello")).headers
    assert (await world.get("/hello", key=world.other)).status == 200


async def test_an_agent_is_counted_by_identity_whatever_key_it_has(world: World) -> None:
    for _ in range(5):
        assert (await world.get("/hello", world.agent_token())).status == 200
    assert (await world.get("/hello", world.agent_token(world.other), key=world.other)).status == 429
    stranger = world.agent_token(sub="aauth:b@ap.example")
    assert (await world.get("/hello", stranger)).status == 200


async def test_a_person_is_counted_by_issuer_and_subject(world: World) -> None:
    for _ in range(5):
        assert (await world.get("/hello", world.person_token())).status == 200
    assert (await world.get("/hello", world.person_token(world.other), key=world.other)).status == 429
    assert (await world.get("/hello", world.person_token(sub="somebody-else"))).status == 200


async def test_keys_cost_nothing_so_one_address_cannot_have_any_number_of_limits(world: World) -> None:
    statuses = [(await world.get("/hello", key=SigningKey.generate())).status for _ in range(51)]
    assert statuses == [200] * 50 + [429]
    elsewhere = world.signed("GET", "/hello", key=SigningKey.generate())
    assert (await world.call(elsewhere, client="198.51.100.7")).status == 200


async def test_a_challenge_is_not_counted() -> None:
    world = World(policy=Policy([Route("GET", "/me", person(limit="1/minute"))]))
    for _ in range(3):
        assert (await world.unsigned("GET", "/me")).status == 401
    assert (await world.get("/me", world.person_token())).status == 200
    assert (await world.get("/me", world.person_token())).status == 429
