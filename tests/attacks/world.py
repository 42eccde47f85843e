"""A whole city in this process: provider, person server, two resources on SQLite files, agents, and a network to tap.

Every role is the real one behind its real ASGI app, discovery included; only sockets are missing. Whatever crosses the
network is kept, as a log line, a proxy or a packet capture would keep it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from argon2 import PasswordHasher

from aauthlib import jws
from aauthlib.accounts.passwords import Passwords
from aauthlib.agent import AsyncAgent, enroll
from aauthlib.deferred.polling import PollPolicy
from aauthlib.demo.browser import ScriptedPerson
from aauthlib.demo.calendar import SCOPES, Calendar, calendar_app
from aauthlib.discovery import Directory, TransportError
from aauthlib.effects import Direct, Send
from aauthlib.http import Fields, Request, Response, json_response
from aauthlib.httpsig import HWK, JKTJWT, JWKSURI, JWT, sign
from aauthlib.httpsig.signature_key import SignatureKey
from aauthlib.jws import parse
from aauthlib.keys import JWKS, SigningKey
from aauthlib.messages.metadata import AgentProviderMetadata
from aauthlib.messages.requirement import Requirement
from aauthlib.provider import AgentProvider
from aauthlib.resource import Policy, Resource, Route, anonymous, authorized, identified, managed, person, pseudonym
from aauthlib.store.database import Database
from aauthlib.store.provider import SQLProviderStore
from aauthlib.store.resource import SQLResourceStore
from aauthlib.tokens import (
    PERSON_DWK,
    AgentToken,
    AuthToken,
    PersonToken,
    VerificationPolicy,
    issue_agent_token,
    issue_resource_token,
)
from aauthlib.tokens.profile import read
from aauthlib.transport import AsyncWire
from aauthlib.web.person import PersonApp, build_person_app
from aauthlib.web.provider import build_provider_app
from aauthlib.web.resource import AAuthMiddleware
from tests.resource.world import call

from .engines import Databases

AP = "https://agents.example"
PS = "https://person.example"
CALENDAR = "https://calendar.example"
MAIL = "https://mail.example"
EVIL_AP = "https://evil-agents.example"
EVIL_RESOURCE = "https://evil-resource.example"
EVIL_PS = "https://evil-person.example"
PASSWORD = "correct horse battery"

App = Callable[..., Awaitable[None]]


class _Gone:
    def __repr__(self) -> str:
        return "gone"


GONE = _Gone()
"""A claim or header parameter to leave out."""


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Network:
    """Delivers requests to the apps in this process and keeps everything it carried."""

    def __init__(self) -> None:
        self.apps: dict[str, App] = {}
        self.documents: dict[str, Response] = {}
        self.carried: list[tuple[Request, Response]] = []
        self.asked: list[str] = []
        """Every URL that was asked for, also where nobody answered."""
        self.tamper: Callable[[Request, Response], Response | None] | None = None
        """A party that turned: what it answers instead, `None` for what it answered."""

    async def send(self, effect: Send) -> Response:
        request = effect.request
        self.asked.append(request.url)
        if request.origin in self.apps:
            response = await call(self.apps[request.origin], request)
        elif request.url in self.documents:
            response = self.documents[request.url]
        else:
            raise TransportError(f"{request.origin} could not be connected to.")
        if self.tamper is not None:
            response = self.tamper(request, response) or response
        self.carried.append((request, response))
        return response

    def publish(self, issuer: str, dwk: str, key: SigningKey, **metadata: Any) -> None:
        """The documents of a party that is only a name and a key."""
        document = {"issuer": issuer, "jwks_uri": f"{issuer}/jwks.json", **metadata}
        self.documents[f"{issuer}/.well-known/{dwk}"] = json_response(200, document)
        self.documents[f"{issuer}/jwks.json"] = json_response(200, JWKS.of(key).to_document())


def policy() -> Policy:
    """What the resources here let through."""
    return Policy(
        [
            Route("GET", "/holidays", anonymous()),
            Route("GET", "/hello", pseudonym()),
            Route("GET", "/agent", identified()),
            Route("GET", "/me", person()),
            Route("GET", "/events", authorized("calendar.read")),
            Route("POST", "/events", authorized("calendar.write")),
            Route("POST", "/invitations", authorized("calendar.invite", delivery="202")),
            Route("DELETE", "/events/{id}", authorized("calendar.delete")),
            Route("GET", "/managed", managed("calendar.read")),
        ]
    )


async def sign_in(username: str, password: str) -> str | None:
    """The users of the resources themselves."""
    return f"user-{username}" if username and password == PASSWORD else None


@dataclass(repr=False)
class City:
    """Everybody, and what an attacker sees of them."""

    folder: Path
    clock: Clock
    network: Network
    provider: AgentProvider
    person_app: PersonApp
    resources: dict[str, Resource]
    resource_keys: dict[str, SigningKey]
    evil: SigningKey
    thief: SigningKey = field(default_factory=SigningKey.generate)
    ada: ScriptedPerson = field(init=False)
    decision: str = "approve"
    codes: list[str] = field(default_factory=list)
    _browsers: int = 0
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    # ---------------------------------------------------------------- people

    def browser(self) -> ScriptedPerson:
        """A browser nobody is signed in with, at an address of its own."""
        self._browsers += 1
        address = (f"198.18.{self._browsers // 250}.{self._browsers % 250 + 1}", 50_000)
        mounts = {origin: httpx2.ASGITransport(app=app, client=address) for origin, app in self.network.apps.items()}
        client = httpx2.AsyncClient(mounts=mounts, trust_env=False)
        self._stack.push_async_callback(client.aclose)
        return ScriptedPerson(client)

    async def signed_in(self, username: str) -> ScriptedPerson:
        browser = self.browser()
        await browser.visit(f"{PS}/sign-in")
        await browser.submit(browser.form_with("username", "password"), {"username": username, "password": PASSWORD})
        assert browser.status == 200, browser.text
        return browser

    async def direct(self, direct: Direct) -> None:
        """What Ada does when her agent sends her to a page."""
        self.codes.append(direct.code)
        await self.ada.visit(direct.person_url)
        if direct.server == PS:
            await self.ada.submit(self.ada.form_with("decision"), {}, button=("decision", self.decision))
            return
        form = self.ada.form_with("code", "username", "password")
        await self.ada.submit(form, {"username": "ada", "password": PASSWORD}, button=("action", "sign-in"))
        await self.ada.submit(self.ada.form_with("action"), {}, button=("action", "approve"))

    # ---------------------------------------------------------------- what was seen on the wire

    def tokens(self, kind: type[Any]) -> list[str]:
        """Every token of a type that was presented in a captured request, oldest first."""
        found = []
        for request, _ in self.network.carried:
            text = presented(request)
            if text is not None and parse(text).header.get("typ") == kind.typ:
                found.append(text)
        return found

    def captured(self, kind: type[Any], **like: Any) -> Request:
        """The last captured request that presented a token of this type and had these properties."""
        for request, _ in reversed(self.network.carried):
            text = presented(request)
            if text is None or parse(text).header.get("typ") != kind.typ:
                continue
            if all(getattr(request, name) == value for name, value in like.items()):
                return request
        raise AssertionError("no such request was captured")

    def tokens_type(self, text: str) -> str:
        """The `typ` of a token."""
        return str(parse(text).header.get("typ"))

    def read(self, text: str, kind: type[Any]) -> Any:
        """A genuine token as its verifier sees it."""
        return read(text, kind, now=self.clock(), policy=VerificationPolicy()).token

    # ---------------------------------------------------------------- requests

    def signed(
        self,
        method: str,
        url: str,
        key: SigningKey,
        shown: str | SignatureKey | None = None,
        *,
        body: Any = None,
        headers: Iterable[tuple[str, str]] = (),
        components: Iterable[str] = (),
        cover_body: bool = True,
        created: float | None = None,
    ) -> Request:
        """A request signed by `key` that shows a token (text), another Signature-Key, or the bare key."""
        content = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        fields = [*headers, *([("content-type", "application/json")] if content else [])]
        signature_key: SignatureKey = (
            HWK.of(key.public) if shown is None else JWT(shown) if isinstance(shown, str) else shown
        )
        return sign(
            Request(method, url, Fields(fields), content),
            key,
            signature_key,
            created=int(self.clock() if created is None else created),
            components=components,
            cover_body=cover_body,
            nonce=secrets.token_hex(8),
        )

    async def send(self, request: Request, *, at: str | None = None, **scope: Any) -> Response:
        """Deliver a request to the app at its origin, or as it is to another one."""
        return await call(self.network.apps[at or request.origin], request, **scope)

    def forged(self, text: str, key: SigningKey, *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """A genuine token with header parameters and claims replaced (`GONE` leaves out), signed by `key`."""
        genuine = parse(text)
        return jws.sign(
            {name: value for name, value in {**genuine.header, **(header or {})}.items() if value is not GONE},
            {name: value for name, value in {**genuine.payload, **claims}.items() if value is not GONE},
            key,
        )

    # ---------------------------------------------------------------- parties of the attacker and of the tests

    def wire(self) -> AsyncWire:
        """A party's own way onto the network. Nobody here has to wait for anything."""
        return AsyncWire(self.network, Directory(clock=self.clock), sleep=lambda seconds: asyncio.sleep(0))

    async def whole_agent(self) -> AsyncAgent:
        """Ada's agent: this library's own, enrolled under a key of its own."""
        wire = self.wire()
        source, _ = await wire.run(enroll(AP, SigningKey.generate(), clock=self.clock, ps=PS, label="Ada's agent"))
        return AsyncAgent(
            source,
            wire=wire,
            clock=self.clock,
            opening="agent-token",
            on_interaction=self.direct,
            poll=PollPolicy(wait_s=1, deadline_s=20),
        )

    async def newcomer(self) -> Agent:
        """A fresh, honest agent of the provider, which an attacker can be just as well."""
        durable = SigningKey.generate()
        flow = enroll(AP, durable, clock=self.clock, ps=PS, mode="single-key")
        _, credential = await self.wire().run(flow)
        assert credential.token is not None
        return Agent(self, durable, credential.token.raw)

    def evil_agent(self, sub: str = "aauth:evil@evil-agents.example", **changes: Any) -> Agent:
        """An agent of a provider that the attacker runs."""
        key = changes.pop("key", None) or SigningKey.generate()
        values = {"iss": EVIL_AP, "ps": PS, **changes}
        token = issue_agent_token(
            self.evil, sub=sub, cnf=key.public, jti=secrets.token_hex(8), now=self.clock(), **values
        )
        return Agent(self, key, token)

    def resource_token(self, presented: PersonToken | AuthToken, *, issuer: str = CALENDAR, **changes: Any) -> str:
        """What the resource `issuer` (or whoever holds `key`) issues against a token."""
        key = changes.pop("key", None) or self.resource_keys[issuer]
        values = {"scope": ["calendar.read"], **changes}
        return issue_resource_token(
            key, iss=issuer, presented=presented, jti=secrets.token_hex(8), now=self.clock(), **values
        )

    async def close(self) -> None:
        await self._stack.aclose()


