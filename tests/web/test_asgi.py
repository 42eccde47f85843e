from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from aauthlib.errors import Gone, InvalidSignature, TokenExpired
from aauthlib.http import Fields, Request, Response, json_response
from aauthlib.httpsig import HWK, SignaturePolicy, select, sign
from aauthlib.keys import SigningKey
from aauthlib.web.asgi import MAX_BODY_BYTES, ClientGone, endpoint, read_request, send_response

ISSUER = "https://ps.example"
NOW = 1_800_000_000
DISCONNECT = {"type": "http.disconnect"}


def scope(
    method: str = "GET",
    raw_path: bytes | None = b"/person",
    query: bytes = b"",
    headers: Sequence[tuple[bytes, bytes]] = (),
    **more: Any,
) -> dict[str, Any]:
    """What an ASGI server passes in. Its `path` is decoded, as ASGI says."""
    given = {
        "type": "http",
        "method": method,
        "path": "/decoded",
        "query_string": query,
        "headers": list(headers),
        "server": ("127.0.0.1", 8000),
        "scheme": "http",
        **more,
    }
    return given if raw_path is None else {**given, "raw_path": raw_path}


class Wire:
    """The two callables of ASGI."""

    def __init__(self, *messages: dict[str, Any] | bytes) -> None:
        last = len(messages) - 1
        self.messages = [
            {"type": "http.request", "body": message, "more_body": number < last}
            if isinstance(message, bytes)
            else message
            for number, message in enumerate(messages)
        ] or [{"type": "http.request"}]
        self.received = 0
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        self.received += 1
        return self.messages[self.received - 1]

    async def send(self, message: Any) -> None:
        self.sent.append(dict(message))

    @property
    def response(self) -> Response:
        start, body = self.sent
        assert (start["type"], body["type"]) == ("http.response.start", "http.response.body")
        headers = Fields((name.decode(), value.decode()) for name, value in start["headers"])
        return Response(start["status"], headers, body["body"])


async def read(given: dict[str, Any], *bodies: bytes, **options: Any) -> Request:
    return await read_request(given, Wire(*bodies).receive, issuer=ISSUER, **options)


async def call(app: Any, given: dict[str, Any], *messages: dict[str, Any] | bytes) -> Wire:
    wire = Wire(*messages)
    await app(given, wire.receive, wire.send)
    return wire


async def echo(request: Request, **parameters: str) -> Response:
    return json_response(200, {"url": request.url, "size": len(request.body), **parameters})


# --------------------------------------------------------------------------- the request


@pytest.mark.spec("#covered-components")
async def test_the_origin_is_the_configured_issuer_whatever_the_request_claims() -> None:
    headers = [
        (b"host", b"evil.example"), (b"x-forwarded-host", b"evil.example"), (b"x-forwarded-proto", b"http"),
        (b"forwarded", b"host=evil.example"),
    ]  # fmt: skip

    request = await read(scope(headers=headers))

    assert request.url == "https://ps.example/person"


@pytest.mark.parametrize(
    ("raw_path", "query", "target"),
    [
        (b"/a%2Fb", b"", "/a%2Fb"),
        (b"/a%2fb", b"x=%7E", "/a%2fb?x=%7E"),
        (b"//a/../b/", b"", "//a/../b/"),
        (b"/%61", b"a=1&a=2", "/%61?a=1&a=2"),
        (b"/", b"", "/"),
        (b"", b"", "/"),
        (b"/p?ignored", b"q", "/p?q"),
        (b"http://evil.example/x", b"", "/http://evil.example/x"),
        (b"@evil.example/x", b"", "/@evil.example/x"),
    ],
)
@pytest.mark.spec("#covered-components", "rfc9421#2.2")
async def test_the_target_is_kept_byte_for_byte(raw_path: bytes, query: bytes, target: str) -> None:
    request = await read(scope(raw_path=raw_path, query=query))

    assert request.url == ISSUER + target
    assert request.target == target
    assert request.authority == "ps.example"


async def test_a_server_that_keeps_no_raw_path_is_served_by_the_decoded_one() -> None:
    assert (await read(scope(raw_path=None))).url == "https://ps.example/decoded"


@pytest.mark.parametrize("given", [scope(raw_path=b"/\xff"), scope(query=b"\xc3\xa9")])
async def test_a_target_that_is_not_ascii_is_an_invalid_request(given: dict[str, Any]) -> None:
    wire = await call(endpoint(ISSUER, GET=echo), given)

    assert (wire.response.status, wire.response.json()["error"]) == (400, "invalid_request")


@pytest.mark.spec("#verification")
async def test_a_request_signed_for_the_issuer_verifies_as_it_arrives() -> None:
    key = SigningKey.generate()
    sent = sign(
        Request("POST", ISSUER + "/a%2fb?x=1", Fields({"content-type": "application/json"}), b"{}"),
        key, HWK.of(key.public), created=NOW,
    )  # fmt: skip
    headers = [(name.encode(), value.encode("latin-1")) for name, value in sent.headers]

    arrived = await read(scope("POST", b"/a%2fb", b"x=1", headers), b"{", b"}")

    select(arrived, SignaturePolicy(schemes=("hwk",), cover_body=True), now=NOW).verify(key.public)
    moved = await read(scope("POST", b"/a/b", b"x=1", headers), b"{}")
    with pytest.raises(InvalidSignature):
        select(moved, SignaturePolicy(schemes=("hwk",), cover_body=True), now=NOW).verify(key.public)


