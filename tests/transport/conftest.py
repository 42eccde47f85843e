"""Real servers on loopback, and the two clients behind one face."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aauthlib.effects import Send
from aauthlib.http import Response
from aauthlib.transport import AsyncTransport, SyncTransport

Handler = Callable[[socket.socket, bytes], None]
SendIt = Callable[[Send], Awaitable[Response]]


class RawServer:
    """Accepts connections, reads one request from each, keeps its bytes, lets `handler` answer, closes."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self._handler, self._tls = handler, tls
        self.requests: list[bytes] = []
        self.arrived = threading.Event()
        self.released = threading.Event()
        """Set when the test is over: what a handler that keeps its client waiting waits for."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def url(self, path: str = "/", host: str = "server.localhost") -> str:
        return f"http://{host}:{self.port}{path}"

    def paths(self) -> list[str]:
        return [request.split(b" ")[1].decode() for request in self.requests]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                connection.settimeout(10)
                if self._tls is None:
                    self._answer(connection)
                else:
                    with self._tls.wrap_socket(connection, server_side=True) as wrapped:
                        self._answer(wrapped)
        except OSError:
            pass  # The client went away, which is what several tests are about.

    def _answer(self, connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            part = connection.recv(65_536)
            if not part:
                return
            request += part
        self.requests.append(request)
        self.arrived.set()
        self._handler(connection, request)

    def close(self) -> None:
        self.released.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=10)


def answer(body: bytes = b"{}", status: str = "200 OK", headers: tuple[str, ...] = ()) -> bytes:
    """An HTTP response in bytes."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


@pytest.fixture
def serve() -> Iterator[Callable[..., RawServer]]:
    """Start a server that answers every request with the same bytes, or as a handler does."""
    servers: list[RawServer] = []

    def start(reply: bytes | Handler = answer(), tls: ssl.SSLContext | None = None) -> RawServer:  # noqa: B008
        handler: Handler = (lambda connection, _: connection.sendall(reply)) if isinstance(reply, bytes) else reply
        servers.append(RawServer(handler, tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest_asyncio.fixture(params=["blocking", "asynchronous"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., SendIt]]:
    """Make a client of either kind; the returned function sends with it."""
    opened: list[SyncTransport | AsyncTransport] = []

    def make(**options: Any) -> SendIt:
        if request.param == "asynchronous":
            transport = AsyncTransport(**options)
            opened.append(transport)
            return transport.send
        blocking = SyncTransport(**options)
        opened.append(blocking)
        return lambda effect: anyio.to_thread.run_sync(blocking.send, effect)

    make.asynchronous = request.param == "asynchronous"  # type: ignore[attr-defined]
    yield make
    for transport in opened:
        if isinstance(transport, AsyncTransport):
            await transport.aclose()
        else:
            transport.close()


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS for `agent.example`: the server's side, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "agent.example")])
    now = datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("agent.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem: Path = tmp_path_factory.mktemp("tls") / "agent.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem))
