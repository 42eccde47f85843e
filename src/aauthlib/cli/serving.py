"""Running ASGI apps with Uvicorn: on an address, until stopped, with headers and sizes bounded."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import uvicorn

from ..errors import ConfigurationError

__all__ = ["Running", "allow_connections", "free_port", "serve_all", "serve_one"]

_MAX_HEADER_BYTES = 65_536
_SHUTDOWN_S = 10
#: Where the system sets no bound.
_MOST_FILES = 1_048_576


@dataclass(frozen=True, slots=True)
class Running:
    """One app and where it listens."""

    app: Any
    host: str
    port: int


class _Server(uvicorn.Server):
    """Says when it listens. Signals are its own business only where it is the outermost program."""

    def __init__(self, config: uvicorn.Config, started: asyncio.Event, *, handles_signals: bool) -> None:
        super().__init__(config)
        self._started, self._handles_signals = started, handles_signals

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started.set()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        if not self._handles_signals:
            yield
            return
        with super().capture_signals():
            yield


def _server(running: Running, started: asyncio.Event, *, handles_signals: bool) -> _Server:
    """The server for one app. The access log stays off: request targets hold pending URLs, which are secrets."""
    config = uvicorn.Config(
        running.app,
        host=running.host,
        port=running.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=_SHUTDOWN_S,
    )
    return _Server(config, started, handles_signals=handles_signals)


async def _until_started(server: _Server, task: asyncio.Task[None], started: asyncio.Event) -> None:
    """Return when the server listens; raise `ConfigurationError` when it gave up."""
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not server.started:
        await asyncio.gather(task, return_exceptions=True)
        raise ConfigurationError(f"Port {server.config.port} cannot be listened on; is it in use?")


def allow_connections() -> None:
    """Let this process have as many open files as it may: every agent that waits holds a connection.

    Systems start programs with a soft limit of about a thousand, for the sake of old ones; the hard limit is what the
    operator set.
    """
    try:
        import resource
    except ImportError:  # not on Windows, which has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def serve_one(running: Running, on_started: Callable[[], None]) -> None:
    """Serve one app until it is stopped by a signal; `on_started` is called when it listens."""
    allow_connections()
    started = asyncio.Event()
    server = _server(running, started, handles_signals=True)
    task = asyncio.create_task(server.serve())
    await _until_started(server, task, started)
    on_started()
    await task


async def serve_all(apps: Sequence[Running]) -> list[tuple[uvicorn.Server, asyncio.Task[None]]]:
    """Start every app in this event loop, and return when all of them listen."""
    started: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []
    for running in apps:
        event = asyncio.Event()
        server = _server(running, event, handles_signals=False)
        task = asyncio.create_task(server.serve(), name=f"serve {running.port}")
        await _until_started(server, task, event)
        started.append((server, task))
    return started


def free_port() -> int:
    """A loopback port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
