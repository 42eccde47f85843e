"""An agent provider on SQLite, clients that sign for themselves, and a person server that verifies what it is told."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aauthlib.discovery import StaticDirectory, TransportError
from aauthlib.effects import FindKey, FindMetadata, Send
from aauthlib.errors import AAuthError
from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import HWK, JKTJWT, JWT, SignatureKey, SignaturePolicy, sign
from aauthlib.keys import SigningKey
from aauthlib.messages.bodies import RevocationRequest, decode_request
from aauthlib.messages.problems import error_response
from aauthlib.provider import AgentProvider
from aauthlib.store.database import Database
from aauthlib.store.provider import SQLProviderStore
from aauthlib.tokens import AgentToken, VerificationPolicy, issue_jkt_jwt, verify
from aauthlib.transport import AsyncWire
from aauthlib.verification import authenticate

AP = "https://ap.example"
PS = "https://ps.example"


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class PersonServerStub:
    """The revocation endpoint of a person server on the wire: it verifies the caller and keeps what it was told.

    `answers` are given in order before it starts to answer `200`; a `TransportError` among them means silence.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.provider: AgentProvider | None = None
        self.revoked: list[tuple[str, RevocationRequest]] = []
        self.answers: list[Response | TransportError] = []
        self.requests: list[Request] = []

    async def send(self, effect: Send) -> Response:
        self.requests.append(effect.request)
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, TransportError):
                raise answer
            return answer
        try:
            return await self._revoke(effect.request)
        except AAuthError as error:
            return error_response(error)

    async def _revoke(self, request: Request) -> Response:
        assert self.provider is not None
        directory = StaticDirectory(keys={AP: await self.provider.jwks()})
        flow = authenticate(
            request,
            now=self.clock(),
            signature=SignaturePolicy(schemes=("jwks_uri",), cover_body=True),
            tokens=VerificationPolicy(),
            accepted=(),
        )
        caller = run_flow(flow, directory)
        assert caller.server is not None
        assert caller.server.dwk == "aauth-agent.json"
        if request.method == "POST":
            self.revoked.append((caller.server.id, decode_request(RevocationRequest, request)))
        return Response(200)


def run_flow(flow: Any, directory: StaticDirectory) -> Any:
    """Carry out a flow that only asks for keys."""
    try:
        effect = next(flow)
        while True:
            assert isinstance(effect, FindKey | FindMetadata)
            try:
                answer = directory.cached(effect)
            except AAuthError as error:
                effect = flow.throw(error)
            else:
                effect = flow.send(answer)
    except StopIteration as end:
        return end.value


@dataclass
class World:
    """The parts, and what a client does with them."""

    provider: AgentProvider
    store: SQLProviderStore
    clock: Clock
    person_server: PersonServerStub
    make: Callable[..., AgentProvider] = field(repr=False)

    def request(
        self,
        path: str,
        body: object,
        key: SigningKey,
        signature_key: SignatureKey | None = None,
        **options: Any,
    ) -> Request:
        """A signed POST with a JSON body."""
        unsigned = Request("POST", AP + path, Fields({"content-type": "application/json"}), msgspec.json.encode(body))
        scheme = signature_key or HWK.of(key.public)
        return sign(unsigned, key, scheme, **{"created": int(self.clock()), "nonce": secrets.token_hex(8), **options})

    async def enroll(self, key: SigningKey, **body: Any) -> dict[str, Any]:
        response = await self.provider.enroll(self.request("/enroll", body, key))
        assert response.status in (200, 201)
        document: dict[str, Any] = response.json()
        return document

    def two_key(self, durable: SigningKey, ephemeral: SigningKey, *, body: object = None, **options: Any) -> Request:
        """A refresh request under `jkt-jwt`."""
        jwt = issue_jkt_jwt(
            durable,
            options.pop("named", ephemeral.public),
            jti=options.pop("jti", secrets.token_urlsafe(16)),
            now=options.pop("now", self.clock()),
            lifetime_s=options.pop("lifetime_s", 300),
        )
        return self.request("/refresh", {} if body is None else body, ephemeral, JKTJWT(jwt), **options)

    def subagent_request(self, parent: SigningKey, agent_token: str, **body: Any) -> Request:
        return self.request("/subagent", body, parent, JWT(agent_token))

    async def verified(self, agent_token: str) -> AgentToken:
        """The token as any other party verifies it: by the published keys."""
        directory = StaticDirectory(keys={AP: await self.provider.jwks()})
        flow = verify(agent_token, AgentToken, now=self.clock(), policy=VerificationPolicy())
        token: AgentToken = run_flow(flow, directory)
        return token


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    clock = Clock()
    database = await Database.open(f"sqlite:///{tmp_path}/provider.db")
    store = SQLProviderStore(database)
    person_server = PersonServerStub(clock)
    directory = StaticDirectory(
        metadata={
            PS: {
                "issuer": PS,
                "jwks_uri": f"{PS}/jwks.json",
                "auth_token_endpoint": f"{PS}/token",
                "person_token_endpoint": f"{PS}/person",
                "revocation_endpoint": f"{PS}/revoke",
            },
            "https://old-ps.example": {
                "issuer": "https://old-ps.example",
                "jwks_uri": "https://old-ps.example/jwks.json",
                "auth_token_endpoint": "https://old-ps.example/token",
                "person_token_endpoint": "https://old-ps.example/person",
            },
        }
    )

    def make(**options: Any) -> AgentProvider:
        provider = AgentProvider(AP, store=store, wire=AsyncWire(person_server, directory), clock=clock, **options)
        person_server.provider = provider
        return provider

    yield World(make(), store, clock, person_server, make)
    await database.close()
