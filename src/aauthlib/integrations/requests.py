"""`requests`: sign every request (`session.auth = SignatureAuth(Signer(key))`). Needs the extra `requests`.

No challenge is met and nothing retried. Redirects keep the signature of the first request, which the next server
refuses: send with `allow_redirects=False`, or sign what you send there.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase

from ..errors import ConfigurationError
from ..http import Fields, Request
from .signer import Signer

__all__ = ["SignatureAuth"]


class SignatureAuth(AuthBase):
    """Signs each request. Raises `ConfigurationError` for a streamed body, which cannot be read before it is sent."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers.update(self._signer.fields(_plain(request, body_read=self._signer.cover_body)))
        return request


def _plain(request: PreparedRequest, *, body_read: bool) -> Request:
    body: object = request.body or b""  # the types know nothing of generators and files
    if isinstance(body, str):
        body = body.encode("utf-8")
    if not isinstance(body, bytes):
        if body_read:
            raise ConfigurationError(
                "A streamed body cannot be signed. Send bytes, or use Signer(cover_body=False) if the server allows it."
            )
        body = b""
    parts = urlsplit(request.url or "")
    fields = Fields((_text(name), _text(value)) for name, value in request.headers.items())
    url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{request.path_url}"
    return Request(request.method or "GET", url, fields, body)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