@dataclass(repr=False)
class Agent:
    """A key and an agent token, in whosever hands."""

    city: City
    key: SigningKey
    token: str

    async def call(self, method: str, url: str, body: Any = None, shown: Any = None, **options: Any) -> Response:
        return await self.city.send(self.city.signed(method, url, self.key, shown or self.token, body=body, **options))

    async def ask_person_token(self, resource: str = CALENDAR, **body: Any) -> Response:
        document = {"resource": resource, "capabilities": ["interaction"], **body}
        return await self.call("POST", f"{PS}/person-token", document)

    async def ask_auth_token(self, resource_token: str, presented_token: str, **body: Any) -> Response:
        document = {
            "resource_token": resource_token,
            "presented_token": presented_token,
            "capabilities": ["interaction"],
            **body,
        }
        return await self.call("POST", f"{PS}/auth-token", document)

    async def poll(self, pending: Response, **options: Any) -> Response:
        return await self.call("GET", pending.headers.get("location") or "", **options)

    async def approved(self, pending: Response, browser: ScriptedPerson | None = None) -> Response:
        """Let Ada approve what a `202` asks, and fetch the answer."""
        await decide(browser or self.city.ada, pending)
        return await self.poll(pending)

    async def person_token(self, resource: str = CALENDAR, browser: ScriptedPerson | None = None) -> str:
        answer = await self.ask_person_token(resource)
        if answer.status == 202:
            answer = await self.approved(answer, browser)
        assert answer.status == 200, answer.body
        return str(answer.json()["person_token"])

    async def auth_token(self, person_token: str, *scope: str, resource: str = CALENDAR) -> str:
        presented = self.city.read(person_token, PersonToken)
        token = self.city.resource_token(presented, issuer=resource, scope=scope)
        answer = await self.ask_auth_token(token, person_token)
        if answer.status == 202:
            answer = await self.approved(answer)
        assert answer.status == 200, answer.body
        return str(answer.json()["auth_token"])


