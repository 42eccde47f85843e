"""Revocation at an access server (#token-revocation): who may revoke what, the cascade, and what is said about it."""

from __future__ import annotations

import asyncio

import pytest

from aauthlib import errors
from aauthlib.access import NeedApproval
from aauthlib.discovery import TransportError
from aauthlib.http import Fields, Request, Response
from aauthlib.keys import SigningKey
from aauthlib.tokens import AuthToken, PersonToken, ResourceToken
from aauthlib.verification import authenticate

from .parties import AP, AS, CALENDAR, MAIL, OTHER_PS, World, location

RESOURCE = {"issuer": CALENDAR, "dwk": "aauth-resource.json"}
REVOKE_AT = CALENDAR + "/revoke"


async def issued(world: World) -> tuple[SigningKey, str, AuthToken]:
    """A key, the jti of a person token, and an auth token issued against it."""
    key = SigningKey.generate()
    presented = world.person(key)
    return (
        key,
        world.read(presented, PersonToken).jti,
        await world.granted(world.bundle(key, presented_token=presented)),
    )


@pytest.mark.spec("#revocation-cascade", "#revocation-response", "#who-revokes-what")
async def test_a_revoked_person_token_takes_back_what_was_issued_against_it(any_world: World) -> None:
    world = any_world
    key, jti, first = await issued(world)
    step_up = await world.granted(world.bundle(key, presented_token=first.raw, scope="calendar.write"))
    response = await world.revoke(jti)
    assert response.status == 200
    assert response.json() == {"downstream": [{"recipient": CALENDAR}]}
    assert {request.url for request in world.network.sent} == {REVOKE_AT}
    assert {request.headers.get("content-type") for request in world.network.sent} == {"application/json"}
    told = {_jti(request) for request in world.network.sent}
    assert told == {first.jti, step_up.jti}
    for presented in (first.raw, step_up.raw):
        with pytest.raises(errors.RevokedPresentedToken):
            await world.ask(world.bundle(key, presented_token=presented))


def _jti(request: Request) -> str:
    import msgspec

    return str(msgspec.json.decode(request.body)["jti"])


@pytest.mark.spec("#revocation-request", "#keying-material")
async def test_the_resource_can_verify_that_this_server_revokes(world: World) -> None:
    from aauthlib.httpsig import SignaturePolicy
    from aauthlib.tokens import VerificationPolicy

    _, jti, _ = await issued(world)
    await world.revoke(jti)
    (request,) = world.network.sent
    world.directory.publish(AS, world.server.jwks())
    flow = authenticate(
        request,
        now=world.clock(),
        signature=SignaturePolicy(schemes=("jwks_uri",), cover_body=True),
        tokens=VerificationPolicy(),
        accepted=(),
    )
    caller = await world.wire.run(flow)
    assert caller.server is not None
    assert (caller.server.id, caller.server.dwk) == (AS, "aauth-access.json")


@pytest.mark.spec("#revocation-cascade", "#token-endpoint-error-codes")
async def test_nothing_more_is_issued_against_a_revoked_person_token(any_world: World) -> None:
    world, key = any_world, SigningKey.generate()
    presented = world.person(key)
    body = world.bundle(key, presented_token=presented)
    response = await world.revoke(world.read(presented, PersonToken).jti)
    assert (response.status, response.body) == (200, b"")
    assert "content-type" not in response.headers
    with pytest.raises(errors.RevokedPresentedToken):
        await world.ask(body)


@pytest.mark.spec("#revocation-cascade", "#polling-error-codes")
async def test_a_request_that_waits_ends_as_revoked(world: World) -> None:
    world.policy.decide = lambda facts: NeedApproval("the boss")
    body = world.bundle()
    asked = await world.ask(body)
    await world.revoke(world.read(body["presented_token"], PersonToken).jti)
    with pytest.raises(errors.Revoked):
        await world.poll(asked)
    assert await world.server.approvals() == []


@pytest.mark.spec("#revocation-cascade")
async def test_a_grant_that_was_not_fetched_is_taken_back(world: World) -> None:
    world.policy.decide = lambda facts: NeedApproval("x") if facts.approved_by is None else world_allow()
    body = world.bundle()
    asked = await world.ask(body)
    (view,) = await world.server.approvals()
    await world.server.decide_approval(view.id, by="boss", approved=True)
    await world.revoke(world.read(body["presented_token"], PersonToken).jti)
    with pytest.raises(errors.Revoked):
        await world.poll(asked)


def world_allow() -> object:
    from aauthlib.access import Allow

    return Allow()


