"""The Python package `aauth` in each role it has pieces for, and the person in front of our servers' pages.

`aauth` writes the byte sequence of `Signature` in unpadded base64url, and reads nothing else. Structured fields have
padded base64 there (RFC 9651, Section 3.3.5), so each side is given the other's spelling on the way; what was signed is
not touched.
"""

from __future__ import annotations

import asyncio
import base64
import html
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aauth
import httpx
import httpx2
from aauth.revocation import RevocationManager, RevocationStore
from argon2 import PasswordHasher
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aauthlib.accounts.passwords import Passwords
from aauthlib.agent import AsyncAgent
from aauthlib.demo.browser import ScriptedPerson
from aauthlib.effects import Direct
from aauthlib.keys import PublicKey
from aauthlib.provider.selfpublished import publish
from aauthlib.web.person import PersonApp, build_person_app
from tests.interop.world import AP, AS, PS, RS, Names, World

MID = "https://mid.example"
DWK = {
    AP: "aauth-agent.json",
    RS: "aauth-resource.json",
    PS: "aauth-person.json",
    AS: "aauth-access.json",
    MID: "aauth-agent.json",
}


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
        if response.status_code == 202:
            # The person here is quick, but not that quick.
            response.headers["retry-after"] = "0"
            await asyncio.sleep(0.05)
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
    """A person at the pages of our person server, and of our access server where those lead on to it."""

    browser: ScriptedPerson
    app: PersonApp
    decision: str = "approve"
    visits: list[str] = field(default_factory=list)

    async def visit(self, url: str) -> None:
        """Follow the link and go where the pages lead, until there is nothing more to do."""
        self.visits.append(url)
        await self.browser.visit(url)
        for _ in range(10):
            if not await self._step():
                return
        raise AssertionError(f"{self.browser.url} leads nowhere")

    async def _step(self) -> bool:
        text, form = self.browser.text, self.browser.form_with
        onwards = re.search(r'class="button" href="([^"]+)"[^>]*>Continue at', text)
        if 'name="display_name"' in text:
            account = {"display_name": "Dana", "username": "dana", "password": "ripe plums in autumn"}
            await self.browser.submit(form(*account), account)
        elif 'name="password"' in text:
            await self.browser.submit(form("username", "password"), {"username": "dana", "password": "x"})
        elif 'name="decision"' in text:
            await self.browser.submit(form("decision"), {}, button=("decision", self.decision))
        elif 'name="action" value="approve"' in text:
            await self.browser.submit(form("action"), {}, button=("action", self.decision))
        elif "One moment" in text:
            await asyncio.sleep(0.05)
            await self.browser.visit(self.browser.url)
        elif onwards is not None:
            await self.browser.visit(html.unescape(onwards[1]))
        else:
            return False
        return True


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

    def of_token(self, token: str) -> dict[str, Any]:
        """The claims of a token, verified by their means."""
        claims: dict[str, Any] = aauth.verify_token(token, self)
        return claims


