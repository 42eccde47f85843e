"""Resource-managed access: the `202`, the person's decision, and session tokens bound to one agent (#aauth-access)."""

from __future__ import annotations

from typing import Any

import pytest

from aauthlib.deferred.pending import id_digest
from aauthlib.errors import Expired, Gone, InvalidCode, NotFound
from aauthlib.http import Response
from aauthlib.messages.headers import parse_signature_error
from aauthlib.messages.requirement import Requirement
from aauthlib.resource import SessionPolicy
from tests.resource.world import AGENT, AP, PS, RESOURCE, World, requirement_of


async def ask(world: World, **how: Any) -> tuple[str, str, str]:
    """Call a managed route without a session: the pending target, the interaction's handle and its code."""
    response = await world.get("/managed", world.agent_token(), **how)
    assert response.status == 202
    requirement = Requirement.parse(response.headers.get("aauth-requirement") or "")
    assert requirement.value == "interaction"
    url, code = requirement.url or "", requirement.code or ""
    assert url.startswith(f"{RESOURCE}/aauth/interaction/")
    location = (response.headers.get("location") or "").removeprefix(RESOURCE)
    return location, url.rsplit("/", 1)[1], code


async def approve(world: World, user: str = "user-1") -> Response:
    """Go through it all; the answer to the poll that carries the session token."""
    target, handle, code = await ask(world)
    await world.resource.interactions.arrive(handle, code, user)
    await world.resource.interactions.approve(handle, user)
    return await world.get(target, world.agent_token())


async def session(world: World) -> str:
    return (await approve(world)).headers.get("aauth-access") or ""


def with_session(world: World, token: str, *, method: str = "GET", **how: Any) -> Any:
    return world.signed(
        method,
        "/managed",
        how.pop("agent", None) or world.agent_token(),
        headers=[("authorization", f"AAuth {token}")],
        **how,
    )


@pytest.mark.spec("#resource-managed-auth", "#pending-response")
async def test_an_agent_is_sent_to_this_resources_own_page_and_its_polls_wait(kept: World) -> None:
    target, handle, code = await ask(kept)
    waiting = await kept.get(target, kept.agent_token())
    assert (waiting.status, waiting.json()) == (202, {"status": "pending"})
    view = await kept.resource.interactions.view(handle)
    assert (view.agent_iss, view.agent_sub, view.provider_name) == (AP, AGENT, "Example Agents")
    assert view.scopes == (("calendar.read", "See your **events**."),)
    await kept.resource.interactions.arrive(handle, code, "user-1")
    assert (await kept.get(target, kept.agent_token())).json() == {"status": "interacting"}
    assert kept.app.calls == []


@pytest.mark.spec("#resource-managed-auth", "#aauth-access")
async def test_an_approval_gives_the_agent_a_session_token_once_and_it_is_served_with_it(kept: World) -> None:
    target, handle, code = await ask(kept)
    await kept.resource.interactions.arrive(handle, code, "user-1")
    await kept.resource.interactions.approve(handle, "user-1")
    answer = await kept.get(target, kept.agent_token())
    assert (answer.status, answer.json()) == (200, {"status": "authorized", "scope": "calendar.read"})
    assert (await kept.get(target, kept.agent_token())).status == 410
    served = await kept.call(with_session(kept, answer.headers.get("aauth-access") or ""))
    assert (served.status, served.body) == (200, b"served")
    grant = kept.app.grants[0]
    assert (grant.user, grant.agent, grant.scope, grant.person) == ("user-1", (AP, AGENT), {"calendar.read"}, None)


@pytest.mark.spec("#aauth-access", "#proof-of-possession")
async def test_a_stolen_session_token_is_worth_nothing_to_another_agent(kept: World) -> None:
    token = await session(kept)
    thief = kept.agent_token(kept.other, sub="aauth:thief@ap.example")
    response = await kept.call(with_session(kept, token, agent=thief, key=kept.other))
    assert (response.status, requirement_of(response)) == (202, "interaction")
    for bearer in (
        await kept.unsigned("GET", "/managed", headers=[("authorization", f"AAuth {token}")]),
        await kept.unsigned("GET", "/managed", headers=[("authorization", f"Bearer {token}")]),
        await kept.call(kept.signed("GET", "/managed", headers=[("authorization", f"AAuth {token}")])),
    ):
        assert (bearer.status, requirement_of(bearer)) == (401, "agent-token")
    assert kept.app.calls == []
    assert (await kept.call(with_session(kept, token))).status == 200


@pytest.mark.spec("#aauth-access", "#covered-components")
async def test_a_session_token_the_signature_does_not_cover_is_refused(kept: World) -> None:
    token = await session(kept)
    request = kept.signed("GET", "/managed", kept.agent_token()).with_headers(authorization=f"AAuth {token}")
    error = parse_signature_error((await kept.call(request)).headers)
    assert error is not None
    assert error.code == "invalid_input"


