"""Revoking an enrolment and telling the person servers (#token-revocation)."""

from __future__ import annotations

from typing import Any

import pytest

from aauthlib.discovery import TransportError
from aauthlib.errors import RateLimited, UnsupportedIss
from aauthlib.http import Fields, Response, json_response
from aauthlib.keys import SigningKey
from aauthlib.messages.problems import error_response
from aauthlib.provider import EnrollmentUnknown, Outcome

AP = "https://ap.example"
PS = "https://ps.example"


@pytest.fixture
def durable() -> SigningKey:
    return SigningKey.generate()


@pytest.mark.spec("#revocation-request", "#who-revokes-what", "#keying-material")
async def test_revoking_tells_the_person_server_of_each_living_token(world: Any, durable: Any) -> None:
    first = await world.enroll(durable, ps=PS)
    second = await world.provider.refresh(world.two_key(durable, SigningKey.generate()))
    tokens = [await world.verified(first["agent_token"]), await world.verified(second.json()["agent_token"])]
    results = await world.provider.revoke(first["agent"])
    assert [result.outcome for result in results] == [Outcome.REVOKED, Outcome.REVOKED]
    assert {(iss, body.jti, body.exp) for iss, body in world.person_server.revoked} == {
        (AP, token.jti, token.exp) for token in tokens
    }


@pytest.mark.spec("#revocation-cascade", "#sub-agents")
async def test_the_tokens_of_its_sub_agents_are_revoked_too(world: Any, durable: Any) -> None:
    parent = await world.enroll(durable, ps=PS)
    child = await world.provider.subagent(
        world.subagent_request(
            durable, parent["agent_token"], discriminator="a", jwk=SigningKey.generate().public.to_jwk()
        )
    )
    results = await world.provider.revoke(parent["agent"])
    assert {result.agent for result in results} == {parent["agent"], child.json()["agent"]}
    assert {body.jti for _, body in world.person_server.revoked} == {
        (await world.verified(token)).jti for token in (parent["agent_token"], child.json()["agent_token"])
    }


@pytest.mark.spec("#who-revokes-what")
async def test_only_this_agents_living_tokens_are_revoked(world: Any, durable: Any) -> None:
    bystander = SigningKey.generate()
    await world.enroll(bystander, ps=PS)
    expired = await world.enroll(durable, ps=PS)
    world.clock.now += 3600
    living = await world.provider.refresh(world.request("/refresh", {}, durable))
    await world.provider.revoke(expired["agent"])
    (told,) = world.person_server.revoked
    assert told[1].jti == (await world.verified(living.json()["agent_token"])).jti
    assert (await world.provider.refresh(world.request("/refresh", {}, bystander))).status == 200


@pytest.mark.spec("#who-revokes-what")
async def test_a_token_without_a_person_server_has_nobody_to_tell(world: Any, durable: Any) -> None:
    enrolled = await world.enroll(durable)
    (result,) = await world.provider.revoke(enrolled["agent"])
    assert result.outcome is Outcome.NO_PERSON_SERVER
    assert world.person_server.requests == []
    assert await world.provider.revoke(enrolled["agent"]) == []


@pytest.mark.spec("#revocation-response")
async def test_a_person_server_without_the_endpoint_is_reported(world: Any, durable: Any) -> None:
    enrolled = await world.enroll(durable, ps="https://old-ps.example")
    (result,) = await world.provider.revoke(enrolled["agent"])
    assert result.outcome is Outcome.UNSUPPORTED
    assert world.person_server.requests == []


@pytest.mark.spec("#revocation-response")
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (error_response(UnsupportedIss("Not from you.")), Outcome.UNSUPPORTED),
        (error_response(RateLimited("Later.")), Outcome.UNAVAILABLE),
        (Response(500), Outcome.UNAVAILABLE),
        (Response(404), Outcome.UNAVAILABLE),
        (Response(200, Fields(), b"<html>"), Outcome.UNAVAILABLE),
        (Response(200, Fields(), b"[]"), Outcome.UNAVAILABLE),
        (Response(200, Fields(), b"[" * 5000), Outcome.UNAVAILABLE),
        (Response(302, Fields({"location": "https://evil.example/"})), Outcome.UNAVAILABLE),
        (TransportError("no answer"), Outcome.UNAVAILABLE),
        (Response(202, Fields({"location": "https://evil.example/pending"})), Outcome.UNAVAILABLE),
        (Response(202), Outcome.UNAVAILABLE),
        (Response(200), Outcome.REVOKED),
        (json_response(200, {}), Outcome.REVOKED),
    ],
)
async def test_every_answer_of_a_person_server_has_an_outcome(
    world: Any, durable: Any, answer: Response | TransportError, outcome: Outcome
) -> None:
    enrolled = await world.enroll(durable, ps=PS)
    world.person_server.answers = [answer]
    (result,) = await world.provider.revoke(enrolled["agent"])
    assert result.outcome is outcome
    assert (result.detail == "") is (outcome is Outcome.REVOKED)


