"""WSGI: verify the signature of every request and put it into the environ, for any framework.

`environ["aauth.signature"]` is the `httpsig.Verified`; a request that does not verify is answered with `401` and
`Signature-Error` (#verification). WSGI hands the target on decoded; where the server keeps it as it came (`RAW_URI` of
gunicorn, `REQUEST_URI` of others) that is used, else it is encoded again, and a target that was encoded otherwise does
not verify.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..effects import Clock
from ..errors import AAuthError, InvalidRequest, InvalidSignature
from ..http import Fields, Request, Response
from ..httpsig import INLINE, MemoryReplayCache, Resolver, SignaturePolicy, Verified, inline_key, is_signed, verify
from ..httpsig.replay import REPLAYED, is_state_changing, replay_digest
from ..messages.problems import error_response
from ..web.asgi import MAX_BODY_BYTES, BodyTooLarge

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["ENVIRON_KEY", "SignatureMiddleware", "answer", "header_fields", "raw_target", "read_input"]

ENVIRON_KEY = "aauth.signature"
_MAX_LENGTH_DIGITS = 15
_RAW_TARGETS = ("RAW_URI", "REQUEST_URI")


class SignatureMiddleware:
    """Lets through what is signed. The parameters are those of `integrations.asgi.SignatureMiddleware`."""

    def __init__(
        self,
        app: WSGIApplication,
        *,
        origin: str,
        resolver: Resolver = inline_key,
        policy: SignaturePolicy = INLINE,
        optional: bool = False,
        replay: MemoryReplayCache | None = None,
        clock: Clock = time.time,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self.app = app
        self._origin, self._resolver, self._policy = origin, resolver, policy
        self._optional, self._replay, self._clock = optional, replay, clock
        self._max_body_bytes = max_body_bytes

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            request = _request(environ, self._origin, self._max_body_bytes)
            verified = None if self._optional and not is_signed(request) else self._verify(request)
        except AAuthError as error:
            return answer(error_response(error), start_response)
        body = {"wsgi.input": BytesIO(request.body), "CONTENT_LENGTH": str(len(request.body))}
        return self.app({**environ, **body, ENVIRON_KEY: verified}, start_response)

    def _verify(self, request: Request) -> Verified:
        now = self._clock()
        verified = verify(request, self._resolver, self._policy, now)
        if self._replay is not None and is_state_changing(request.method):
            until = verified.created + self._policy.window_s
            if not self._replay.add(replay_digest(verified.signed, verified.key), until=until, now=now):
                raise InvalidSignature(REPLAYED)
        return verified


def _request(environ: WSGIEnvironment, origin: str, max_body_bytes: int) -> Request:
    return Request(
        environ["REQUEST_METHOD"],
        origin + raw_target(environ),
        Fields(header_fields(environ)),
        read_input(environ, max_body_bytes),
    )


def raw_target(environ: WSGIEnvironment) -> str:
    """The request target as sent, where the server keeps it, else encoded again from what it was decoded to."""
    for name in _RAW_TARGETS:
        raw = environ.get(name)
        if isinstance(raw, str) and raw.startswith("/") and raw.isascii():
            return raw
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    encoded = quote(path.encode("latin-1", "replace"), safe="/~!$&'()*+,;=:@")
    query = environ.get("QUERY_STRING")
    return f"{encoded or '/'}?{query}" if query else encoded or "/"


def header_fields(environ: WSGIEnvironment) -> Iterator[tuple[str, str]]:
    """The header fields, as far as WSGI hands them on."""
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            yield name[5:].replace("_", "-"), value
        elif name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            yield name.replace("_", "-"), value


def read_input(environ: WSGIEnvironment, max_body_bytes: int) -> bytes:
    """The whole body. Raises `BodyTooLarge`, and `InvalidRequest` for a length that is no number."""
    stated = environ.get("CONTENT_LENGTH") or ""
    if stated and not (stated.isascii() and stated.isdigit() and len(stated) <= _MAX_LENGTH_DIGITS):
        raise InvalidRequest("Content-Length must be a number.")
    if not stated and not environ.get("wsgi.input_terminated"):
        return b""
    length = int(stated) if stated else max_body_bytes + 1
    if stated and length > max_body_bytes:
        raise BodyTooLarge(f"The request body is larger than {max_body_bytes} bytes.")
    body: bytes = environ["wsgi.input"].read(length)
    if len(body) > max_body_bytes:
        raise BodyTooLarge(f"The request body is larger than {max_body_bytes} bytes.")
    return body


def answer(response: Response, start_response: StartResponse) -> Iterable[bytes]:
    """Send a response whose body is complete."""
    status = f"{response.status} {HTTPStatus(response.status).phrase}"
    start_response(status, [*response.headers, ("content-length", str(len(response.body)))])
    return [response.body]