@dataclass
class TheirAgent:
    """An agent made with `aauth`, of an agent provider whose tokens `aauth` makes."""

    client: httpx.AsyncClient
    keys: Keys
    key: Any
    token: str
    provider_key: Any = None
    capabilities: tuple[str, ...] = ("interaction",)

    async def person_token(self, person: Person, resource: str = RS, **options: Any) -> str:
        token: str = await aauth.request_person_token(
            PS,
            resource,
            self.key,
            self.token,
            jwks_fetcher=self.keys,
            http_client=self.client,
            capabilities=list(self.capabilities),
            on_interaction=_visiting(person),
            **options,
        )
        return token

    async def auth_token(self, challenged: httpx.Response, presented: str, person: Person, **options: Any) -> str:
        token: str = await aauth.exchange_resource_token(
            aauth.extract_resource_token(challenged.headers),
            self.key,
            self.token,
            presented_token=presented,
            resource_id=RS,
            person_server=PS,
            jwks_fetcher=self.keys,
            http_client=self.client,
            capabilities=list(self.capabilities),
            on_interaction=_visiting(person),
            **options,
        )
        return token

    async def call(
        self, method: str, path: str, token: str | None = None, *, key: Any = None, resource: str = RS
    ) -> httpx.Response:
        url = resource + path
        signer = aauth.AgentRequestSigner(key or self.key, agent_token=self.token)
        headers = signer.sign_request(method, url, {}, token=token)
        return await self.client.request(method, url, headers=headers)

    async def post(self, url: str, document: dict[str, Any], person: Person) -> dict[str, Any]:
        """What our person server answers to `document`, once the person has decided; by their signer and poller."""

        async def send(method: str, url: str, document: dict[str, Any] | None = None) -> httpx.Response:
            content = json.dumps(document).encode() if document is not None else None
            headers = {"content-type": "application/json"} if content else {}
            signer = aauth.AgentRequestSigner(self.key, agent_token=self.token)
            headers.update(signer.sign_request(method, url, headers, content, recipient_role="ps"))
            return await self.client.request(method, url, headers=headers, content=content)

        response = await send("POST", url, document)
        if response.status_code == 202:
            result = await aauth.async_poll_pending_url(
                response.headers["location"],
                lambda url: send("GET", url),
                on_interaction=_visiting(person),
                initial_response=response,
            )
            response = result.response
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json() if response.content else {}
        return answer

    async def granted(self, method: str, path: str, person: Person, **options: Any) -> tuple[str, str]:
        """A person token, and the auth token that the challenge for `path` leads to."""
        chained = {"upstream_token": options["upstream_token"]} if "upstream_token" in options else {}
        person_token = await self.person_token(person, **chained)
        challenged = await self.call(method, path, person_token)
        assert challenged.status_code == 401, challenged.text
        return person_token, await self.auth_token(challenged, person_token, person, **options)


def _visiting(person: Person) -> Callable[[str, str], Any]:
    async def visit(url: str, code: str) -> None:
        await person.visit(url)

    return visit


def their_client(world: World, *, spelling: Callable[[str], str] = padded) -> httpx.AsyncClient:
    client = httpx.AsyncClient(transport=TheirTransport(world.names, spelling))
    world.stack.push_async_callback(client.aclose)
    return client


async def their_agent(
    world: World, *issuers: str, spelling: Callable[[str], str] = padded, **options: Any
) -> TheirAgent:
    """Their agent, which knows the keys of `issuers` too; our publisher puts its provider's key on the web."""
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
    client = their_client(world, spelling=spelling)
    keys = Keys(client)
    await keys.learn(AP, PS, RS, *issuers)
    return TheirAgent(client, keys, key, token, provider_key, **options)


async def serve_their_resource(
    world: World, *, decides: str = PS, spelling: Callable[[str], str] = unpadded
) -> RevocationStore:
    """A resource made with `aauth`'s verifier, challenge builder and revocation manager: `/data`, for `data.read` and
    `data.write`, as the server `decides` grants them. Returns what it holds of revocations."""
    key, public = aauth.generate_ed25519_keypair()
    keys, revoked = Keys(their_client(world)), RevocationStore()
    await keys.learn(*{AP, PS, decides})
    keys.known[RS] = aauth.generate_jwks([aauth.public_key_to_jwk(public, kid="rs-1")])
    verifier = aauth.RequestVerifier(
        ["rs.example"],
        keys,
        [decides],
        resource_id=RS,
        trusted_person_servers=[PS],
        revocation_checker=revoked.is_revoked,
    )
    challenges = aauth.ChallengeBuilder(RS, key, "rs-1", decides, jwks_fetcher=keys)
    revocations = RevocationManager(RS, "resource", revoked, None, {PS, decides})

    def headers_of(request: StarletteRequest) -> dict[str, str]:
        headers = dict(request.headers)
        return headers | {"signature": spelling(headers["signature"])} if "signature" in headers else headers

    async def data(request: StarletteRequest) -> Response:
        headers = headers_of(request)
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

    async def revoke(request: StarletteRequest) -> Response:
        body = await request.body()
        answer = await revocations.handle_request("POST", f"{RS}/revoke", headers_of(request), body, keys)
        return Response(answer.body, answer.status_code, answer.headers)

    metadata = aauth.generate_resource_metadata(
        RS,
        f"{RS}/jwks.json",
        scope_descriptions={"data.read": "Read.", "data.write": "Write."},
        revocation_endpoint=f"{RS}/revoke",
    )
    await world.serve(
        RS,
        Starlette(
            routes=[
                Route("/data", data, methods=["GET", "PUT"]),
                Route("/revoke", revoke, methods=["POST"]),
                *documents(DWK[RS], metadata, keys.known[RS]),
            ]
        ),
    )
    return revoked


