"""Telling resources that tokens of theirs are revoked (#revocation-request, #revocation-cascade).

Best effort within a time: a resource that cannot be told honours the token until its `exp`, and the outcome is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from ..effects import FindMetadata, Flow, Send
from ..errors import AAuthError, UnsupportedIss
from ..http import Fields, Request, Response
from ..httpsig import JWKSURI, sign
from ..messages.bodies import RevocationRequest, encode
from ..messages.metadata import ResourceMetadata, read_metadata
from ..messages.problems import error_of
from ..store.person_records import IssuedToken
from ..tokens import PERSON_DWK
from .core import PersonServerCore

__all__ = ["RECORDED", "UNAVAILABLE", "UNSUPPORTED", "RevocationOutcome", "tell_resources"]

RECORDED = "recorded"
UNSUPPORTED = "revocation_unsupported"
UNAVAILABLE = "revocation_unavailable"

#: How long a cascade may take altogether, and one request of it, in seconds.
_CASCADE_S = 15.0
_REQUEST_S = 5.0
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class RevocationOutcome:
    """How telling one resource about one token ended."""

    resource: str
    jti: str
    outcome: str


async def tell_resources(server: PersonServerCore, tokens: Sequence[IssuedToken]) -> list[RevocationOutcome]:
    """Revoke each token at the resource named in its `aud`, and keep the outcome."""
    if not tokens:
        return []
    slots = asyncio.Semaphore(_AT_ONCE)
    outcomes = {token.jti: UNAVAILABLE for token in tokens}

    async def tell(token: IssuedToken) -> None:
        async with slots:
            try:
                outcomes[token.jti] = await server.run(_revoke(server, token))
            except AAuthError:
                outcomes[token.jti] = UNAVAILABLE

    tasks = [asyncio.create_task(tell(token)) for token in tokens]
    try:
        await asyncio.wait(tasks, timeout=_CASCADE_S)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for token in tokens:
        await server.store.record_revocation_outcome(token.jti, outcomes[token.jti])
    return [RevocationOutcome(token.aud, token.jti, outcomes[token.jti]) for token in tokens]


def _revoke(server: PersonServerCore, token: IssuedToken) -> Flow[str]:
    document = yield FindMetadata(token.aud, ResourceMetadata.dwk)
    metadata = read_metadata(ResourceMetadata, document, issuer=token.aud, dev=server.dev)
    if metadata.revocation_endpoint is None:
        return UNSUPPORTED
    body = encode(RevocationRequest(jti=token.jti, exp=int(token.exp)))
    request = Request("POST", metadata.revocation_endpoint, Fields({"content-type": "application/json"}), body)
    key = server.keys.signing
    signed = sign(request, key, JWKSURI(server.issuer, PERSON_DWK, key.kid), created=int(server.clock()))
    response: Response = yield Send(signed, timeout_s=_REQUEST_S, max_body_bytes=65_536)
    if response.status == 200:
        return RECORDED
    return UNSUPPORTED if isinstance(error_of(response), UnsupportedIss) else UNAVAILABLE
