"""The resource role in front of any ASGI application: `AAuthMiddleware`.

It serves the protocol's own paths (#resource-metadata, #authorization-endpoint-request, #token-revocation,
#deferred-responses) and lets through what the policy allows, with the grant in `scope["aauth"]`. Plain ASGI, no
framework; it translates, and decides nothing itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from traceback import format_tb
from urllib.parse import unquote

from ..chaining import Intermediary
from ..chaining.invocation import INVOCATION
from ..errors import AAuthError, MethodNotAllowed, NotFound, ServerError
from ..http import Fields, Request, Response, json_response
from ..httpsig import BODY_COMPONENTS
from ..messages.problems import error_response
from ..resource import Decision, Grant, Policy, Resource, refusal
from ..resource.paths import check_unambiguous, route_path
from ..resource.policy import Match
from ..tokens import RESOURCE_DWK
from ..verification import Level
from .asgi import (
    MAX_BODY_BYTES,
    ASGIApp,
    ClientGone,
    Message,
    Receive,
    Scope,
    Send,
    read_body,
    read_fields,
    read_request,
    request_of,
    send_response,
)
from .chaining import ChainedApp, chaining_handlers
from .collecting import Collecting
from .onward_page import OnwardPage
from .resource_pages import InteractionPage
from .streaming import VerifiedBody, read_start

__all__ = ["MAX_HELD_BODY_BYTES", "AAuthMiddleware", "invite", "peer_address", "seal"]

#: Largest body read before a decision is made: one the signature covers, or one that is held. In bytes.
MAX_HELD_BODY_BYTES = 1_048_576

#: What an unsigned caller may do better at by signing: authentication, payment, rate limits.
_INVITING = frozenset({401, 402, 429})

_log = logging.getLogger("aauthlib.web")

_Handler = Callable[[Request], Awaitable[Response]]


def peer_address(scope: Scope) -> str:
    """The address of the connection. Behind a proxy, give the middleware a function that knows the proxy's header."""
    client = scope.get("client")
    return client[0] if client else ""


