"""`httpx2`: sign every request of a client (`httpx2.Client(auth=SignatureAuth(Signer(key)))`).

No challenge is met and nothing retried; `aauthlib.agent.auth.AAuth` does that. A redirect that the client follows keeps
the signature of the request before it, which the next server refuses.
"""

from __future__ import annotations

from collections.abc import Generator

import httpx2

from ..agent.bridging import from_httpx
from .signer import Signer

__all__ = ["SignatureAuth"]


class SignatureAuth(httpx2.Auth):
    """Signs each request, its body included, in blocking and asynchronous clients alike."""

    requires_request_body = True

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """What the client runs."""
        request.headers.update(self._signer.fields(from_httpx(request)))
        yield request
