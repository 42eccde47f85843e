"""Collecting what an ASGI application answers, to be kept for whoever polls."""

from __future__ import annotations

from ..errors import AAuthError, ServerError
from ..http import Fields, Response
from .asgi import Message

__all__ = ["Collecting", "ResultTooLarge"]


class ResultTooLarge(AAuthError):
    """A held invocation's response is larger than what is kept of one."""


class Collecting:
    """Collects a response, at most `max_bytes` of it."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._start: Message | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._complete = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            chunk = message.get("body", b"")
            self._size += len(chunk)
            if self._size > self._max_bytes:
                raise ResultTooLarge("The response is larger than what is kept of a held invocation.")
            self._body.append(chunk)
            self._complete = not message.get("more_body", False)

    def result(self) -> Response:
        if self._start is None or not self._complete:
            raise ServerError("The application gave no complete response.")
        headers = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in self._start.get("headers", ()))
        return Response(self._start["status"], Fields(headers), b"".join(self._body))