class AAuthMiddleware:
    """Puts `resource` and its `policy` in front of the ASGI application `app`.

    - `max_body_bytes` bounds what is read before a decision: a body the signature covers or that is held. Any other
      body is streamed through and is the application's to bound.
    - `stream_bodies` lets a covered body that is larger through as well, instead of refusing it: it is verified as the
      application reads it, which gets an error in place of the end of one that was changed. Only for applications that
      act on a body when they have all of it, and bound it themselves.
    - `client_address` says what anonymous callers are counted by.
    - `page_secret` signs the interaction page's cookies; needed when several processes serve the resource.

    Raises `ConfigurationError` when the policy asks for what the resource was not set up to do.
    """

    def __init__(
        self,
        app: ASGIApp,
        resource: Resource,
        policy: Policy,
        *,
        max_body_bytes: int = MAX_HELD_BODY_BYTES,
        stream_bodies: bool = False,
        client_address: Callable[[Scope], str] = peer_address,
        page_secret: bytes | None = None,
    ) -> None:
        resource.check_policy(policy)
        self.resource = resource
        self.app: ASGIApp = app
        self._onward: OnwardPage | None = None
        if isinstance(resource, Intermediary):
            self.app = ChainedApp(app, resource)
            self._onward = OnwardPage(resource)
        self.policy = policy
        self._max_body_bytes = max_body_bytes
        self._stream_bodies = stream_bodies
        self._client_address = client_address
        self._page = InteractionPage(resource, secret=page_secret)
        self._digest_required = bool(set(BODY_COMPONENTS) & set(resource.additional_signature_components))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    # ---------------------------------------------------------------- HTTP

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            fields = read_fields(scope)
            _check(scope, fields)
            handlers = self._handlers(scope)
            if handlers is not None:
                await send_response(send, await self._protocol(scope, receive, handlers))
                return
        except ClientGone:
            return
        except AAuthError as error:
            await send_response(send, refusal(error, self.resource.signature))
            return
        except Exception as error:
            await send_response(send, _unexpected(error))
            return
        await self._application(scope, fields, receive, send)

    async def _application(self, scope: Scope, fields: Fields, receive: Receive, send: Send) -> None:
        """Decide on a request to the application, and serve it or refuse it."""
        try:
            match = self.policy.match(scope["method"], route_path(scope["path"], scope.get("root_path", "")))
            request, body = await self._read(scope, fields, receive, match)
            decision = await self.resource.decide(request, match, client=self._client_address(scope))
        except ClientGone:
            return
        except AAuthError as error:
            await send_response(send, refusal(error, self.resource.signature))
            return
        except Exception as error:
            await send_response(send, _unexpected(error))
            return
        private = match.rule.level is not Level.ANONYMOUS
        sending = _sending(send, decision, private=private)
        if decision.grant.level is Level.ANONYMOUS:
            sending = _inviting(sending, self.resource.invitation)
        scope = {**scope, "aauth": decision.grant}
        if not isinstance(body, VerifiedBody):
            await self.app(scope, body, sending)
            return
        failure = await body.serve(self.app, scope, sending)
        if failure is not None:
            await send_response(send, refusal(failure, self.resource.signature))

    async def _read(
        self, scope: Scope, fields: Fields, receive: Receive, match: Match
    ) -> tuple[Request, Receive | VerifiedBody]:
        """The request to decide on, and what the application receives: the same body, read here or not."""
        issuer = self.resource.issuer
        if not self._needs_body(fields, match):
            return request_of(scope, fields, b"", issuer=issuer), receive
        if self._stream_bodies and not _held(match):
            start, complete = await read_start(receive, max_bytes=self._max_body_bytes)
            if not complete:
                request = replace(request_of(scope, fields, b"", issuer=issuer), streams=True)
                return request, VerifiedBody(start, receive, request.headers.get("content-digest"))
            receive = _replaying(start, receive)
        body = await read_body(receive, max_body_bytes=self._max_body_bytes)
        return request_of(scope, fields, body, issuer=issuer), _replaying(body, receive)

    def _needs_body(self, fields: Fields, match: Match) -> bool:
        if match.rule.denied:
            return False
        if _held(match):
            return True
        inputs = fields.get("signature-input")
        # The name of a covered component stands in Signature-Input exactly like this, or it is not covered.
        return inputs is not None and (self._digest_required or '"content-digest"' in inputs)

    # ---------------------------------------------------------------- the protocol's own paths

    def _handlers(self, scope: Scope) -> Mapping[str, _Handler] | None:
        path, resource = scope["path"], self.resource
        if path == f"/.well-known/{RESOURCE_DWK}":
            return {"GET": self._metadata}
        if self._onward is not None and isinstance(resource, Intermediary):
            chaining = chaining_handlers(resource, self._onward, path)
            if chaining is not None:
                return chaining
        prefix = resource.prefix
        if not path.startswith(prefix):
            return None
        rest = path[len(prefix) :]
        if rest == "jwks.json":
            return {"GET": self._jwks}
        if rest == "authorize":
            return {"POST": resource.authorize}
        if rest == "revoke":
            return {"POST": resource.revoke}
        kind, _, name = rest.partition("/")
        if name and "/" not in name and len(name) <= 128:
            if kind == "pending":
                return {
                    "GET": lambda request: resource.poll(
                        request, name, execute=lambda held, grant: self._execute(scope, held, grant)
                    ),
                    "DELETE": lambda request: resource.cancel(request, name),
                }
            if kind == "interaction":
                client = self._client_address(scope)
                return {
                    "GET": lambda request: self._page.get(request, name),
                    "POST": lambda request: self._page.post(request, name, client=client),
                }
        raise NotFound("There is nothing here.")

    async def _protocol(self, scope: Scope, receive: Receive, handlers: Mapping[str, _Handler]) -> Response:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        handler = handlers.get(method)
        if handler is None:
            raise MethodNotAllowed(f"This endpoint answers {', '.join(sorted(handlers))} only.", allow=sorted(handlers))
        request = await read_request(scope, receive, issuer=self.resource.issuer, max_body_bytes=MAX_BODY_BYTES)
        return await handler(request)

    async def _metadata(self, _: Request) -> Response:
        return _published(self.resource.metadata_document())

    async def _jwks(self, _: Request) -> Response:
        return _published(self.resource.jwks().to_document())

    async def _execute(self, scope: Scope, request: Request, grant: Grant) -> Response:
        """Carry a held invocation out against the application, and return its whole response."""
        raw_path, query = request.path.encode("ascii"), request.query
        invocation: Scope = {
            **{name: value for name, value in scope.items() if name not in ("path_params", "endpoint", "route")},
            "method": request.method,
            "path": unquote(request.path),
            "raw_path": raw_path,
            "query_string": (query or "").encode("ascii"),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers],
            "aauth": grant,
            # Whoever waits for it waits at the held invocation's own URL, where no interaction can be handed on.
            INVOCATION: None,
        }
        response = Collecting(self.resource.held_policy.max_result_bytes)
        await self.app(invocation, _replaying(request.body, _never), response.send)
        return response.result()

    # ---------------------------------------------------------------- WebSocket

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket handshake cannot be challenged, so only what is open to anybody is let through."""
        try:
            _check(scope, read_fields(scope))
            if self._handlers(scope) is not None:
                raise NotFound("There is nothing here.")
            match = self.policy.match("GET", route_path(scope["path"], scope.get("root_path", "")))
            unsigned = Request("GET", self.resource.issuer + "/")
            decision = await self.resource.decide(unsigned, match, client=self._client_address(scope))
        except AAuthError as error:
            await receive()
            if "websocket.http.response" not in scope.get("extensions", {}):
                await send({"type": "websocket.close", "code": 1008})
                return
            response = refusal(error, self.resource.signature)
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
            await send({"type": "websocket.http.response.start", "status": response.status, "headers": headers})
            await send({"type": "websocket.http.response.body", "body": response.body})
            return
        await self.app({**scope, "aauth": decision.grant}, receive, send)


# ------------------------------------------------------------------------- ASGI parts


def _check(scope: Scope, fields: Fields) -> None:
    raw_path = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
    names = [name for name, _ in fields]
    check_unambiguous(scope.get("method", "GET"), raw_path.partition(b"?")[0].decode("latin-1"), scope["path"], names)


def _held(match: Match) -> bool:
    """Whether the invocation may be held until the person has decided, for which its body must be there."""
    return match.rule.level is Level.AUTHORIZED and match.rule.delivery == "202"


async def _never() -> Message:
    """A client that stays: there is none that could hang up on a held invocation."""
    await asyncio.Event().wait()
    return {"type": "http.disconnect"}


def _replaying(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives `body` first, and then whatever `receive` gives."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _sending(send: Send, decision: Decision, *, private: bool) -> Send:
    """A `send` that adds the decision's header fields, and keeps what was meant for one caller out of shared caches.

    A cache does not know that `Signature-Key` is a credential, so a response that needed one says `private`, unless
    the application itself says `public`; one that carries a session token says `no-store`.
    """
    if not private and not decision.headers:
        return send

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = seal(message, decision.headers, private=private)
        await send(message)

    return sending


def seal(start: Message, fields: Iterable[tuple[str, str]], *, private: bool) -> Message:
    """The `http.response.start` with the decision's header `fields`, as `_sending` describes."""
    added = [(name.encode("ascii"), value.encode("ascii")) for name, value in fields]
    if not private and not added:
        return start
    headers = list(start.get("headers", ()))
    stated = b", ".join([value for name, value in headers if name.lower() == b"cache-control"])
    wanted = b"no-store" if added else _private(stated)
    if wanted != stated:
        headers = [(name, value) for name, value in headers if name.lower() != b"cache-control"]
        headers.append((b"cache-control", wanted))
    return {**start, "headers": headers + added}


