"""ASGI: verify the signature of every request and put it into the scope, for any framework.

`scope["aauth.signature"]` is the `httpsig.Verified`; a request that does not verify is answered with `401` and
`Signature-Error` (#verification). The origin is configured and never taken from the request, as everywhere. Tokens and
the trust ladder are `web.resource.AAuthMiddleware`'s.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeAlias

from ..effects import Clock
from ..errors import AAuthError
from ..http import Request
from ..httpsig import INLINE, ReplayCache, SignatureKey, SignaturePolicy, Verified, inline_key, is_signed, refuse_replay
from ..httpsig.plain import accept
from ..httpsig.verifying import select
from ..keys import PublicKey
from ..messages.problems import error_response
from ..web.asgi import MAX_BODY_BYTES, ASGIApp, ClientGone, Message, Receive, Scope, Send, read_request, send_response

__all__ = ["SCOPE_KEY", "AnyResolver", "SignatureMiddleware"]

SCOPE_KEY = "aauth.signature"

#: A `httpsig.Resolver`, or one that has to await something.
AnyResolver: TypeAlias = Callable[[SignatureKey], PublicKey | Awaitable[PublicKey]]


class SignatureMiddleware:
    """Lets through what is signed.

    - `origin`: what clients call this server, `https://api.example`.
    - `resolver`, `policy`: as for `httpsig.verify`; by default callers are the keys they show (`hwk`).
    - `optional`: let unsigned requests through too, with `None` in the scope.
    - `replay`: refuse a state-changing request that was received before.

    The body is read, up to `max_body_bytes`, and handed on.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        origin: str,
        resolver: AnyResolver = inline_key,
        policy: SignaturePolicy = INLINE,
        optional: bool = False,
        replay: ReplayCache | None = None,
        clock: Clock = time.time,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self.app = app
        self._origin, self._resolver, self._policy = origin, resolver, policy
        self._optional, self._replay, self._clock = optional, replay, clock
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # a WebSocket handshake is not signed over
            await send({"type": "websocket.close", "code": 1008})
            return
        try:
            request = await read_request(scope, receive, issuer=self._origin, max_body_bytes=self._max_body_bytes)
            verified = None if self._optional and not is_signed(request) else await self._verify(request)
        except ClientGone:
            return
        except AAuthError as error:
            await send_response(send, error_response(error), head=scope["method"] == "HEAD")
            return
        await self.app({**scope, SCOPE_KEY: verified}, _handing_on(request.body, receive), send)

    async def _verify(self, request: Request) -> Verified:
        now = self._clock()
        signed = select(request, self._policy, now=now)
        found = self._resolver(signed.key)
        key = await found if isawaitable(found) else found
        verified = accept(signed, key, self._policy)
        await refuse_replay(self._replay, signed, key, now=now, window_s=self._policy.window_s)
        return verified


def _handing_on(body: bytes, receive: Receive) -> Receive:
    given = False

    async def hand_on() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return hand_on
