"""The Python package `aauth` on one side, our person server and our agent or resource on the other.

`aauth` writes the byte sequence of `Signature` in unpadded base64url, and reads nothing else. Structured fields have
padded base64 there (RFC 9651, Section 3.3.5), so each side is given the other's spelling on the way; what was signed is
not touched.
"""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aauth
import httpx
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aauthlib.agent import AsyncAgent
from aauthlib.demo.browser import ScriptedPerson
from aauthlib.effects import Direct
from aauthlib.errors import Denied
from aauthlib.keys import PublicKey
from aauthlib.provider.selfpublished import publish
from aauthlib.web.person import build_person_app
from tests.interop.world import AP, PS, RS, Names, World, exchanges, open_world

pytestmark = pytest.mark.interop

DWK = {AP: "aauth-agent.json", RS: "aauth-resource.json", PS: "aauth-person.json"}


def padded(signature: str) -> str:
    """A `Signature` of theirs with its byte sequence in base64."""
    label, _, value = signature.partition("=:")
    text = value.rstrip(":")
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return f"{label}=:{base64.b64encode(raw).decode()}:"


def unpadded(signature: str) -> str:
    """A `Signature` of ours with its byte sequence as they read it."""
    label, _, value = signature.partition("=:")
    return f"{label}=:{base64.urlsafe_b64encode(base64.b64decode(value.rstrip(':'))).decode().rstrip('=')}:"


class TheirTransport(httpx.AsyncBaseTransport):
    """Connects the test's names to their loopback ports; `spelling` is applied to `Signature`."""

    def __init__(self, names: Names, spelling: Callable[[str], str]) -> None:
        self.names, self.spelling, self.inner = names, spelling, httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        port = self.names.ports[f"https://{request.url.host}"]
        headers = httpx.Headers(request.headers)
        headers["host"] = request.url.host
        if "signature" in headers:
            headers["signature"] = self.spelling(headers["signature"])
        moved = request.url.copy_with(scheme="http", host="127.0.0.1", port=port)
        response = await self.inner.handle_async_request(
            httpx.Request(request.method, moved, headers=headers, stream=request.stream, extensions=request.extensions)
        )
        # The person here is quick.
        response.headers.pop("retry-after", None)
        response.headers["retry-after"] = "0"
        return response

    async def aclose(self) -> None:
        await self.inner.aclose()


class BrowserTransport(httpx2.AsyncBaseTransport):
    """The person's browser: the test's names at their loopback ports."""

    def __init__(self, names: Names) -> None:
        self.names, self.inner = names, httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = httpx2.Headers(request.headers)
        headers["host"] = request.url.host
        port = self.names.ports[f"https://{request.url.host}"]
        moved = request.url.copy_with(scheme="http", host="127.0.0.1", port=port)
        return await self.inner.handle_async_request(
            httpx2.Request(request.method, moved, headers=headers, stream=request.stream, extensions=request.extensions)
        )

    async def aclose(self) -> None:
        await self.inner.aclose()


@dataclass
class Person:
    """A person at our person server's pages."""

    browser: ScriptedPerson
    decision: str = "approve"
    visits: list[str] = field(default_factory=list)

    async def visit(self, url: str) -> None:
        """Follow the link, make the account when there is none, decide."""
        self.visits.append(url)
        await self.browser.visit(url)
        if 'name="display_name"' in self.browser.text:
            form = self.browser.form_with("display_name", "username", "password")
            await self.browser.submit(
                form, {"display_name": "Dana", "username": "dana", "password": "ripe plums in autumn"}
            )
        decision = ("decision", self.decision)
        await self.browser.submit(self.browser.form_with("decision"), {}, button=decision)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


@pytest.fixture
async def dana(world: World) -> AsyncIterator[Person]:
    """Our person server, running, and a person in front of it."""
    app = await build_person_app(
        f"sqlite:///{world.directory / 'person.db'}", PS, wire=world.wire(), setup_code_required=False
    )
    await world.serve(PS, app)
    async with httpx2.AsyncClient(transport=BrowserTransport(world.names), follow_redirects=False) as client:
        yield Person(ScriptedPerson(client))


