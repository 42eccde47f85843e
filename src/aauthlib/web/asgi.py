"""ASGI without a framework: from a scope to the `Request` whose signature is verified, and back.

The server knows its own name: `Request.url` is built from the configured issuer and the target exactly as received,
never from a Host or forwarded header (#covered-components), so a proxy in front needs no trusted-header setting.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from traceback import format_tb
from typing import Any, TypeAlias

from ..errors import AAuthError, InvalidRequest, MethodNotAllowed, ServerError
from ..http import Fields, Request, Response
from ..messages.problems import error_response

__all__ = [
    "MAX_BODY_BYTES",
    "ASGIApp",
    "BodyTooLarge",
    "Receive",
    "Scope",
    "Send",
    "endpoint",
    "is_ahead_of_time",
    "read_body",
    "read_fields",
    "read_request",
    "request_of",
    "send_response",
]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Largest body a protocol endpoint reads, in bytes.
MAX_BODY_BYTES = 262_144
_MAX_HEADERS = 128

_log = logging.getLogger("aauthlib.web")


class BodyTooLarge(InvalidRequest):
    """The body is larger than this endpoint reads."""

    status = 413


def is_ahead_of_time(method: str, headers: Mapping[str, str]) -> bool:
    """Whether a page is loaded before anybody asked for it, or only looked at: then it uses no code up."""
    purpose = headers.get("sec-purpose") or headers.get("purpose") or headers.get("x-moz") or ""
    return method == "HEAD" or purpose.strip().lower().startswith("prefetch")


class ClientGone(Exception):
    """The client closed the connection before its request was read."""


def read_fields(scope: Scope) -> Fields:
    """The header fields as received. Raises `InvalidRequest` when they are too many."""
    headers = scope["headers"]
    if len(headers) > _MAX_HEADERS:
        raise InvalidRequest(f"The request has more than {_MAX_HEADERS} header fields.")
    return Fields([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])


def request_of(scope: Scope, fields: Fields, body: bytes, *, issuer: str) -> Request:
    """The request as received, with `issuer` as its origin. Raises `InvalidRequest` for a target that is not ASCII."""
    try:
        raw_path = scope.get("raw_path")
        path = raw_path.partition(b"?")[0].decode("ascii") if raw_path is not None else scope["path"]
        query = scope.get("query_string", b"").decode("ascii")
    except UnicodeDecodeError as error:
        raise InvalidRequest("The request target must be ASCII.") from error
    target = f"{path}?{query}" if query else path
    return Request(scope["method"], issuer + (target if target.startswith("/") else "/" + target), fields, body)


async def read_request(scope: Scope, receive: Receive, *, issuer: str, max_body_bytes: int = MAX_BODY_BYTES) -> Request:
    """The request as received and all of its body, with `issuer` as its origin.

    Raises `BodyTooLarge` as soon as the body exceeds `max_body_bytes`, and `InvalidRequest` for a target that is not
    ASCII or too many header fields.
    """
    request = request_of(scope, read_fields(scope), b"", issuer=issuer)
    body = await read_body(receive, max_body_bytes=max_body_bytes)
    return Request(request.method, request.url, request.headers, body) if body else request


async def read_body(receive: Receive, *, max_body_bytes: int) -> bytes:
    """The whole body. Raises `BodyTooLarge` as soon as it exceeds `max_body_bytes`, and `ClientGone`."""
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > max_body_bytes:
            raise BodyTooLarge(f"The request body is larger than {max_body_bytes} bytes.")
        if not message.get("more_body", False):
            return body


async def send_response(send: Send, response: Response, *, head: bool = False) -> None:
    """Send a response whose body is complete; to a HEAD request, all but the body (RFC 9110, Section 9.3.2)."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    headers.append((b"content-length", str(len(response.body)).encode("ascii")))
    if "x-content-type-options" not in response.headers:
        headers.append((b"x-content-type-options", b"nosniff"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else response.body})


Handler: TypeAlias = Callable[..., Awaitable[Response]]


def endpoint(issuer: str, *, max_body_bytes: int = MAX_BODY_BYTES, **handlers: Handler) -> ASGIApp:
    """An ASGI app for one protocol endpoint: HTTP method (as keyword) to an async handler.

    A handler is called with the `Request` and, as keywords, the path parameters the router found
    (`scope["path_params"]`). Whatever AAuth error it raises becomes that error's response; anything else is logged by
    type and answered as `server_error`, without detail.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            handler = handlers.get(scope["method"]) or (handlers.get("GET") if scope["method"] == "HEAD" else None)
            if handler is None:
                raise MethodNotAllowed(
                    f"This endpoint answers {', '.join(sorted(handlers))} only.", allow=sorted(handlers)
                )
            request = await read_request(scope, receive, issuer=issuer, max_body_bytes=max_body_bytes)
            response = await handler(request, **scope.get("path_params", {}))
        except ClientGone:
            return
        except AAuthError as error:
            response = error_response(error)
        except Exception as error:  # the last resort: nothing may reach the client but a server_error
            # Neither the path (pending URLs are secrets) nor the message (it can quote data) is logged.
            _log.error("unexpected %s\n%s", type(error).__name__, "".join(format_tb(error.__traceback__)))
            response = error_response(ServerError("The server met an error of its own. Try again later."))
        await send_response(send, response, head=scope["method"] == "HEAD")

    return app