async def test_several_lines_of_a_header_stay_several() -> None:
    request = await read(scope(headers=[(b"Authorization", b"AAuth a"), (b"authorization", b"AAuth b")]))

    assert request.headers.get_all("authorization") == ["AAuth a", "AAuth b"]


async def test_too_many_headers_are_an_invalid_request() -> None:
    given = scope(headers=[(b"x", b"y")] * 129)

    wire = await call(endpoint(ISSUER, GET=echo), given)

    assert wire.response.status == 400


async def test_a_body_in_parts_is_read_whole() -> None:
    assert (await read(scope("POST"), b"{", b'"a"', b":1}")).body == b'{"a":1}'


async def test_a_body_as_large_as_allowed_is_read_and_one_byte_more_is_not() -> None:
    app = endpoint(ISSUER, POST=echo)

    exact = await call(app, scope("POST"), b"x" * MAX_BODY_BYTES)
    over = await call(app, scope("POST"), b"x" * (MAX_BODY_BYTES + 1))

    assert exact.response.json()["size"] == MAX_BODY_BYTES
    assert (over.response.status, over.response.json()["error"]) == (413, "invalid_request")


async def test_an_endless_body_is_not_read_to_its_end() -> None:
    chunks = [b"x" * 100 for _ in range(50)]

    wire = await call(endpoint(ISSUER, max_body_bytes=250, POST=echo), scope("POST"), *chunks)

    assert wire.response.status == 413
    assert wire.received == 3


async def test_a_client_that_leaves_in_the_middle_of_its_body_gets_no_answer_and_nothing_is_done() -> None:
    called: list[Request] = []

    async def handler(request: Request) -> Response:
        called.append(request)
        return Response(200)

    wire = await call(endpoint(ISSUER, POST=handler), scope("POST"), b'{"half', DISCONNECT)

    assert (wire.sent, called) == ([], [])
    with pytest.raises(ClientGone):
        await read_request(scope("POST"), Wire(DISCONNECT).receive, issuer=ISSUER)


# --------------------------------------------------------------------------- the endpoint


async def test_a_handler_gets_what_the_router_found() -> None:
    wire = await call(endpoint(ISSUER, GET=echo), scope(path_params={"pending_id": "abc"}))

    assert wire.response.json()["pending_id"] == "abc"


async def test_every_response_says_its_length_and_that_its_type_is_meant() -> None:
    wire = await call(endpoint(ISSUER, GET=echo), scope())

    assert wire.response.headers.get("content-length") == str(len(wire.response.body))
    assert wire.response.headers.get("x-content-type-options") == "nosniff"
    assert wire.response.headers.get("cache-control") == "no-store"


async def test_a_header_the_handler_set_itself_is_not_doubled() -> None:
    wire = Wire()

    await send_response(wire.send, Response(200, Fields({"x-content-type-options": "nosniff"})))

    assert wire.response.headers.get_all("x-content-type-options") == ["nosniff"]


async def test_a_head_request_gets_all_but_the_body() -> None:
    get = await call(endpoint(ISSUER, GET=echo), scope("GET"))
    head = await call(endpoint(ISSUER, GET=echo), scope("HEAD"))

    assert head.response.body == b""
    assert head.response.status == 200
    assert head.response.headers == get.response.headers


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "get", "max_body_bytes", "HEAD"])
async def test_another_method_is_told_what_is_allowed(method: str) -> None:
    wire = await call(endpoint(ISSUER, POST=echo, PATCH=echo), scope(method))

    assert wire.response.status == 405
    assert wire.response.headers.get("allow") == "PATCH, POST"


@pytest.mark.spec("#error-responses", "#pending-url-security")
async def test_what_a_handler_raises_is_answered_as_that_error() -> None:
    async def gone(request: Request) -> Response:
        raise Gone("It is over.")

    async def expired(request: Request) -> Response:
        raise TokenExpired("Too late.")

    first = (await call(endpoint(ISSUER, GET=gone), scope())).response
    second = (await call(endpoint(ISSUER, GET=expired), scope())).response

    assert (first.status, first.json()["detail"]) == (410, "It is over.")
    assert (second.status, second.headers.get("signature-error")) == (401, "error=expired_jwt")


@pytest.mark.spec("#error-response-format", "#pending-url-security")
async def test_a_fault_of_our_own_tells_neither_the_client_nor_the_log_what_it_was_about(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(request: Request) -> Response:
        raise ValueError(request.url + request.body.decode())

    with caplog.at_level(logging.DEBUG):
        wire = await call(endpoint(ISSUER, POST=broken), scope("POST", b"/pending/s3cret-id"), b'{"code":"s3cret"}')

    assert (wire.response.status, wire.response.json()["error"]) == (500, "server_error")
    assert b"s3cret" not in wire.response.body
    assert b"ValueError" not in wire.response.body
    [record] = caplog.records
    assert "ValueError" in record.getMessage()
    assert "test_asgi.py" in record.getMessage()  # where, for whoever mends it
    assert "s3cret" not in caplog.text
    assert record.exc_info is None


async def test_a_handler_that_is_cancelled_stays_cancelled() -> None:
    async def cancelled(request: Request) -> Response:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await call(endpoint(ISSUER, GET=cancelled), scope())
