"""The city with everybody: a resource with an access server, a service that calls on, and the attacker's of each kind.

Every party that is attacked is the real app. The attacker's own are a name and a key, and may be any kind of party.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import msgspec

from aauthlib.access import Allow, CallablePolicy, Decision, Facts
from aauthlib.chaining import ChainPolicy, Intermediary
from aauthlib.http import Request, Response, json_response
from aauthlib.httpsig import JWKSURI
from aauthlib.keys import SigningKey
from aauthlib.resource import Policy, Resource, Route, authorized, identified, person
from aauthlib.store.database import Database
from aauthlib.store.resource import SQLResourceStore
from aauthlib.tokens import (
    ACCESS_DWK,
    AGENT_DWK,
    PERSON_DWK,
    RESOURCE_DWK,
    AuthToken,
    PersonToken,
    issue_agent_token,
    issue_auth_token,
    issue_person_token,
)
from aauthlib.web.access import AccessApp, build_access_app
from aauthlib.web.resource import AAuthMiddleware

from .engines import Databases
from .world import AP, CALENDAR, EVIL_AP, EVIL_PS, EVIL_RESOURCE, MAIL, PS, Agent, City

AS = "https://access.example"
VAULT = "https://vault.example"
RELAY = "https://relay.example"
EVIL_AS = "https://evil-access.example"
EVIL_RELAY = "https://evil-relay.example"

SCOPES = {"vault.read": "Read what is kept.", "vault.write": "Change what is kept."}
Tamper = Callable[[Request, Response], Response | None]


@dataclass(repr=False)
class Realm:
    """Everybody."""

    city: City
    access: AccessApp
    vault: Resource
    relay: Intermediary
    relay_key: SigningKey
    decide: Callable[[Facts], Decision] = lambda facts: Allow()
    """The access server's policy."""
    _held: dict[str, Any] = field(default_factory=dict)

    # ---------------------------------------------------------------- who signs for whom

    def key_of(self, issuer: str) -> SigningKey:
        """What a party signs its tokens and its own requests with."""
        keys = {
            AP: lambda: self.city.provider._keys.signing,
            PS: lambda: self.city.person_app.server.keys.signing,
            AS: lambda: self.access.server.keys.signing,
            RELAY: lambda: self.relay_key,
        }
        if issuer in keys:
            return keys[issuer]()
        return self.city.resource_keys.get(issuer, self.city.evil)

    def as_server(
        self, issuer: str, dwk: str, method: str, url: str, body: Any = None, *, key: SigningKey | None = None
    ) -> Request:
        """A request that `issuer` signs in its own right."""
        signer = key or self.key_of(issuer)
        return self.city.signed(method, url, signer, JWKSURI(issuer, dwk, signer.kid), body=body)

    async def send(self, request: Request) -> Response:
        return await self.city.send(request)

    # ---------------------------------------------------------------- tokens that somebody makes up

    def auth(self, iss: str, dwk: str, agent: Agent, **changes: Any) -> str:
        """An auth token that `iss` makes up, signed as whatever party it is."""
        now = self.city.clock()
        values: dict[str, Any] = {
            "iss": iss,
            "dwk": dwk,
            "ps": PS if dwk == ACCESS_DWK else iss,
            "aud": CALENDAR,
            "sub": "somebody",
            "cnf": agent.key.public,
            "jti": secrets.token_hex(8),
            "now": now,
            "not_after": now + 600,
            "scope": ["calendar.read"],
            **changes,
        }
        return issue_auth_token(values.pop("key", None) or self.key_of(iss), **values)

    def person(self, iss: str, agent: Agent, **changes: Any) -> str:
        """A person token that `iss` makes up."""
        now = self.city.clock()
        values: dict[str, Any] = {
            "iss": iss,
            "aud": CALENDAR,
            "sub": "somebody",
            "cnf": agent.key.public,
            "jti": secrets.token_hex(8),
            "now": now,
            "not_after": now + 600,
            **changes,
        }
        return issue_person_token(values.pop("key", None) or self.key_of(iss), **values)

    def agent(self, iss: str, sub: str, key: SigningKey | None = None, **changes: Any) -> Agent:
        """An agent with a token that `iss` makes up."""
        own = key or SigningKey.generate()
        values = {"iss": iss, "sub": sub, "cnf": own.public, "jti": secrets.token_hex(8), "now": self.city.clock()}
        signer = changes.pop("signer", None) or self.key_of(iss)
        return Agent(self.city, own, issue_agent_token(signer, **{**values, **changes}))

    def service(self) -> Agent:
        """The service as the agent it is to others, by a token that it issues to itself."""
        return self.agent(RELAY, "aauth:service@relay.example")

    # ---------------------------------------------------------------- honest exchanges

    async def vault_token(self, agent: Agent, presented: str, *scope: str, **body: Any) -> Response:
        """What the person server answers once Ada and the access server had their say."""
        answer = await self.ask_vault(agent, presented, *scope, **body)
        return await agent.approved(answer) if answer.status == 202 else answer

    async def ask_vault(self, agent: Agent, presented: str, *scope: str, **body: Any) -> Response:
        return await agent.ask_auth_token(self.vault_resource_token(presented, *scope), presented, **body)

    def vault_resource_token(self, presented: str, *scope: str, **changes: Any) -> str:
        token = self.city.read(
            presented, AuthToken if self.city.tokens_type(presented) == AuthToken.typ else PersonToken
        )
        values = {"access_server": AS, **changes}
        return self.city.resource_token(token, issuer=VAULT, scope=scope or ("vault.read",), **values)

    async def federated(
        self, agent: Agent, presented: str, *, ps: str = PS, dwk: str = PERSON_DWK, **changes: Any
    ) -> Response:
        """The token request at the access server, whole and right unless `changes` say otherwise."""
        body = {"presented_token": presented, "agent_token": agent.token, **changes}
        body.setdefault("resource_token", self.vault_resource_token(presented))
        return await self.send(self.as_server(ps, dwk, "POST", f"{AS}/auth-token", body))

    @contextmanager
    def turned(self, tamper: Tamper) -> Iterator[None]:
        """While it lasts, some party answers what `tamper` makes of its answers."""
        self.city.network.tamper = tamper
        try:
            yield
        finally:
            self.city.network.tamper = None

    @contextmanager
    def deciding(self, decide: Callable[[Facts], Decision]) -> Iterator[None]:
        """While it lasts, the access server's policy."""
        before, self.decide = self.decide, decide
        try:
            yield
        finally:
            self.decide = before

    def resigned(self, member: str, issuer: str, *, at: str = "", **claims: Any) -> Tamper:
        """`issuer` puts other claims into the token in the `member` of its answers and signs them itself."""

        def tamper(request: Request, response: Response) -> Response | None:
            body = response.json() if response.status == 200 and request.origin == (at or issuer) else None
            if not isinstance(body, dict) or member not in body:
                return None
            body[member] = self.city.forged(body[member], self.key_of(issuer), **claims)
            return Response(200, response.headers, msgspec.json.encode(body))

        return tamper


