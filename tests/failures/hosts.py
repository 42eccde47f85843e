"""Real servers on loopback that can be made to fail at a given request, in a time that tests own.

Sockets, HTTP and databases are real; time is not. Whoever waits moves the one clock everybody reads, so a timeout of
half a minute costs nothing and happens exactly when it should. A server that fails does so at the n-th request it gets,
which is how a fault is put between any two steps of a flow.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import ssl
import weakref
from collections.abc import Awaitable, Callable
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from enum import StrEnum
from typing import Any, Protocol

import uvicorn

from aauthlib.cli.serving import free_port
from aauthlib.discovery import Directory, TransportError
from aauthlib.effects import Send
from aauthlib.http import Response
from aauthlib.transport import AsyncTransport, AsyncWire

App = Callable[..., Awaitable[None]]

_OPAQUE = re.compile(r"(/pending/|/interaction/|/aauth/pending/|/aauth/chained/)[^/]+")
_SLOW_S = 8.0
_CLOCK_OFF_S = 420.0
_NUMBER = "x-number"
_PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Fault(StrEnum):
    """What can go wrong with a server. Those in `LASTING` stay until it is healed."""

    SLOW = "slow"
    """Takes seconds, and its answer comes in crumbs."""
    LATE = "late"
    """Does what was asked; whoever asked has hung up when the answer comes."""
    RESTARTED = "restarted"
    """Another process on the same database answers from this request on."""
    KILLED = "killed"
    """Dies with this request unanswered, and is back for the next."""
    ROTATED = "rotated"
    """Signs with a new key from this request on; the old one is still published."""
    FROZEN = "frozen"
    """Accepts connections and answers nothing."""
    DOWN = "down"
    """Refuses connections."""
    GARBAGE = "garbage"
    """Answers something that nobody can read."""
    REFUSING = "refusing"
    """Answers `500` in nobody's format."""
    AHEAD = "ahead"
    """Its clock is minutes ahead."""
    BEHIND = "behind"
    """Its clock is minutes behind."""


LASTING = frozenset({Fault.FROZEN, Fault.DOWN, Fault.GARBAGE, Fault.REFUSING, Fault.AHEAD, Fault.BEHIND})
#: After these everything works as if nothing had happened.
UNNOTICED = frozenset({Fault.SLOW, Fault.RESTARTED, Fault.ROTATED})


class Time:
    """What time it is for everybody. Waiting moves it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.0)
        await asyncio.sleep(0)


@dataclass
class Clock:
    """One party's clock, which may be wrong."""

    time: Time
    offset_s: float = 0.0

    def __call__(self) -> float:
        return self.time.now + self.offset_s


class Waits:
    """Requests on their way, and which of them nobody will answer."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._given_up: dict[str, asyncio.Event] = {}

    def open(self) -> tuple[str, asyncio.Event]:
        number = str(next(self._numbers))
        self._given_up[number] = asyncio.Event()
        return number, self._given_up[number]

    def close(self, number: str) -> None:
        self._given_up.pop(number, None)

    def give_up(self, number: str) -> None:
        """Whoever sent this request has waited long enough."""
        if number in self._given_up:
            self._given_up[number].set()


class Process:
    """One life of a server: what it began ends with it."""

    def __init__(self) -> None:
        self.dead = False
        self.stopping: list[Callable[[], Awaitable[None]]] = []
        """What it does when it is told to stop, and does not when it is killed."""
        self.tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()

    async def run(self, app: App, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request in this process."""
        context = copy_context()
        context.run(_PROCESS.set, self)
        task = asyncio.get_running_loop().create_task(app(scope, receive, send), context=context)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            raise
        if task.cancelled():
            await _gone(receive)  # Killed: the connection is gone, too.
        else:
            task.result()

    async def stop(self) -> None:
        for stop in self.stopping:
            await stop()

    async def kill(self) -> None:
        """End everything where it stands; nothing of it is heard of again."""
        self.dead = True
        mine = [task for task in self.tasks if not task.done()]
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)


_PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


def keep_account_of_tasks() -> None:
    """From now on every task of this event loop is its process's, also one that outlives the request that began it."""

    def begin(loop: asyncio.AbstractEventLoop, work: Any, *, context: Context | None = None) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, context=context)
        process = context.get(_PROCESS) if context is not None else _PROCESS.get()
        if process is not None:
            process.tasks.add(task)
        return task

    asyncio.get_running_loop().set_task_factory(begin)