class Keys:
    """Their look-up of keys is synchronous when it counts: what it needs is fetched before, by their own fetcher."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.fetcher = aauth.JWKSFetcher(http_client=self)
        self.known: dict[str, Any] = {}

    async def fetch_json(self, url: str) -> Any:
        return (await self.client.get(url)).raise_for_status().json()

    async def learn(self, *issuers: str) -> None:
        for issuer in issuers:
            self.known[issuer] = await self.fetcher.fetch(issuer, metadata_path=DWK[issuer])

    def __call__(self, issuer: str, dwk: str, kid: str) -> Any:
        assert DWK[issuer] == dwk
        return self.known[issuer]


# ------------------------------------------------------------------ their agent


@dataclass
class TheirAgent:
    """An agent made with `aauth`, of an agent provider whose tokens `aauth` makes."""

    client: httpx.AsyncClient
    keys: Keys
    key: Any
    token: str

    async def person_token(self, person: Person) -> str:
        async def visit(url: str, code: str) -> None:
            await person.visit(url)

        token: str = await aauth.request_person_token(
            PS,
            RS,
            self.key,
            self.token,
            jwks_fetcher=self.keys,
            http_client=self.client,
            capabilities=["interaction"],
            on_interaction=visit,
        )
        return token

    async def auth_token(self, challenged: httpx.Response, presented: str, person: Person) -> str:
        async def visit(url: str, code: str) -> None:
            await person.visit(url)

        token: str = await aauth.exchange_resource_token(
            aauth.extract_resource_token(challenged.headers),
            self.key,
            self.token,
            presented_token=presented,
            resource_id=RS,
            person_server=PS,
            jwks_fetcher=self.keys,
            http_client=self.client,
            capabilities=["interaction"],
            on_interaction=visit,
        )
        return token

    async def call(self, method: str, path: str, token: str | None = None) -> httpx.Response:
        url = RS + path
        headers = aauth.AgentRequestSigner(self.key, agent_token=self.token).sign_request(method, url, {}, token=token)
        return await self.client.request(method, url, headers=headers)


async def their_agent(world: World, *, spelling: Callable[[str], str] = padded) -> TheirAgent:
    """Their agent; our publisher puts its provider's key on the web."""
    provider_key, provider_public = aauth.generate_ed25519_keypair()
    publish(world.directory, AP, [PublicKey.from_jwk(aauth.public_key_to_jwk(provider_public, kid="ap-1"))])
    key, public = aauth.generate_ed25519_keypair()
    token = aauth.create_agent_token(
        AP,
        "aauth:Stranger@ap.example",
        aauth.public_key_to_jwk(public),
        provider_key,
        "ap-1",
        exp=int(time.time()) + 3000,
        ps=PS,
    )
    client = httpx.AsyncClient(transport=TheirTransport(world.names, spelling))
    world.stack.push_async_callback(client.aclose)
    keys = Keys(client)
    await keys.learn(AP, PS, RS)
    return TheirAgent(client, keys, key, token)


@pytest.mark.spec(
    "#person-token-endpoint", "#ps-token-endpoint", "#requirement-person-token", "#requirement-auth-token"
)
async def test_their_agent_completes_a_three_party_flow_with_our_servers(world: World, dana: Person) -> None:
    await world.serve_resource()
    agent = await their_agent(world)
    first = await agent.call("GET", "/data")
    assert (first.status_code, first.headers["aauth-requirement"]) == (401, "requirement=person-token")
    person_token = await agent.person_token(dana)
    assert (await agent.call("GET", "/me", person_token)).json()["iss"] == PS
    challenged = await agent.call("GET", "/data", person_token)
    assert challenged.status_code == 401
    auth_token = await agent.auth_token(challenged, person_token, dana)
    response = await agent.call("GET", "/data", auth_token)
    assert (response.status_code, response.json()["scope"]) == (200, ["data.read"])
    assert len(dana.visits) == 2, "once to be named, once to grant"


@pytest.mark.spec("#ps-token-endpoint", "#resource-token-verification")
async def test_their_agent_steps_up_at_our_servers(world: World, dana: Person) -> None:
    await world.serve_resource()
    agent = await their_agent(world)
    person_token = await agent.person_token(dana)
    read = await agent.auth_token(await agent.call("GET", "/data", person_token), person_token, dana)
    challenged = await agent.call("PUT", "/data", read)
    assert challenged.status_code == 401
    write = await agent.auth_token(challenged, read, dana)
    response = await agent.call("PUT", "/data", write)
    assert (response.status_code, response.json()["scope"]) == (200, ["data.read", "data.write"])


@pytest.mark.spec("#polling-error-codes")
async def test_a_denial_by_our_person_server_reaches_their_agent(world: World, dana: Person) -> None:
    await world.serve_resource()
    agent = await their_agent(world)
    dana.decision = "deny"
    with pytest.raises(aauth.TokenError, match="denied"):
        await agent.person_token(dana)


@pytest.mark.spec("#http-message-signatures-profile")
async def test_we_refuse_a_signature_that_their_agent_did_not_write_in_base64(world: World, dana: Person) -> None:
    await world.serve_resource()
    sent: list[str] = []

    def as_they_write_it(value: str) -> str:
        sent.append(value)
        return value

    # One signature in fifteen has neither of the characters in which the two alphabets differ.
    while not sent or not set("-_") & set(sent[-1]):
        agent = await their_agent(world, spelling=as_they_write_it)
        response = await agent.call("GET", "/me")
    assert response.status_code == 401
    assert response.headers["signature-error"].startswith("error=invalid_signature")