@pytest.mark.spec("#who-revokes-what", "#revocation-cascade")
async def test_a_resource_withdraws_its_resource_token(world: World) -> None:
    world.policy.decide = lambda facts: NeedApproval("the boss")
    body = world.bundle()
    asked = await world.ask(body)
    jti = world.read(body["resource_token"], ResourceToken).jti
    response = await world.revoke(jti, **RESOURCE)
    assert (response.status, response.body) == (200, b"")
    with pytest.raises(errors.Revoked):
        await world.poll(asked)
    with pytest.raises(errors.RevokedResourceToken):
        await world.ask(body)


@pytest.mark.spec("#revocation-request", "#who-revokes-what")
async def test_nobody_revokes_the_token_of_another(any_world: World) -> None:
    world = any_world
    key, jti, first = await issued(world)
    assert (await world.revoke(jti, issuer=OTHER_PS)).body == b""
    assert (await world.revoke(first.jti)).body == b""
    assert (await world.revoke(jti, **RESOURCE)).body == b""
    assert world.network.sent == []
    assert (await world.ask(world.bundle(key, presented_token=first.raw))).status == 200


@pytest.mark.spec("#revocation-response")
async def test_other_roles_are_answered_unsupported_iss(world: World) -> None:
    with pytest.raises(errors.UnsupportedIss):
        await world.revoke("x", issuer=AP, dwk="aauth-agent.json")


@pytest.mark.spec("#revocation-response")
async def test_what_a_resource_does_not_do_is_reported(world: World) -> None:
    _, jti, _ = await issued(world)
    world.network.answers[REVOKE_AT] = [Response(503)]
    assert (await world.revoke(jti)).json() == {
        "downstream": [{"recipient": CALENDAR, "error": "revocation_unavailable"}]
    }
    world.network.answers[REVOKE_AT] = [TransportError("down")]
    assert (await world.revoke(jti)).json()["downstream"][0]["error"] == "revocation_unavailable"
    problem = b'{"error":"unsupported_iss","status":403}'
    world.network.answers[REVOKE_AT] = [Response(403, Fields({"content-type": "application/problem+json"}), problem)]
    assert (await world.revoke(jti)).json()["downstream"][0]["error"] == "revocation_unsupported"


@pytest.mark.spec("#revocation-response")
async def test_a_resource_without_a_revocation_endpoint_honours_the_token_until_it_expires(world: World) -> None:
    key = SigningKey.generate()
    presented = world.person(key, aud=MAIL)
    await world.granted(world.bundle(key, presented_token=presented))
    del world.directory._metadata[MAIL]["revocation_endpoint"]
    answer = await world.revoke(world.read(presented, PersonToken).jti)
    assert answer.json() == {"downstream": [{"recipient": MAIL, "error": "revocation_unsupported"}]}


@pytest.mark.spec("#revocation-response")
async def test_repeating_a_revocation_tries_again_only_what_did_not_succeed(any_world: World) -> None:
    world = any_world
    _, jti, _ = await issued(world)
    world.network.answers[REVOKE_AT] = [Response(500)]
    await world.revoke(jti)
    assert (await world.revoke(jti)).json() == {"downstream": [{"recipient": CALENDAR}]}
    assert len(world.network.sent) == 2
    assert (await world.revoke(jti)).json() == {"downstream": [{"recipient": CALENDAR}]}
    assert len(world.network.sent) == 2


class Slow:
    """A resource that answers when it is told to."""

    def __init__(self, world: World) -> None:
        self.release = asyncio.Event()
        self._send = world.network.send
        world.network.send = self.send  # type: ignore[method-assign]

    async def send(self, effect: object) -> Response:
        await self.release.wait()
        return await self._send(effect)  # type: ignore[arg-type]


@pytest.mark.spec("#revocation-response")
async def test_a_cascade_that_takes_longer_is_polled_by_the_same_server_only(any_world: World) -> None:
    world = any_world
    _, jti, _ = await issued(world)
    slow = Slow(world)
    world.server.hold_s = 0.01
    accepted = await world.revoke(jti)
    assert accepted.status == 202
    assert "aauth-requirement" not in accepted.headers
    assert (await world.poll(accepted)).status == 202
    with pytest.raises(errors.NotFound):
        await world.poll(accepted, issuer=OTHER_PS)
    with pytest.raises(errors.InvalidRequest):
        await world.cancel(accepted)
    slow.release.set()
    done = await world.poll(accepted, prefer="wait=20")
    assert (done.status, done.json()) == (200, {"downstream": [{"recipient": CALENDAR}]})
    assert len(world.network.sent) == 1
    with pytest.raises(errors.Gone):
        await world.poll(accepted)


@pytest.mark.spec("#revocation-response")
async def test_with_nothing_downstream_the_answer_is_final_however_short_it_is_held(any_world: World) -> None:
    world = any_world
    world.server.hold_s = 0.0
    unknown = await world.revoke("never-seen-here")
    assert (unknown.status, unknown.body) == (200, b"")
    assert "content-type" not in unknown.headers