async def decide(browser: ScriptedPerson, pending: Response, decision: str = "approve") -> None:
    await browser.visit(page_of(pending))
    await browser.submit(browser.form_with("decision"), {}, button=("decision", decision))


def requirement(response: Response) -> Requirement:
    return Requirement.parse(response.headers.get("aauth-requirement") or "")


def page_of(pending: Response) -> str:
    """The page a `202` sends the person to."""
    assert pending.status == 202, pending.body
    asked = requirement(pending)
    return f"{asked.url}?code={asked.code}"


def presented(request: Request) -> str | None:
    """The token in a request's `Signature-Key`."""
    _, marker, rest = (request.headers.get("signature-key") or "").partition('=jwt;jwt="')
    return rest.partition('"')[0] if marker else None


def error_code(response: Response) -> str:
    """The `error` of a problem body."""
    body = response.json()
    return str(body.get("error", ""))


async def open_city(databases: Databases) -> City:
    """Open everything on `databases`; Ada and Bob have accounts, nobody has asked them anything yet."""
    clock, network, folder = Clock(), Network(), databases.folder
    stack = AsyncExitStack()

    def wire() -> AsyncWire:
        return AsyncWire(network, Directory(clock=clock))

    async def database(name: str) -> Database:
        opened = await Database.open(await databases.url(name))
        stack.push_async_callback(opened.close)
        return opened

    provider = AgentProvider(
        AP,
        store=SQLProviderStore(await database("provider")),
        wire=wire(),
        clock=clock,
        metadata=AgentProviderMetadata(issuer=AP, name="Example Agents"),
        enrollments_per_minute=10_000,
        tokens_per_minute=10_000,
    )
    network.apps[AP] = build_provider_app(provider)
    person_app = await build_person_app(
        await databases.url("person"),
        PS,
        clock=clock,
        wire=wire(),
        name="Ada's person server",
        passwords=Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)),
        setup_code_required=False,
    )
    stack.push_async_callback(person_app.aclose)
    network.apps[PS] = person_app
    resources, keys = {}, {}
    for issuer in (CALENDAR, MAIL):
        name = issuer.removeprefix("https://").partition(".")[0]
        keys[issuer] = SigningKey.generate()
        resources[issuer] = Resource(
            issuer=issuer,
            wire=wire(),
            store=SQLResourceStore(await database(name), clock),
            signing_key=keys[issuer],
            clock=clock,
            scopes=SCOPES,
            name=name.capitalize(),
            sign_in=sign_in,
        )
        application = calendar_app(Calendar(folder / f"{name}-events.db"))
        network.apps[issuer] = AAuthMiddleware(_also_managed(application), resources[issuer], policy())
    evil = SigningKey.generate()
    network.publish(EVIL_AP, "aauth-agent.json", evil, callback_endpoint=f"{EVIL_AP}/callback")
    network.publish(EVIL_RESOURCE, "aauth-resource.json", evil)
    network.publish(EVIL_PS, PERSON_DWK, evil)
    city = City(
        folder,
        clock,
        network,
        provider,
        person_app,
        resources,
        keys,
        evil=evil,
        _stack=stack,
    )
    await person_app.accounts.create("ada", "Ada", password=PASSWORD)
    await person_app.accounts.create("bob", "Bob", password=PASSWORD)
    city.ada = await city.signed_in("ada")
    return city


def _also_managed(inner: App) -> App:
    """The calendar, with one route whose users the resource knows itself."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope.get("path") != "/managed" and scope.get("path") != "/hello":
            await inner(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"served"})

    return app


__all__ = [
    "AP",
    "CALENDAR",
    "EVIL_AP",
    "EVIL_PS",
    "EVIL_RESOURCE",
    "GONE",
    "JKTJWT",
    "JWKSURI",
    "MAIL",
    "PASSWORD",
    "PS",
    "Agent",
    "AgentToken",
    "AuthToken",
    "City",
    "PersonToken",
    "decide",
    "error_code",
    "open_city",
    "page_of",
    "presented",
    "requirement",
]