# ------------------------------------------------------------------ their resource


async def serve_their_resource(world: World, *, spelling: Callable[[str], str] = unpadded) -> None:
    """A resource made with `aauth`'s verifier and challenge builder: `/data`, for `data.read` and `data.write`."""
    key, public = aauth.generate_ed25519_keypair()
    client = httpx.AsyncClient(transport=TheirTransport(world.names, padded))
    world.stack.push_async_callback(client.aclose)
    keys = Keys(client)
    await keys.learn(AP, PS)
    keys.known[RS] = aauth.generate_jwks([aauth.public_key_to_jwk(public, kid="rs-1")])
    verifier = aauth.RequestVerifier(["rs.example"], keys, [PS], resource_id=RS)
    challenges = aauth.ChallengeBuilder(RS, key, "rs-1", PS, jwks_fetcher=keys)

    async def data(request: StarletteRequest) -> Response:
        headers = dict(request.headers)
        if "signature" in headers:
            headers["signature"] = spelling(headers["signature"])
        url, scope = RS + request.url.path, "data.read" if request.method == "GET" else "data.write"

        def verified(**demands: Any) -> dict[str, Any]:
            result: dict[str, Any] = verifier.verify_request(request.method, url, headers, **demands)
            return result

        granted = verified(require_auth_token=True, required_scopes=[scope])
        if granted["valid"]:
            return JSONResponse({"sub": granted["user_sub"], "scope": sorted(granted["scopes"])})
        caller = verified()
        if not caller["valid"]:
            return JSONResponse({"error": caller["error_code"], "detail": caller["error"]}, 401)
        if caller["token_type"] == "aa-agent+jwt":
            name, value = challenges.build_challenge(require_auth_token=True)
        else:
            presented = aauth.parse_signature_key(headers["signature-key"])["params"]["jwt"]
            held = caller["scopes"]
            name, value = challenges.build_challenge(
                require_auth_token=True,
                presented_token=presented,
                agent_public_key=aauth.jwk_to_public_key(caller["claims"]["cnf"]["jwk"]),
                scope=" ".join([*held, scope]),
            )
        return Response(status_code=401, headers={name: value})

    async def metadata(request: StarletteRequest) -> Response:
        return JSONResponse(
            aauth.generate_resource_metadata(
                RS, f"{RS}/jwks.json", scope_descriptions={"data.read": "Read.", "data.write": "Write."}
            )
        )

    async def jwks(request: StarletteRequest) -> Response:
        return JSONResponse(keys.known[RS])

    await world.serve(
        RS,
        Starlette(
            routes=[
                Route("/data", data, methods=["GET", "PUT"]),
                Route(f"/.well-known/{DWK[RS]}", metadata),
                Route("/jwks.json", jwks),
            ]
        ),
    )


def our_agent(world: World, person: Person) -> AsyncAgent:
    async def visit(direct: Direct) -> None:
        await person.visit(direct.person_url)

    return world.agent(on_interaction=visit)


@pytest.mark.spec("#requirement-person-token", "#requirement-auth-token", "#resource-challenge-verification")
async def test_our_agent_completes_a_three_party_flow_with_their_resource(world: World, dana: Person) -> None:
    await serve_their_resource(world)
    agent = our_agent(world, dana)
    response = await agent.get(f"{RS}/data")
    assert (response.status_code, response.json()["scope"]) == (200, ["data.read"])
    assert [exchange.response.status for exchange in exchanges(agent) if exchange.request.url == f"{RS}/data"] == [
        401,
        401,
        200,
    ]


@pytest.mark.spec("#requirement-auth-token", "#ps-token-endpoint")
async def test_our_agent_steps_up_at_their_resource(world: World, dana: Person) -> None:
    await serve_their_resource(world)
    agent = our_agent(world, dana)
    await agent.get(f"{RS}/data")
    response = await agent.put(f"{RS}/data")
    assert (response.status_code, response.json()["scope"]) == (200, ["data.read", "data.write"])


@pytest.mark.spec("#polling-error-codes")
async def test_the_person_denies_what_their_resource_asks_for(world: World, dana: Person) -> None:
    await serve_their_resource(world)
    agent = our_agent(world, dana)
    await agent.person_token(RS)
    dana.decision = "deny"
    with pytest.raises(Denied):
        await agent.get(f"{RS}/data")


@pytest.mark.spec("#http-message-signatures-profile")
async def test_their_resource_reads_no_base64_in_our_signature(world: World, dana: Person) -> None:
    await serve_their_resource(world, spelling=str)
    response = await our_agent(world, dana).get(f"{RS}/data")
    assert response.status_code == 401
    assert "Invalid Signature format" in response.json()["detail"]