class Sender:
    """A transport whose patience is measured by the tests' time."""

    def __init__(self, time: Time, waits: Waits, process: Process | None = None) -> None:
        self._time, self._waits, self._process = time, waits, process
        # Nothing here speaks TLS; a context of its own for each party would only cost time.
        self._inner = AsyncTransport(dev=True, ssl_context=_PLAIN)

    async def send(self, effect: Send) -> Response:
        if self._process is not None and self._process.dead:
            raise TransportError("The process was killed.")
        number, given_up = self._waits.open()
        request = effect.request.with_headers(x_number=number)
        # The machine's own time only bounds a test that is stuck.
        sending = asyncio.create_task(self._inner.send(replace(effect, request=request, timeout_s=30.0)))
        waiting = asyncio.create_task(given_up.wait())
        try:
            await asyncio.wait({sending, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                return sending.result()
        finally:
            self._waits.close(number)
            sending.cancel()
            waiting.cancel()
            await asyncio.gather(sending, waiting, return_exceptions=True)
        self._time.now += effect.timeout_s
        raise TransportError(f"{request.origin} did not answer within {effect.timeout_s:g} seconds.")

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass
class Step:
    """One request a server got, and how it was answered (0: not at all)."""

    name: str
    status: int = 0
    code: str = ""


class Moment(Protocol):
    """A request of a flow, for a fault to wait for."""

    @property
    def request(self) -> str: ...

    @property
    def count(self) -> int: ...

    @property
    def after(self) -> str: ...


@dataclass
class Host:
    """One server: its name, how to open it on its database, and what is to go wrong with it."""

    name: str
    time: Time
    waits: Waits
    open: Callable[[Host], Awaitable[Any]] = field(repr=False)
    rotate: Callable[[Host], Awaitable[None]] = field(repr=False)
    port: int = field(default_factory=free_port)
    app: Any = None
    database: Any = None
    steps: list[Step] = field(default_factory=list)
    fault: Fault | None = None
    at: Moment | None = None
    struck: bool = False
    process: Process = field(default_factory=Process)
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _server: uvicorn.Server | None = None
    _wire: Any = None
    _closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = Clock(self.time)

    @property
    def issuer(self) -> str:
        return f"http://{self.name}.localhost:{self.port}"

    @property
    def reachable(self) -> bool:
        return not (self.struck and self.fault in (Fault.FROZEN, Fault.DOWN, Fault.GARBAGE, Fault.REFUSING))

    def wire(self) -> AsyncWire:
        """This party's own way to the others, with a directory that remembers nothing of before."""
        self._wire = AsyncWire(
            Sender(self.time, self.waits, self.process), Directory(clock=self.clock, dev=True), sleep=self.time.sleep
        )
        self._closing.append(self._wire.aclose)
        return self._wire

    def forget_everybody(self) -> None:
        """Know nothing of the other parties any more."""
        self._wire.directory = Directory(clock=self.clock, dev=True)

    def closing(self, close: Callable[[], Awaitable[None]]) -> None:
        self._closing.append(close)

    # ------------------------------------------------------------------ life

    async def start(self) -> None:
        if self.app is None:
            self.app = await self.open(self)
        self._ready.set()
        await self._listen()

    async def _listen(self) -> None:
        config = uvicorn.Config(
            self._serve,
            interface="asgi3",
            host="127.0.0.1",
            port=self.port,
            log_config=None,
            access_log=False,
            date_header=False,
            proxy_headers=False,
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        assert server.started, self.name
        self._server = server

    async def _deafen(self) -> None:
        """Close the port and every connection, as a dead process does."""
        server, self._server = self._server, None
        if server is not None:
            for listening in server.servers:
                listening.close()
            self._hang_up(server)
            await server.lifespan.shutdown()

    @staticmethod
    def _hang_up(server: uvicorn.Server) -> None:
        for connection in list(server.server_state.connections):
            connection.transport.abort()  # type: ignore[union-attr]

    async def replace_process(self, *, killed: bool = False) -> None:
        """Go on as another process would: from the database, with nothing in memory."""
        self._ready.clear()
        if killed:
            await self.process.kill()
        else:
            await self.process.stop()
        self.process = Process()
        self.app = await self.open(self)
        self._ready.set()
        if killed and self._server is not None:
            self._hang_up(self._server)

    async def heal(self) -> None:
        """From now on nothing is wrong."""
        was_down = self.struck and self.fault is Fault.DOWN
        self.fault, self.struck, self.clock.offset_s = None, False, 0.0
        if was_down:
            await self._listen()

    async def close(self) -> None:
        await self._deafen()
        for close in reversed(self._closing):
            await close()

    # ------------------------------------------------------------------ requests

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        step = Step(scope["method"] + " " + _OPAQUE.sub(r"\1*", scope["path"]))
        self.steps.append(step)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        fault = self.fault
        if fault is not None and not self.struck and self._is_time(step):
            self.struck = True
        elif fault is not None and not (self.struck and fault in LASTING):
            fault = None
        await self._answer(step, fault, headers.get(_NUMBER, ""), scope, receive, send)

    def _is_time(self, step: Step) -> bool:
        if self.at is None or step.name != self.at.request:
            return False
        names = [step.name for step in self.steps]
        begun = names.index(self.at.after) if self.at.after in names else 0 if not self.at.after else len(names)
        return names[begun:].count(step.name) == self.at.count

    async def _answer(self, step: Step, fault: Fault | None, number: str, scope: Any, receive: Any, send: Any) -> None:
        match fault:
            case Fault.SLOW:
                self.time.now += _SLOW_S
                await self._run(step, scope, receive, _in_crumbs(send))
            case Fault.LATE:
                await self._run(step, scope, receive, _into_the_void)
                await self._until_gone(number, receive)
            case Fault.RESTARTED:
                await self.replace_process()
                await self._run(step, scope, receive, send)
            case Fault.KILLED:
                await self.replace_process(killed=True)
                await _gone(receive)
            case Fault.ROTATED:
                await self.rotate(self)
                await self._run(step, scope, receive, send)
            case Fault.FROZEN:
                await self._until_gone(number, receive)
            case Fault.DOWN:
                server, self._server = self._server, None
                if server is not None:
                    for listening in server.servers:
                        listening.close()
                    self._hang_up(server)
                    self._closing.append(server.lifespan.shutdown)
                await _gone(receive)
            case Fault.GARBAGE:
                await self._say(send, 200, b"\x00\xff<!doctype garbage>{{{", "application/json")
            case Fault.REFUSING:
                await self._say(send, 500, b"<h1>Internal Server Error</h1>", "text/html")
            case Fault.AHEAD | Fault.BEHIND:
                self.clock.offset_s = _CLOCK_OFF_S if fault is Fault.AHEAD else -_CLOCK_OFF_S
                await self._run(step, scope, receive, send)
            case None:
                await self._run(step, scope, receive, send)

    async def _run(self, step: Step, scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                step.status = message["status"]
                date = _http_date(self.clock())
                message = {**message, "headers": [*message["headers"], (b"date", date)]}
            elif step.status >= 400 and message.get("body"):
                found = re.search(rb'"error":\s*"([a-z_]+)"', message["body"])
                step.code = found.group(1).decode() if found else ""
            await send(message)

        await self._ready.wait()
        await self.process.run(self.app, scope, receive, sent)

    async def _until_gone(self, number: str, receive: Any) -> None:
        self.waits.give_up(number)
        await _gone(receive)

    async def _say(self, send: Any, status: int, body: bytes, media_type: str) -> None:
        headers = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _http_date(now: float) -> bytes:
    return formatdate(now, usegmt=True).encode()


async def _gone(receive: Any) -> None:
    """Return when whoever asked has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _into_the_void(message: Any) -> None:
    """An answer nobody gets."""


def _in_crumbs(send: Any) -> Any:
    async def sent(message: Any) -> None:
        body = message.get("body", b"")
        if message["type"] != "http.response.body" or not body:
            await send(message)
            return
        size = max(1, len(body) // 8)
        for start in range(0, len(body), size):
            more = start + size < len(body) or message.get("more_body", False)
            await send({"type": "http.response.body", "body": body[start : start + size], "more_body": more})
            await asyncio.sleep(0)

    return sent
