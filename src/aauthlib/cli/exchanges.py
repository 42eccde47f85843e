"""Exchanges as they happened: what was sent, what came back, between whom.

A recording transport stands between a flow's driver and the network, so `aauth fetch -v` and the demo's sequence page
show the very messages on the wire. Nothing recorded here is ever written to a log or a file by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..effects import Clock, Send
from ..errors import AAuthError
from ..http import Request, Response
from ..transport import AsyncSender, Sender, admission

__all__ = ["AsyncRecorder", "Exchange", "Exchanges", "Note", "Recorder"]

_MAX_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its response, or the failure to get one."""

    number: int
    at: float
    """Unix seconds."""
    sender: str
    """The party that sent it, such as `agent`."""
    receiver: str
    request: Request
    response: Response | None = None
    failure: str | None = None
    discovery: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """Something that is no message: a step begins, a person decides."""

    number: int
    at: float
    text: str
    kind: str = "note"


@dataclass(slots=True)
class Exchanges:
    """What was recorded, in order. Bounded; the oldest go first."""

    clock: Clock
    names: dict[str, str] = field(default_factory=dict)
    """Origin to the name of the party there."""
    entries: list[Exchange | Note] = field(default_factory=list)
    on_exchange: Callable[[Exchange], None] | None = None
    _count: int = 0

    def name_of(self, origin: str) -> str:
        """The party at `origin`, or the host itself."""
        return self.names.get(origin, origin.partition("://")[2])

    def note(self, text: str, kind: str = "note") -> None:
        """Record a note."""
        self._count += 1
        self._keep(Note(self._count, self.clock(), text, kind))

    def record(self, sender: str, effect: Send, response: Response | None, failure: str | None = None) -> Exchange:
        """Record one exchange and tell whoever watches."""
        self._count += 1
        exchange = Exchange(
            self._count,
            self.clock(),
            sender,
            self.name_of(effect.request.origin),
            effect.request,
            response,
            failure,
            effect.discovery,
        )
        self._keep(exchange)
        if self.on_exchange is not None:
            self.on_exchange(exchange)
        return exchange

    def _keep(self, entry: Exchange | Note) -> None:
        self.entries.append(entry)
        if len(self.entries) > _MAX_KEPT:
            del self.entries[0]


class Recorder:
    """A blocking transport that records what passes through it."""

    def __init__(self, inner: Sender, exchanges: Exchanges, sender: str) -> None:
        self._inner, self._exchanges, self._sender = inner, exchanges, sender

    def send(self, effect: Send) -> Response:
        try:
            response = self._inner.send(effect)
        except AAuthError as error:
            self._exchanges.record(self._sender, effect, None, error.detail)
            raise
        self._exchanges.record(self._sender, effect, response)
        return response

    def admit(self, url: str) -> None:
        """As the transport behind."""
        admission(self._inner)(url)

    def close(self) -> None:
        """Close the transport behind."""
        close = getattr(self._inner, "close", None)
        if close is not None:
            close()


class AsyncRecorder:
    """As `Recorder`, for the event loop."""

    def __init__(self, inner: AsyncSender, exchanges: Exchanges, sender: str) -> None:
        self._inner, self._exchanges, self._sender = inner, exchanges, sender

    async def send(self, effect: Send) -> Response:
        try:
            response = await self._inner.send(effect)
        except AAuthError as error:
            self._exchanges.record(self._sender, effect, None, error.detail)
            raise
        self._exchanges.record(self._sender, effect, response)
        return response

    async def admit(self, url: str) -> None:
        """As the transport behind."""
        await admission(self._inner)(url)

    async def aclose(self) -> None:
        """Close the transport behind."""
        close = getattr(self._inner, "aclose", None)
        if close is not None:
            await close()