@pytest.mark.spec("#aauth-access")
@pytest.mark.parametrize("value", ["AAuth ", "AAuth", "AAuth a b", 'AAuth "x"', "AAuth x\ty"])
async def test_a_malformed_session_token_is_an_invalid_request(world: World, value: str) -> None:
    request = world.signed("GET", "/managed", world.agent_token(), headers=[("authorization", value)])
    response = await world.call(request)
    assert (response.status, response.json()["error"]) == (400, "invalid_request")


@pytest.mark.spec("#aauth-access")
async def test_two_credentials_are_one_too_many(world: World) -> None:
    headers = [("authorization", "AAuth abc"), ("authorization", "AAuth def")]
    assert (await world.call(world.signed("GET", "/managed", world.agent_token(), headers=headers))).status == 400


@pytest.mark.spec("#aauth-access")
async def test_an_old_token_is_replaced_and_the_first_use_of_the_new_one_ends_it_after_a_grace(kept: World) -> None:
    old = await session(kept)
    assert "aauth-access" not in (await kept.call(with_session(kept, old))).headers
    kept.clock.now += 600
    response = await kept.call(with_session(kept, old))
    new = response.headers.get("aauth-access") or ""
    assert response.status == 200
    assert new not in ("", old)
    assert response.headers.get_all("cache-control") == ["no-store"]
    # Requests under way do not each bring another one.
    assert "aauth-access" not in (await kept.call(with_session(kept, old))).headers
    assert (await kept.call(with_session(kept, new))).status == 200
    assert (await kept.call(with_session(kept, old))).status == 200
    kept.clock.now += 61
    assert (await kept.call(with_session(kept, old))).status == 202
    assert (await kept.call(with_session(kept, new))).status == 200


@pytest.mark.spec("#aauth-access")
async def test_a_lost_replacement_locks_nobody_out(kept: World) -> None:
    old = await session(kept)
    kept.clock.now += 600
    lost = (await kept.call(with_session(kept, old))).headers.get("aauth-access")
    kept.clock.now += 3600
    response = await kept.call(with_session(kept, old))
    assert response.status == 200
    assert response.headers.get("aauth-access") not in (None, lost)


async def test_a_thief_who_presents_a_replacement_does_not_end_the_agents_own_token(kept: World) -> None:
    old = await session(kept)
    kept.clock.now += 600
    new = (await kept.call(with_session(kept, old))).headers.get("aauth-access") or ""
    thief = kept.agent_token(kept.other, sub="aauth:thief@ap.example")
    assert (await kept.call(with_session(kept, new, agent=thief, key=kept.other))).status == 202
    kept.clock.now += 120
    assert (await kept.call(with_session(kept, old))).status == 200


@pytest.mark.spec("#scopes")
async def test_a_session_without_the_scope_asks_the_person_for_it_too(kept: World) -> None:
    token = await session(kept)
    response = await kept.call(with_session(kept, token, method="PUT"))
    requirement = Requirement.parse(response.headers.get("aauth-requirement") or "")
    view = await kept.resource.interactions.view((requirement.url or "").rsplit("/", 1)[1])
    assert [value for value, _ in view.scopes] == ["calendar.read", "calendar.write"]


async def test_a_session_ends_in_time_and_when_its_user_ends_it() -> None:
    world = World(sessions=SessionPolicy(lifetime_s=1000))
    first, second = await session(world), await session(world)
    assert await world.resource.end_sessions("user-2") == 0
    assert (await world.call(with_session(world, first))).status == 200
    world.clock.now += 1001
    assert (await world.call(with_session(world, second))).status == 202


async def test_a_user_can_end_every_session(kept: World) -> None:
    tokens = [await session(kept), await session(kept)]
    assert await kept.resource.end_sessions("user-1") == 2
    for token in tokens:
        assert (await kept.call(with_session(kept, token))).status == 202


async def test_the_session_survives_a_new_key_of_the_same_agent(kept: World) -> None:
    token = await session(kept)
    assert (
        await kept.call(with_session(kept, token, agent=kept.agent_token(kept.other), key=kept.other))
    ).status == 200


@pytest.mark.spec("#polling-error-codes")
async def test_a_refusal_is_told_once(kept: World) -> None:
    target, handle, code = await ask(kept)
    await kept.resource.interactions.arrive(handle, code, "user-1")
    await kept.resource.interactions.deny(handle, "user-1")
    response = await kept.get(target, kept.agent_token())
    assert (response.status, response.json()["error"]) == (403, "denied")
    assert "aauth-access" not in response.headers
    assert (await kept.get(target, kept.agent_token())).status == 410


@pytest.mark.spec("#pending-url-security")
async def test_another_agent_can_neither_poll_nor_withdraw(kept: World) -> None:
    target, handle, code = await ask(kept)
    await kept.resource.interactions.arrive(handle, code, "user-1")
    await kept.resource.interactions.approve(handle, "user-1")
    thief = kept.agent_token(kept.other, sub="aauth:thief@ap.example")
    for token in (thief, kept.person_token(kept.other), None):
        for method in ("GET", "DELETE"):
            assert (await kept.call(kept.signed(method, target, token, key=kept.other))).status == 404
    assert (await kept.get(target, kept.agent_token())).status == 200


