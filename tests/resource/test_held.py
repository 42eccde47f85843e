"""Invocations held by `202`: executed once, answered again from the record (#deferred-auth-token)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aauthlib.deferred.pending import id_digest
from aauthlib.errors import ServerError
from aauthlib.http import Request, Response
from aauthlib.messages.headers import parse_signature_error
from aauthlib.resource import Grant, HeldPolicy
from aauthlib.store.resource_records import HeldState
from aauthlib.verification import Level
from tests.resource.world import PERSON, PS, RESOURCE, World, requirement_of


async def hold(world: World, body: bytes = b'{"title":"lunch"}', **how: Any) -> tuple[str, Response]:
    """Make a request that is held; the target of its pending URL, and the `202`."""
    response = await world.post("/held?dry=1", world.person_token(), body=body, **how)
    assert response.status == 202, response.body
    location = response.headers.get("location") or ""
    assert location.startswith(f"{RESOURCE}/aauth/pending/")
    return location.removeprefix(RESOURCE), response


@pytest.mark.spec("#deferred-auth-token", "#pending-response")
async def test_the_invocation_is_held_with_a_resource_token_and_nothing_is_executed(kept: World) -> None:
    target, response = await hold(kept)
    token = await kept.read_resource_token(response)
    assert token.scope == ("calendar.write",)
    assert response.json() == {"status": "pending"}
    assert response.headers.get("retry-after") == "5"
    assert response.headers.get("cache-control") == "no-store"
    waiting = await kept.get(target, kept.person_token())
    assert (waiting.status, requirement_of(waiting)) == (202, None)
    assert kept.app.calls == []


@pytest.mark.spec("#deferred-auth-token")
async def test_a_poll_with_an_auth_token_executes_the_invocation_as_it_was_made(kept: World) -> None:
    seen: list[dict[str, Any]] = []

    def answer(scope: dict[str, Any]) -> tuple[int, bytes]:
        seen.append(scope)
        return 201, b"created"

    kept.app.answer = answer
    target, _ = await hold(kept, headers=[("x-trace", "7"), ("cookie", "a=b")])
    response = await kept.get(target, kept.auth_token("calendar.write"))
    assert (response.status, response.body, response.headers.get("x-app")) == (201, b"created", "yes")
    assert kept.app.calls == [("POST", "/held", b'{"title":"lunch"}')]
    grant = kept.app.grants[0]
    assert (grant.level, grant.person, grant.scope) == (Level.AUTHORIZED, (PS, PERSON), {"calendar.write"})
    headers = dict(seen[0]["headers"])
    assert seen[0]["query_string"] == b"dry=1"
    assert (headers[b"x-trace"], headers[b"content-type"]) == (b"7", b"application/json")
    assert not {b"signature-key", b"signature", b"cookie", b"prefer"} & headers.keys()


@pytest.mark.spec("#deferred-auth-token", "#pending-url-security")
async def test_the_same_auth_token_is_answered_from_the_record_until_it_expires(kept: World) -> None:
    target, _ = await hold(kept)
    token = kept.auth_token("calendar.write", not_after=kept.clock() + 600)
    first = await kept.get(target, token)
    kept.app.answer = lambda scope: (500, b"must not run")
    kept.clock.now += 599
    again = await kept.get(target, token)
    assert (again.status, again.body, list(again.headers)) == (first.status, first.body, list(first.headers))
    assert len(kept.app.calls) == 1
    other = await kept.get(target, kept.auth_token("calendar.write"))
    assert other.status == 410
    assert (await kept.get(target, kept.person_token())).status == 410
    kept.clock.now += 2
    assert (await kept.get(target, kept.auth_token("calendar.write"))).status == 410
    assert len(kept.app.calls) == 1


@pytest.mark.spec("#deferred-auth-token")
async def test_many_polls_at_once_execute_it_once(kept: World) -> None:
    kept.app.gate, kept.app.entered = asyncio.Event(), asyncio.Event()
    target, _ = await hold(kept)
    token = kept.auth_token("calendar.write")
    polls = [asyncio.create_task(kept.get(target, token)) for _ in range(8)]
    await asyncio.wait_for(kept.app.entered.wait(), 10)
    kept.app.gate.set()
    answers = await asyncio.gather(*polls)
    assert {answer.status for answer in answers} <= {200, 202}
    assert any(answer.status == 200 for answer in answers)
    assert (await kept.get(target, token)).body == b"served"
    assert len(kept.app.calls) == 1


@pytest.mark.spec("#deferred-auth-token", "#person-token-not-authorization")
async def test_only_an_auth_token_that_grants_what_is_needed_executes_it(kept: World) -> None:
    target, _ = await hold(kept)
    for token in (kept.agent_token(), kept.person_token(), None):
        assert (await kept.get(target, token)).status == 202
    narrow = await kept.get(target, kept.auth_token("calendar.read", jti="narrow"))
    asked = await kept.read_resource_token(narrow)
    assert (asked.presented_jti, asked.scope) == ("narrow", ("calendar.read", "calendar.write"))
    elsewhere = await kept.get(target, kept.auth_token("calendar.write", aud="https://other.example"))
    assert elsewhere.status == 401
    assert kept.app.calls == []


@pytest.mark.spec("#pending-url-security")
async def test_another_key_can_neither_poll_nor_withdraw_it(kept: World) -> None:
    target, _ = await hold(kept)
    thief = {"key": kept.other}
    for token in (kept.auth_token("calendar.write", key=kept.other), kept.person_token(kept.other), None):
        for method in ("GET", "DELETE"):
            assert (await kept.call(kept.signed(method, target, token, **thief))).status == 404
    stolen = kept.signed("GET", target, kept.auth_token("calendar.write"), **thief)
    error = parse_signature_error((await kept.call(stolen)).headers)
    assert error is not None
    assert error.code == "invalid_signature"
    assert (await kept.unsigned("GET", target)).status == 401
    assert kept.app.calls == []


@pytest.mark.spec("#deferred-auth-token")
async def test_a_later_poll_brings_a_fresh_resource_token_once_the_first_expired(kept: World) -> None:
    target, _ = await hold(kept)
    kept.clock.now += 301
    fresh = await kept.read_resource_token(await kept.get(target, kept.person_token(jti="p2")))
    assert fresh.presented_jti == "p2"
    assert requirement_of(await kept.get(target, kept.person_token())) is None


@pytest.mark.spec("#cancel-request", "#pending-url-security")
async def test_a_withdrawn_invocation_is_gone(kept: World) -> None:
    target, _ = await hold(kept)
    assert (await kept.call(kept.signed("DELETE", target))).status == 204
    for method in ("GET", "DELETE"):
        assert (await kept.call(kept.signed(method, target, kept.auth_token("calendar.write")))).status == 410
    assert kept.app.calls == []


@pytest.mark.spec("#polling-error-codes", "#pending-url-security")
async def test_an_invocation_nobody_authorised_expires_once_and_is_gone(kept: World) -> None:
    target, _ = await hold(kept)
    kept.clock.now += 901
    response = await kept.get(target, kept.auth_token("calendar.write"))
    assert (response.status, response.json()["error"]) == (408, "expired")
    assert (await kept.get(target, kept.auth_token("calendar.write"))).status == 410
    assert kept.app.calls == []


@pytest.mark.spec("#deferred-auth-token")
async def test_an_invocation_that_fails_is_answered_500_and_never_executed_again(kept: World) -> None:
    kept.app.failure = RuntimeError("disk full")
    target, _ = await hold(kept)
    token = kept.auth_token("calendar.write")
    for _ in range(2):
        response = await kept.get(target, token)
        assert (response.status, response.json()["error"]) == (500, "server_error")
        assert b"disk full" not in response.body
        kept.app.failure = None
    assert len(kept.app.calls) == 1


@pytest.mark.spec("#deferred-auth-token")
async def test_after_a_crash_in_the_middle_nothing_is_executed_a_second_time(kept: World) -> None:
    target, _ = await hold(kept)
    # What a process that died during the execution leaves behind.
    digest = id_digest(target.rsplit("/", 1)[1])
    await kept.store.advance_held(
        digest, HeldState.EXECUTING, jti=(PS, "the-one"), started_at=kept.clock(), retain_until=kept.clock() + 3600
    )
    token = kept.auth_token("calendar.write", jti="the-one")
    assert (await kept.get(target, token)).status == 202
    kept.clock.now += 121
    response = await kept.get(target, token)
    assert (response.status, response.json()["error"]) == (500, "server_error")
    assert kept.app.calls == []


async def test_a_result_too_large_to_keep_is_an_error_and_not_half_a_result() -> None:
    world = World(held=HeldPolicy(max_result_bytes=1000))
    world.app.answer = lambda scope: (200, b"x" * 1001)
    target, _ = await hold(world)
    assert (await world.get(target, world.auth_token("calendar.write"))).status == 500


async def test_a_key_with_many_invocations_held_is_challenged_instead() -> None:
    world = World(held=HeldPolicy(most_per_key=2))
    for _ in range(2):
        await hold(world)
    response = await world.post("/held", world.person_token())
    assert (response.status, requirement_of(response)) == (401, "auth-token")


@pytest.mark.spec("#requirement-person-token")
async def test_nothing_is_held_for_a_caller_that_names_no_person(kept: World) -> None:
    assert requirement_of(await kept.post("/held", kept.agent_token())) == "person-token"
    assert requirement_of(await kept.unsigned("POST", "/held", body=b"x")) == "person-token"


async def test_a_caller_that_has_the_auth_token_already_is_served_at_once(kept: World) -> None:
    assert (await kept.post("/held", kept.auth_token("calendar.write"))).status == 200


@pytest.mark.spec("#polling-error-codes")
async def test_polling_without_pause_is_slowed_down(kept: World) -> None:
    target, _ = await hold(kept)
    statuses = [(await kept.get(target, kept.person_token())).status for _ in range(22)]
    assert statuses[0] == 202
    assert statuses[-1] == 429
    kept.clock.now += 11
    assert (await kept.get(target, kept.person_token())).status == 202


@pytest.mark.spec("#presenting-a-revoked-token")
async def test_a_revoked_auth_token_executes_nothing(kept: World) -> None:
    target, _ = await hold(kept)
    await kept.call(kept.revocation("gone", int(kept.clock()) + 3600))
    response = await kept.get(target, kept.auth_token("calendar.write", jti="gone"))
    assert (response.status, requirement_of(response)) == (401, "person-token")
    assert kept.app.calls == []


async def test_the_store_holds_no_credential(kept: World) -> None:
    target, _ = await hold(kept, headers=[("authorization", "Basic c2VjcmV0")])
    held = await kept.store.get_held(id_digest(target.rsplit("/", 1)[1]))
    assert held is not None
    names = {name for name, _ in held.headers}
    assert names == {"content-type", "content-digest"}


async def test_a_result_too_large_to_keep_is_an_error_whoever_executes_it() -> None:
    world = World(held=HeldPolicy(max_result_bytes=1000))
    target, _ = await hold(world)
    request = world.signed("GET", target, world.auth_token("calendar.write"))

    async def execute(invocation: Request, grant: Grant) -> Response:
        return Response(200, body=b"x" * 1001)

    with pytest.raises(ServerError):
        await world.resource.poll(request, target.rsplit("/", 1)[1], execute=execute)


async def test_an_invocation_that_takes_too_long_is_given_up_and_not_repeated() -> None:
    world = World(held=HeldPolicy(execution_s=0.01))
    world.app.gate = asyncio.Event()
    target, _ = await hold(world)
    token = world.auth_token("calendar.write")
    assert (await world.get(target, token)).status == 500
    world.app.gate.set()
    assert (await world.get(target, token)).status == 500
    assert len(world.app.calls) == 1


async def test_an_application_that_answers_nothing_is_a_failure() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        return None

    world = World(app=silent)
    target, _ = await hold(world)
    assert (await world.get(target, world.auth_token("calendar.write"))).status == 500