def _inviting(send: Send, invitation: Iterable[tuple[str, str]]) -> Send:
    """A `send` that tells an unsigned caller, whom the application refuses or slows down, how to sign."""

    async def sending(message: Message) -> None:
        await send(invite(message, invitation) if message["type"] == "http.response.start" else message)

    return sending


def invite(start: Message, invitation: Iterable[tuple[str, str]]) -> Message:
    """The `http.response.start` for an unsigned caller, with the `invitation` to sign if it refuses.

    HTTP Signature Keys, Section 4.5: beside `WWW-Authenticate`, a payment challenge or `Retry-After`, which stay.
    """
    headers = list(start.get("headers", ()))
    if start["status"] not in _INVITING or any(name.lower() == b"accept-signature-scheme" for name, _ in headers):
        return start
    headers.extend((name.encode("ascii"), value.encode("ascii")) for name, value in invitation)
    return {**start, "headers": headers}


def _private(stated: bytes) -> bytes:
    """`Cache-Control` as the application stated it, made private where it left that open."""
    if not stated.strip():
        return b"private"
    directives = {part.strip().partition(b"=")[0].lower() for part in stated.split(b",")}
    return stated if directives & {b"public", b"private", b"no-store"} else stated + b", private"


def _published(document: object) -> Response:
    response = json_response(200, document)
    return Response(200, response.headers.with_(cache_control="public, max-age=300"), response.body)


def _unexpected(error: Exception) -> Response:
    # Neither the path (pending URLs are secrets) nor the message (it can quote data) is logged.
    _log.error("unexpected %s\n%s", type(error).__name__, "".join(format_tb(error.__traceback__)))
    return error_response(ServerError("The server met an error of its own. Try again later."))
