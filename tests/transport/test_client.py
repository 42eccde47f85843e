"""The two clients against real servers."""

from __future__ import annotations

import gzip
import socket
import time
import zlib
from collections.abc import Callable

import pytest

from aauthlib.discovery import TransportError
from aauthlib.effects import Send
from aauthlib.http import Fields, Request
from aauthlib.transport import AsyncTransport, SyncTransport

from .conftest import RawServer, SendIt, answer

Make = Callable[..., SendIt]
Serve = Callable[..., RawServer]


@pytest.mark.spec("#covered-components")
async def test_target_and_fields_reach_the_wire_unchanged(client: Make, serve: Serve) -> None:
    server = serve()
    fields = Fields([("x-b", "2"), ("x-a", "1"), ("x-b", ' 3,  "q"'), ("accept", "application/json")])
    await client(dev=True)(Send(Request("GET", server.url("/a%2fb/../c?x=%20&&"), fields)))
    assert server.requests[0].decode().split("\r\n") == [
        "GET /a%2fb/../c?x=%20&& HTTP/1.1",
        f"host: server.localhost:{server.port}",
        "x-b: 2",
        "x-a: 1",
        'x-b: 3,  "q"',
        "accept: application/json",
        "accept-encoding: identity",
        "",
        "",
    ]


@pytest.mark.spec("#covered-components")
async def test_host_and_length_are_kept_when_given(client: Make, serve: Serve) -> None:
    server = serve()
    fields = Fields([("content-length", "2"), ("host", "api.example"), ("accept-encoding", "br")])
    await client(dev=True)(Send(Request("POST", server.url("/"), fields, b"{}")))
    head, _, body = server.requests[0].decode().partition("\r\n\r\n")
    assert head.split("\r\n")[1:] == ["host: api.example", "content-length: 2", "accept-encoding: br"]
    assert body in ("", "{}")


async def test_a_body_is_sent_with_its_length(client: Make, serve: Serve) -> None:
    bodies: list[bytes] = []

    def handler(connection: socket.socket, request: bytes) -> None:
        body = request.partition(b"\r\n\r\n")[2]
        while len(body) < 200_000:
            body += connection.recv(65_536)
        bodies.append(body)
        connection.sendall(answer(b"ok"))

    server = serve(handler)
    response = await client(dev=True)(Send(Request("POST", server.url(), Fields(), b"x" * 200_000)))
    assert (response.status, response.body) == (200, b"ok")
    assert bodies == [b"x" * 200_000]
    assert b"content-length: 200000\r\n" in server.requests[0]


async def test_status_fields_and_body_come_back_as_they_are(client: Make, serve: Serve) -> None:
    server = serve(answer(b"\x00\xff", "401 Unauthorized", ("X-A: 1", "x-a: 2", "AAuth-Requirement: requirement=x")))
    response = await client(dev=True)(Send(Request("GET", server.url())))
    assert (response.status, response.body) == (401, b"\x00\xff")
    assert response.headers.get_all("x-a") == ["1", "2"]
    assert response.headers.get("aauth-requirement") == "requirement=x"


@pytest.mark.spec("signature-key#7.3")
async def test_a_redirect_is_not_followed(client: Make, serve: Serve) -> None:
    target = serve()
    server = serve(answer(b"", "302 Found", (f"Location: {target.url()}",)))
    response = await client(dev=True)(Send(Request("GET", server.url())))
    assert response.status == 302
    assert target.requests == []


@pytest.mark.spec("signature-key#7.3")
@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_bound_is_refused(client: Make, serve: Serve, announced: bool) -> None:
    def endless(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n")

    server = serve(answer(b"x" * 1001) if announced else endless)
    with pytest.raises(TransportError, match="1000 bytes"):
        await client(dev=True)(Send(Request("GET", server.url()), max_body_bytes=1000))


@pytest.mark.spec("signature-key#7.3")
async def test_a_body_of_the_bound_is_accepted(client: Make, serve: Serve) -> None:
    server = serve(answer(b"x" * 1000))
    response = await client(dev=True)(Send(Request("GET", server.url()), max_body_bytes=1000))
    assert len(response.body) == 1000


@pytest.mark.spec("signature-key#7.3")
async def test_an_answer_to_head_may_announce_any_length(client: Make, serve: Serve) -> None:
    server = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\nConnection: close\r\n\r\n")
    response = await client(dev=True)(Send(Request("HEAD", server.url()), max_body_bytes=10))
    assert response.body == b""


def drip(first: bytes, connection: socket.socket, server: RawServer) -> None:
    """Send something again and again, each time soon enough for a timeout that is measured between reads."""
    connection.sendall(first)
    while not server.released.wait(0.01):
        connection.sendall(b"x")


@pytest.mark.spec("signature-key#7.3")
@pytest.mark.parametrize("kind", ["silent", "slow header", "slow body", "half a body"])
async def test_a_server_that_takes_its_time_is_given_up(client: Make, serve: Serve, kind: str) -> None:
    def handler(connection: socket.socket, request: bytes) -> None:
        match kind:
            case "silent":
                server.released.wait(10)
            case "slow header":
                drip(b"HTTP/1.1 200 OK\r\nx-a: ", connection, server)
            case "slow body":
                drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", connection, server)
            case _:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                server.released.wait(10)

    server = serve(handler)
    started = time.monotonic()
    with pytest.raises(TransportError, match=r"within 0\.2 seconds"):
        await client(dev=True)(Send(Request("GET", server.url()), timeout_s=0.2))
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-a: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
)
async def test_an_answer_that_is_not_http_is_a_transport_error(client: Make, serve: Serve, reply: bytes) -> None:
    server = serve(reply)
    with pytest.raises(TransportError):
        await client(dev=True)(Send(Request("GET", server.url())))


