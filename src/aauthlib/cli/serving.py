"""Running ASGI apps with Uvicorn: on an address, until stopped, with headers and sizes bounded."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from ..errors import ConfigurationError

__all__ = ["Running", "free_port", "serve_all", "server_for"]

_MAX_HEADER_BYTES = 65_536
_SHUTDOWN_S = 10


@dataclass(frozen=True, slots=True)
class Running:
    """One app and where it listens."""

    app: Any
    host: str
    port: int


class _Quiet(uvicorn.Server):
    """One of several servers in a process: the outermost program handles its signals."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def server_for(running: Running, *, server: type[uvicorn.Server] = uvicorn.Server) -> uvicorn.Server:
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
    return server(config)


async def serve_all(apps: Sequence[Running]) -> list[tuple[uvicorn.Server, asyncio.Task[None]]]:
    """Start every app in this event loop, and return when all of them listen."""
    started = []
    for running in apps:
        server = server_for(running, server=_Quiet)
        started.append((server, asyncio.create_task(server.serve(), name=f"serve {running.port}")))
    for server, task in started:
        while not server.started:
            if task.done():
                task.result()
                raise ConfigurationError(f"Port {server.config.port} cannot be listened on; is it in use?")
            await asyncio.sleep(0.01)
    return started


def free_port() -> int:
    """A loopback port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
