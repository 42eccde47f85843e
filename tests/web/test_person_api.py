"""The person server's protocol endpoints over ASGI, as agents, resources and caches see them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from aauthlib.http import Request
from aauthlib.messages.metadata import PersonServerMetadata, read_metadata
from aauthlib.messages.requirement import Requirement
from aauthlib.tokens import AuthToken, PersonToken
from aauthlib.web.person_api import person_routes
from tests.person.parties import ALICE, AP, CALENDAR, PS, Agent, World, open_world, resource_token, server_signed

POSTS = ("/person-token", "/auth-token", "/revocation", "/pending/unknown")
PROBLEM = "application/problem+json"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=Starlette(routes=person_routes(world.server)))
    # The name it is reached at is another than its own, as behind a proxy.
    async with httpx2.AsyncClient(transport=transport, base_url="http://internal.host:8080") as opened:
        yield opened


async def sent(client: httpx2.AsyncClient, request: Request) -> httpx2.Response:
    headers = [(name, value) for name, value in request.headers if name != "host"]
    return await client.request(request.method, request.target, headers=headers, content=request.body)


async def post(client: httpx2.AsyncClient, agent: Agent, path: str, body: object) -> httpx2.Response:
    return await sent(client, agent.signed("POST", PS + path, body))


def requirement_of(response: httpx2.Response) -> Requirement:
    return Requirement.parse(response.headers["aauth-requirement"])


async def decided(world: World, client: httpx2.AsyncClient, agent: Agent, response: httpx2.Response) -> httpx2.Response:
    """The person says yes, and the agent polls."""
    requirement = requirement_of(response)
    handle = (requirement.url or "").rpartition("/")[2]
    digest = await world.server.arrive(handle, requirement.code or "", person_id=ALICE)
    await world.server.approve(digest, person_id=ALICE)
    return await sent(client, agent.signed("GET", response.headers["location"]))


@pytest.mark.spec("#person-token-endpoint", "#ps-token-endpoint", "#deferred-responses", "#pending-url-security")
async def test_a_whole_exchange_over_http(world: World, client: httpx2.AsyncClient) -> None:
    agent = world.agent()
    asked = await post(client, agent, "/person-token", {"resource": CALENDAR, "capabilities": ["interaction"]})
    assert asked.status_code == 202
    assert asked.headers["cache-control"] == "no-store"
    answer = await decided(world, client, agent, asked)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    presented: PersonToken = await world.verified(answer.json()["person_token"], PersonToken)
    body = {
        "resource_token": resource_token(world, presented),
        "presented_token": presented.raw,
        "capabilities": ["interaction"],
    }
    asked = await post(client, agent, "/auth-token", body)
    assert asked.status_code == 202
    answer = await decided(world, client, agent, asked)
    token: AuthToken = await world.verified(answer.json()["auth_token"], AuthToken)
    assert token.scope == ("calendar.read",)
    again = await sent(client, agent.signed("GET", asked.headers["location"]))
    assert again.status_code == 410
    assert again.headers["content-type"] == PROBLEM


@pytest.mark.spec("#cancel-request")
async def test_delete_withdraws(world: World, client: httpx2.AsyncClient) -> None:
    agent = world.agent()
    asked = await post(client, agent, "/person-token", {"resource": CALENDAR, "capabilities": ["interaction"]})
    deleted = await sent(client, agent.signed("DELETE", asked.headers["location"]))
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await sent(client, agent.signed("GET", asked.headers["location"]))).status_code == 410


@pytest.mark.spec("#ps-metadata", "#metadata-documents", "#jwks-discovery")
async def test_the_documents_are_public_and_may_be_cached_for_a_while(world: World, client: httpx2.AsyncClient) -> None:
    found = await client.get("/.well-known/aauth-person.json")
    metadata = read_metadata(PersonServerMetadata, found.json(), issuer=PS)
    keys = await client.get((metadata.jwks_uri or "").removeprefix(PS))
    assert keys.json() == world.server.jwks().to_document()
    for response in (found, keys):
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert response.headers["cache-control"] == "public, max-age=300"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["access-control-allow-origin"] == "*"
    for endpoint in (metadata.person_token_endpoint, metadata.auth_token_endpoint, metadata.revocation_endpoint):
        assert (await client.post((endpoint or "").removeprefix(PS))).status_code == 401


@pytest.mark.spec("#authentication-errors", "#scheme-rejection")
async def test_a_caller_without_a_signature_is_told_so_in_the_header(client: httpx2.AsyncClient) -> None:
    for method, path in (*(("POST", path) for path in POSTS), ("GET", "/pending/x"), ("DELETE", "/pending/x")):
        response = await client.request(method, path, content=b"")
        assert response.status_code == 401
        assert response.headers["signature-error"] == "error=invalid_signature"
        assert response.headers["content-type"] == PROBLEM


@pytest.mark.spec("#verification")
async def test_a_refusal_after_the_signature_verified_carries_no_signature_headers(
    world: World, client: httpx2.AsyncClient
) -> None:
    response = await post(client, world.agent(), "/person-token", {"resource": CALENDAR})
    assert (response.status_code, response.json()["error"]) == (403, "user_unreachable")
    assert not {"signature-error", "accept-signature-scheme", "accept-signature-alg"} & set(response.headers)


@pytest.mark.spec("#revocation-response", "#presenting-a-revoked-token")
async def test_a_revocation_over_http(world: World, client: httpx2.AsyncClient) -> None:
    agent = world.agent()
    body = {"jti": agent.token_jti, "exp": int(world.clock() + 3600)}
    answer = await sent(client, server_signed(world, AP, "aauth-agent.json", PS + "/revocation", body))
    assert (answer.status_code, answer.content) == (200, b"")
    assert "content-type" not in answer.headers
    refused = await post(client, agent, "/person-token", {"resource": CALENDAR})
    assert refused.status_code == 401
    assert refused.headers["signature-error"] == "error=revoked_jwt"


@pytest.mark.parametrize("path", ["/person-token", "/auth-token", "/revocation", "/.well-known/aauth-person.json"])
async def test_another_method_is_answered_with_those_that_are_taken(client: httpx2.AsyncClient, path: str) -> None:
    response = await client.put(path)
    assert response.status_code == 405
    assert response.headers["allow"] == ("GET" if "well-known" in path else "POST")
    assert response.headers["content-type"] == PROBLEM


async def test_a_body_without_end_is_not_read(world: World, client: httpx2.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65_536

    response = await asyncio.wait_for(client.post("/person-token", content=endless()), 10)
    assert response.status_code == 413


@pytest.mark.spec("#pending-url-security", "#polling-error-codes")
async def test_an_unknown_pending_url_looks_like_somebody_elses(world: World, client: httpx2.AsyncClient) -> None:
    mine, other = world.agent(), world.agent("other")
    asked = await post(client, mine, "/person-token", {"resource": CALENDAR, "capabilities": ["interaction"]})
    answers = [
        await sent(client, other.signed("GET", asked.headers["location"])),
        await sent(client, other.signed("GET", PS + "/pending/" + "A" * 43)),
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content


# ---- bad input of every kind

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
_MEMBERS = (
    "resource", "resource_token", "presented_token", "subagent_token", "upstream_token", "mission_s256", "prompt",
    "capabilities", "justification", "platform", "device", "login_hint", "jti", "exp", "action",
)  # fmt: skip
_DOCUMENTS = st.dictionaries(st.sampled_from(_MEMBERS), _JSON, max_size=6)
_BODIES = st.binary(max_size=200) | _DOCUMENTS.map(msgspec.json.encode) | _JSON.map(msgspec.json.encode)
_VISIBLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=120)
_EACH = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _check(response: httpx2.Response) -> None:
    assert 400 <= response.status_code < 500, response.text
    assert response.headers["content-type"] == PROBLEM
    assert isinstance(response.json()["error"], str)
    assert (response.status_code == 401) == ("signature-error" in response.headers)


@pytest.mark.spec("#error-response-format", "#untrusted-input")
@given(path=st.sampled_from(POSTS), body=_BODIES)
@_EACH
async def test_any_signed_body_is_answered_in_the_form_of_the_spec(
    world: World, client: httpx2.AsyncClient, path: str, body: bytes
) -> None:
    if path == "/revocation":
        request = server_signed(world, AP, "aauth-agent.json", PS + path, msgspec.Raw(body or b"0"))
        world.server.revocation_rate.clear(AP)
    else:
        request = world.agent().signed("POST", PS + path, msgspec.Raw(body or b"0"))
    response = await sent(client, request)
    # A random document can be a proper request by chance: a revocation, or a person token nobody can be asked about.
    if not (path == "/revocation" and response.status_code == 200):
        _check(response)


@pytest.mark.spec("#verification", "#authentication-errors")
@given(
    headers=st.dictionaries(
        st.sampled_from(["signature", "signature-input", "signature-key", "content-digest", "prefer", "content-type"]),
        _VISIBLE,
    ),
    method=st.sampled_from(["POST", "GET", "DELETE"]),
)
@_EACH
async def test_any_headers_are_answered_in_the_form_of_the_spec(
    client: httpx2.AsyncClient, headers: dict[str, str], method: str
) -> None:
    path = "/person-token" if method == "POST" else "/pending/x"
    response = await client.request(method, path, headers=headers, content=b"{}")
    _check(response)
    assert response.status_code == 401


@pytest.mark.spec("#verification")
@given(name=st.sampled_from(["signature", "signature-input", "signature-key", "content-digest"]), data=st.data())
@_EACH
async def test_a_signed_request_with_one_damaged_header_is_refused(
    world: World, client: httpx2.AsyncClient, name: str, data: Any
) -> None:
    request = world.agent().signed("POST", PS + "/person-token", {"resource": CALENDAR})
    value = request.headers.get(name) or ""
    place = data.draw(st.integers(0, len(value) - 1))
    damaged = value[:place] + data.draw(_VISIBLE.filter(lambda text: len(text) < 5)) + value[place + 1 :]
    response = await sent(client, request.with_headers(**{name.replace("-", "_"): damaged}))
    if damaged != value:
        # Space between members means nothing, and then the signature decides.
        assert response.status_code in (401, 403)
        _check(response)


@pytest.mark.spec("#token-endpoint-error-codes")
@given(place=st.integers(0, 2000), text=_VISIBLE, which=st.sampled_from(["resource_token", "presented_token"]))
@_EACH
async def test_damaged_tokens_are_refused_by_name(
    world: World, client: httpx2.AsyncClient, place: int, text: str, which: str
) -> None:
    agent = world.agent()
    presented = await agent.person_token()
    body = {"resource_token": resource_token(world, presented), "presented_token": presented.raw}
    place %= len(body[which])
    body[which] = body[which][:place] + text + "~" + body[which][place + 1 :]
    response = await post(client, agent, "/auth-token", body)
    assert response.status_code == 400
    assert response.json()["error"] in (f"invalid_{which}", f"expired_{which}")
