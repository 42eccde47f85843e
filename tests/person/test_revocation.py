"""The revocation endpoint and the cascade behind it (#token-revocation)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from aauthlib import errors
from aauthlib.discovery import TransportError
from aauthlib.effects import Send
from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import JWKSURI, SignaturePolicy, sign
from aauthlib.jws import parse
from aauthlib.keys import SigningKey
from aauthlib.messages.problems import error_response
from aauthlib.person import limits
from aauthlib.tokens import VerificationPolicy
from aauthlib.verification import authenticate

from .parties import (
    ALICE,
    AP,
    AS,
    CALENDAR,
    MAIL,
    OTHER_AP,
    PS,
    Agent,
    World,
    approve,
    arrive,
    resource_token,
    server_signed,
)

ENDPOINT = PS + "/revocation"


async def revoke(world: World, issuer: str, jti: str, *, dwk: str | None = None, exp: float | None = None) -> Response:
    document = {"jti": jti, "exp": int(world.clock() + 3600 if exp is None else exp)}
    kind = dwk or ("aauth-agent.json" if issuer in (AP, OTHER_AP) else "aauth-resource.json")
    return await world.server.revoke(server_signed(world, issuer, kind, ENDPOINT, document))


@pytest.mark.spec("#revocation-response", "#revocation-cascade")
async def test_a_revoked_agent_token_is_refused_and_another_of_the_agent_is_not(world: World) -> None:
    agent = world.agent()
    await agent.person_token()
    answer = await revoke(world, AP, agent.token_jti)
    assert answer.status == 200
    assert answer.body == b""
    assert "content-type" not in answer.headers
    with pytest.raises(errors.RevokedJWT):
        await agent.ask_person_token()
    with pytest.raises(errors.RevokedJWT):
        await agent.ask_person_token("whatever else is wrong with the request")
    agent.renew()
    assert (await agent.ask_person_token()).status == 200, "the binding and its consents stay"


@pytest.mark.spec("#revocation-cascade", "#polling-error-codes")
async def test_revoking_an_agent_token_ends_what_the_agent_waits_for(world: World) -> None:
    agent = world.agent()
    waiting, granted = await agent.ask_person_token(), await agent.ask_person_token(MAIL)
    digest = await arrive(world, waiting)
    await approve(world, granted)
    other = await world.agent("other").ask_person_token()
    await revoke(world, AP, agent.token_jti)
    agent.renew()
    for response in (waiting, granted):
        with pytest.raises(errors.Revoked, match="agent token"):
            await agent.poll(response)
    with pytest.raises(errors.AAuthError):
        await world.server.approve(digest, person_id=ALICE)
    assert (await world.agent("other").poll(other)).status == 202


@pytest.mark.spec("#revocation-cascade", "#keying-material", "#revocation-request")
async def test_the_cascade_tells_each_resource_about_every_token_of_the_agent(world: World) -> None:
    agent = world.agent()
    person = await agent.person_token()
    auth = await agent.auth_token(person)
    spared = world.agent("spared")
    await spared.person_token()
    agent.renew()  # by identity: the tokens were issued under another agent token than the one revoked
    await agent.ask_person_token()
    await revoke(world, AP, agent.token_jti)
    told = {msgspec.json.decode(request.body)["jti"] for request in world.network.sent}
    assert {person.jti, auth.jti} <= told
    assert len(world.network.sent) == 3
    world.directory.publish(PS, world.server.jwks())
    for request in world.network.sent:
        assert request.url == CALENDAR + "/revoke"
        caller = await world.wire.run(
            authenticate(
                request,
                now=world.clock(),
                signature=SignaturePolicy(schemes=("jwks_uri",), cover_body=True),
                tokens=VerificationPolicy(),
                accepted=(),
            )
        )
        assert caller.server is not None
        assert (caller.server.id, caller.server.dwk) == (PS, "aauth-person.json")
    record = await world.server.store.issued(auth.jti)
    assert record is not None
    assert (record.revoked_at, record.revocation) == (world.clock(), "recorded")
    assert msgspec.json.decode(world.network.sent[0].body)["exp"] == person.exp


@pytest.mark.spec("#revocation-cascade", "#presenting-a-revoked-token")
async def test_a_token_of_a_revoked_agent_cannot_be_presented_any_more(world: World) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    text = resource_token(world, presented)
    await revoke(world, AP, agent.token_jti)
    agent.renew()
    with pytest.raises(errors.RevokedPresentedToken):
        await agent.ask_auth_token(text, presented)


@pytest.mark.spec("#revocation-response")
async def test_how_telling_the_resource_ended_is_kept_and_tried_again(world: World) -> None:
    agent = world.agent()
    token = await agent.person_token()
    world.network.answers = [TransportError("no route"), error_response(errors.UnsupportedIss())]
    outcomes = []
    for _ in range(4):
        assert (await revoke(world, AP, agent.token_jti)).status == 200
        record = await world.server.store.issued(token.jti)
        assert record is not None
        outcomes.append(record.revocation)
    assert outcomes == ["revocation_unavailable", "revocation_unsupported", "recorded", "recorded"]
    assert len(world.network.sent) == 3, "what succeeded is not tried again, everything else is"


@pytest.mark.spec("#revocation-response")
@pytest.mark.parametrize("resource", [MAIL, "https://nowhere.example"])
async def test_a_resource_without_a_revocation_endpoint_is_left_alone(world: World, resource: str) -> None:
    agent = world.agent()
    await agent.person_token(resource)
    (outcome,) = await world.server.disconnect(ALICE, agent.identity)
    assert outcome.outcome == ("revocation_unsupported" if resource == MAIL else "revocation_unavailable")
    assert world.network.sent == []


@pytest.mark.spec("#revocation-cascade")
async def test_a_resource_withdraws_its_resource_token(world: World) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    waiting, granted, fresh, other = (
        resource_token(world, presented, jti=jti) for jti in ("waiting", "granted", "fresh", "other")
    )
    responses = [await agent.ask_auth_token(text, presented) for text in (waiting, granted, other)]
    await approve(world, responses[1], remember=False)
    for jti in ("waiting", "granted", "fresh"):
        assert (await revoke(world, CALENDAR, jti)).status == 200
    for response in responses[:2]:
        with pytest.raises(errors.Revoked, match="resource"):
            await agent.poll(response)
    assert (await agent.poll(responses[2])).status == 202
    for text in (fresh, waiting):
        with pytest.raises(errors.RevokedResourceToken):
            await agent.ask_auth_token(text, presented)
    assert world.network.sent == []


@pytest.mark.spec("#revocation-request")
async def test_a_caller_revokes_only_its_own_tokens(world: World) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    text = resource_token(world, presented, jti="mine")
    for stranger in (OTHER_AP, MAIL):
        assert (await revoke(world, stranger, agent.token_jti)).status == 200
        assert (await revoke(world, stranger, "mine")).status == 200
    assert (await agent.ask_person_token()).status == 200
    assert (await agent.ask_auth_token(text, presented)).status == 202


@pytest.mark.spec("#revocation-response")
async def test_a_token_never_seen_is_revoked_all_the_same(world: World) -> None:
    agent = world.agent()
    assert (await revoke(world, AP, agent.token_jti)).status == 200
    with pytest.raises(errors.RevokedJWT):
        await agent.ask_person_token()


@pytest.mark.spec("#token-endpoint-error-codes", "#revocation-cascade")
async def test_a_revoked_sub_agent_loses_its_own_tokens_and_its_parent_keeps_its_own(world: World) -> None:
    parent = world.agent()
    child = parent.sub_agent()
    parents = await parent.person_token()
    childs = await parent.person_token(subagent_token=child.token)
    await revoke(world, AP, child.token_jti)
    with pytest.raises(errors.RevokedSubagentToken):
        await parent.ask_person_token(subagent_token=child.token)
    assert [msgspec.json.decode(request.body)["jti"] for request in world.network.sent] == [childs.jti]
    record = await world.server.store.issued(parents.jti)
    assert record is not None
    assert record.revoked_at is None


@pytest.mark.spec("#revocation-cascade", "#sub-agents")
async def test_revoking_a_parent_takes_its_sub_agents_tokens_along(world: World) -> None:
    parent = world.agent()
    token = await parent.person_token(subagent_token=parent.sub_agent().token)
    await revoke(world, AP, parent.token_jti)
    record = await world.server.store.issued(token.jti)
    assert record is not None
    assert record.revoked_at is not None


@pytest.mark.spec("#revocation-response")
@pytest.mark.parametrize("dwk", ["aauth-person.json", "aauth-access.json"])
async def test_other_servers_revoke_nothing_here(world: World, dwk: str) -> None:
    with pytest.raises(errors.UnsupportedIss):
        await revoke(world, AS, "x", dwk=dwk)


@pytest.mark.spec("#revocation-request", "#keying-material")
async def test_an_agent_cannot_revoke(world: World) -> None:
    agent = world.agent()
    request = agent.signed("POST", ENDPOINT, {"jti": agent.token_jti, "exp": int(world.clock() + 60)})
    with pytest.raises(errors.UnsupportedScheme):
        await world.server.revoke(request)
    bare = request.with_headers(signature=None, signature_input=None, signature_key=None)
    with pytest.raises(errors.InvalidSignature):
        await world.server.revoke(bare)


@pytest.mark.spec("#revocation-request")
async def test_a_revocation_signed_by_another_key_is_refused(world: World) -> None:
    body = {"jti": "x", "exp": int(world.clock() + 60)}
    published = world.server_keys[AP]
    forged = SigningKey.from_jwk({**SigningKey.generate().to_private_jwk(), "kid": published.kid})
    with pytest.raises(errors.InvalidSignature):
        await world.server.revoke(server_signed(world, AP, "aauth-agent.json", ENDPOINT, body, key=forged))


@pytest.mark.spec("#revocation-request", "#revocation-response")
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"jti": "x"},
        {"exp": 1},
        {"jti": "", "exp": 2_000_000_000},
        {"jti": 1, "exp": 1},
        {"jti": "x", "exp": "1"},
        {"jti": "x", "exp": -1},
        {"jti": "x", "exp": 1.5e300},
        {"jti": "x", "exp": 9_999_999_999},
        {"jti": "x" * 5000, "exp": 1},
        [],
    ],
)
async def test_a_malformed_revocation_is_refused(world: World, body: Any) -> None:
    with pytest.raises(errors.InvalidRequest):
        await world.server.revoke(server_signed(world, AP, "aauth-agent.json", ENDPOINT, body))


@pytest.mark.spec("#revocation-response")
async def test_a_revocation_of_a_token_that_expired_is_answered_and_not_kept(world: World) -> None:
    assert (await revoke(world, AP, "old", exp=world.clock() - 1)).status == 200
    assert await world.server.store.revocations_held(AP) == 0


@pytest.mark.spec("#revocation-response")
async def test_one_issuer_is_bounded_in_rate_and_others_are_not_slowed(world: World) -> None:
    for number in range(limits.REVOCATIONS_PER_MINUTE):
        await revoke(world, AP, f"jti-{number}", exp=world.clock() - 1)
    with pytest.raises(errors.RateLimited) as caught:
        await revoke(world, AP, "one more")
    assert 0 < caught.value.retry_after_s <= 61
    assert (await revoke(world, CALENDAR, "mine")).status == 200
    world.clock.now += 61
    assert (await revoke(world, AP, "one more")).status == 200


@pytest.mark.spec("#revocation-response")
async def test_one_issuer_is_bounded_in_entries(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aauthlib.person.revocation.MAX_REVOCATIONS_HELD", 2)
    await revoke(world, AP, "one")
    await revoke(world, AP, "two")
    with pytest.raises(errors.RateLimited):
        await revoke(world, AP, "three")


@pytest.mark.spec("#revocation-response")
async def test_an_issuer_that_is_full_may_still_repeat_what_it_revoked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aauthlib.person.revocation.MAX_REVOCATIONS_HELD", 1)
    agent = world.agent()
    token = await agent.person_token()
    world.network.answers = [TransportError("no route")]
    for expected in ("revocation_unavailable", "recorded"):
        assert (await revoke(world, AP, agent.token_jti)).status == 200
        record = await world.server.store.issued(token.jti)
        assert record is not None
        assert record.revocation == expected


@pytest.mark.spec("#token-revocation")
async def test_a_revocation_is_dropped_once_the_token_has_expired(world: World) -> None:
    await revoke(world, AP, "short", exp=world.clock() + 60)
    assert await world.server.store.revocations_held(AP) == 1
    world.clock.now += 121
    assert await world.server.store.purge(now=world.clock()) >= 1
    assert await world.server.store.revocations_held(AP) == 0


@pytest.mark.spec("#revocation-cascade")
async def test_an_agent_of_the_same_name_at_another_provider_is_not_touched(world: World) -> None:
    agent = world.agent()
    twin = Agent(world, "aauth:helper@other-ap.example", iss=OTHER_AP)
    await agent.person_token()
    await twin.person_token()
    assert parse(agent.token).payload["jti"] == agent.token_jti
    await revoke(world, AP, agent.token_jti)
    assert (await twin.ask_person_token()).status == 200


class Slow:
    """Resources that answer when they are told to."""

    def __init__(self, world: World) -> None:
        self.called, self.release, self._send = asyncio.Event(), asyncio.Event(), world.network.send
        world.network.send = self.send  # type: ignore[method-assign]

    async def send(self, effect: Send) -> Response:
        self.called.set()
        await self.release.wait()
        return await self._send(effect)


async def poll(world: World, accepted: Response, issuer: str = AP, **headers: str) -> Response:
    location = accepted.headers.get("location")
    assert location is not None
    signer = world.server_keys[issuer]
    named = JWKSURI(issuer, "aauth-agent.json", signer.kid)
    request = sign(Request("GET", location, Fields(headers)), signer, named, created=int(world.clock()))
    return await world.server.poll(request, location.rpartition("/")[2])


@pytest.mark.spec("#revocation-response", "#polling-with-get")
async def test_a_cascade_that_takes_longer_is_polled_by_the_same_server_only(world: World) -> None:
    agent = world.agent()
    token = await agent.person_token()
    slow, world.server.revocation_hold_s = Slow(world), 0.01
    accepted = await revoke(world, AP, agent.token_jti)
    assert accepted.status == 202
    assert "aauth-requirement" not in accepted.headers
    assert (await poll(world, accepted)).status == 202
    agent.renew()
    for stranger in (poll(world, accepted, OTHER_AP), agent.poll(accepted)):
        with pytest.raises(errors.NotFound):
            await stranger
    slow.release.set()
    done = await poll(world, accepted, prefer="wait=20")
    assert (done.status, done.body) == (200, b"")
    assert "content-type" not in done.headers
    record = await world.server.store.issued(token.jti)
    assert record is not None
    assert record.revocation == "recorded"
    assert len(world.network.sent) == 1
    with pytest.raises(errors.Gone):
        await poll(world, accepted)


@pytest.mark.spec("#revocation-response")
async def test_a_caller_says_how_long_it_waits(world: World) -> None:
    agent = world.agent()
    await agent.person_token()
    slow, world.server.revocation_hold_s = Slow(world), 0.01
    document = {"jti": agent.token_jti, "exp": int(world.clock() + 3600)}
    asked = server_signed(world, AP, "aauth-agent.json", ENDPOINT, document, prefer="wait=30")
    waiting = asyncio.create_task(world.server.revoke(asked))
    await slow.called.wait()
    slow.release.set()
    assert (await waiting).status == 200


@pytest.mark.spec("#revocation-response")
async def test_a_poll_after_a_restart_finishes_the_cascade(world: World) -> None:
    agent = world.agent()
    token = await agent.person_token()
    slow, world.server.revocation_hold_s = Slow(world), 0.01
    accepted = await revoke(world, AP, agent.token_jti)
    await world.server.aclose()
    slow.release.set()
    assert (await poll(world, accepted, prefer="wait=20")).status == 200
    record = await world.server.store.issued(token.jti)
    assert record is not None
    assert record.revocation == "recorded"


@pytest.mark.spec("#revocation-response")
async def test_with_nothing_downstream_nobody_waits(world: World) -> None:
    world.server.revocation_hold_s = 0.0
    agent = world.agent()
    await agent.ask_person_token()
    assert (await revoke(world, AP, agent.token_jti)).status == 200
    assert (await revoke(world, CALENDAR, "a resource token")).status == 200


@pytest.mark.spec("#revocation-response", "#revocation-cascade")
async def test_repeating_a_revocation_leaves_alone_what_was_issued_since(world: World) -> None:
    agent = world.agent()
    before, revoked = await agent.person_token(), agent.token_jti
    world.network.answers = [TransportError("no route")]
    await revoke(world, AP, revoked)
    agent.renew()
    since, waiting = await agent.person_token(), await agent.ask_person_token(MAIL)
    await revoke(world, AP, revoked)
    assert [msgspec.json.decode(request.body)["jti"] for request in world.network.sent] == [before.jti] * 2
    record = await world.server.store.issued(since.jti)
    assert record is not None
    assert record.revoked_at is None
    assert (await agent.poll(waiting)).status == 202


@pytest.mark.spec("#revocation-cascade")
async def test_every_agent_token_a_bound_agent_presents_is_on_record(world: World) -> None:
    agent = world.agent()
    token, waiting = await agent.person_token(), await agent.ask_person_token(MAIL)
    agent.renew()
    await agent.cancel(waiting)
    await revoke(world, AP, agent.token_jti)
    assert [msgspec.json.decode(request.body)["jti"] for request in world.network.sent] == [token.jti]


@pytest.mark.spec("#covered-components", "#revocation-request")
async def test_a_body_that_the_signature_does_not_cover_is_refused(world: World) -> None:
    key = world.server_keys[AP]
    body = msgspec.json.encode({"jti": "x", "exp": int(world.clock() + 60)})
    request = Request("POST", ENDPOINT, Fields({"content-type": "application/json"}), body)
    named = JWKSURI(AP, "aauth-agent.json", key.kid)
    bare = sign(request, key, named, created=int(world.clock()), cover_body=False)
    with pytest.raises(errors.InvalidInput) as caught:
        await world.server.revoke(bare)
    assert {"content-digest", "content-type"} <= set(caught.value.required_input)
