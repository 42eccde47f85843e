"""The same small application behind both server adapters: it answers who signed, what was covered, and the body."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aauthlib.cli.serving import free_port
from aauthlib.errors import UnknownKey
from aauthlib.httpsig import HWK, JWKSURI, SignatureKey, SignaturePolicy, Verified
from aauthlib.integrations import asgi, wsgi
from aauthlib.keys import ALGORITHMS, PublicKey, SigningKey

from .live import serve_asgi, serve_wsgi

SERVER_KEY = SigningKey.generate("ES256", kid="s1")
POLICY = SignaturePolicy(schemes=("hwk", "jwks_uri"), algorithms=tuple(ALGORITHMS), cover_body=True)


def resolve(value: SignatureKey) -> PublicKey:
    match value:
        case HWK(jwk=jwk):
            return PublicKey.from_jwk(jwk, accepted=ALGORITHMS)
        case JWKSURI(id="https://client.example", kid="s1"):
            return SERVER_KEY.public
    raise UnknownKey("This test knows no such key.")


def _report(verified: Verified | None, body: bytes) -> bytes:
    who = None if verified is None else {"key": verified.key.thumbprint, "covers_body": verified.covers_body}
    return json.dumps({"who": who, "body": body.decode("latin-1")}).encode()


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    if scope["path"] == "/moved":
        location = scope["query_string"]
        await send({"type": "http.response.start", "status": 307, "headers": [(b"location", location)]})
        await send({"type": "http.response.body", "body": b""})
        return
    answer = _report(scope["aauth.signature"], body)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": answer})


def wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
    answer = _report(environ["aauth.signature"], environ["wsgi.input"].read())
    start_response("200 OK", [("content-type", "application/json"), ("content-length", str(len(answer)))])
    return [answer]


Serve = Callable[..., str]


@pytest.fixture
def serve(request: pytest.FixtureRequest) -> Iterator[Serve]:
    """Start a server of the kind that the test is parametrised with, its adapter set up as asked."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(kind: str, **options: Any) -> str:
            port = free_port()
            settings = {"origin": f"http://127.0.0.1:{port}", "resolver": resolve, "policy": POLICY, **options}
            if kind == "asgi":
                return stack.enter_context(serve_asgi(asgi.SignatureMiddleware(asgi_app, **settings), port))
            return stack.enter_context(serve_wsgi(wsgi.SignatureMiddleware(wsgi_app, **settings), port))

        yield start
