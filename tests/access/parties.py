"""An access server with person servers, agents and resources around it that sign for themselves."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from aauthlib.access import AccessServer, Allow, CallablePolicy, Decision, Facts, TestSettlement, Trust
from aauthlib.access.trust import Limits
from aauthlib.discovery import StaticDirectory, TransportError
from aauthlib.effects import Flow, Send
from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import JWKSURI, sign
from aauthlib.keys import JWKS, SigningKey
from aauthlib.messages.requirement import Requirement
from aauthlib.store.access import SQLAccessStore
from aauthlib.store.database import Database
from aauthlib.tokens import (
    AgentToken,
    AuthToken,
    PersonToken,
    VerificationPolicy,
    issue_agent_token,
    issue_auth_token,
    issue_person_token,
    issue_resource_token,
    verify,
)
from aauthlib.transport import AsyncWire

AS = "https://as.example"
PS = "https://ps.example"
OTHER_PS = "https://other-ps.example"
AP = "https://ap.example"
CALENDAR = "https://calendar.example"
MAIL = "https://mail.example"
SUB = "alice-at-calendar"
TOKEN_URL = AS + "/auth-token"
REVOKE_URL = AS + "/revocation"


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Network:
    """What the access server sends: kept, and answered with `200` unless `answers` says otherwise by URL."""

    def __init__(self) -> None:
        self.sent: list[Request] = []
        self.answers: dict[str, list[Response | TransportError]] = {}

    async def send(self, effect: Send) -> Response:
        self.sent.append(effect.request)
        queue = self.answers.get(effect.request.url)
        answer = queue.pop(0) if queue else Response(200)
        if isinstance(answer, TransportError):
            raise answer
        return answer


@dataclass
class Deciding:
    """The policy of the tests: a function that each test sets."""

    decide: Any = lambda facts: Allow()
    seen: list[Facts] = field(default_factory=list)

    def __call__(self, facts: Facts) -> Decision:
        self.seen.append(facts)
        decision: Decision = self.decide(facts)
        return decision


async def no_sleep(seconds: float) -> None:
    """Waiting takes no time."""


@dataclass
class World:
    """The parties."""

    clock: Clock
    network: Network
    directory: StaticDirectory
    wire: AsyncWire
    database: Database
    server: AccessServer
    policy: Deciding
    settlement: TestSettlement
    server_keys: dict[str, SigningKey]
    metadata: dict[str, dict[str, Any]]
    _sent: int = 0

    async def verified(self, text: str, kind: type[Any]) -> Any:
        """A token of the access server, verified by somebody who looks up its keys."""
        self.directory.publish(AS, self.server.jwks())
        flow: Flow[Any] = verify(text, kind, now=self.clock(), policy=VerificationPolicy())
        return await self.wire.run(flow)

    def jti(self) -> str:
        return secrets.token_hex(8)

    # ---- tokens of the others

    def agent(self, key: SigningKey, sub: str = "aauth:helper@ap.example", **changes: Any) -> str:
        issuer = changes.pop("iss", AP)
        values = {"lifetime_s": 3600, "ps": PS, "parent_agent": None, "now": self.clock(), **changes}
        return issue_agent_token(
            self.server_keys[issuer], iss=issuer, sub=sub, cnf=key.public, jti=self.jti(), **values
        )

    def person(self, key: SigningKey, **changes: Any) -> str:
        issuer = changes.pop("iss", PS)
        values: dict[str, Any] = {
            "aud": CALENDAR,
            "sub": SUB,
            "jti": self.jti(),
            "now": self.clock(),
            "not_after": self.clock() + 3600,
            **changes,
        }
        return issue_person_token(self.server_keys[issuer], iss=issuer, cnf=key.public, **values)

    def auth(self, key: SigningKey, *, iss: str, dwk: str, **changes: Any) -> str:
        values: dict[str, Any] = {
            "ps": PS,
            "aud": CALENDAR,
            "sub": SUB,
            "jti": self.jti(),
            "now": self.clock(),
            "not_after": self.clock() + 3600,
            "scope": ["calendar.read"],
            **changes,
        }
        return issue_auth_token(self.server_keys[iss], iss=iss, dwk=dwk, cnf=key.public, **values)

    def read(self, text: str, kind: type[Any]) -> Any:
        """A token as its receiver knows it, its signature taken for granted."""
        from aauthlib import jws
        from aauthlib.tokens.profile import read

        assert jws.parse(text)
        return read(text, kind, now=self.clock() - 1, policy=VerificationPolicy()).token

    def resource_token(self, presented: str, **changes: Any) -> str:
        token = self.read(presented, PersonToken if "aa-person" in _typ(presented) else AuthToken)
        issuer = changes.pop("iss", token.aud)
        scope = changes.pop("scope", "calendar.read")
        values: dict[str, Any] = {"access_server": AS, "jti": self.jti(), "now": self.clock(), **changes}
        return issue_resource_token(
            self.server_keys[issuer],
            iss=issuer,
            presented=token,
            scope=None if scope is None else scope.split(),
            **values,
        )

    def bundle(self, key: SigningKey | None = None, **body: Any) -> dict[str, Any]:
        """The body of a token request, whole and right unless `body` says otherwise."""
        key = key or SigningKey.generate()
        presented = body.pop("presented_token", None) or self.person(key)
        scope = body.pop("scope", "calendar.read")
        made: dict[str, Any] = {"presented_token": presented}
        made["agent_token"] = body.pop("agent_token", None) or self.agent(key)
        made["resource_token"] = body.pop("resource_token", None) or self.resource_token(presented, scope=scope)
        return {**made, **body}

    # ---- requests

    def signed(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        issuer: str = PS,
        dwk: str = "aauth-person.json",
        key: SigningKey | None = None,
        **headers: str,
    ) -> Request:
        """A request signed by a server in its own right."""
        signer = key or self.server_keys[issuer]
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        # So that no two requests of a test are the same request.
        self._sent += 1
        fields["x-number"] = str(self._sent)
        content = b"" if body is None else msgspec.json.encode(body)
        if body is not None:
            fields.setdefault("content-type", "application/json")
        request = Request(method, url, Fields(fields), content)
        self.clock.now += 1
        return sign(request, signer, JWKSURI(issuer, dwk, signer.kid), created=int(self.clock()))

    async def ask(self, body: dict[str, Any] | None = None, **signing: Any) -> Response:
        document = self.bundle() if body is None else body
        return await self.server.auth_token(self.signed("POST", TOKEN_URL, document, **signing))

    async def poll(self, response: Response, **signing: Any) -> Response:
        url = location(response)
        return await self.server.poll(self.signed("GET", url, **signing), url.rpartition("/")[2])

    async def post(self, response: Response, body: Any, **signing: Any) -> Response:
        url = location(response)
        return await self.server.answer(self.signed("POST", url, body, **signing), url.rpartition("/")[2])

    async def cancel(self, response: Response, **signing: Any) -> Response:
        url = location(response)
        return await self.server.cancel(self.signed("DELETE", url, **signing), url.rpartition("/")[2])

    async def revoke(self, jti: str, *, exp: float | None = None, **signing: Any) -> Response:
        body = {"jti": jti, "exp": int(exp if exp is not None else self.clock() + 3600)}
        return await self.server.revoke(self.signed("POST", REVOKE_URL, body, **signing))

    async def token_of(self, response: Response) -> AuthToken:
        assert response.status == 200, response.body
        token: AuthToken = await self.verified(response.json()["auth_token"], AuthToken)
        return token

    async def granted(self, body: dict[str, Any] | None = None) -> AuthToken:
        return await self.token_of(await self.ask(body))


def _typ(text: str) -> str:
    from aauthlib import jws

    return str(jws.parse(text).header["typ"])


def location(response: Response) -> str:
    value = response.headers.get("location")
    assert value is not None
    return value


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


def agent_token_of(world: World, text: str) -> AgentToken:
    token: AgentToken = world.read(text, AgentToken)
    return token


@asynccontextmanager
async def open_world(database_url: str, **settings: Any) -> AsyncIterator[World]:
    """An access server on `database_url`, and everybody else."""
    clock, network, policy, settlement = Clock(), Network(), Deciding(), TestSettlement()
    issuers = (PS, OTHER_PS, AP, CALENDAR, MAIL)
    keys = {issuer: SigningKey.generate() for issuer in issuers}
    metadata: dict[str, dict[str, Any]] = {
        issuer: {"issuer": issuer, "jwks_uri": issuer + "/jwks.json"} for issuer in issuers
    }
    for issuer in (CALENDAR, MAIL):
        metadata[issuer]["revocation_endpoint"] = issuer + "/revoke"
    directory = StaticDirectory(metadata=metadata, keys={issuer: JWKS.of(key) for issuer, key in keys.items()})
    wire = AsyncWire(network, directory, sleep=no_sleep)
    database = await Database.open(database_url)
    server = await AccessServer.open(
        issuer=AS,
        store=SQLAccessStore(database),
        wire=wire,
        policy=CallablePolicy(policy, version="test"),
        clock=clock,
        **{
            "interactive": True,
            "settlement": settlement,
            "trust": Trust({}),
            "limits": Limits(),
            "name": "The Office",
            **settings,
        },
    )
    yield World(clock, network, directory, wire, database, server, policy, settlement, keys, metadata)
    await server.aclose()
    await wire.aclose()
    await database.close()
