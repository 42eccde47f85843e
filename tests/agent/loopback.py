"""The same servers over real HTTP on loopback, in the development profile, with the machine's own clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aauthlib.http import Fields, Request, Response, json_response
from tests.agent.world import World


class LiveWorld(World):
    """A world in which time passes by itself."""

    dev = True

    @property
    def now(self) -> float:
        return time.time()

    @now.setter
    def now(self, value: float) -> None:
        """Nobody sets the machine's clock."""


class Loopback:
    """One HTTP/1.1 server for each name below `localhost`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._servers: list[ThreadingHTTPServer] = []
        self.requests: list[Request] = []

    def serve(self, name: str) -> str:
        """Start a server and return its identifier; what it answers stands in `world.servers`."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        self._servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://{name}.localhost:{server.server_port}"

    def close(self) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def answer(self, request: Request) -> Response:
        world = self._world
        if request.path.startswith("/.well-known/"):
            return json_response(200, world.metadata[request.origin])
        if request.path == "/jwks.json":
            return json_response(200, world.keys[request.origin].to_document())
        self.requests.append(request)
        return world.servers[request.origin](request)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer: Callable[[Request], Response] = self.answer

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                url = f"http://{self.headers['host']}{self.path}"
                response = answer(Request(self.command, url, Fields(self.headers.items()), body))
                self.send_response(response.status)
                for field, value in response.headers:
                    self.send_header(field, value)
                self.send_header("content-length", str(len(response.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(response.body)
                self.wfile.flush()

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing is logged."""

        return Handler
