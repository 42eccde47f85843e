"""The access server over ASGI: its documents and endpoints, and the page that binds a person server."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette

from aauthlib.access import Allow, CallablePolicy, NeedInteraction
from aauthlib.http import Request
from aauthlib.messages.metadata import AccessServerMetadata, read_metadata
from aauthlib.messages.requirement import Requirement
from aauthlib.tokens import AuthToken
from aauthlib.web.access import access_routes, build_access_app
from aauthlib.web.binding_page import BindingPage
from tests.access.parties import AS, OTHER_PS, World, open_world

PROBLEM = "application/problem+json"


async def sign_in(username: str, password: str) -> str | None:
    return f"id of {username}" if password == "right" else None


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(f"sqlite:///{tmp_path}/as.db") as opened:
        yield opened


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx2.AsyncClient]:
    routes = access_routes(world.server, page=BindingPage(world.server, sign_in))
    transport = httpx2.ASGITransport(app=Starlette(routes=routes))
    # The name it is reached at is another than its own, as behind a proxy; https, so that cookies come back.
    async with httpx2.AsyncClient(transport=transport, base_url="https://internal.host:8080") as opened:
        yield opened


async def sent(client: httpx2.AsyncClient, request: Request) -> httpx2.Response:
    headers = [(name, value) for name, value in request.headers if name != "host"]
    return await client.request(request.method, request.target, headers=headers, content=request.body)


async def asked(world: World, client: httpx2.AsyncClient) -> httpx2.Response:
    return await sent(client, world.signed("POST", AS + "/auth-token", world.bundle()))


@pytest.mark.spec("#access-server-metadata", "#jwks-discovery")
async def test_the_documents_say_where_everything_is(world: World, client: httpx2.AsyncClient) -> None:
    document = (await client.get("/.well-known/aauth-access.json")).json()
    metadata = read_metadata(AccessServerMetadata, document, issuer=AS)
    assert metadata.name == "The Office"
    assert (metadata.auth_token_endpoint, metadata.revocation_endpoint) == (AS + "/auth-token", AS + "/revocation")
    assert metadata.jwks_uri is not None
    jwks = await client.get(metadata.jwks_uri.removeprefix(AS))
    assert jwks.json() == world.server.jwks().to_document()
    assert "d" not in jwks.json()["keys"][0]


@pytest.mark.spec("#as-token-endpoint", "#deferred-responses")
async def test_a_whole_exchange_over_http(world: World, client: httpx2.AsyncClient) -> None:
    answer = await asked(world, client)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    token = await world.verified(answer.json()["auth_token"], AuthToken)
    assert token.iss == AS


@pytest.mark.spec("#error-response-format")
async def test_errors_are_problems_and_never_a_500(world: World, client: httpx2.AsyncClient) -> None:
    for path in ("/auth-token", "/revocation"):
        assert (await client.post(path, content=b"{")).status_code == 401
        assert (await client.get(path)).status_code == 405
        malformed = await sent(client, world.signed("POST", AS + path, []))
        assert (malformed.status_code, malformed.headers["content-type"]) == (400, PROBLEM)
    unknown = await sent(client, world.signed("GET", AS + "/pending/nothing"))
    assert (unknown.status_code, unknown.json()["error"]) == (404, "not_found")
    foreign = await sent(client, world.signed("POST", AS + "/auth-token", world.bundle(), issuer=OTHER_PS))
    assert (foreign.status_code, foreign.json()["error"]) == (400, "invalid_resource_token")


def field(html: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', html)
    assert found is not None
    return found[1]


@pytest.mark.spec("#ps-as-trust-establishment", "#user-interaction")
async def test_a_person_signs_in_and_confirms_the_person_server(world: World, client: httpx2.AsyncClient) -> None:
    world.policy.decide = lambda facts: Allow() if facts.bound_user else NeedInteraction()
    first = await asked(world, client)
    requirement = Requirement.parse(first.headers["aauth-requirement"])
    path = (requirement.url or "").removeprefix(AS)
    page = await client.get(path)
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    form = {"csrf": field(page.text, "csrf"), "code": requirement.code or "", "username": "alice", "action": "sign-in"}
    wrong = await client.post(path, data={**form, "password": "wrong"})
    assert wrong.status_code == 403
    arrived = await client.post(path, data={**form, "password": "right"})
    assert arrived.status_code == 303
    consent = await client.get(path)
    assert "ps.example" in consent.text
    assert "aauth:helper@ap.example" in consent.text
    done = await client.post(path, data={"csrf": field(consent.text, "csrf"), "action": "approve"})
    assert done.status_code == 200
    answer = await sent(client, world.signed("GET", first.headers["location"]))
    assert answer.status_code == 200
    assert world.policy.seen[-1].bound_user == "id of alice"


async def test_a_form_of_another_site_changes_nothing(world: World, client: httpx2.AsyncClient) -> None:
    world.policy.decide = lambda facts: Allow() if facts.bound_user else NeedInteraction()
    first = await asked(world, client)
    requirement = Requirement.parse(first.headers["aauth-requirement"])
    path = (requirement.url or "").removeprefix(AS)
    page = await client.get(path)
    form = {"csrf": field(page.text, "csrf"), "code": requirement.code or "", "username": "a", "password": "right"}
    refused = await client.post(path, data=form, headers={"origin": "https://evil.example"})
    assert refused.status_code == 403
    assert (await client.post(path, data={**form, "csrf": "x"})).status_code == 403
    assert (await client.get("/interaction/unknown")).status_code == 404


async def test_a_whole_app_opens_keeps_its_keys_and_closes(tmp_path: Path, world: World) -> None:
    url, policy = f"sqlite:///{tmp_path}/app.db", CallablePolicy(lambda facts: Allow())
    kids = set()
    for _ in range(2):
        app = await build_access_app(url, AS, policy, wire=world.wire, clock=world.clock, sign_in=sign_in)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=AS) as client:
            kids.add((await client.get("/.well-known/aauth-access-jwks.json")).json()["keys"][0]["kid"])
            answer = await sent(client, world.signed("POST", AS + "/auth-token", world.bundle()))
            assert answer.status_code == 200
        await app.server.aclose()
        await app.database.close()
    assert len(kids) == 1
