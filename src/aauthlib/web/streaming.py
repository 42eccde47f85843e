"""A request body that goes to the application as it arrives, and is held against its `Content-Digest` on the way.

#covered-components; RFC 9530. For bodies too large to be read before the decision. The application is never given the
end of a body that was changed: what it had by then was a part, and it must not act on parts.
"""

from __future__ import annotations

from ..errors import SignatureError
from ..httpsig import DigestVerifier
from .asgi import ASGIApp, ClientGone, Message, Receive, Scope, Send

__all__ = ["VerifiedBody", "read_start"]


async def read_start(receive: Receive, *, max_bytes: int) -> tuple[bytes, bool]:
    """What of the body comes until it ends or is larger than `max_bytes`, and whether it ended.

    Raises `ClientGone` when the client went away.
    """
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        complete = not message.get("more_body", False)
        if complete or size > max_bytes:
            return b"".join(parts), complete


class VerifiedBody:
    """A body of which `start` was read, and whose rest `receive` gives.

    `content_digest` is the field's value; without one the body is only passed on. Raises `InvalidSignature` when it
    is malformed or has no digest that can be verified.
    """

    def __init__(self, start: bytes, receive: Receive, content_digest: str | None) -> None:
        self._start: bytes | None = start
        self._receive = receive
        self._verifier = DigestVerifier(content_digest) if content_digest is not None else None
        self._failure: SignatureError | None = None

    async def serve(self, app: ASGIApp, scope: Scope, send: Send) -> SignatureError | None:
        """Call `app` with this body. Returns why the body is refused, if it is and no response has begun yet.

        Nothing the application sends reaches the client once its body turned out to be another one; a response that had
        begun stays incomplete.
        """
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            if self._failure is None:
                begun = True
                await send(message)

        try:
            await app(scope, self._next, sending)
        except Exception:
            # Applications wrap what `receive` raises in errors of their own, so the type says nothing. Only the echo of
            # a body we refused ourselves, before any of the response was sent, is swallowed.
            if self._failure is None or begun:
                raise
        return None if begun else self._failure

    async def _next(self) -> Message:
        if self._failure is not None:
            raise self._failure
        if self._start is not None:
            message: Message = {"type": "http.request", "body": self._start, "more_body": True}
            self._start = None
        else:
            message = await self._receive()
        if self._verifier is not None and message["type"] == "http.request":
            self._verify(self._verifier, message)
        return message

    def _verify(self, verifier: DigestVerifier, message: Message) -> None:
        verifier.feed(message.get("body", b""))
        if message.get("more_body", False):
            return
        self._verifier = None
        try:
            verifier.finish()
        except SignatureError as error:
            # Raised and not told as a disconnect, which careless applications take for the end of the body.
            self._failure = error
            raise