@pytest.mark.spec("#revocation-response")
async def test_a_repetition_with_nobody_left_to_tell_is_final_however_short_it_is_held(world: World) -> None:
    _, jti, _ = await issued(world)
    assert (await world.revoke(jti)).status == 200
    world.server.hold_s = 0.0
    again = await world.revoke(jti)
    assert (again.status, again.json()) == (200, {"downstream": [{"recipient": CALENDAR}]})
    assert len(world.network.sent) == 1


@pytest.mark.spec("#revocation-response")
async def test_a_cascade_that_is_not_held_goes_on_and_its_pending_url_says_so(world: World) -> None:
    _, jti, _ = await issued(world)
    world.server.hold_s = 0.0
    accepted = await world.revoke(jti)
    assert accepted.status == 202
    done = await world.poll(accepted, prefer="wait=20")
    assert (done.status, done.json()) == (200, {"downstream": [{"recipient": CALENDAR}]})


@pytest.mark.spec("#revocation-response")
async def test_a_poll_after_a_restart_finishes_the_cascade(world: World) -> None:
    _, jti, _ = await issued(world)
    slow = Slow(world)
    world.server.hold_s = 0.01
    accepted = await world.revoke(jti)
    await world.server.cascades.aclose()
    slow.release.set()
    done = await world.poll(accepted, prefer="wait=20")
    assert done.json() == {"downstream": [{"recipient": CALENDAR}]}
    assert location(accepted)


@pytest.mark.spec("#revocation-response")
async def test_a_resource_that_answers_202_is_followed(world: World) -> None:
    _, jti, _ = await issued(world)
    pending = CALENDAR + "/pending/1"
    world.network.answers[REVOKE_AT] = [Response(202, Fields({"location": pending}), b'{"status":"pending"}')]
    assert (await world.revoke(jti)).json() == {"downstream": [{"recipient": CALENDAR}]}
    assert [request.url for request in world.network.sent] == [REVOKE_AT, pending]


@pytest.mark.spec("#revocation-response")
async def test_a_flood_of_revocations_is_bounded_in_rate_and_in_entries(world: World) -> None:
    for _ in range(120):
        await world.revoke(world.jti())
        world.clock.now -= 1
    with pytest.raises(errors.RateLimited) as limited:
        await world.revoke(world.jti())
    assert limited.value.retry_after_s > 0
    world.clock.now += 61
    from aauthlib.access.trust import Limits

    world.server.turnstile.limits = Limits(revocations_held=100)
    with pytest.raises(errors.RateLimited):
        await world.revoke(world.jti())


@pytest.mark.spec("#revocation-request")
async def test_a_revocation_far_ahead_or_malformed_is_refused(world: World) -> None:
    with pytest.raises(errors.InvalidRequest):
        await world.revoke("x", exp=world.clock() + 30 * 86_400)
    for body in ({"jti": "x"}, {"exp": 1}, {"jti": "", "exp": 1}, {"jti": 3, "exp": 1}, []):
        with pytest.raises(errors.InvalidRequest):
            await world.server.revoke(world.signed("POST", AS + "/revocation", body))


@pytest.mark.spec("#revocation-request")
async def test_state_is_dropped_after_exp_plus_skew(world: World) -> None:
    await world.revoke("x", exp=world.clock() + 100)
    assert await world.server.store.is_revoked("https://ps.example", "x")
    world.clock.now += 100 + 61
    await world.server.store.purge(now=world.clock())
    assert not await world.server.store.is_revoked("https://ps.example", "x")


async def test_an_administrator_withdraws_a_persons_access_at_a_resource(world: World) -> None:
    _, _, token = await issued(world)
    outcome = await world.server.withdraw(ps="https://ps.example", resource=CALENDAR, sub=token.sub)
    assert outcome == [{"recipient": CALENDAR}]
    assert [_jti(request) for request in world.network.sent] == [token.jti]


@pytest.mark.spec("#revocation-cascade")
async def test_issuing_and_revoking_at_once_leave_no_token_behind(any_world: World) -> None:
    world = any_world
    for _ in range(5):
        key = SigningKey.generate()
        presented = world.person(key)
        jti = world.read(presented, PersonToken).jti
        request = world.signed("POST", AS + "/auth-token", world.bundle(key, presented_token=presented))
        revocation = world.signed("POST", AS + "/revocation", {"jti": jti, "exp": int(world.clock() + 3000)})
        answers = await asyncio.gather(
            world.server.auth_token(request), world.server.revoke(revocation), return_exceptions=True
        )
        assert isinstance(answers[1], Response)
        if isinstance(answers[0], Response):
            token = await world.token_of(answers[0])
            record = await world.server.store.issued(token.jti)
            assert record is not None
            assert record.revoked_at is not None
        else:
            assert isinstance(answers[0], errors.Revoked | errors.RevokedPresentedToken)
