"""Revoking a token at another server, as the server that issued it (#revocation-request, #revocation-response).

One flow for every role that cascades. It ends in an outcome and raises nothing another party could cause: a recipient
that cannot be told honours the token until its `exp`, which is an outcome too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..effects import Clock, FindMetadata, Flow, Send
from ..errors import AAuthError, UnsupportedIss
from ..http import Fields, Request, Response
from ..messages.bodies import RevocationRequest, encode
from ..messages.metadata import AccessServerMetadata, PersonServerMetadata, ResourceMetadata, read_metadata
from ..messages.problems import error_of
from .polling import PollPolicy, follow

__all__ = ["RECORDED", "UNAVAILABLE", "UNSUPPORTED", "Notice", "Revoked", "revoke_at"]

RECORDED = "recorded"
UNSUPPORTED = "revocation_unsupported"
UNAVAILABLE = "revocation_unavailable"

_MAX_BODY_BYTES = 65_536
_MAX_DOWNSTREAM = 1000


@dataclass(frozen=True, slots=True)
class Revoked:
    """How revoking one token at one recipient ended."""

    outcome: str
    """`recorded`, `revocation_unsupported` or `revocation_unavailable`."""
    downstream: tuple[tuple[str, str | None], ...] = ()
    """What an access server reports: each resource, and why the revocation there did not succeed, if it did not."""

    @property
    def settled(self) -> bool:
        """Whether telling again can change nothing: everybody knows, or takes no such notice."""
        if self.outcome != RECORDED:
            return self.outcome == UNSUPPORTED
        return all(error in (None, UNSUPPORTED) for _, error in self.downstream)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Somebody is to be told that a token of ours was revoked."""

    jti: str
    exp: float
    recipient: str
    to_access_server: bool = False
    """The recipient is an access server the token was presented to, not the resource it is for."""
    tries: int = 0
    """How often it was told in vain."""


def revoke_at(
    recipient: str,
    role: type[ResourceMetadata] | type[AccessServerMetadata] | type[PersonServerMetadata],
    *,
    jti: str,
    exp: float,
    sign: Callable[[Request], Request],
    clock: Clock,
    dev: bool = False,
    timeout_s: float = 5.0,
    deadline_s: float = 60.0,
    wait_s: int = 0,
) -> Flow[Revoked]:
    """Revoke the caller's own token `jti` at `recipient`, which has the role `role`, and follow a `202` to its end.

    `sign` signs as the server that issued the token (scheme `jwks_uri`). `timeout_s` bounds the request, `deadline_s`
    the polling; `wait_s` is how long a recipient that has to tell others may hold the request. All in seconds. Returns
    the outcome; what goes wrong on the way is `revocation_unavailable`.
    """
    try:
        document = yield FindMetadata(recipient, role.dwk)
        metadata = read_metadata(role, document, issuer=recipient, dev=dev)
        url = metadata.revocation_endpoint
        if url is None:
            return Revoked(UNSUPPORTED)
        body = encode(RevocationRequest(jti=jti, exp=int(exp)))
        headers = {"content-type": "application/json", **({"prefer": f"wait={wait_s}"} if wait_s else {})}
        request = Request("POST", url, Fields(headers), body)
        response: Response = yield Send(sign(request), timeout_s=timeout_s + wait_s, max_body_bytes=_MAX_BODY_BYTES)
        if response.status == 202:
            policy = PollPolicy(wait_s=10, deadline_s=deadline_s)
            response = yield from follow(response, url=url, sign=sign, clock=clock, policy=policy)
        if response.status != 200:
            return Revoked(UNSUPPORTED if isinstance(error_of(response), UnsupportedIss) else UNAVAILABLE)
        return _read(response)
    except AAuthError:
        return Revoked(UNAVAILABLE)


def _read(response: Response) -> Revoked:
    """An absent body reports nothing; one that cannot be read is no confirmation."""
    if not response.body:
        return Revoked(RECORDED)
    try:
        document = response.json()
    except ValueError:
        return Revoked(UNAVAILABLE)
    if not isinstance(document, dict):
        return Revoked(UNAVAILABLE)
    entries: Any = document.get("downstream", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        return Revoked(UNAVAILABLE)
    downstream = [
        (entry["recipient"], entry["error"] if isinstance(entry.get("error"), str) else None)
        for entry in entries[:_MAX_DOWNSTREAM]
        if isinstance(entry.get("recipient"), str)
    ]
    return Revoked(RECORDED, tuple(downstream))
