"""`aiohttp`: sign every request of a session (`ClientSession(middlewares=[sign_requests(Signer(key))])`).

Needs the extra `aiohttp`. No challenge is met and nothing retried. A redirect that the session follows is signed anew,
for where it leads: pass `allow_redirects=False` where a token must not be shown to another host.
"""

from __future__ import annotations

from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse, hdrs
from aiohttp.payload import Payload

from ..http import Fields, Request
from .signer import Signer

__all__ = ["sign_requests"]


def sign_requests(signer: Signer) -> ClientMiddlewareType:
    """A client middleware that signs each request with `signer`, its body included."""

    async def signing(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        body = b""
        if signer.cover_body:
            body = await request.body.as_bytes() if isinstance(request.body, Payload) else request.body
        host = request.headers.get(hdrs.HOST, request.url.raw_authority)
        plain = Request(
            request.method,
            f"{request.url.scheme}://{host}{request.url.raw_path_qs}",
            Fields(request.headers.items()),
            body,
        )
        request.headers.update(signer.fields(plain))
        return await handler(request)

    return signing