@pytest.mark.spec("#cancel-request")
async def test_an_agent_that_withdraws_ends_the_interaction(kept: World) -> None:
    target, handle, code = await ask(kept)
    assert (await kept.call(kept.signed("DELETE", target, kept.agent_token()))).status == 204
    assert (await kept.get(target, kept.agent_token())).status == 410
    with pytest.raises(InvalidCode):
        await kept.resource.interactions.arrive(handle, code, "user-1")
    with pytest.raises(Gone):
        await kept.resource.interactions.view(handle)


@pytest.mark.spec("#interaction-code-format")
async def test_a_code_works_once_and_five_wrong_ones_end_the_interaction(kept: World) -> None:
    _, handle, code = await ask(kept)
    await kept.resource.interactions.check_code(handle, code.lower().replace("-", " "))
    await kept.resource.interactions.arrive(handle, code, "user-1")
    with pytest.raises(InvalidCode):
        await kept.resource.interactions.arrive(handle, code, "user-2")
    target, handle, code = await ask(kept)
    wrong = "0000-0000" if code != "0000-0000" else "1111-1111"
    for _ in range(5):
        with pytest.raises(InvalidCode):
            await kept.resource.interactions.check_code(handle, wrong)
    with pytest.raises(InvalidCode):
        await kept.resource.interactions.arrive(handle, code, "user-1")
    response = await kept.get(target, kept.agent_token())
    assert (response.status, response.json()["error"]) == (410, "invalid_code")


async def test_only_who_arrived_decides(kept: World) -> None:
    _, handle, code = await ask(kept)
    for user in ("user-1", "user-2"):
        with pytest.raises(Gone):
            await kept.resource.interactions.approve(handle, user)
    await kept.resource.interactions.arrive(handle, code, "user-1")
    with pytest.raises(Gone):
        await kept.resource.interactions.approve(handle, "user-2")
    await kept.resource.interactions.approve(handle, "user-1")
    with pytest.raises(Gone):
        await kept.resource.interactions.deny(handle, "user-1")


@pytest.mark.spec("#interaction-code-format", "#polling-error-codes")
async def test_an_interaction_times_out_for_both_sides(kept: World) -> None:
    target, handle, code = await ask(kept)
    await kept.resource.interactions.arrive(handle, code, "user-1")
    kept.clock.now += 901
    with pytest.raises(Expired):
        await kept.resource.interactions.view(handle)
    with pytest.raises(Expired):
        await kept.resource.interactions.approve(handle, "user-1")
    response = await kept.get(target, kept.agent_token())
    assert (response.status, response.json()["error"]) == (408, "expired")


@pytest.mark.spec("#interaction-code-format")
async def test_a_right_code_is_refused_once_its_interaction_timed_out(kept: World) -> None:
    _, handle, code = await ask(kept)
    kept.clock.now += 901
    with pytest.raises(Expired):
        await kept.resource.interactions.check_code(handle, code)
    with pytest.raises(Expired):
        await kept.resource.interactions.arrive(handle, code, "user-1")


async def test_an_agent_cannot_open_interactions_without_end(kept: World) -> None:
    for _ in range(10):
        await ask(kept)
    response = await kept.get("/managed", kept.agent_token())
    assert (response.status, response.json()["error"]) == (429, "rate_limited")
    kept.clock.now += 901
    await ask(kept)


@pytest.mark.spec("#user-interaction", "#interaction-callback-errors")
async def test_the_browser_goes_on_only_to_the_agents_provider_or_person_server(world: World) -> None:
    _, handle, _ = await ask(world)
    callback = world.resource.interactions.callback
    for good in (f"{AP}/callback", f"{AP}/callback?flow=7", f"{AP}/callback/7", f"{PS}/anything?x=1"):
        assert await callback(handle, good) == good
    for bad in (
        "https://evil.example/",
        f"{AP}/elsewhere",
        f"{AP}/callbackevil",
        f"{AP}.evil.example/callback",
        "https://ap.example@evil.example/callback",
        "https://ps.example.evil.example/",
        "http://localhost:1234/cb",
        "javascript:alert(1)",
        "//evil.example/callback",
        f"{AP}/callback#fragment",
        f"{AP}/callback\r\nx: y",
        "",
        "x" * 5000,
    ):
        assert await callback(handle, bad) is None
    assert await callback("unknown", f"{AP}/callback") is None


@pytest.mark.spec("#user-interaction")
async def test_a_loopback_callback_is_taken_where_the_provider_allows_it(world: World) -> None:
    world.directory._metadata[AP]["localhost_callback_allowed"] = True
    _, handle, _ = await ask(world)
    good = "http://127.0.0.1:4321/done"
    assert await world.resource.interactions.callback(handle, good) == good
    assert await world.resource.interactions.callback(handle, "http://192.0.2.1:4321/done") is None


async def test_an_unknown_interaction_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        await world.resource.interactions.view("nope")


async def test_the_database_does_not_hold_the_session_token(kept: World) -> None:
    token = await session(kept)
    agent = (AP, AGENT)
    assert await kept.store.use_session(token, agent, kept.clock(), grace_s=60) is None
    assert await kept.store.use_session(id_digest(token), agent, kept.clock(), grace_s=60) is not None
