"""The server adapters: what is not signed well does not get through, and what does arrives whole."""

from __future__ import annotations

import time
from io import BytesIO
from typing import Any

import httpx2
import pytest

from aauthlib.http import Fields, Request
from aauthlib.httpsig import HWK, MemoryReplayCache, sign
from aauthlib.integrations import wsgi
from aauthlib.integrations.asgi import SignatureMiddleware
from aauthlib.keys import PublicKey, SigningKey

from .conftest import POLICY, Serve, asgi_app, resolve, wsgi_app

KEY = SigningKey.generate()
SERVERS = pytest.mark.parametrize("kind", ["asgi", "wsgi"])


def signed(url: str, method: str = "POST", body: bytes = b"{}", *, created: float | None = None) -> Request:
    fields = Fields({"content-type": "application/json"} if body else {})
    when = int(time.time() if created is None else created)
    return sign(Request(method, url, fields, body), KEY, HWK.of(KEY.public), created=when)


def send(request: Request) -> httpx2.Response:
    with httpx2.Client() as client:
        return client.request(request.method, request.url, headers=list(request.headers), content=request.body)


@SERVERS
@pytest.mark.spec("#verification")
def test_an_unsigned_request_gets_401_unless_signing_is_optional(serve: Serve, kind: str) -> None:
    refused = httpx2.get(serve(kind) + "/")
    assert (refused.status_code, refused.headers["signature-error"]) == (401, "error=invalid_signature")
    assert refused.json()["error"] == "invalid_signature"
    optional = serve(kind, optional=True)
    assert httpx2.get(optional + "/").json() == {"who": None, "body": ""}
    assert send(signed(optional + "/")).json()["who"]["key"] == KEY.thumbprint
    spoiled = signed(optional + "/").with_headers(signature="sig=:AAAA:")
    assert send(spoiled).status_code == 401


@SERVERS
@pytest.mark.spec("#verification")
def test_a_changed_or_stale_request_does_not_get_through(serve: Serve, kind: str) -> None:
    origin = serve(kind)
    good = signed(origin + "/a")
    assert send(good).status_code == 200
    for bad in (
        Request("PUT", good.url, good.headers, good.body),
        Request("POST", origin + "/b", good.headers, good.body),
        Request("POST", good.url, good.headers, b"[]"),
        signed(origin + "/a", created=time.time() - 100),
    ):
        assert send(bad).status_code == 401


@SERVERS
@pytest.mark.spec("#covered-components")
def test_what_the_request_says_about_the_host_changes_nothing(serve: Serve, kind: str) -> None:
    origin = serve(kind)
    elsewhere = sign(Request("GET", "http://evil.example/"), KEY, HWK.of(KEY.public), created=int(time.time()))
    headers = [*elsewhere.headers, ("host", "evil.example"), ("x-forwarded-host", "evil.example")]
    assert httpx2.get(origin + "/", headers=headers).status_code == 401


@SERVERS
@pytest.mark.spec("#freshness-and-replay")
def test_a_captured_request_is_refused_where_replays_are_looked_for(serve: Serve, kind: str) -> None:
    origin = serve(kind, replay=MemoryReplayCache())
    captured, read = signed(origin + "/a"), signed(origin + "/a", "GET", b"")
    assert [send(captured).status_code for _ in range(3)] == [200, 401, 401]
    assert [send(read).status_code for _ in range(2)] == [200, 200]


@SERVERS
def test_a_body_beyond_the_bound_is_refused(serve: Serve, kind: str) -> None:
    origin = serve(kind, max_body_bytes=1000)
    assert send(signed(origin + "/a", body=b"x" * 1000)).status_code == 200
    assert send(signed(origin + "/a", body=b"x" * 1001)).status_code == 413


@pytest.mark.spec("#verification")
async def test_an_asgi_resolver_may_await() -> None:
    async def find(value: Any) -> PublicKey:
        return resolve(value)

    app = SignatureMiddleware(asgi_app, origin="https://api.example", resolver=find, policy=POLICY)
    transport = httpx2.ASGITransport(app)
    request = signed("https://api.example/a")
    async with httpx2.AsyncClient(transport=transport) as client:
        answer = await client.post(request.url, headers=list(request.headers), content=request.body)
    assert answer.json()["who"]["key"] == KEY.thumbprint


async def test_a_websocket_is_not_let_through() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    app = SignatureMiddleware(asgi_app, origin="https://api.example")
    await app({"type": "websocket", "path": "/"}, None, send)  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close", "code": 1008}]


def _environ(request: Request, **changes: Any) -> dict[str, Any]:
    named = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in request.headers}
    named["CONTENT_TYPE"] = named.pop("HTTP_CONTENT_TYPE", "")
    return {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query or "",
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.input": BytesIO(request.body),
        **named,
        **changes,
    }


def _call(request: Request, **changes: Any) -> str:
    said: list[str] = []
    app = wsgi.SignatureMiddleware(wsgi_app, origin="https://api.example", resolver=resolve, policy=POLICY)
    app(_environ(request, **changes), lambda status, headers, *_: said.append(status))  # type: ignore[arg-type,return-value]
    return said[0]


@pytest.mark.spec("#covered-components")
def test_a_wsgi_server_that_keeps_the_target_as_it_came_is_believed() -> None:
    request = signed("https://api.example/a%2Fb", "GET", b"")
    assert _call(request, PATH_INFO="/a/b").startswith("401")
    assert _call(request, PATH_INFO="/a/b", RAW_URI="/a%2Fb").startswith("200")
    assert _call(request, PATH_INFO="/a/b", REQUEST_URI="/a%2Fb").startswith("200")
    mounted = signed("https://api.example/app/x", "GET", b"")
    assert _call(mounted, SCRIPT_NAME="/app", PATH_INFO="/x").startswith("200")


@pytest.mark.parametrize("length", ["-1", "abc", "1e3", "9" * 5000, "١"])
def test_a_content_length_that_is_no_number_is_refused(length: str) -> None:
    assert _call(signed("https://api.example/a"), CONTENT_LENGTH=length).startswith("400")


def test_a_wsgi_body_without_a_length_is_read_where_the_server_ends_it() -> None:
    request = signed("https://api.example/a")
    assert _call(request, CONTENT_LENGTH="", **{"wsgi.input_terminated": True}).startswith("200")
    assert _call(request, CONTENT_LENGTH="").startswith("401")