async def test_nobody_listening_is_a_transport_error(client: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(TransportError, match=f"http://a.localhost:{port} could not be connected to"):
        await client(dev=True)(Send(Request("GET", f"http://a.localhost:{port}/secret?code=1")))


@pytest.mark.parametrize(
    "fields",
    [[("x-a", "1\r\nx-b: 2")], [("x a", "1")], [("x-a", "\u4e00")], [("x-\u00e9", "1")], [("content-length", "x")]],
)
async def test_a_field_that_http_cannot_carry_is_refused_and_not_sent(
    client: Make, serve: Serve, fields: list[tuple[str, str]]
) -> None:
    server = serve()
    with pytest.raises(TransportError, match="cannot carry"):
        await client(dev=True)(Send(Request("GET", server.url(), Fields(fields))))
    assert server.requests == []


@pytest.mark.spec("signature-key#7.3")
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_decompression_bomb_is_stopped_at_the_bound(client: Make, serve: Serve, coding: str) -> None:
    compress = gzip.compress if coding == "gzip" else zlib.compress
    server = serve(answer(compress(bytes(20_000_000)), headers=(f"Content-Encoding: {coding}",)))
    with pytest.raises(TransportError, match="larger"):
        await client(dev=True)(Send(Request("GET", server.url()), max_body_bytes=100_000))


async def test_a_coding_that_the_server_chose_on_its_own_is_undone(client: Make, serve: Serve) -> None:
    server = serve(answer(gzip.compress(b"hello", mtime=0), headers=("Content-Encoding: gzip", "X-A: 1")))
    response = await client(dev=True)(Send(Request("GET", server.url())))
    assert response.body == b"hello"
    assert "content-encoding" not in response.headers
    assert "content-length" not in response.headers
    assert response.headers.get("x-a") == "1"


async def test_a_caller_that_negotiates_codings_gets_the_body_as_it_came(client: Make, serve: Serve) -> None:
    packed = gzip.compress(b"hello", mtime=0)
    server = serve(answer(packed, headers=("Content-Encoding: gzip",)))
    response = await client(dev=True)(Send(Request("GET", server.url(), Fields({"accept-encoding": "gzip"}))))
    assert response.body == packed
    assert response.headers.get("content-encoding") == "gzip"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("br", b"x"),
        ("gzip, gzip", b"x"),
        ("gzip", b"not"),
        ("gzip", gzip.compress(b"x" * 999, mtime=0)[:-9]),
        ("gzip", gzip.compress(b"a", mtime=0) * 2),
    ],
)
async def test_a_body_that_cannot_be_decoded_is_an_error(client: Make, serve: Serve, coding: str, body: bytes) -> None:
    server = serve(answer(body, headers=(f"Content-Encoding: {coding}",)))
    with pytest.raises(TransportError):
        await client(dev=True)(Send(Request("GET", server.url())))


async def test_cookies_are_not_kept(client: Make, serve: Serve) -> None:
    server = serve(answer(headers=("Set-Cookie: a=b",)))
    send = client(dev=True)
    for _ in range(2):
        await send(Send(Request("GET", server.url())))
    assert b"cookie" not in server.requests[1].lower()


@pytest.mark.spec("signature-key#7.3")
async def test_proxies_of_the_environment_are_not_used(
    client: Make, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, server = serve(answer(b"proxy")), serve(answer(b"server"))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    response = await client(dev=True)(Send(Request("GET", server.url())))
    assert response.body == b"server"
    assert proxy.requests == []


async def test_clients_close_with_their_block(serve: Serve) -> None:
    server = serve()
    with SyncTransport(dev=True) as blocking:
        assert blocking.send(Send(Request("GET", server.url()))).status == 200
    async with AsyncTransport(dev=True) as asynchronous:
        assert (await asynchronous.send(Send(Request("GET", server.url())))).status == 200
