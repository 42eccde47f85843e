"""Between applications that run in threads and the resource role, which runs on an event loop.

A thread that has a request takes it across: `LoopThread.cross` gives it to the ASGI middleware on the loop, and comes
back with the middleware's own answer or with leave to serve it. The application then runs where it always did, in the
server's thread, and its response passes the loop with its head only.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from ..chaining import Intermediary
from ..chaining.invocation import INVOCATION
from ..errors import ConfigurationError, ServerError
from ..http import Fields, Response
from ..resource import Resource
from ..web.asgi import ASGIApp, Message, Receive, Scope, Send, read_body

__all__ = ["Across", "Admitted", "LoopThread", "Serve"]

_T = TypeVar("_T")
_KEY = "aauth.crossing"

#: Carries out a held invocation: its scope and body, to the whole response.
Serve = Callable[[Scope, bytes], Awaitable[Response]]


class LoopThread:
    """An event loop in a thread of its own, started when it is first needed. A forked process starts its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started: tuple[int, asyncio.AbstractEventLoop] | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        started = self._started
        if started is None or started[0] != os.getpid():
            with self._lock:
                started = self._started
                if started is None or started[0] != os.getpid():
                    loop = asyncio.new_event_loop()
                    threading.Thread(target=loop.run_forever, name="aauth", daemon=True).start()
                    self._started = started = (os.getpid(), loop)
        return started[1]

    def begin(self, work: Coroutine[Any, Any, _T]) -> Future[_T]:
        """Start `work` on the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Wait for `work`, which runs on the loop. Not to be called from the loop itself."""
        return self.begin(work).result()

    def close(self) -> None:
        """Stop the loop; what runs on it is cancelled."""
        with self._lock:
            started, self._started = self._started, None
        if started is None or started[0] != os.getpid():
            return

        async def cancel() -> None:
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(cancel(), started[1]).result()
        started[1].call_soon_threadsafe(started[1].stop)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may go on to the application."""

    scope: Scope
    """With the grant, or with what `endpoints.admit` needs."""
    body: bytes | None
    """The body, where the middleware has read it."""
    crossing: _Crossing

    async def head(self, status: int, fields: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """The header fields the response is to have, given what the application says. To be run on the loop."""
        return await self.crossing.head(status, fields)

    async def abandon(self) -> None:
        """The application gives no response. To be run on the loop."""
        self.crossing.abandon()


class Across:
    """`front`, which makes an ASGI middleware around an application, for an application that is none.

    `serve` carries out a held invocation. Raises `ConfigurationError` for a resource that calls others while its caller
    waits, which takes an application on an event loop.
    """

    def __init__(self, resource: Resource, front: Callable[[ASGIApp], ASGIApp], serve: Serve) -> None:
        if isinstance(resource, Intermediary):
            raise ConfigurationError(
                "An Intermediary goes on after its caller was told to wait, which needs an ASGI application: use "
                "Starlette, FastAPI or AAuthMiddleware."
            )
        self._serve = serve
        self._front = front(self._application)

    async def _application(self, scope: Scope, receive: Receive, send: Send) -> None:
        crossing = scope.get(_KEY)
        # A held invocation is carried out within the request that polls for it, and no thread waits for its head.
        if isinstance(crossing, _Crossing) and INVOCATION not in scope:
            await crossing.enter({name: value for name, value in scope.items() if name != _KEY}, receive, send)
            return
        body = await read_body(receive, max_body_bytes=2**62)  # of a held invocation, bounded when it was held
        response = await self._serve(scope, body)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})

    async def enter(self, scope: Scope, read: Callable[[], bytes]) -> Response | Admitted:
        """Give a request to the middleware: its own answer, or leave to serve it. To be run on the loop.

        `read` gives the body, in a thread; it is called when the middleware needs it and may raise an `AAuthError`.
        """
        crossing = _Crossing(read)
        return await crossing.begin(self._front, scope)


class _Crossing:
    """One request, on the loop."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        loop = asyncio.get_running_loop()
        self._read = read
        self._has_read = False
        self._outcome: asyncio.Future[Response | Admitted] = loop.create_future()
        self._said: asyncio.Future[Message] = loop.create_future()
        self._sealed: asyncio.Future[Message] = loop.create_future()
        self._start: Message | None = None
        self._task: asyncio.Task[None] | None = None

    async def begin(self, front: ASGIApp, scope: Scope) -> Response | Admitted:
        self._task = asyncio.ensure_future(self._run(front, {**scope, _KEY: self}))
        return await self._outcome

    async def _run(self, front: ASGIApp, scope: Scope) -> None:
        try:
            await front(scope, self._receive, self._send)
            failure: Exception = ServerError("There was no response.")
        except Exception as error:
            failure = error
        for waiting in (self._outcome, self._sealed):
            if not waiting.done():
                waiting.set_exception(failure)
                waiting.exception()  # nobody may be waiting for it any more

    async def _receive(self) -> Message:
        if self._has_read:
            await asyncio.Event().wait()  # a client that stays
        self._has_read = True
        body = await asyncio.to_thread(self._read)
        return {"type": "http.request", "body": body, "more_body": False}

    async def _send(self, message: Message) -> None:
        if self._outcome.done():
            if not self._sealed.done():
                self._sealed.set_result(message)
        elif message["type"] == "http.response.start":
            self._start = message
        elif self._start is not None:
            self._outcome.set_result(
                Response(self._start["status"], Fields(_text(self._start["headers"])), message["body"])
            )

    async def enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive, max_body_bytes=2**62) if self._has_read else None  # read and bounded before
        self._outcome.set_result(Admitted(scope, body, self))
        await send(await self._said)

    async def head(self, status: int, fields: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        if not self._said.done():
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]
            self._said.set_result({"type": "http.response.start", "status": status, "headers": headers})
        return _text((await self._sealed)["headers"])

    def abandon(self) -> None:
        if self._task is not None:
            self._task.cancel()


def _text(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
