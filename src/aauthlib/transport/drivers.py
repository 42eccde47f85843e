"""Drivers: they do what a flow asks for, blocking (`run`, `Wire`) or on an event loop (`run_async`, `AsyncWire`).

`Send` goes to the transport, `Sleep` waits, what is to be found goes to the directory, one lookup per issuer at
a time (#jwks-discovery). Failures are thrown into the flow as `AAuthError`; anything else ends it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Protocol, TypeVar

import anyio

from ..discovery import Directory, EgressRefused, Lookup
from ..effects import (
    Admit,
    Answer,
    Clock,
    Direct,
    Effect,
    Find,
    FindCertificates,
    FindKey,
    FindKeyAt,
    FindMetadata,
    Flow,
    Report,
    Send,
    Sleep,
)
from ..errors import AAuthError
from ..http import Response
from .client import AsyncTransport, SyncTransport
from .egress import AdmissionHook
from .flights import AsyncFlights, ThreadFlights

__all__ = ["AsyncSender", "AsyncWire", "Sender", "Wire", "admission", "run", "run_async"]

_T = TypeVar("_T")


class Sender(Protocol):
    """What `run` needs of a transport."""

    def send(self, effect: Send) -> Response:
        """Send one request; raises `TransportError`."""
        ...


class AsyncSender(Protocol):
    """What `run_async` needs of a transport."""

    async def send(self, effect: Send) -> Response:
        """Send one request; raises `TransportError`."""
        ...


class Wire:
    """A transport, a directory and a way to sleep, for flows of any kind. Safe to share between threads."""

    def __init__(self, transport: Sender, directory: Lookup, *, sleep: Callable[[float], object] = time.sleep) -> None:
        self.transport, self.directory = transport, directory
        self._sleep = sleep
        self._flights = ThreadFlights()

    @classmethod
    def open(cls, *, dev: bool = False, clock: Clock = time.time, admit: AdmissionHook | None = None) -> Wire:
        """A wire with a transport and a directory of its own, both in the development profile or neither."""
        return cls(SyncTransport(dev=dev, admit=admit), Directory(clock=clock, dev=dev))

    def run(self, flow: Flow[_T], *, handle: Callable[[Effect], Any] | None = None) -> _T:
        """Run `flow` to its end and return its result; what it raises is raised.

        `handle` answers what a wire cannot: `Direct`, `Answer` and `Report`. Without one they are answered with `None`.
        """
        if handle is None:
            return _drive(flow, self.perform)
        return _drive(flow, lambda effect: handle(effect) if _for_people(effect) else self.perform(effect))

    def perform(self, effect: Effect) -> Any:
        """Carry out one effect and return its answer; raises `AAuthError` for the flow."""
        match effect:
            case (
                FindKey() | FindMetadata() | FindKeyAt() | FindCertificates()
            ):  # first, since each first contact has one
                return self._find(effect)
            case Send():
                return self.transport.send(effect)
            case Sleep(seconds):
                self._sleep(max(seconds, 0.0))
                return None
            case Admit(url):
                admission(self.transport)(url)
                return None

    def _find(self, effect: Find) -> Any:
        answer = self.directory.cached(effect)
        if answer is not None:
            return answer
        with self._flights.turn(self.directory.lock_key(effect)):
            answer = self.directory.cached(effect)
            return answer if answer is not None else _drive(_lookup(self.directory, effect), self._send_only)

    def _send_only(self, effect: Effect) -> Response:
        return self.transport.send(_as_send(effect))

    def close(self) -> None:
        """Close the transport, if it can be closed."""
        close = getattr(self.transport, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncWire:
    """As `Wire`, for one event loop."""

    def __init__(
        self,
        transport: AsyncSender,
        directory: Lookup,
        *,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        self.transport, self.directory = transport, directory
        self._sleep = sleep
        self._flights: AsyncFlights[Any] = AsyncFlights()

    @classmethod
    def open(cls, *, dev: bool = False, clock: Clock = time.time, admit: AdmissionHook | None = None) -> AsyncWire:
        """As `Wire.open`."""
        return cls(AsyncTransport(dev=dev, admit=admit), Directory(clock=clock, dev=dev))

    async def run(self, flow: Flow[_T], *, handle: Callable[[Effect], Awaitable[Any]] | None = None) -> _T:
        """As `Wire.run`. When it is cancelled, `flow` is closed; lookups that others wait for go on."""
        return await _drive_async(
            flow, lambda effect: handle(effect) if handle and _for_people(effect) else self.perform(effect)
        )

    async def perform(self, effect: Effect) -> Any:
        """As `Wire.perform`."""
        match effect:
            case Send():
                return await self.transport.send(effect)
            case Sleep(seconds):
                await self._sleep(max(seconds, 0.0))
                return None
            case Admit(url):
                await admission(self.transport)(url)
                return None
            case FindKey() | FindMetadata() | FindKeyAt() | FindCertificates():
                return await self._find(effect)

    async def _find(self, effect: Find) -> Any:
        return await self._flights.fly(
            self.directory.lock_key(effect),
            effect,
            lambda: self.directory.cached(effect),
            lambda: _drive_async(_lookup(self.directory, effect), self._send_only),
        )

    async def _send_only(self, effect: Effect) -> Response:
        return await self.transport.send(_as_send(effect))

    async def settle(self) -> None:
        """Stop lookups that are under way; callers that still wait for one get a `TransportError`."""
        await self._flights.aclose()

    async def aclose(self) -> None:
        """Stop lookups that are under way and close the transport, if it can be closed."""
        await self.settle()
        close = getattr(self.transport, "aclose", None)
        if close is not None:
            await close()

    async def __aenter__(self) -> AsyncWire:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def run(flow: Flow[_T], transport: Sender, directory: Lookup, sleep: Callable[[float], object] = time.sleep) -> _T:
    """Run one flow, blocking. For several threads that share a directory use one `Wire`, which has single flight."""
    return Wire(transport, directory, sleep=sleep).run(flow)


async def run_async(
    flow: Flow[_T],
    transport: AsyncSender,
    directory: Lookup,
    sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
) -> _T:
    """Run one flow on the event loop. For several tasks that share a directory use one `AsyncWire`."""
    wire = AsyncWire(transport, directory, sleep=sleep)
    try:
        return await wire.run(flow)
    finally:
        await wire.settle()


def _for_people(effect: Effect) -> bool:
    return isinstance(effect, Direct | Answer | Report)


def admission(transport: object) -> Callable[[str], Any]:
    """What a transport says of a URL it is not to call itself; one that says nothing admits nothing."""
    admit: Callable[[str], Any] | None = getattr(transport, "admit", None)
    if admit is None:
        raise EgressRefused("This transport has no egress admission, so it admits no URL.")
    return admit


def _lookup(directory: Lookup, effect: Find) -> Flow[Any]:
    match effect:
        case FindKey():
            return directory.find_key(effect)
        case FindMetadata():
            return directory.find_metadata(effect)
        case FindKeyAt():
            return directory.find_key_at(effect)
        case FindCertificates():
            return directory.find_certificates(effect)


def _as_send(effect: Effect) -> Send:
    if not isinstance(effect, Send):
        raise TypeError(f"A directory yields only Send effects, not {type(effect).__name__}.")
    return effect


def _drive(flow: Flow[_T], perform: Callable[[Effect], Any]) -> _T:
    answer: Any = None
    failure: AAuthError | None = None
    try:
        while True:
            try:
                effect = flow.send(answer) if failure is None else flow.throw(failure)
            except StopIteration as end:
                result: _T = end.value
                return result
            answer, failure = None, None
            try:
                answer = perform(effect)
            except AAuthError as error:
                failure = error
    finally:
        flow.close()


async def _drive_async(flow: Flow[_T], perform: Callable[[Effect], Awaitable[Any]]) -> _T:
    answer: Any = None
    failure: AAuthError | None = None
    try:
        while True:
            try:
                effect = flow.send(answer) if failure is None else flow.throw(failure)
            except StopIteration as end:
                result: _T = end.value
                return result
            answer, failure = None, None
            try:
                answer = await perform(effect)
            except AAuthError as error:
                failure = error
    finally:
        flow.close()
