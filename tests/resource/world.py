"""A small world around one resource: an agent provider, a person server, an access server, agents, and an ASGI client.

Every signature and token is real; only the network and the clock are not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from aauthlib.discovery import StaticDirectory, TransportError
from aauthlib.effects import Send
from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import HWK, JKTJWT, JWKSURI, JWT, sign
from aauthlib.httpsig.signature_key import SignatureKey
from aauthlib.keys import JWKS, SigningKey
from aauthlib.messages.requirement import Requirement
from aauthlib.resource import (
    Grant,
    MemoryResourceStore,
    Policy,
    Resource,
    Route,
    anonymous,
    authorized,
    identified,
    managed,
    person,
    pseudonym,
)
from aauthlib.tokens import (
    ACCESS_DWK,
    PERSON_DWK,
    ResourceToken,
    VerificationPolicy,
    issue_agent_token,
    issue_auth_token,
    issue_jkt_jwt,
    issue_person_token,
    verify,
)
from aauthlib.transport import AsyncWire
from aauthlib.web.resource import AAuthMiddleware

RESOURCE = "https://api.example"
AP = "https://ap.example"
PS = "https://ps.example"
AS = "https://as.example"
AGENT = "aauth:assistant@ap.example"
START = 1_790_000_000.0
PERSON = "dir-7f3a"

SCOPES = {
    "calendar.read": "See your **events**.",
    "calendar.write": "Create and delete events.",
    "calendar.share": "Share events.",
}


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


class NoNetwork:
    """There is no network; whatever needs one fails as it would."""

    async def send(self, effect: Send) -> Response:
        raise TransportError("There is no network in this test.")


class App:
    """The application behind the middleware: says what it was given, and counts."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, bytes]] = []
        self.grants: list[Grant] = []
        self.entered: asyncio.Event | None = None
        self.gate: asyncio.Event | None = None
        self.failure: Exception | None = None
        self.answer: Callable[[dict[str, Any]], tuple[int, bytes]] = lambda scope: (200, b"served")
        self.lifespan: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            self.lifespan.append((await receive())["type"])
            return
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.calls.append((scope["method"], scope["path"], body))
        self.grants.append(scope["aauth"])
        if self.entered is not None:
            self.entered.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        status, answer = self.answer(scope)
        headers = [(b"content-type", b"text/plain"), (b"cache-control", b"max-age=60"), (b"x-app", b"yes")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


def default_policy() -> Policy:
    return Policy(
        [
            Route("GET", "/events", anonymous(limit="3/minute")),
            Route("GET", "/hello", pseudonym(limit="5/minute")),
            Route("GET", "/agents", identified()),
            Route("GET", "/friends", identified(allow=[AGENT])),
            Route("GET", "/me", person()),
            Route("GET", "/private", authorized("calendar.read")),
            Route("POST", "/events", authorized("calendar.write")),
            Route("POST", "/held", authorized("calendar.write", delivery="202")),
            Route("GET", "/accounts/{account}/events", authorized("calendar.read", account="account")),
            Route("GET", "/managed", managed("calendar.read")),
            Route("PUT", "/managed", managed("calendar.write")),
            Route("GET", "/open/*", anonymous()),
        ]
    )


class World:
    def __init__(
        self,
        *,
        policy: Policy | None = None,
        store: Any = None,
        clock: Clock | None = None,
        app: Any = None,
        max_body_bytes: int = 4096,
        issuer: str = RESOURCE,
        **settings: Any,
    ) -> None:
        self.issuer = issuer
        self.clock = clock or Clock()
        self.ap, self.ps, self.access = SigningKey.generate(), SigningKey.generate("ES256"), SigningKey.generate()
        self.key, self.agent, self.other = SigningKey.generate(), SigningKey.generate(), SigningKey.generate("ES256")
        self.directory = StaticDirectory(
            keys={
                AP: JWKS.of(self.ap),
                PS: JWKS.of(self.ps),
                AS: JWKS.of(self.access),
                issuer: JWKS.of(self.key),
            },
            metadata={
                AP: {
                    "issuer": AP,
                    "jwks_uri": f"{AP}/jwks.json",
                    "name": "Example Agents",
                    "callback_endpoint": f"{AP}/callback",
                },
                PS: {
                    "issuer": PS,
                    "jwks_uri": f"{PS}/jwks.json",
                    "auth_token_endpoint": f"{PS}/token",
                    "person_token_endpoint": f"{PS}/person",
                    "scopes_supported": ["openid", "email"],
                },
            },
        )
        self.wire = AsyncWire(NoNetwork(), self.directory)
        self.store = store or MemoryResourceStore(self.clock)
        self.app = App()
        self.users = {"ada": ("pass", "user-1"), "bob": ("word", "user-2")}
        defaults: dict[str, Any] = {
            "scopes": SCOPES,
            "signing_key": self.key,
            "sign_in": self.sign_in,
            "account_holder": self.holds,
            "name": "Cal",
        }
        self.resource = Resource(
            issuer=issuer, wire=self.wire, store=self.store, clock=self.clock, **{**defaults, **settings}
        )
        self.asgi = AAuthMiddleware(
            app or self.app, self.resource, policy or default_policy(), max_body_bytes=max_body_bytes
        )
        self._count = 0

    async def sign_in(self, username: str, password: str) -> str | None:
        known, user = self.users.get(username, ("", ""))
        return user if known == password and user else None

    async def holds(self, person: tuple[str, str], account: str) -> bool:
        return person == (PS, PERSON) and account in ("work", "home")

    # ---------------------------------------------------------------- tokens

    def jti(self) -> str:
        self._count += 1
        return f"jti-{self._count}"

    def agent_token(self, key: SigningKey | None = None, *, sub: str = AGENT, ps: str | None = PS) -> str:
        return issue_agent_token(
            self.ap, iss=AP, sub=sub, cnf=(key or self.agent).public, jti=self.jti(), now=self.clock(), ps=ps
        )

    def person_token(self, key: SigningKey | None = None, **changes: Any) -> str:
        values: dict[str, Any] = {
            "iss": PS,
            "aud": self.issuer,
            "sub": PERSON,
            "cnf": (key or self.agent).public,
            "jti": self.jti(),
            "now": self.clock(),
            "not_after": self.clock() + 3600,
            **changes,
        }
        return issue_person_token(self.ps, **values)

    def auth_token(
        self, *scopes: str, key: SigningKey | None = None, by: SigningKey | None = None, **changes: Any
    ) -> str:
        values: dict[str, Any] = {
            "iss": PS,
            "dwk": PERSON_DWK,
            "ps": PS,
            "aud": self.issuer,
            "sub": PERSON,
            "cnf": (key or self.agent).public,
            "jti": self.jti(),
            "now": self.clock(),
            "not_after": self.clock() + 3600,
            "scope": scopes,
            **changes,
        }
        return issue_auth_token(by or self.ps, **values)

    def access_token(self, *scopes: str, **changes: Any) -> str:
        return self.auth_token(*scopes, by=self.access, iss=AS, dwk=ACCESS_DWK, **changes)

    async def read_resource_token(self, response: Response) -> ResourceToken:
        """The resource token in a challenge, verified as its recipient would."""
        requirement = Requirement.parse(response.headers.get("aauth-requirement") or "")
        assert requirement.value == "auth-token"
        assert requirement.resource_token is not None
        return await self.wire.run(
            verify(requirement.resource_token, ResourceToken, now=self.clock(), policy=VerificationPolicy())
        )

    # ---------------------------------------------------------------- requests

    def signed(
        self,
        method: str,
        target: str,
        token: str | SignatureKey | None = None,
        *,
        key: SigningKey | None = None,
        body: bytes = b"",
        headers: Iterable[tuple[str, str]] = (),
        cover_body: bool = True,
        components: Iterable[str] = (),
        origin: str | None = None,
        created: int | None = None,
    ) -> Request:
        """A signed request: with a token, with any other Signature-Key, or with the bare key (`hwk`)."""
        signer = key or self.agent
        fields = [*headers, *([("content-type", "application/json")] if body else [])]
        request = Request(method, (origin or self.issuer) + target, Fields(fields), body)
        shown = token if token is not None else HWK.of(signer.public)
        if isinstance(shown, str):
            shown = JWT(shown)
        when = int(self.clock()) if created is None else created
        return sign(request, signer, shown, created=when, cover_body=cover_body, components=components)

    def delegated(self, durable: SigningKey) -> JKTJWT:
        return JKTJWT(issue_jkt_jwt(durable, self.agent.public, jti=self.jti(), now=self.clock()))

    def as_server(self, issuer: str, dwk: str, key: SigningKey) -> JWKSURI:
        return JWKSURI(issuer, dwk, key.kid)

    async def call(self, request: Request, *, client: str = "192.0.2.1", **scope: Any) -> Response:
        return await call(self.asgi, request, client=client, **scope)

    async def get(self, target: str, token: str | SignatureKey | None = None, **how: Any) -> Response:
        return await self.call(self.signed("GET", target, token, **how))

    async def post(
        self, target: str, token: str | SignatureKey | None = None, *, body: bytes = b"{}", **how: Any
    ) -> Response:
        return await self.call(self.signed("POST", target, token, body=body, **how))

    async def unsigned(
        self,
        method: str,
        target: str,
        *,
        client: str = "192.0.2.1",
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> Response:
        return await self.call(Request(method, RESOURCE + target, Fields(headers), body), client=client)

    def revocation(
        self, jti: str, exp: int, *, issuer: str = PS, dwk: str = PERSON_DWK, key: SigningKey | None = None, **how: Any
    ) -> Request:
        body = b'{"jti":"%s","exp":%d}' % (jti.encode(), exp)
        signer = key or {PS: self.ps, AS: self.access, AP: self.ap}[issuer]
        return self.signed("POST", "/aauth/revoke", self.as_server(issuer, dwk, signer), key=signer, body=body, **how)


async def call(
    app: Callable[..., Awaitable[None]], request: Request, *, client: str = "192.0.2.1", **changes: Any
) -> Response:
    """Drive an ASGI application in process, as a server would."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "https",
        "path": unquote(request.path, errors="replace"),
        "raw_path": request.path.encode("latin-1"),
        "query_string": (request.query or "").encode("latin-1"),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers],
        "client": (client, 50_000),
        "server": ("127.0.0.1", 8000),
        "state": {},
        **changes,
    }
    chunks = [request.body[start : start + 1000] for start in range(0, len(request.body), 1000)] or [b""]
    incoming = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks) - 1}
        for number, chunk in enumerate(chunks)
    ]
    sent: list[Mapping[str, Any]] = []

    answered = asyncio.Event()

    async def receive() -> Any:
        if incoming:
            return incoming.pop(0)
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            answered.set()

    await app(scope, receive, send)
    assert sent[0]["type"] == "http.response.start"
    headers = Fields((name.decode("latin-1"), value.decode("latin-1")) for name, value in sent[0]["headers"])
    return Response(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


def requirement_of(response: Response) -> str | None:
    """The value of `AAuth-Requirement`, or `None` when there is none."""
    header = response.headers.get("aauth-requirement")
    return None if header is None else Requirement.parse(header).value