def documents(dwk: str, metadata: dict[str, Any], jwks: dict[str, Any]) -> list[Route]:
    """The routes of a metadata document and the key set it names, `/jwks.json`."""

    async def document(request: StarletteRequest) -> Response:
        return JSONResponse(metadata)

    async def keys(request: StarletteRequest) -> Response:
        return JSONResponse(jwks)

    return [Route(f"/.well-known/{dwk}", document), Route("/jwks.json", keys)]


def our_agent(world: World, person: Person, **options: Any) -> AsyncAgent:
    async def visit(direct: Direct) -> None:
        await person.visit(direct.person_url)

    return world.agent(on_interaction=visit, **options)


async def serve_intermediary(world: World, person: Person) -> None:
    """A resource made with `aauth` that calls ours for its caller: `/report`, for a person.

    It sends the person to where they are wanted by itself; `aauth` has no means to hand an interaction on.
    """
    key, public = aauth.generate_ed25519_keypair()
    agent_key, agent_public = aauth.generate_ed25519_keypair()
    client = their_client(world)
    keys = Keys(client)
    await keys.learn(AP, PS, AS, RS)
    keys.known[MID] = aauth.generate_jwks([aauth.public_key_to_jwk(public, kid="mid-1")])
    token = aauth.create_agent_token(
        MID, "aauth:service@mid.example", aauth.public_key_to_jwk(agent_public), key, "mid-1"
    )
    agent = TheirAgent(client, keys, agent_key, token)
    verifier = aauth.RequestVerifier(["mid.example"], keys, [PS], resource_id=MID)

    async def report(request: StarletteRequest) -> Response:
        headers = dict(request.headers)
        headers["signature"] = unpadded(headers["signature"])
        caller = verifier.verify_request("GET", f"{MID}/report", headers, require_person_token=True)
        if not caller["valid"]:
            return Response(status_code=401, headers={"AAuth-Requirement": aauth.build_person_token_requirement()})
        upstream = aauth.parse_signature_key(headers["signature-key"])["params"]["jwt"]
        _, granted = await agent.granted("GET", "/data", person, upstream_token=upstream)
        below = await agent.call("GET", "/data", granted)
        return JSONResponse({"sub": caller["user_sub"], "below": below.json()}, below.status_code)

    published = [
        *documents("aauth-resource.json", aauth.generate_resource_metadata(MID, f"{MID}/jwks.json"), keys.known[MID]),
        *documents("aauth-agent.json", aauth.generate_agent_metadata(MID, f"{MID}/jwks.json"), keys.known[MID]),
    ]
    await world.serve(MID, Starlette(routes=[Route("/report", report), *published]))


async def serve_person_server(world: World) -> Person:
    """Our person server, running, and a person in front of it."""
    app = await build_person_app(
        f"sqlite:///{world.directory / 'person.db'}",
        PS,
        wire=world.wire(),
        setup_code_required=False,
        passwords=Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)),
    )
    world.stack.push_async_callback(app.aclose)
    await world.serve(PS, app)
    client = httpx2.AsyncClient(transport=BrowserTransport(world.names), follow_redirects=False)
    world.stack.push_async_callback(client.aclose)
    return Person(ScriptedPerson(client), app)
