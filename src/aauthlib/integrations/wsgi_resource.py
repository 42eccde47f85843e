"""The resource role in front of any WSGI application: `AAuthMiddleware`.

    app = AAuthMiddleware(app, resource, Policy([Route("GET", "/events", authorized("calendar.read"))]))

The same decisions, pages and protocol paths as `web.resource.AAuthMiddleware`, which runs on an event loop in a thread
of its own; the application stays in the server's threads and finds the grant in `environ["aauth"]`. WSGI hands the
target on decoded: under a server that does not keep it as it came (`RAW_URI` of gunicorn, `REQUEST_URI` of others), a
target that was encoded otherwise than usual does not verify.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio.to_thread

from ..errors import AAuthError
from ..http import Fields, Response
from ..resource import Policy, Resource, refusal
from ..web import resource as web
from ..web.asgi import ASGIApp, Scope
from .crossing import Across, Admitted, LoopThread
from .wsgi import answer, header_fields, raw_target, read_input

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["ENVIRON_KEY", "SCOPE_KEY", "AAuthMiddleware", "WSGIFront"]

ENVIRON_KEY = "aauth"
#: What `endpoints.admit` needs of a request.
SCOPE_KEY = "aauth.scope"

_ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
_HOP_FIELDS = frozenset({"content-length", "connection", "transfer-encoding"})


class WSGIFront:
    """The WSGI application `app` behind what `front` puts before an ASGI application."""

    def __init__(
        self,
        app: WSGIApplication,
        resource: Resource,
        front: Callable[[ASGIApp], ASGIApp],
        *,
        max_body_bytes: int,
        loop: LoopThread | None = None,
    ) -> None:
        self.app = app
        self.loop = loop if loop is not None else LoopThread()
        self._resource, self._max_body_bytes = resource, max_body_bytes
        self._across = Across(resource, front, self._held)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            scope = scope_of(environ)
        except AAuthError as error:
            return answer(refusal(error, self._resource.signature), start_response)
        entered = self.loop.run(self._across.enter(scope, lambda: read_input(environ, self._max_body_bytes)))
        if isinstance(entered, Response):
            response = entered
            kept = [(name, value) for name, value in response.headers if name not in _HOP_FIELDS]
            body = b"" if environ["REQUEST_METHOD"] == "HEAD" else response.body
            return answer(Response(response.status, Fields(kept), body), start_response)
        return self._serve(entered, environ, start_response)

    def _serve(self, admitted: Admitted, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        inner = {**environ, SCOPE_KEY: admitted.scope, ENVIRON_KEY: admitted.scope.get("aauth")}
        if admitted.body is not None:
            inner.update({"wsgi.input": BytesIO(admitted.body), "CONTENT_LENGTH": str(len(admitted.body))})

        def start(status: str, headers: list[tuple[str, str]], exc_info: _ExcInfo | None = None) -> Any:
            fields = self.loop.run(admitted.head(int(status[:3]), headers))
            return start_response(status, fields) if exc_info is None else start_response(status, fields, exc_info)

        try:
            return self.app(inner, start)
        except BaseException:
            self.loop.run(admitted.abandon())
            raise

    async def _held(self, scope: Scope, body: bytes) -> Response:
        """Carry out a held invocation in a thread of its own."""
        return await anyio.to_thread.run_sync(self._call, environ_of(scope, body))

    def _call(self, environ: WSGIEnvironment) -> Response:
        said: list[tuple[str, list[tuple[str, str]]]] = []
        written: list[bytes] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            said.append((status, headers))
            return written.append

        chunks = self.app(environ, start)
        try:
            limit, size = self._resource.held_policy.max_result_bytes, 0
            for chunk in chunks:
                written.append(chunk)
                size += len(chunk)
                if size > limit:
                    break  # more than what is kept of a held invocation; the middleware says so
        finally:
            getattr(chunks, "close", lambda: None)()
        status, headers = said[-1]
        return Response(int(status[:3]), Fields(headers), b"".join(written))


class AAuthMiddleware(WSGIFront):
    """Puts `resource` and its `policy` in front of the WSGI application `app`.

    `max_body_bytes` and `page_secret` are those of `web.resource.AAuthMiddleware`; `client_address` says, from the
    environ, what anonymous callers are counted by. Raises `ConfigurationError` when the policy asks for what the
    resource was not set up to do.
    """

    def __init__(
        self,
        app: WSGIApplication,
        resource: Resource,
        policy: Policy,
        *,
        max_body_bytes: int = web.MAX_HELD_BODY_BYTES,
        client_address: Callable[[WSGIEnvironment], str] | None = None,
        page_secret: bytes | None = None,
    ) -> None:
        def front(inner: ASGIApp) -> ASGIApp:
            return web.AAuthMiddleware(
                inner,
                resource,
                policy,
                max_body_bytes=max_body_bytes,
                client_address=addresses(client_address),
                page_secret=page_secret,
            )

        super().__init__(app, resource, front, max_body_bytes=max_body_bytes)


def addresses(of: Callable[[Any], str] | None) -> Callable[[Scope], str]:
    """A function of the scope, given one of the framework's request."""
    return web.peer_address if of is None else lambda scope: of(scope["aauth.request"])


def scope_of(environ: WSGIEnvironment) -> Scope:
    """The ASGI scope of a WSGI request. Raises `InvalidRequest` for a path that is not UTF-8."""
    target, _, query = raw_target(environ).partition("?")
    root = environ.get("SCRIPT_NAME", "").encode("latin-1", "replace").decode("utf-8", "replace")
    path = environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": environ.get("SERVER_PROTOCOL", "HTTP/1.1").partition("/")[2] or "1.1",
        "method": environ["REQUEST_METHOD"],
        "scheme": environ.get("wsgi.url_scheme", "http"),
        "path": root + path or "/",
        "raw_path": target.encode("ascii", "replace"),
        "query_string": query.encode("latin-1", "replace"),
        "root_path": root,
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in header_fields(environ)
        ],
        "client": (environ.get("REMOTE_ADDR") or "", 0),
        "server": (environ.get("SERVER_NAME", ""), int(environ.get("SERVER_PORT") or 0)),
        "aauth.request": environ,
    }


def environ_of(scope: Scope, body: bytes) -> WSGIEnvironment:
    """The WSGI environ of a held invocation, whose scope was made by `scope_of` from another request's."""
    root, query = scope.get("root_path", ""), scope["query_string"].decode("latin-1")
    path, target = scope["path"].removeprefix(root), scope["raw_path"].decode("latin-1")
    host, port = scope.get("server") or ("", 0)
    return {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root.encode().decode("latin-1"),
        "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": query,
        "REQUEST_URI": f"{target}?{query}" if query else target,
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": (scope.get("client") or ("",))[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        **dict(_variables(scope["headers"])),
        "wsgi.input": BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
        SCOPE_KEY: scope,
        ENVIRON_KEY: scope["aauth"],
    }


def _variables(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    for name, value in Fields((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers):
        variable = name.upper().replace("-", "_")
        yield variable if variable == "CONTENT_TYPE" else f"HTTP_{variable}", value
