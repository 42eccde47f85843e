"""What may be called, and where the connection really goes."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Sequence
from typing import Any

import httpcore2
import pytest

from aauthlib.discovery import EgressRefused, TransportError
from aauthlib.effects import Send
from aauthlib.http import Request
from aauthlib.transport import EgressPolicy

from .conftest import RawServer, SendIt, answer

Make = Callable[..., SendIt]
Serve = Callable[..., RawServer]


def get(url: str, timeout_s: float = 5.0) -> Send:
    return Send(Request("GET", url), timeout_s=timeout_s)


class Recorder:
    """A network that notes where it was told to connect, and fails or connects elsewhere."""

    def __init__(self, *, asynchronous: bool, elsewhere: tuple[str, int] | None = None) -> None:
        self.asked: list[str] = []
        self._elsewhere = elsewhere
        self._inner: Any = httpcore2.AnyIOBackend() if asynchronous else httpcore2.SyncBackend()
        self.connect_tcp: Any = self._connect_async if asynchronous else self._connect

    def _where(self, host: str) -> tuple[str, int]:
        self.asked.append(host)
        if self._elsewhere is None:
            raise httpcore2.ConnectError("not here")
        return self._elsewhere

    def _connect(self, host: str, port: int, *rest: Any) -> Any:
        return self._inner.connect_tcp(*self._where(host), *rest)

    async def _connect_async(self, host: str, port: int, *rest: Any) -> Any:
        return await self._inner.connect_tcp(*self._where(host), *rest)


@pytest.mark.spec("signature-key#7.3")
@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "::1",
        "fe80::1%1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "x",
    ],
)
async def test_a_name_that_stands_for_a_private_address_is_refused(client: Make, address: str) -> None:
    network = Recorder(asynchronous=client.asynchronous)  # type: ignore[attr-defined]
    send = client(resolver=lambda host, port: [address], network=network)
    with pytest.raises(EgressRefused):
        await send(get("https://agent.example/"))
    assert network.asked == []


@pytest.mark.spec("signature-key#7.3")
async def test_one_private_address_among_public_ones_refuses_the_name(client: Make) -> None:
    network = Recorder(asynchronous=client.asynchronous)  # type: ignore[attr-defined]
    send = client(resolver=lambda host, port: ["93.184.216.34", "192.168.1.1"], network=network)
    with pytest.raises(EgressRefused, match="private"):
        await send(get("https://agent.example/"))
    assert network.asked == []


@pytest.mark.spec("signature-key#7.3")
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1"]
)
async def test_an_address_in_the_url_is_checked_like_any_other(client: Make, host: str) -> None:
    for dev in (False, True):
        with pytest.raises(EgressRefused):
            await client(dev=dev)(get(f"https://{host}/"))


@pytest.mark.spec("signature-key#7.3")
async def test_dns_that_changes_its_mind_finds_the_connection_pinned(client: Make) -> None:
    """The name is asked for once, and what is connected to is the address that was checked."""
    answers = iter([["93.184.216.34"], ["127.0.0.1"]])
    asked: list[str] = []

    def resolver(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return next(answers)

    network = Recorder(asynchronous=client.asynchronous)  # type: ignore[attr-defined]
    with pytest.raises(TransportError):
        await client(resolver=resolver, network=network)(get("https://agent.example/"))
    assert (asked, network.asked) == (["agent.example"], ["93.184.216.34"])


@pytest.mark.spec("signature-key#7.3")
async def test_a_pinned_connection_still_proves_its_name_by_tls(
    client: Make, serve: Serve, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    server = serve(answer(b"hello"), tls[0])
    answers = iter([["127.0.0.1"], ["10.0.0.1"], ["127.0.0.1"]])
    send = client(
        resolver=lambda host, port: next(answers),
        admit=lambda host, address: True if str(address) == "127.0.0.1" else None,
        ssl_context=tls[1],
    )
    response = await send(get(f"https://agent.example:{server.port}/"))
    assert response.body == b"hello"
    # The server closed the connection: the name is asked for again, and this time its answer is refused.
    with pytest.raises(EgressRefused):
        await send(get(f"https://agent.example:{server.port}/"))
    with pytest.raises(TransportError, match="certificate"):
        await send(get(f"https://other.example:{server.port}/"))


@pytest.mark.spec("signature-key#7.3")
async def test_a_connection_that_ends_elsewhere_is_closed_before_anything_is_sent(client: Make, serve: Serve) -> None:
    server = serve()
    network = Recorder(asynchronous=client.asynchronous, elsewhere=("127.0.0.1", server.port))  # type: ignore[attr-defined]
    send = client(resolver=lambda host, port: ["93.184.216.34"], network=network)
    with pytest.raises(EgressRefused, match="checked"):
        await send(get("https://agent.example/"))
    assert server.requests == []


async def test_the_next_address_is_tried_when_one_cannot_be_reached(client: Make) -> None:
    network = Recorder(asynchronous=client.asynchronous)  # type: ignore[attr-defined]
    send = client(resolver=lambda host, port: ["93.184.216.34", "2606:2800::1"], network=network)
    with pytest.raises(TransportError, match="could not be connected"):
        await send(get("https://agent.example/"))
    assert network.asked == ["93.184.216.34", "2606:2800::1"]


@pytest.mark.spec("signature-key#7.3")
async def test_the_deployment_has_the_first_word(client: Make) -> None:
    network = Recorder(asynchronous=client.asynchronous)  # type: ignore[attr-defined]
    asked: list[tuple[str, str]] = []

    def admit(host: str, address: object) -> bool:
        asked.append((host, str(address)))
        return host == "inner.example"

    send = client(resolver=lambda host, port: ["10.1.2.3"], network=network, admit=admit)
    with pytest.raises(TransportError, match="could not be connected"):
        await send(get("https://inner.example/"))
    assert network.asked == ["10.1.2.3"]
    with pytest.raises(EgressRefused, match="deployment"):
        await send(get("https://agent.example/"))
    assert asked == [("inner.example", "10.1.2.3"), ("agent.example", "10.1.2.3")]


async def test_a_name_that_cannot_be_resolved_is_a_transport_error(client: Make) -> None:
    def resolver(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    with pytest.raises(TransportError, match="could not be resolved"):
        await client(resolver=resolver)(get("https://agent.example/"))
    with pytest.raises(TransportError, match="no address"):
        await client(resolver=lambda host, port: [])(get("https://agent.example/"))


@pytest.mark.spec("signature-key#7.3")
async def test_a_resolver_that_hangs_is_not_waited_for(client: Make) -> None:
    over = threading.Event()

    def resolver(host: str, port: int) -> Sequence[str]:
        over.wait(10)
        return []

    try:
        with pytest.raises(TransportError, match=r"in time|within"):
            await client(resolver=resolver)(get("https://agent.example/", timeout_s=0.1))
    finally:
        over.set()


@pytest.mark.spec("signature-key#7.3", "#server-identifiers")
async def test_localhost_names_are_this_machine_without_dns_in_the_development_profile(
    client: Make, serve: Serve
) -> None:
    server = serve(answer(b"hello"))

    def resolver(host: str, port: int) -> Sequence[str]:
        raise AssertionError("DNS was asked")

    for host in ("localhost", "agent.localhost", "a.b.localhost"):
        response = await client(dev=True, resolver=resolver)(get(server.url(host=host)))
        assert response.body == b"hello"


@pytest.mark.spec("signature-key#7.3")
@pytest.mark.parametrize("dev", [True, False])
@pytest.mark.parametrize("url", ["http://agent.example/", "http://127.0.0.1/", "http://localhost.example/"])
def test_http_is_refused(url: str, dev: bool) -> None:
    with pytest.raises(EgressRefused, match="https"):
        EgressPolicy(dev=dev).destination(url)


@pytest.mark.spec("signature-key#7.3")
@pytest.mark.parametrize(
    "url", ["https://localhost/", "http://localhost:80/", "https://a.localhost/", "https://LOCALHOST/"]
)
def test_localhost_is_refused_outside_the_development_profile(url: str) -> None:
    with pytest.raises(EgressRefused, match="dev=True"):
        EgressPolicy().destination(url)


@pytest.mark.parametrize(
    "url",
    [
        "", "agent.example", "ftp://agent.example/", "https:///x", "https://u:p@agent.example/", "https://agent.example/#f",
        "https://agent.example/ x", "https://agent.example/\r\nx", "https://agent.example/\u00e9", "https://agent.example:0/",
        "https://agent.example:65536/", "https://agent.example:x/", "https://agent.example\\@evil.example/",
        "https://agent.example%2f/", "https://ag\u0435nt.example/", "HTTPS://agent.example/",
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_sent_as_it_is_is_refused(url: str) -> None:
    with pytest.raises(TransportError):
        EgressPolicy().destination(url)


@pytest.mark.spec("#covered-components")
@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://agent.example", "/"),
        ("https://agent.example?q", "/?q"),
        ("https://agent.example/a%2fb/../c?x=%20&&", "/a%2fb/../c?x=%20&&"),
        ("https://agent.example:8443//a?b?c", "//a?b?c"),
    ],
)
def test_the_target_is_taken_as_it_stands(url: str, target: str) -> None:
    assert EgressPolicy().destination(url).target == target
