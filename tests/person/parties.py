"""A person server on SQLite with an agent provider, agents and resources around it that sign for themselves."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from aauthlib.discovery import EgressRefused, StaticDirectory, TransportError
from aauthlib.effects import Flow, Send
from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import JWKSURI, JWT, sign
from aauthlib.keys import JWKS, SigningKey
from aauthlib.messages.requirement import Requirement
from aauthlib.person.server import PersonServer
from aauthlib.store.database import Database
from aauthlib.store.person import SQLPersonStore
from aauthlib.tokens import (
    AuthToken,
    PersonToken,
    VerificationPolicy,
    issue_agent_token,
    issue_resource_token,
    verify,
)
from aauthlib.tokens.resource import Interaction
from aauthlib.transport import AsyncWire

PS = "https://ps.example"
AP = "https://ap.example"
OTHER_AP = "https://other-ap.example"
CALENDAR = "https://calendar.example"
MAIL = "https://mail.example"
AS = "https://as.example"
ALICE, BOB = "alice-id", "bob-id"


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Network:
    """What the person server sends: kept, and answered with `200` unless `answers` says otherwise."""

    def __init__(self) -> None:
        self.sent: list[Request] = []
        self.answers: list[Response | TransportError] = []
        self.refused: set[str] = set()
        """URLs that egress admission refuses."""

    async def admit(self, url: str) -> None:
        if url in self.refused:
            raise EgressRefused("That is no public address.")

    async def send(self, effect: Send) -> Response:
        self.sent.append(effect.request)
        answer = self.answers.pop(0) if self.answers else Response(200)
        if isinstance(answer, TransportError):
            raise answer
        return answer


@dataclass
class World:
    """The parties."""

    clock: Clock
    network: Network
    directory: StaticDirectory
    wire: AsyncWire
    database: Database
    server: PersonServer
    server_keys: dict[str, SigningKey]
    metadata: dict[str, dict[str, Any]]

    async def verified(self, text: str, kind: type[Any], *, now: float | None = None) -> Any:
        """A token of the person server, verified by somebody who looks up its keys."""
        self.directory.publish(PS, self.server.jwks())
        flow: Flow[Any] = verify(text, kind, now=self.clock() if now is None else now, policy=VerificationPolicy())
        return await self.wire.run(flow)

    def agent(self, name: str = "helper", **changes: Any) -> Agent:
        return Agent(self, f"aauth:{name}@{changes.pop('host', 'ap.example')}", **changes)

    def jti(self) -> str:
        return secrets.token_hex(8)


@dataclass
class Agent:
    """An agent that signs what tests tell it to."""

    world: World
    sub: str
    iss: str = AP
    key: SigningKey = field(default_factory=SigningKey.generate)
    lifetime_s: int = 3600
    ps: str | None = PS
    parent_agent: str | None = None
    token: str = ""
    token_jti: str = ""

    def __post_init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self.token_jti = self.world.jti()
        self.token = issue_agent_token(
            self.world.server_keys[self.iss],
            iss=self.iss,
            sub=self.sub,
            cnf=self.key.public,
            jti=self.token_jti,
            now=self.world.clock(),
            lifetime_s=self.lifetime_s,
            ps=self.ps,
            parent_agent=self.parent_agent,
        )

    @property
    def identity(self) -> tuple[str, str]:
        return (self.iss, self.sub)

    def sub_agent(self, name: str = "search", **changes: Any) -> Agent:
        local, _, domain = self.sub.partition("@")
        values = {"iss": self.iss, "parent_agent": self.sub, **changes}
        return Agent(self.world, f"{local}+{name}@{domain}", **values)

    def signed(self, method: str, url: str, body: Any = None, **headers: str) -> Request:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        content = b"" if body is None else msgspec.json.encode(body)
        if body is not None:
            fields.setdefault("content-type", "application/json")
        request = Request(method, url, Fields(fields), content)
        return sign(request, self.key, JWT(self.token), created=int(self.world.clock()), nonce=secrets.token_hex(8))

    # ---- at the person server

    async def ask_person_token(self, resource: str = CALENDAR, **body: Any) -> Response:
        body.setdefault("capabilities", ["interaction"])
        return await self.world.server.person_token(
            self.signed("POST", PS + "/person-token", {"resource": resource, **body})
        )

    async def ask_auth_token(self, resource_token: str, presented: Any, **body: Any) -> Response:
        body.setdefault("capabilities", ["interaction"])
        text = presented if isinstance(presented, str) else presented.raw
        document = {"resource_token": resource_token, "presented_token": text, **body}
        return await self.world.server.auth_token(self.signed("POST", PS + "/auth-token", document))

    async def poll(self, response: Response, **headers: str) -> Response:
        location = response.headers.get("location")
        assert location is not None
        return await self.world.server.poll(self.signed("GET", location, **headers), location.rpartition("/")[2])

    async def cancel(self, response: Response) -> Response:
        location = response.headers.get("location")
        assert location is not None
        return await self.world.server.cancel(self.signed("DELETE", location), location.rpartition("/")[2])

    # ---- whole exchanges

    async def person_token(self, resource: str = CALENDAR, person: str = ALICE, **body: Any) -> PersonToken:
        """Get a person token, the person saying yes where she is asked."""
        response = await self.ask_person_token(resource, **body)
        if response.status == 202:
            await approve(self.world, response, person)
            response = await self.poll(response)
        assert response.status == 200
        token: PersonToken = await self.world.verified(response.json()["person_token"], PersonToken)
        return token

    async def auth_token(
        self,
        presented: PersonToken | AuthToken,
        scope: str = "calendar.read",
        person: str = ALICE,
        *,
        token: dict[str, Any] | None = None,
        **body: Any,
    ) -> AuthToken:
        """Get an auth token, the person saying yes where she is asked."""
        text = resource_token(self.world, presented, scope=scope, **(token or {}))
        response = await self.ask_auth_token(text, presented, **body)
        if response.status == 202:
            await approve(self.world, response, person)
            response = await self.poll(response)
        assert response.status == 200
        issued: AuthToken = await self.world.verified(response.json()["auth_token"], AuthToken)
        return issued


def requirement_of(response: Response) -> Requirement:
    header = response.headers.get("aauth-requirement")
    assert header is not None
    return Requirement.parse(header)


def invitation(response: Response) -> tuple[str, str]:
    """Handle and code of the interaction a `202` asks for."""
    requirement = requirement_of(response)
    assert requirement.url is not None
    assert requirement.code is not None
    return requirement.url.rpartition("/")[2], requirement.code


async def arrive(world: World, response: Response, person: str = ALICE, callback: str | None = None) -> str:
    handle, code = invitation(response)
    return await world.server.arrive(handle, code, person_id=person, callback=callback)


async def approve(world: World, response: Response, person: str = ALICE, **choices: Any) -> str:
    digest = await arrive(world, response, person)
    await world.server.approve(digest, person_id=person, **choices)
    return digest


def resource_token(
    world: World,
    presented: PersonToken | AuthToken,
    *,
    scope: str | None = "calendar.read",
    issuer: str | None = None,
    key: SigningKey | None = None,
    account: str | None = None,
    access_server: str | None = None,
    interaction: Interaction | None = None,
    lifetime_s: int = 300,
    jti: str | None = None,
) -> str:
    """What a resource issues against the token it was presented."""
    iss = issuer or presented.aud
    return issue_resource_token(
        key or world.server_keys[iss],
        iss=iss,
        presented=presented,
        jti=jti or world.jti(),
        now=world.clock(),
        scope=None if scope is None else scope.split(),
        account=account,
        access_server=access_server,
        interaction=interaction,
        lifetime_s=lifetime_s,
    )


def server_signed(
    world: World, issuer: str, dwk: str, url: str, body: Any, *, key: SigningKey | None = None, **headers: str
) -> Request:
    """A request signed by a server in its own right."""
    signer = key or world.server_keys[issuer]
    fields = Fields({"content-type": "application/json", **headers})
    request = Request("POST", url, fields, msgspec.json.encode(body))
    return sign(
        request, signer, JWKSURI(issuer, dwk, signer.kid), created=int(world.clock()), nonce=secrets.token_hex(8)
    )


@asynccontextmanager
async def open_world(folder: Path, *, database: Database | None = None, **settings: Any) -> AsyncIterator[World]:
    """A person server on `database`, by default a SQLite file in `folder`, and everybody else.

    `settings` are further ones of `PersonServer.open`.
    """
    clock, network = Clock(), Network()
    keys = {issuer: SigningKey.generate() for issuer in (AP, OTHER_AP, CALENDAR, MAIL, AS)}
    metadata: dict[str, dict[str, Any]] = {
        AP: {
            "issuer": AP,
            "jwks_uri": AP + "/jwks.json",
            "name": "Helpful Agents",
            "logo_uri": AP + "/logo.png",
            "callback_endpoint": AP + "/callback",
        },
        OTHER_AP: {"issuer": OTHER_AP, "jwks_uri": OTHER_AP + "/jwks.json", "localhost_callback_allowed": True},
        CALENDAR: {
            "issuer": CALENDAR,
            "name": "The Calendar",
            "description": "Keeps your *events*.",
            "access_mode": "auth-token",
            "scope_descriptions": {"calendar.read": "Read your events", "email": "Everything about you"},
            "revocation_endpoint": CALENDAR + "/revoke",
        },
        MAIL: {"issuer": MAIL},
        AS: {"issuer": AS},
    }
    for issuer, document in metadata.items():
        document.setdefault("jwks_uri", issuer + "/jwks.json")
    directory = StaticDirectory(metadata=metadata, keys={issuer: JWKS.of(key) for issuer, key in keys.items()})
    wire = AsyncWire(network, directory)
    own = database is None
    database = database or await Database.open(f"sqlite:///{folder}/ps.db")
    server = await PersonServer.open(
        issuer=PS, store=SQLPersonStore(database), wire=wire, clock=clock, name="Alice's server", **settings
    )
    yield World(clock, network, directory, wire, database, server, keys, metadata)
    await wire.aclose()
    if own:
        await database.close()
