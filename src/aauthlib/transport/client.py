"""The two HTTP clients, blocking and asynchronous, under egress admission (HTTP Signature Keys, Section 7.3).

They carry out `Send` and nothing else: no redirect is followed, no cookie kept, no proxy or password taken from the
environment, nothing retried. They know nothing of signatures, tokens or directories.
"""

from __future__ import annotations

import ssl
from types import TracebackType

import anyio
import httpcore2

from ..effects import Send
from ..http import Response
from .egress import AdmissionHook, EgressPolicy, Resolver, system_resolver
from .exchange import BodyReader, transport_error, wire_request
from .network import AsyncGuardedBackend, GuardedBackend, deadline

__all__ = ["AsyncTransport", "SyncTransport"]

_KEEPALIVE_CONNECTIONS = 20
_KEEPALIVE_S = 15.0


class SyncTransport:
    """Sends requests, blocking. Safe to share between threads.

    - `dev`: the development profile: `*.localhost` is this machine, by `http` too.
    - `admit`: a deployment's own admission of host and address, asked before the rules.
    - `resolver`, `network`: name resolution and connections, for tests and for special networks.
    - `ssl_context`: trust; the system's by default.
    - `connect_timeout_s`: seconds for resolving, connecting and the TLS handshake each; `Send.timeout_s` bounds all.
    """

    def __init__(
        self,
        *,
        dev: bool = False,
        admit: AdmissionHook | None = None,
        resolver: Resolver = system_resolver,
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout_s: float = 5.0,
        max_connections: int = 100,
        network: httpcore2.NetworkBackend | None = None,
    ) -> None:
        self._policy = EgressPolicy(dev=dev, admit=admit)
        self._connect_timeout_s = connect_timeout_s
        self._backend = GuardedBackend(self._policy, resolver=resolver, inner=network)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=ssl_context if ssl_context is not None else httpcore2.default_ssl_context(),
            max_connections=max_connections,
            max_keepalive_connections=_KEEPALIVE_CONNECTIONS,
            keepalive_expiry=_KEEPALIVE_S,
            network_backend=self._backend,
        )

    def send(self, effect: Send) -> Response:
        """Send a request as it is and return the whole response.

        Raises `EgressRefused` when the destination is not admitted, `TransportError` when no response comes within
        `timeout_s` seconds and `max_body_bytes`.
        """
        destination = self._policy.destination(effect.request.url)
        request = wire_request(effect, destination, self._connect_timeout_s)
        try:
            with deadline(effect.timeout_s):
                answer = self._pool.handle_request(request)
                try:
                    reader = BodyReader(effect, answer.status, answer.headers)
                    for chunk in answer.iter_stream():
                        reader.feed(chunk)
                finally:
                    answer.close()
        except _FAILURES as error:
            raise transport_error(error, destination, effect.timeout_s) from error
        return reader.response()

    def admit(self, url: str) -> None:
        """Whether `url` might be called, without calling it. Raises as `send`."""
        destination = self._policy.destination(url)
        try:
            self._backend.admitted(destination.host, destination.port, self._connect_timeout_s)
        except _FAILURES as error:
            raise transport_error(error, destination, self._connect_timeout_s) from error

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._pool.close()

    def __enter__(self) -> SyncTransport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncTransport:
    """Sends requests on an event loop; parameters as for `SyncTransport`. Belongs to the loop that first uses it."""

    def __init__(
        self,
        *,
        dev: bool = False,
        admit: AdmissionHook | None = None,
        resolver: Resolver = system_resolver,
        ssl_context: ssl.SSLContext | None = None,
        connect_timeout_s: float = 5.0,
        max_connections: int = 100,
        network: httpcore2.AsyncNetworkBackend | None = None,
    ) -> None:
        self._policy = EgressPolicy(dev=dev, admit=admit)
        self._connect_timeout_s = connect_timeout_s
        self._backend = AsyncGuardedBackend(self._policy, resolver=resolver, inner=network)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl_context if ssl_context is not None else httpcore2.default_ssl_context(),
            max_connections=max_connections,
            max_keepalive_connections=_KEEPALIVE_CONNECTIONS,
            keepalive_expiry=_KEEPALIVE_S,
            network_backend=self._backend,
        )

    async def send(self, effect: Send) -> Response:
        """As `SyncTransport.send`. Cancelling it closes the connection."""
        destination = self._policy.destination(effect.request.url)
        request = wire_request(effect, destination, self._connect_timeout_s)
        try:
            with anyio.fail_after(effect.timeout_s):
                answer = await self._pool.handle_async_request(request)
                try:
                    reader = BodyReader(effect, answer.status, answer.headers)
                    async for chunk in answer.aiter_stream():
                        reader.feed(chunk)
                finally:
                    with anyio.CancelScope(shield=True):
                        await answer.aclose()
        except _FAILURES as error:
            raise transport_error(error, destination, effect.timeout_s) from error
        return reader.response()

    async def admit(self, url: str) -> None:
        """As `SyncTransport.admit`."""
        destination = self._policy.destination(url)
        try:
            await self._backend.admitted(destination.host, destination.port, self._connect_timeout_s)
        except _FAILURES as error:
            raise transport_error(error, destination, self._connect_timeout_s) from error

    async def aclose(self) -> None:
        """Close the connections that are kept open."""
        await self._pool.aclose()

    async def __aenter__(self) -> AsyncTransport:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


#: Everything httpcore2 raises when an exchange fails, and the deadline of the asynchronous client.
_FAILURES: tuple[type[Exception], ...] = (
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.UnsupportedProtocol,
    TimeoutError,
)
