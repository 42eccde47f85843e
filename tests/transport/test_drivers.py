"""Flows carried out against real servers in the development profile: discovery end to end, and single flight."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from aauthlib.discovery import Directory, DocumentUnusable, EgressRefused, StaticDirectory, TransportError
from aauthlib.effects import Admit, Effect, FindKey, FindMetadata, Flow, Send, Sleep
from aauthlib.errors import AAuthError, IssuerMismatch, UnknownKey
from aauthlib.http import Request, Response
from aauthlib.keys import JWKS, PublicKey, SigningKey
from aauthlib.transport import AsyncTransport, AsyncWire, SyncTransport, Wire, run, run_async

from .conftest import RawServer, answer

Serve = Callable[..., RawServer]
DWK = "aauth-agent.json"
WELL_KNOWN = f"/.well-known/{DWK}"


def one(effect: Effect) -> Flow[object]:
    """A flow of one effect."""
    return (yield effect)


class Issuer:
    """An issuer on loopback that can be told to keep its clients waiting."""

    def __init__(self, serve: Serve, *, held: bool = False) -> None:
        self.keys = [SigningKey.generate(kid="one")]
        self.go = threading.Event()
        if not held:
            self.go.set()
        self.server = serve(self._handle)
        self.url = f"http://agent.localhost:{self.server.port}"

    def _handle(self, connection: socket.socket, request: bytes) -> None:
        while not self.go.wait(0.01):
            if self.server.released.is_set():
                return
        if WELL_KNOWN.encode() in request:
            document: object = {"issuer": self.url, "jwks_uri": f"{self.url}/jwks.json"}
        else:
            document = JWKS.of(*self.keys).to_document()
        connection.sendall(answer(msgspec.json.encode(document)))


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire.open(dev=True) as wire:
        yield wire


@pytest.mark.spec("#jwks-discovery", "signature-key#3.6")
def test_a_key_is_found_over_the_network(wire: Wire, serve: Serve) -> None:
    issuer = Issuer(serve)
    assert wire.run(one(FindKey(issuer.url, DWK, "one"))) == issuer.keys[0].public
    assert wire.run(one(FindMetadata(issuer.url, DWK))) == {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks.json"}
    assert issuer.server.paths() == [WELL_KNOWN, "/jwks.json"]


@pytest.mark.spec("#jwks-discovery", "signature-key#3.6")
async def test_a_key_is_found_over_the_network_asynchronously(serve: Serve) -> None:
    issuer = Issuer(serve)
    async with AsyncWire.open(dev=True) as wire:
        assert await wire.run(one(FindKey(issuer.url, DWK, "one"))) == issuer.keys[0].public
        assert isinstance(await wire.run(one(FindMetadata(issuer.url, DWK))), dict)
    assert issuer.server.paths() == [WELL_KNOWN, "/jwks.json"]


@pytest.mark.spec("#metadata-documents")
def test_a_host_that_claims_another_issuer_is_refused(wire: Wire, serve: Serve) -> None:
    server = serve(answer(b'{"issuer":"https://ps.example","jwks_uri":"https://ps.example/jwks.json"}'))
    with pytest.raises(IssuerMismatch):
        wire.run(one(FindKey(f"http://agent.localhost:{server.port}", DWK, "one")))


@pytest.mark.spec("signature-key#7.3")
def test_discovery_does_not_follow_a_redirect(wire: Wire, serve: Serve) -> None:
    issuer = Issuer(serve)
    server = serve(answer(b"", "302 Found", (f"Location: {issuer.url}{WELL_KNOWN}",)))
    with pytest.raises(DocumentUnusable, match="redirect"):
        wire.run(one(FindMetadata(f"http://agent.localhost:{server.port}", DWK)))
    assert issuer.server.requests == []


@pytest.mark.spec("signature-key#7.3")
def test_a_jwks_uri_cannot_aim_a_fetch_at_a_private_address(wire: Wire, serve: Serve) -> None:
    inner = serve(answer(b'{"keys":[]}'))

    def handler(connection: socket.socket, request: bytes) -> None:
        issuer = f"http://agent.localhost:{server.port}"
        jwks_uri = f"http://127.0.0.1:{inner.port}/latest/meta-data"
        connection.sendall(answer(msgspec.json.encode({"issuer": issuer, "jwks_uri": jwks_uri})))

    server = serve(handler)
    with pytest.raises(UnknownKey):
        wire.run(one(FindKey(f"http://agent.localhost:{server.port}", DWK, "one")))
    assert inner.requests == []


@pytest.mark.spec("signature-key#7.3")
def test_an_issuer_whose_name_stands_for_a_private_address_is_refused() -> None:
    with (
        SyncTransport(resolver=lambda host, port: ["10.0.0.1"]) as transport,
        pytest.raises(UnknownKey, match="private"),
    ):
        run(one(FindKey("https://agent.example", DWK, "one")), transport, Directory())


@pytest.mark.spec("signature-key#7.3")
def test_a_document_that_does_not_end_is_refused(wire: Wire, serve: Serve) -> None:
    def handler(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"400\r\n" + b" " * 1024 + b"\r\n")

    server = serve(handler)
    with pytest.raises(TransportError, match="larger"):
        wire.run(one(FindMetadata(f"http://agent.localhost:{server.port}", DWK)))


@pytest.mark.spec("signature-key#7.3")
def test_a_document_that_does_not_come_is_given_up(serve: Serve) -> None:
    issuer = Issuer(serve, held=True)
    with (
        SyncTransport(dev=True) as transport,
        pytest.raises(TransportError, match=r"0\.1 seconds"),
    ):
        run(one(FindMetadata(issuer.url, DWK)), transport, Directory(dev=True, timeout_s=0.1))


# --------------------------------------------------------------------------- single flight


@pytest.mark.spec("#jwks-discovery")
def test_many_threads_that_need_one_issuer_make_one_fetch(wire: Wire, serve: Serve) -> None:
    issuer = Issuer(serve, held=True)
    start = threading.Barrier(16)

    def find(_: int) -> object:
        start.wait(10)
        return wire.run(one(FindKey(issuer.url, DWK, "one")))

    with ThreadPoolExecutor(16) as pool:
        results = pool.map(find, range(16))
        assert issuer.server.arrived.wait(10)
        issuer.go.set()
        assert set(results) == {issuer.keys[0].public}
    assert issuer.server.paths() == [WELL_KNOWN, "/jwks.json"]


@pytest.mark.spec("#jwks-discovery")
async def test_many_tasks_that_need_one_issuer_make_one_fetch(serve: Serve) -> None:
    issuer = Issuer(serve, held=True)
    issuer.keys.append(SigningKey.generate(kid="two"))
    async with AsyncWire.open(dev=True) as wire:
        tasks = [asyncio.create_task(wire.run(one(FindKey(issuer.url, DWK, kid)))) for kid in ("one", "two") * 16]
        await asyncio.to_thread(issuer.server.arrived.wait, 10)
        issuer.go.set()
        results = await asyncio.gather(*tasks)
    assert results == [key.public for key in issuer.keys] * 16
    assert issuer.server.paths() == [WELL_KNOWN, "/jwks.json"]


@pytest.mark.spec("#jwks-discovery")
async def test_many_tasks_that_ask_for_an_unknown_key_make_one_fetch(serve: Serve) -> None:
    issuer = Issuer(serve)
    async with AsyncWire.open(dev=True) as wire:
        flows = [wire.run(one(FindKey(issuer.url, DWK, f"guess-{number}"))) for number in range(32)]
        results = await asyncio.gather(*flows, return_exceptions=True)
    assert all(isinstance(result, UnknownKey) for result in results)
    assert issuer.server.paths() == [WELL_KNOWN, "/jwks.json"]


@pytest.mark.spec("#jwks-discovery")
async def test_issuers_do_not_wait_for_each_other(serve: Serve) -> None:
    slow, quick = Issuer(serve, held=True), Issuer(serve)
    async with AsyncWire.open(dev=True) as wire:
        waiting = asyncio.create_task(wire.run(one(FindKey(slow.url, DWK, "one"))))
        await asyncio.to_thread(slow.server.arrived.wait, 10)
        assert await wire.run(one(FindKey(quick.url, DWK, "one"))) == quick.keys[0].public
        assert not waiting.done()
        slow.go.set()
        assert await waiting == slow.keys[0].public


@pytest.mark.spec("#jwks-discovery")
async def test_cancelling_the_first_caller_leaves_the_others_their_answer(serve: Serve) -> None:
    issuer = Issuer(serve, held=True)
    closed: list[str] = []

    def flow(name: str) -> Flow[PublicKey]:
        try:
            key: PublicKey = yield FindKey(issuer.url, DWK, "one")
            return key
        finally:
            closed.append(name)

    async with AsyncWire.open(dev=True) as wire:
        first = asyncio.create_task(wire.run(flow("first")))
        await asyncio.to_thread(issuer.server.arrived.wait, 10)
        second = asyncio.create_task(wire.run(flow("second")))
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert closed == ["first"]
        issuer.go.set()
        assert await second == issuer.keys[0].public
    assert issuer.server.paths() == [WELL_KNOWN, "/jwks.json"]


@pytest.mark.spec("#jwks-discovery")
async def test_a_fetch_whose_only_caller_was_cancelled_is_not_made_again(serve: Serve) -> None:
    issuer = Issuer(serve, held=True)
    async with AsyncWire.open(dev=True) as wire:
        caller = asyncio.create_task(wire.run(one(FindKey(issuer.url, DWK, "one"))))
        await asyncio.to_thread(issuer.server.arrived.wait, 10)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        issuer.go.set()
        assert await wire.run(one(FindKey(issuer.url, DWK, "one"))) == issuer.keys[0].public
    assert issuer.server.paths() == [WELL_KNOWN, "/jwks.json"]


async def test_closing_ends_lookups_and_tells_those_who_wait(serve: Serve) -> None:
    issuer = Issuer(serve, held=True)
    wire = AsyncWire.open(dev=True)
    caller = asyncio.create_task(wire.run(one(FindMetadata(issuer.url, DWK))))
    await asyncio.to_thread(issuer.server.arrived.wait, 10)
    await wire.aclose()
    with pytest.raises(TransportError, match="closed"):
        await caller


# --------------------------------------------------------------------------- flows


class Refuses:
    """A transport that cannot reach anybody."""

    def send(self, effect: Send) -> Response:
        raise TransportError("unreachable")


class Crashes:
    """A transport with a defect."""

    def send(self, effect: Send) -> Response:
        raise RuntimeError("defect")


def test_a_failure_is_thrown_into_the_flow_which_may_go_on() -> None:
    def flow() -> Flow[str]:
        seen = []
        for effect in (Send(Request("GET", "https://a.example/")), FindKey("https://a.example", DWK, "one")):
            try:
                yield effect
            except AAuthError as error:
                seen.append(type(error).__name__)
        return " ".join(seen)

    assert run(flow(), Refuses(), StaticDirectory()) == "TransportError UnknownKey"


def admission_of(url: str) -> Flow[str]:
    """What becomes of egress admission of a URL that nobody is asked to call."""
    try:
        yield Admit(url)
    except EgressRefused:
        return "refused"
    except TransportError:
        return "unknown"
    return "admitted"


@pytest.mark.spec("signature-key#7.3", "#resource-initiated-interaction")
@pytest.mark.parametrize(
    ("url", "addresses", "outcome"),
    [
        ("https://pages.example/connect", ["93.184.216.34"], "admitted"),
        ("https://pages.example:8443/connect", ["93.184.216.34"], "admitted"),
        ("https://pages.example/connect", ["93.184.216.34", "192.168.1.1"], "refused"),
        ("https://pages.example/connect", ["169.254.169.254"], "refused"),
        ("https://[fd00::1]/connect", [], "refused"),
        ("http://pages.example/connect", ["93.184.216.34"], "refused"),
        ("https://localhost/connect", ["93.184.216.34"], "refused"),
        ("https://pages.example/connect", OSError("no such host"), "unknown"),
    ],
)
async def test_egress_admission_judges_a_url_without_calling_it(
    url: str, addresses: list[str] | OSError, outcome: str
) -> None:
    def resolver(host: str, port: int) -> list[str]:
        if isinstance(addresses, OSError):
            raise addresses
        return addresses

    with SyncTransport(resolver=resolver) as transport:
        assert run(admission_of(url), transport, StaticDirectory()) == outcome
    async with AsyncTransport(resolver=resolver) as asynchronous:
        assert await run_async(admission_of(url), asynchronous, StaticDirectory()) == outcome


@pytest.mark.spec("signature-key#7.3")
def test_a_transport_without_egress_admission_admits_nothing() -> None:
    assert run(admission_of("https://pages.example/"), Refuses(), StaticDirectory()) == "refused"


async def test_a_failure_is_thrown_into_the_flow_which_may_go_on_asynchronously() -> None:
    def flow() -> Flow[str]:
        try:
            yield FindMetadata("https://a.example", DWK)
        except TransportError:
            return "went on"
        return "not told"

    async with AsyncTransport() as transport:
        assert await run_async(flow(), transport, StaticDirectory()) == "went on"


def test_what_the_flow_raises_is_raised() -> None:
    with pytest.raises(TransportError, match="unreachable"):
        run(one(Send(Request("GET", "https://a.example/"))), Refuses(), StaticDirectory())


def test_a_defect_closes_the_flow_and_is_not_hidden() -> None:
    closed = []

    def flow() -> Flow[None]:
        try:
            yield Send(Request("GET", "https://a.example/"))
        except AAuthError:
            pytest.fail("a defect is no protocol error")
        finally:
            closed.append(True)

    with pytest.raises(RuntimeError, match="defect"):
        run(flow(), Crashes(), StaticDirectory())
    assert closed == [True]


def test_a_flow_without_effects_returns_at_once() -> None:
    def flow() -> Flow[int]:
        yield from ()
        return 7

    assert run(flow(), Refuses(), StaticDirectory()) == 7


async def test_waits_are_made_with_the_sleep_that_was_given() -> None:
    slept: list[float] = []

    def flow() -> Flow[str]:
        yield Sleep(5)
        yield Sleep(-1)
        return "rested"

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    assert run(flow(), Refuses(), StaticDirectory(), sleep=slept.append) == "rested"
    async with AsyncTransport() as transport:
        assert await run_async(flow(), transport, StaticDirectory(), sleep=sleep) == "rested"
    assert slept == [5, 0, 5, 0]
