"""Network backends for httpcore2 that carry out egress admission (HTTP Signature Keys, Section 7.3).

Resolve once, check every address, connect to the checked address, and check who is at the other end. The blocking
backend also holds each request to its deadline, across every read and write; the asynchronous one is cancelled instead.
"""

from __future__ import annotations

import contextvars
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

import anyio
import anyio.to_thread
import httpcore2

from ..discovery import EgressRefused, TransportError
from .addresses import parse_address
from .egress import EgressPolicy, Resolver, system_resolver

__all__ = ["AsyncGuardedBackend", "GuardedBackend", "deadline"]

_MAX_LOOKUPS = 32
_WRITE_CHUNK = 65_536

_deadline: contextvars.ContextVar[float | None] = contextvars.ContextVar("aauthlib_request_deadline", default=None)


@contextmanager
def deadline(timeout_s: float) -> Iterator[None]:
    """Hold everything a `GuardedBackend` does for this thread to `timeout_s` seconds in all."""
    token = _deadline.set(time.monotonic() + timeout_s)
    try:
        yield
    finally:
        _deadline.reset(token)


def _within_deadline(timeout_s: float | None, exceeded: type[Exception]) -> float | None:
    at = _deadline.get()
    if at is None:
        return timeout_s
    remaining = at - time.monotonic()
    if remaining <= 0:
        raise exceeded("the request's time is up")
    return remaining if timeout_s is None else min(timeout_s, remaining)


def _check_peer(host: str, expected: str, server_addr: object) -> None:
    """The other end must be the address that was checked."""
    try:
        peer = parse_address(str(server_addr[0])) if isinstance(server_addr, tuple) else None
    except ValueError:
        peer = None
    if peer is None or peer != parse_address(expected):
        raise EgressRefused(f"The connection to {host} did not end at the address that was checked.")


class _DeadlineStream(httpcore2.NetworkStream):
    """A stream that gives up when the request's time does."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _within_deadline(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _WRITE_CHUNK):
            remaining = _within_deadline(timeout, httpcore2.WriteTimeout)
            self._inner.write(buffer[start : start + _WRITE_CHUNK], remaining)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        remaining = _within_deadline(timeout, httpcore2.ConnectTimeout)
        return _DeadlineStream(self._inner.start_tls(ssl_context, server_hostname, remaining))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class GuardedBackend(httpcore2.NetworkBackend):
    """The blocking backend."""

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        resolver: Resolver = system_resolver,
        inner: httpcore2.NetworkBackend | None = None,
    ) -> None:
        self._policy, self._resolver = policy, resolver
        self._inner = inner if inner is not None else httpcore2.SyncBackend()
        self._lookups = threading.BoundedSemaphore(_MAX_LOOKUPS)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to a checked address of `host`; raises `EgressRefused` when it has none."""
        ends_at = None if timeout is None else time.monotonic() + timeout
        addresses = self.admitted(host, port, timeout)
        options = list(socket_options or ())
        for index, address in enumerate(addresses):
            share = _share(ends_at, len(addresses) - index)
            share = _within_deadline(share, httpcore2.ConnectTimeout)
            try:
                stream = self._inner.connect_tcp(address, port, share, local_address, options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if index + 1 == len(addresses):
                    raise
                continue
            try:
                _check_peer(host, address, stream.get_extra_info("server_addr"))
            except BaseException:
                stream.close()
                raise
            return _DeadlineStream(stream)
        raise httpcore2.ConnectError(f"no address of {host} could be reached")

    def admitted(self, host: str, port: int, timeout: float | None) -> list[str]:
        """The addresses of `host`, every one of them admitted. Raises `EgressRefused`, `TransportError`."""
        found = self._policy.known_addresses(host)
        if found is None:
            found = self._resolve(host, port, _within_deadline(timeout, httpcore2.ConnectTimeout))
        return self._policy.checked(host, found)

    def _resolve(self, host: str, port: int, timeout: float | None) -> Sequence[str]:
        """Resolve on a thread of its own, since the system's resolver cannot be told to hurry."""
        if not self._lookups.acquire(timeout=-1 if timeout is None else timeout):
            raise httpcore2.ConnectTimeout("too many name lookups at once")
        answers: SimpleQueue[Sequence[str] | Exception] = SimpleQueue()

        def look_up() -> None:
            try:
                answers.put(self._resolver(host, port))
            except Exception as error:  # Handed to the thread that asked.
                answers.put(error)
            finally:
                self._lookups.release()

        threading.Thread(target=look_up, name="aauthlib-resolver", daemon=True).start()
        try:
            answer = answers.get(timeout=timeout)
        except Empty:
            raise httpcore2.ConnectTimeout(f"{host} was not resolved in time") from None
        if isinstance(answer, OSError | UnicodeError):
            raise TransportError(f"{host} could not be resolved.") from answer
        if isinstance(answer, Exception):
            raise answer
        return answer

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Always refused."""
        raise EgressRefused("Unix sockets are not called.")

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class AsyncGuardedBackend(httpcore2.AsyncNetworkBackend):
    """The asynchronous backend."""

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        resolver: Resolver = system_resolver,
        inner: httpcore2.AsyncNetworkBackend | None = None,
    ) -> None:
        self._policy, self._resolver = policy, resolver
        self._inner = inner if inner is not None else httpcore2.AnyIOBackend()
        self._lookups = anyio.CapacityLimiter(_MAX_LOOKUPS)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to a checked address of `host`; raises `EgressRefused` when it has none."""
        ends_at = None if timeout is None else time.monotonic() + timeout
        addresses = await self.admitted(host, port, timeout)
        options = list(socket_options or ())
        for index, address in enumerate(addresses):
            share = _share(ends_at, len(addresses) - index)
            try:
                stream = await self._inner.connect_tcp(address, port, share, local_address, options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if index + 1 == len(addresses):
                    raise
                continue
            try:
                _check_peer(host, address, stream.get_extra_info("server_addr"))
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await stream.aclose()
                raise
            return stream
        raise httpcore2.ConnectError(f"no address of {host} could be reached")

    async def admitted(self, host: str, port: int, timeout: float | None) -> list[str]:
        """As `GuardedBackend.admitted`."""
        found = self._policy.known_addresses(host)
        if found is None:
            found = await self._resolve(host, port, timeout)
        return self._policy.checked(host, found)

    async def _resolve(self, host: str, port: int, within_s: float | None) -> Sequence[str]:
        try:
            with anyio.fail_after(within_s):
                return await anyio.to_thread.run_sync(
                    self._resolver, host, port, abandon_on_cancel=True, limiter=self._lookups
                )
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"{host} was not resolved in time") from error
        except (OSError, UnicodeError) as error:
            raise TransportError(f"{host} could not be resolved.") from error

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Always refused."""
        raise EgressRefused("Unix sockets are not called.")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


def _share(ends_at: float | None, left: int) -> float | None:
    """An equal part of the connect time for each address not yet tried."""
    return None if ends_at is None else max((ends_at - time.monotonic()) / left, 0.001)
