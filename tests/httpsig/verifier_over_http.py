"""A verifier and an agent provider over real HTTP on loopback, in the development profile, with the machine's clock."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import uvicorn

from aauthlib.http import Request, Response, json_response
from aauthlib.httpsig import SignaturePolicy
from aauthlib.keys import JWKS, SigningKey
from aauthlib.messages.headers import accept_signature
from aauthlib.tokens import AgentToken, VerificationPolicy, issue_agent_token
from aauthlib.transport import AsyncWire
from aauthlib.verification import (
    AssertionCache,
    Caller,
    SchemeSupport,
    SelfIssuedPolicy,
    authenticate,
    signature_key_cache,
    signature_required,
)
from aauthlib.web.asgi import endpoint

SCHEMES = ("jwt", "hwk", "jwks_uri", "jwks", "self-jwt", "cached")


class LiveVerifier:
    """One uvicorn for every name below `localhost`; `policy` and `judge` are a test's to change."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        self.port = self._socket.getsockname()[1]
        self.issuer, self.provider = self.name("api"), self.name("ap")
        self.provider_key = SigningKey.generate(kid="p1")
        self.documents: dict[str, object] = {}
        self.publish(self.provider)
        self.policy = SignaturePolicy(schemes=SCHEMES)
        self.assertions = AssertionCache()
        self.support = SchemeSupport(
            assertions=self.assertions, self_issued=SelfIssuedPolicy(frozenset({"event+jwt"}), audience=self.issuer)
        )
        self.ahead_s = 0.0
        """How far this verifier's clock is ahead."""
        self.judge: Callable[[Request, Caller], Response | None] = lambda request, caller: None
        """What the role behind the verification makes of a caller; it may raise."""
        self.requests: list[Request] = []
        self._wire: AsyncWire | None = None
        config = uvicorn.Config(self._app, interface="asgi3", log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})
        self._thread.start()

    def name(self, host: str) -> str:
        return f"http://{host}.localhost:{self.port}"

    def publish(self, issuer: str) -> None:
        """Serve an agent provider's metadata and keys."""
        document = {"issuer": issuer, "jwks_uri": f"{issuer}/jwks.json"}
        self.documents[f"{issuer}/.well-known/aauth-agent.json"] = document
        self.documents[f"{issuer}/jwks.json"] = JWKS.of(self.provider_key).to_document()

    def token(self, key: SigningKey, **changes: Any) -> str:
        issuer = changes.pop("iss", self.provider)
        values: dict[str, Any] = {"sub": f"aauth:a@{issuer.partition('://')[2]}", "jti": "t1", "now": time.time()}
        return issue_agent_token(
            changes.pop("by", self.provider_key), iss=issuer, cnf=key.public, **{**values, **changes}
        )

    async def _answer(self, request: Request) -> Response:
        document = self.documents.get(request.url)
        if document is not None:
            return Response(200, body=document) if isinstance(document, bytes) else json_response(200, document)
        self.requests.append(request)
        if self._wire is None:
            self._wire, self._loop = AsyncWire.open(dev=True), asyncio.get_running_loop()
        caller = await self._wire.run(
            authenticate(
                request,
                now=time.time() + self.ahead_s,
                signature=self.policy,
                tokens=VerificationPolicy(dev=True),
                accepted=(AgentToken,),
                support=self.support,
            )
        )
        judged = self.judge(request, caller)
        if judged is not None:
            return judged
        if caller.key is None:
            raise signature_required("Sign the request.", self.policy, self.support)
        # Both headers may stand on any response (HTTP Signature Keys, Section 4.4).
        headers = accept_signature(self.support.schemes(self.policy.schemes), self.policy.algorithms)
        if caller.cache_offer is not None:
            headers.append(signature_key_cache(caller.cache_offer))
        return json_response(200, {"level": caller.level.name, "signer": caller.signer}, headers=headers)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        host = dict(scope["headers"])[b"host"].decode("ascii")
        await endpoint(issuer=f"http://{host}", GET=self._answer)(scope, receive, send)

    def close(self) -> None:
        if self._wire is not None:
            asyncio.run_coroutine_threadsafe(self._wire.aclose(), self._loop).result(20)
        self._server.should_exit = True
        self._thread.join(20)