async def open_realm(city: City, databases: Databases) -> Realm:
    """Open what the city lacks, beside it."""
    opened: list[Database] = []
    for name in ("vault", "relay"):
        database = await Database.open(await databases.url(name))
        city._stack.push_async_callback(database.close)
        opened.append(database)
    keys = {issuer: SigningKey.generate() for issuer in (VAULT, RELAY)}
    city.resource_keys.update(keys)
    holder: list[Realm] = []
    access = await build_access_app(
        await databases.url("access"),
        AS,
        CallablePolicy(lambda facts: holder[0].decide(facts)),
        clock=city.clock,
        wire=city.wire(),
        name="The office",
    )
    city._stack.push_async_callback(access.aclose)
    vault = Resource(
        issuer=VAULT,
        wire=city.wire(),
        store=SQLResourceStore(opened[0], city.clock),
        signing_key=keys[VAULT],
        clock=city.clock,
        scopes=SCOPES,
        access_server=AS,
        name="Vault",
    )
    relay = Intermediary(
        issuer=RELAY,
        wire=city.wire(),
        store=SQLResourceStore(opened[1], city.clock),
        signing_key=keys[RELAY],
        clock=city.clock,
        scopes={"relay.read": "Read by way of this service."},
        name="Relay",
        chain=ChainPolicy(poll_wait_s=1),
    )
    city.network.apps[AS] = access
    city.network.apps[VAULT] = AAuthMiddleware(
        _served,
        vault,
        Policy(
            [
                Route("GET", "/agent", identified()),
                Route("GET", "/me", person()),
                Route("GET", "/read", authorized("vault.read")),
                Route("POST", "/write", authorized("vault.write")),
            ]
        ),
    )
    city.network.apps[RELAY] = AAuthMiddleware(
        _calling_on(relay),
        relay,
        Policy(
            [
                Route("GET", "/agent", identified()),
                Route("GET", "/me", person()),
                Route("GET", "/read", authorized("relay.read")),
            ]
        ),
    )
    for issuer, dwks in (
        (EVIL_AS, (ACCESS_DWK,)),
        (EVIL_RELAY, (RESOURCE_DWK, AGENT_DWK)),
    ):
        for dwk in dwks:
            city.network.publish(issuer, dwk, city.evil)
    city.ada = await city.signed_in("ada")
    realm = Realm(city, access, vault, relay, keys[RELAY])
    holder.append(realm)
    return realm


async def _served(scope: Any, receive: Any, send: Any) -> None:
    await _answer(send, json_response(200, {"served": scope.get("path", "")}))


def _calling_on(relay: Intermediary) -> Any:
    """The application of the service: gets what `to` names for its caller."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        to = parse_qs(scope.get("query_string", b"").decode()).get("to", [""])[0]
        if not to:
            await _served(scope, receive, send)
            return
        response = await relay.downstream(scope).get(to)
        await _answer(send, json_response(200, {"below": response.status_code, "said": response.text}))

    return app


async def _answer(send: Any, response: Response) -> None:
    headers = [(name.encode(), value.encode()) for name, value in response.headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


__all__ = [
    "ACCESS_DWK",
    "AGENT_DWK",
    "AP",
    "AS",
    "CALENDAR",
    "EVIL_AP",
    "EVIL_AS",
    "EVIL_PS",
    "EVIL_RELAY",
    "EVIL_RESOURCE",
    "MAIL",
    "PERSON_DWK",
    "PS",
    "RELAY",
    "RESOURCE_DWK",
    "VAULT",
    "Agent",
    "AuthToken",
    "City",
    "PersonToken",
    "Realm",
    "open_realm",
]
