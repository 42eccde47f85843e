"""How a resource says what it needs first: `AAuth-Requirement` challenges (#requirement-responses, #scheme-rejection).

A challenge is raised, so that no caller of the decision can forget to look at it. Each carries its whole response.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..errors import AAuthError, RateLimited, RevokedJWT
from ..http import Response, json_response
from ..httpsig import SignaturePolicy
from ..messages.headers import accept_signature
from ..messages.problems import PROBLEM_JSON, error_response
from ..messages.requirement import AGENT_TOKEN, AUTH_TOKEN, PERSON_TOKEN, PSEUDONYM, Requirement

__all__ = [
    "Challenge",
    "agent_token_required",
    "auth_token_required",
    "person_token_required",
    "pseudonym_required",
    "rate_limited",
    "refusal",
    "revoked",
]

#: Schemes by which a caller shows the same key again, as a challenge for a pseudonym names them.
PSEUDONYM_SCHEMES = ("hwk", "jkt-jwt", "jwt")

#: The scheme by which agent, person and auth tokens are presented.
TOKEN_SCHEMES = ("jwt",)


class Challenge(AAuthError):
    """The request needs something else first; `response` says what."""

    def __init__(self, detail: str, response: Response) -> None:
        super().__init__(detail)
        self.response = response


def refusal(error: AAuthError, signature: SignaturePolicy | None = None) -> Response:
    """The response for any error of a resource: a challenge's own, or the error's wire form.

    Whatever asks for a signature says by `signature` which algorithms will do (HTTP Signature Keys, Section 4.4).
    """
    response = error.response if isinstance(error, Challenge) else error_response(error)
    headers = response.headers
    schemes = headers.get("accept-signature-scheme")
    if signature is None or schemes is None or "accept-signature-alg" in headers:
        return response
    if "cached" in signature.schemes:
        # A capability to announce, which stands beside every scheme (HTTP Signature Keys, Section 4.1).
        headers = headers.with_(accept_signature_scheme=f"{schemes}, cached")
    return Response(response.status, headers.added(accept_signature((), signature.algorithms)), response.body)


def _challenge(requirement: Requirement, detail: str, schemes: Iterable[str] = TOKEN_SCHEMES) -> Challenge:
    # The body is for whoever reads it with curl. It has no `error`: nothing failed that the header does not repair.
    body = {"title": f"AAuth: {requirement.value} required", "status": 401, "detail": detail}
    fields = [("aauth-requirement", requirement.serialize()), *accept_signature(schemes, ())]
    return Challenge(detail, json_response(401, body, headers=fields, content_type=PROBLEM_JSON))


def pseudonym_required() -> Challenge:
    """Any signature will do: the ladder's lowest rung, beside the spec's own `Accept-Signature-Scheme`."""
    return _challenge(
        Requirement(PSEUDONYM),
        "Sign the request with a key of your own (HTTP Message Signatures, Signature-Key).",
        PSEUDONYM_SCHEMES,
    )


def agent_token_required(detail: str = "Present your agent token in Signature-Key.") -> Challenge:
    """#requirement-agent-token."""
    return _challenge(Requirement(AGENT_TOKEN), detail)


def person_token_required() -> Challenge:
    """#requirement-person-token."""
    return _challenge(
        Requirement(PERSON_TOKEN), "Obtain a person token for this resource from your person server and present it."
    )


def auth_token_required(resource_token: str, scopes: Iterable[str]) -> Challenge:
    """#requirement-auth-token."""
    return _challenge(
        Requirement(AUTH_TOKEN, resource_token=resource_token),
        "Take the resource token to your person server and present the auth token it grants; "
        f"scope: {' '.join(scopes)}.",
    )


def revoked(error: RevokedJWT, *, person_token_helps: bool) -> Challenge:
    """#presenting-a-revoked-token: `revoked_jwt`; for an auth token with the way back, never with a resource token."""
    response = error_response(error)
    if person_token_helps:
        response = Response(
            response.status,
            response.headers.added([("aauth-requirement", Requirement(PERSON_TOKEN).serialize())]),
            response.body,
        )
    return Challenge(error.detail, response)


def rate_limited(wait_s: float, *, anonymous: bool) -> Challenge:
    """`429` with `Retry-After`. An anonymous caller learns that signing gets it a limit of its own."""
    advice = " Sign the request to be counted by your key instead of your address." if anonymous else ""
    error = RateLimited(f"Too many requests from this caller for now.{advice}", retry_after_s=max(1, math.ceil(wait_s)))
    response = error_response(error)
    if anonymous:
        accepted = accept_signature(PSEUDONYM_SCHEMES, ())
        response = Response(response.status, response.headers.added(accepted), response.body)
    return Challenge(error.detail, response)
