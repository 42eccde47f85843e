"""Between `httpx2`, which applications know, and the plain messages that are signed (#covered-components).

The target is taken as `httpx2` puts it on the wire, byte for byte, since the signature covers it.
"""

from __future__ import annotations

from typing import Unpack

import httpx2

from ..http import Fields, Request, Response
from .options import RequestOptions

__all__ = ["build_request", "from_httpx", "to_httpx"]

#: Set by whoever sends the request, from what it really sends.
_HOP_FIELDS = frozenset({"host", "content-length", "transfer-encoding", "connection"})


def build_request(method: str, url: str, **options: Unpack[RequestOptions]) -> Request:
    """A request from the options that `httpx2.Request` takes: params, headers, content, data, files, json, cookies."""
    built = httpx2.Request(method, url, **options)
    built.read()
    return from_httpx(built)


def from_httpx(request: httpx2.Request) -> Request:
    """The plain request; its body must have been read."""
    url = request.url
    target = f"{url.scheme}://{url.netloc.decode('ascii')}{url.raw_path.decode('ascii')}"
    fields = [
        (name.decode("latin-1").lower(), value.decode("latin-1"))
        for name, value in request.headers.raw
        if name.decode("latin-1").lower() not in _HOP_FIELDS
    ]
    return Request(request.method, target, Fields(fields), request.content)


def to_httpx(response: Response, request: Request) -> httpx2.Response:
    """The response as applications expect it."""
    return httpx2.Response(
        response.status,
        headers=[(name, value) for name, value in response.headers],
        content=response.body,
        request=httpx2.Request(request.method, request.url, headers=[(name, value) for name, value in request.headers]),
    )