@pytest.mark.spec("#revocation-response")
async def test_repeating_a_revocation_tries_again_what_failed_and_nothing_else(world: Any, durable: Any) -> None:
    enrolled = await world.enroll(durable, ps=PS)
    world.person_server.answers = [TransportError("no answer")]
    assert [r.outcome for r in await world.provider.revoke(enrolled["agent"])] == [Outcome.UNAVAILABLE]
    assert [r.outcome for r in await world.provider.revoke(enrolled["agent"])] == [Outcome.REVOKED]
    assert await world.provider.revoke(enrolled["agent"]) == []
    assert len(world.person_server.revoked) == 1


@pytest.mark.spec("#revocation-response")
async def test_a_silent_person_server_is_waited_for_once(world: Any, durable: Any) -> None:
    enrolled = await world.enroll(durable, ps=PS)
    for _ in range(5):
        await world.provider.refresh(world.request("/refresh", {}, durable))
    world.person_server.answers = [TransportError("no answer")] * 6
    results = await world.provider.revoke(enrolled["agent"])
    assert [result.outcome for result in results] == [Outcome.UNAVAILABLE] * 6
    assert len(world.person_server.requests) == 1


@pytest.mark.spec("#revocation-response", "#polling-with-get")
async def test_a_deferred_revocation_is_polled_under_the_same_identity(world: Any, durable: Any) -> None:
    enrolled = await world.enroll(durable, ps=PS)
    pending = json_response(202, {"status": "pending"}, headers=[("location", "/pending/x"), ("retry-after", "0")])
    world.person_server.answers = [pending, pending]
    (result,) = await world.provider.revoke(enrolled["agent"])
    assert result.outcome is Outcome.REVOKED
    post, first, second = world.person_server.requests
    assert (post.method, first.method, second.method) == ("POST", "GET", "GET")
    assert first.url == second.url == f"{PS}/pending/x"
    assert f'id="{AP}"' in (second.headers.get("signature-key") or "")
    assert second.body == b""


@pytest.mark.spec("#covered-components", "#revocation-request")
async def test_the_revocation_covers_its_body(world: Any, durable: Any) -> None:
    enrolled = await world.enroll(durable, ps=PS)
    await world.provider.revoke(enrolled["agent"])
    (request,) = world.person_server.requests
    covered = request.headers.get("signature-input") or ""
    assert '"content-digest"' in covered
    assert '"content-type"' in covered


@pytest.mark.spec("#revocation-cascade")
async def test_an_unknown_agent_cannot_be_revoked(world: Any) -> None:
    with pytest.raises(EnrollmentUnknown):
        await world.provider.revoke("aauth:nobody@ap.example")


@pytest.mark.spec("#durable-key-compromise")
async def test_the_list_of_installs_shows_what_was_revoked(world: Any, durable: Any) -> None:
    enrolled = await world.enroll(durable, label="phone")
    await world.enroll(SigningKey.generate(), label="desk")
    await world.provider.revoke(enrolled["agent"])
    installs = await world.provider.installs()
    assert [(i.label, i.revoked_at) for i in sorted(installs, key=lambda i: i.label)] == [
        ("desk", None),
        ("phone", world.clock.now),
    ]
    assert await world.provider.installs(limit=1, after=installs[0].agent) == [installs[1]]


@pytest.mark.spec("#revocation-cascade", "#revocation-response")
async def test_a_person_server_that_could_not_be_told_is_told_when_it_is_back(world: Any, durable: Any) -> None:
    enrolled = await world.enroll(durable, ps=PS)
    await world.provider.refresh(world.request("/refresh", {}, durable))
    world.person_server.answers = [TransportError("no answer")]
    await world.provider.revoke(enrolled["agent"])
    assert await world.provider.tell_again() == 0
    assert len(world.person_server.requests) == 1, "it is left alone for a while"
    world.clock.now += 31
    assert await world.provider.tell_again() == 2
    assert len(world.person_server.revoked) == 2
    world.clock.now += 31
    assert await world.provider.tell_again() == 0
    assert len(world.person_server.requests) == 3, "what is confirmed is not told again"


@pytest.mark.spec("#revocation-cascade")
async def test_the_pauses_before_telling_again_grow(world: Any, durable: Any) -> None:
    enrolled = await world.enroll(durable, ps=PS)
    world.person_server.answers = [TransportError("no answer")] * 100
    await world.provider.revoke(enrolled["agent"])
    for _ in range(120):
        world.clock.now += 15
        await world.provider.tell_again()
    assert 5 <= len(world.person_server.requests) <= 9


@pytest.mark.spec("#revocation-cascade")
async def test_nobody_is_told_of_agents_that_were_not_revoked(world: Any, durable: Any) -> None:
    await world.enroll(durable, ps=PS)
    assert await world.provider.tell_again() == 0
    assert world.person_server.requests == []
