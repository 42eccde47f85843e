"""Signing one request with one credential, and what is remembered of having sent it (#signing-agent).

Covered are the base, the body when there is one, `authorization` when a session token goes along, and whatever the
server taught us it wants (#covered-components). Knows nothing of challenges.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from email.utils import formatdate

from ..effects import Send
from ..http import Request
from ..httpsig import sign
from ..messages.headers import serialize_tokens, session_authorization
from .credentials import Credential, ServerMemory
from .errors import ChallengeUnmet

__all__ = ["Attempt", "ResourceSend", "resource_of", "sign_request", "unmet_components"]

_DERIVED = frozenset({"@method", "@authority", "@path", "@query", "@target-uri", "@scheme", "@request-target"})
#: `sign` leaves these out where there is no body; `date` is ours to add.
_PROVIDED = frozenset({"content-digest", "content-type", "date", "signature-key"})
_SIGNATURE = frozenset({"signature", "signature-input"})
_DEFAULT_PORT = {"https": ":443", "http": ":80"}


@dataclass(frozen=True, slots=True)
class ResourceSend(Send):
    """A request to the resource itself. The `httpx2.Auth` adapter sends these through the application's own client."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was sent: the request as the application made it, and what it was signed with."""

    request: Request
    credential: Credential
    session_token: str | None = None
    cid: str | None = None
    """The cache identifier that was presented instead of the token."""


def resource_of(request: Request) -> str:
    """The identifier of the resource a request goes to: scheme and host, lowercase, without the default port."""
    scheme = request.scheme.lower()
    return f"{scheme}://{request.authority.lower().removesuffix(_DEFAULT_PORT.get(scheme, chr(0)))}"


def unmet_components(request: Request, components: Iterable[str]) -> list[str]:
    """Those of `components` that a signature of `request` cannot cover."""
    return [
        name
        for name in components
        if name in _SIGNATURE
        or (name.startswith("@") and name not in _DERIVED)
        or not (name.startswith("@") or name in _PROVIDED or name in request.headers)
    ]


def sign_request(attempt: Attempt, memory: ServerMemory, *, now: float, capabilities: Iterable[str] = ()) -> Request:
    """The request of `attempt` as it goes out.

    `now` is Unix seconds by our clock; `created` is set by the server's, as far as it is known. `capabilities` are
    said on signed requests to resources (#aauth-capabilities). Raises `ChallengeUnmet` when a component the server
    wants covered is not there to cover.
    """
    request, credential = attempt.request, attempt.credential
    signature_key = credential.signature_key(cid=attempt.cid, cache=memory.caches)
    if signature_key is None or credential.key is None:
        return request
    server_now = now + memory.clock_offset_s
    capabilities = tuple(capabilities)
    if capabilities and "aauth-capabilities" not in request.headers:
        request = request.with_headers(aauth_capabilities=serialize_tokens(capabilities))
    if attempt.session_token is not None:
        request = request.with_headers(authorization=session_authorization(attempt.session_token))
    if "date" in memory.components and "date" not in request.headers:
        request = request.with_headers(date=formatdate(server_now, usegmt=True))
    if request.body and "content-type" not in request.headers:
        # A body of no declared type is one nobody can be told the type of; covering it says so.
        request = request.with_headers(content_type="application/octet-stream")
    unmet = unmet_components(request, memory.components)
    if unmet:
        raise ChallengeUnmet(
            f"{resource_of(request)} requires the signature to cover {', '.join(unmet)}, which this request does not "
            "carry. Add the header field to the request and send it again."
        )
    presented = credential.token.raw if credential.token is not None else credential.key.thumbprint
    created = memory.created.next(request, presented, server_now)
    return sign(request, credential.key, signature_key, created=created, components=memory.components)


def unsigned(request: Request) -> Request:
    """A request without the header fields that only a signature may set, so that a retry starts clean."""
    names = {"signature", "signature-input", "signature-key"}
    if not any(name in request.headers for name in names):
        return request
    return replace(request, headers=type(request.headers)((n, v) for n, v in request.headers if n not in names))
