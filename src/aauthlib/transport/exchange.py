"""From `http.Request` to httpcore2 and back, without changing a byte that was signed (#covered-components).

The target goes out as it stands in the URL; header fields keep their order and values. Added are only `Host`, a
`Content-Length` where a body needs one, and `Accept-Encoding: identity` unless the caller negotiates codings itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import httpcore2

from ..discovery import TransportError
from ..effects import Send
from ..http import Fields, Response
from .egress import Destination

__all__ = ["BodyReader", "transport_error", "wire_request"]

_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})


def wire_request(effect: Send, destination: Destination, connect_timeout_s: float) -> httpcore2.Request:
    """The request as httpcore2 sends it. Raises `TransportError` for header fields that cannot be sent."""
    request = effect.request
    fields = list(request.headers)
    if "host" not in request.headers:
        fields.insert(0, ("host", destination.authority))
    if "accept-encoding" not in request.headers:
        fields.append(("accept-encoding", "identity"))
    if (request.body or request.method in _BODY_METHODS) and not (
        "content-length" in request.headers or "transfer-encoding" in request.headers
    ):
        fields.append(("content-length", str(len(request.body))))
    connect_s = min(connect_timeout_s, effect.timeout_s)
    try:
        return httpcore2.Request(
            request.method,
            httpcore2.URL(
                scheme=destination.scheme.encode("ascii"),
                host=destination.host.encode("ascii"),
                port=destination.port,
                target=destination.target.encode("ascii"),
            ),
            # Whitespace around a value is not part of it (RFC 9110, Section 5.5), nor of what is signed.
            headers=[(name.encode("ascii"), value.strip(" \t").encode("latin-1")) for name, value in fields],
            content=request.body,
            extensions={
                "timeout": {
                    "connect": connect_s,
                    "pool": effect.timeout_s,
                    "read": effect.timeout_s,
                    "write": effect.timeout_s,
                }
            },
        )
    except (UnicodeEncodeError, TypeError) as error:
        raise TransportError("The request has a header field that HTTP cannot carry.") from error


class BodyReader:
    """Gathers a response within `max_body_bytes`, as sent and as decoded.

    A caller that sent `Accept-Encoding` gets the body as it came; for any other a `gzip` or `deflate` coding the
    server chose on its own is undone, and an unknown one is an error.
    """

    def __init__(self, effect: Send, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._max = effect.max_body_bytes
        self._status = status
        self._headers = Fields((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
        self._body = bytearray()
        if status < 200:
            raise TransportError(f"The server answered with status {status}, which ends no request.")
        length = self._headers.get("content-length")
        if (
            length is not None
            and length.isdecimal()
            and int(length[:20]) > self._max
            and effect.request.method != "HEAD"
        ):
            raise self._too_large()
        coding = (self._headers.get("content-encoding") or "identity").strip().lower()
        self._decoder = None
        if coding != "identity" and "accept-encoding" not in effect.request.headers:
            if coding not in ("gzip", "x-gzip", "deflate"):
                raise TransportError("The server answered in a content coding that was not asked for.")
            # 32 recognises the gzip and the zlib wrapper by their first bytes.
            self._decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body. Raises `TransportError` when it grows beyond the bound."""
        if self._decoder is not None:
            try:
                # One byte more than allowed tells a body that fits from one that does not.
                chunk = self._decoder.decompress(chunk, self._max - len(self._body) + 1)
            except zlib.error as error:
                raise TransportError("The server's compressed answer is damaged.") from error
        self._body += chunk
        if len(self._body) > self._max:
            raise self._too_large()

    def response(self) -> Response:
        """The response, complete."""
        headers = self._headers
        if self._decoder is not None:
            if (self._body and not self._decoder.eof) or self._decoder.unused_data:
                raise TransportError("The server's compressed answer ends early or goes on behind its end.")
            headers = headers.with_(content_encoding=None, content_length=None)
        return Response(self._status, headers, bytes(self._body))

    def _too_large(self) -> TransportError:
        return TransportError(f"The answer is larger than the {self._max} bytes allowed for it.")


def transport_error(error: Exception, destination: Destination, timeout_s: float) -> TransportError:
    """What happened, in words, without the URL's path or query."""
    where = f"{destination.scheme}://{destination.authority}"
    if isinstance(error, httpcore2.ConnectTimeout):
        return TransportError(f"{where} could not be connected to in time.")
    if isinstance(error, httpcore2.TimeoutException | TimeoutError):
        return TransportError(f"{where} did not answer within {timeout_s:g} seconds.")
    if isinstance(error, httpcore2.ConnectError):
        return TransportError(f"{where} could not be connected to: {str(error)[:200] or 'connection failed'}.")
    if isinstance(error, httpcore2.LocalProtocolError):
        return TransportError("The request has a method, target or header field that HTTP cannot carry.")
    if isinstance(error, httpcore2.RemoteProtocolError):
        return TransportError(f"{where} broke off or answered with something that is not HTTP.")
    return TransportError(f"The connection to {where} was lost.")
